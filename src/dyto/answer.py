"""The answer to a question about a video."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dyto.choices import parse_choice
from dyto.features import KeyFrames, VisualTokens
from dyto.models.base import VideoModel
from dyto.subtitles.choosing import Spoken
from dyto.subtitles.finding import Subtitles

STAGES = ("decode", "encode", "select", "merge", "prefill", "generate", "total")
"""The stages whose seconds an answer reports, in order."""


FORMAT = 1
"""Format number of `Answer.to_dict`. It rises when a key changes its meaning or goes away."""

SAID_NOTHING = "the model ended its answer before the first word: rephrase the question, or use another prompt"
"""Warning for an answer without text, which is not an error."""


def subtitle_notes(model: VideoModel, found: Subtitles | None, spoken: Spoken | None) -> tuple[str, ...]:
    """Return what a reader should know of the subtitles of a video.

    Args:
        model: Who answered.
        found: What is said in the video; None if nothing was looked for or found.
        spoken: What the prompt held of it.
    """
    if found is None:
        return ()
    notes = list(found.notes)
    if spoken is None and found.lines:
        notes.append(f"model {model.name} reads no subtitles, so those of {found.source} were left out")
    elif spoken is not None and spoken.left_out:
        notes.append(f"there is no room for {spoken.left_out} of the {len(found)} lines of {found.source}")
    return tuple(notes)


@dataclass(frozen=True)
class Answer:
    """An answer, with the key frames, tokens and seconds behind it.

    Attributes:
        text: The model's answer.
        choice: For multiple choice, the index of the option that the answer names, or None if it names none.
        keyframes: The frames whose tokens the model read.
        num_visual_tokens: Number of tokens that represented the video.
        token_budget: Largest number allowed; None for no limit.
        uncompressed_tokens: Number of tokens of all sampled frames before anything was dropped or merged.
        seconds: Wall time of each stage in `STAGES`. Prefill counts 0 if an earlier question paid for it; other stages
            that were done earlier count as measured then. "total" is the sum.
        warnings: Notes for the reader, such as an incomplete file, or a model that knows little or said nothing.
        num_time_tokens: Number of tokens between and after the visual ones that are not visual: the times and marks of
            key frames, in families that write them. The budget does not count them.
        model: Name of the model.
        strategy: The strategy's name and fields, JSON-ready.
        spoken: What the prompt held of the video's subtitles; None for nothing.
        meaningful: Whether the model knows anything of what the video shows; False for an answer of `tiny` about a
            video outside its drawn world.
        details: What the model reports beyond the text, JSON-ready: `nouns` gives its "confidence", the "reason" if it
            asserts nothing, and the "things" that it saw.

    Example:
        >>> import numpy as np, dyto
        >>> qa = dyto.VideoQA.from_pretrained("tiny")
        >>> answer = qa.ask(np.zeros((8, 32, 32, 3), np.uint8), "what is shown ?", max_new_tokens=2)
        >>> answer.to_dict()["model"], answer.to_dict()["strategy"]["name"]
        ('tiny', 'plus')
    """

    text: str
    choice: int | None
    keyframes: KeyFrames
    num_visual_tokens: int
    token_budget: int | None
    uncompressed_tokens: int
    seconds: Mapping[str, float]
    warnings: tuple[str, ...] = ()
    num_time_tokens: int = 0
    model: str = ""
    strategy: Mapping[str, Any] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    meaningful: bool = True
    spoken: Spoken | None = None

    @classmethod
    def of(
        cls,
        model: VideoModel,
        tokens: VisualTokens,
        text: str,
        choices: Sequence[str] | None,
        seconds: Mapping[str, float],
        *,
        start: str = "",
        strategy: Mapping[str, Any] | None = None,
        details: Mapping[str, Any] | None = None,
        spoken: Spoken | None = None,
    ) -> Answer:
        """Make an answer about an encoded video.

        Args:
            model: The model.
            tokens: The encoded video.
            text: The text that the model wrote.
            choices: Options of the question, if any.
            seconds: Wall time of each stage after encoding.
            start: Beginning of the answer, if the prompt contains it.
            strategy: Description of the strategy.
            details: What the model reports beyond the text.
            spoken: What the prompt held of the video's subtitles.
        """
        stages = {**dict.fromkeys(("decode", "encode", "select", "merge"), 0.0), **tokens.stages, **seconds}
        silent = () if text.strip() else (SAID_NOTHING,)
        heard = subtitle_notes(model, tokens.subtitles, spoken)
        return cls(
            text=start + text,
            choice=None if choices is None else parse_choice(start + text, choices),
            keyframes=tokens.keyframes,
            num_visual_tokens=len(tokens),
            token_budget=tokens.budget,
            uncompressed_tokens=tokens.uncompressed,
            seconds={**stages, "total": sum(stages.values())},
            warnings=(*model.notices, *tokens.warnings, *heard, *silent),
            num_time_tokens=model.count_text(tokens),
            model=model.name,
            strategy=strategy or {},
            details=details or {},
            meaningful=tokens.meaningful,
            spoken=spoken,
        )

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-ready values, as `dyto ask --json` prints them; their format number is `FORMAT`."""
        frames = zip(self.keyframes.indices.tolist(), self.keyframes.seconds.tolist(), strict=True)
        return {
            **self.details,  # first: they replace no key of ours
            "format": FORMAT,
            "model": self.model,
            "strategy": json.loads(json.dumps(dict(self.strategy))),  # lists for tuples, as in the JSON
            "answer": self.text,
            "choice": self.choice,
            "meaningful": self.meaningful,
            "keyframes": [{"index": index, "second": round(second, 3)} for index, second in frames],
            "tokens": {
                "uncompressed": self.uncompressed_tokens,
                "budget": self.token_budget,
                "used": self.num_visual_tokens,
                "times": self.num_time_tokens,
            },
            "subtitles": None if self.spoken is None else self.spoken.to_dict(),
            "seconds": {stage: round(self.seconds[stage], 4) for stage in STAGES},
            "warnings": list(self.warnings),
        }
