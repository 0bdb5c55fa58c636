"""What a question would take, before it is asked: `dyto ask --dry-run`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from dyto.answer import subtitle_notes
from dyto.cli.console import err, out
from dyto.features import VisualTokens
from dyto.models.endpoint.pictures import FramePicture, SentPictures
from dyto.pipeline import VideoQA


@dataclass(frozen=True)
class AskPlan:
    """A question that is not asked.

    Attributes:
        model: The model, and where it is.
        tokens: What it would read of the video.
        pictures: For an endpoint, the pictures it would get.
        text: Tokens of the prompt and the times; estimated for an endpoint.
        answer: Most tokens of the answer.
        warnings: What a reader should know.
    """

    model: str
    tokens: VisualTokens
    pictures: Sequence[FramePicture]
    text: int
    answer: int
    warnings: Sequence[str]

    @classmethod
    def of(
        cls, qa: VideoQA, tokens: VisualTokens, question: str, choices: Sequence[str] | None, max_new_tokens: int
    ) -> AskPlan:
        """Count what a question about an encoded video would take."""
        one = qa.prepare(tokens, question, choices, max_new_tokens)
        need = qa.model.expected(one.prompt, tokens, max_new_tokens)
        pictures = tokens.pictures if isinstance(tokens, SentPictures) else ()
        text = need - len(tokens) - max_new_tokens
        place = f"{qa.model.name} on {qa.model.where}"
        warnings = (*qa.model.notices, *tokens.warnings, *subtitle_notes(qa.model, tokens.subtitles, one.spoken))
        return cls(place, tokens, pictures, text, max_new_tokens, warnings)

    @property
    def total(self) -> int:
        """All tokens that the question would take, at most."""
        return len(self.tokens) + self.text + self.answer

    def to_dict(self) -> dict[str, Any]:
        """Return the plan as JSON-ready values."""
        frames = zip(self.tokens.keyframes.indices.tolist(), self.tokens.keyframes.seconds.tolist(), strict=True)
        return {
            "dry_run": True,
            "model": self.model,
            "keyframes": [{"index": index, "second": round(second, 3)} for index, second in frames],
            "pictures": [{"width": one.width, "height": one.height, "tokens": one.tokens} for one in self.pictures],
            "tokens": {"video": len(self.tokens), "text": self.text, "answer": self.answer, "total": self.total},
            "warnings": list(self.warnings),
        }

    def print(self, as_json: bool) -> None:
        """Print the plan for people, or as one JSON document."""
        if as_json:
            out.file.write(json.dumps(self.to_dict(), ensure_ascii=False, allow_nan=False) + "\n")
            return
        out.print("dry run     nothing was asked")
        times = "  ".join(f"{second:.1f}s" for second in self.tokens.keyframes.seconds)
        out.print(f"key frames  {len(self.tokens.keyframes)}: {times}")
        if self.pictures:
            sizes = "  ".join(f"{one.width}x{one.height} {one.tokens}" for one in self.pictures)
            out.print(f"pictures    {len(self.pictures)}: {sizes}")
        out.print(f"tokens      {len(self.tokens)} video + {self.text} text + {self.answer} answer = {self.total}")
        out.print(f"model       {self.model}")
        for warning in self.warnings:
            err.print(f"note: {warning}", style="yellow")
