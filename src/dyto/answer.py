"""What comes back from a question."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dyto.features import KeyFrames

STAGES = ("decode", "encode", "select", "merge", "prefill", "generate", "total")
"""The stages whose seconds an answer states, in the order in which they happen."""


@dataclass(frozen=True)
class Answer:
    """An answer and what it was computed from.

    Attributes:
        text: What the model said.
        choice: For multiple choice, the index of the option it named, or None if it named none.
        keyframes: The frames whose tokens the model read.
        num_visual_tokens: How many tokens stood for the video.
        token_budget: How many were allowed; None for no limit.
        uncompressed_tokens: Tokens of all sampled frames before anything was dropped or merged.
        seconds: Wall time per stage, `STAGES`; a stage that was done before, for another question, counts 0
            for prefill and as measured then for the others. "total" is their sum.
        warnings: What a reader should know: an incomplete file, a model that knows little.
    """

    text: str
    choice: int | None
    keyframes: KeyFrames
    num_visual_tokens: int
    token_budget: int | None
    uncompressed_tokens: int
    seconds: Mapping[str, float]
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """The answer as JSON-ready values."""
        frames = zip(self.keyframes.indices.tolist(), self.keyframes.seconds.tolist(), strict=True)
        return {
            "answer": self.text,
            "choice": self.choice,
            "keyframes": [{"index": index, "second": round(second, 3)} for index, second in frames],
            "tokens": {
                "uncompressed": self.uncompressed_tokens,
                "budget": self.token_budget,
                "used": self.num_visual_tokens,
            },
            "seconds": {stage: round(self.seconds[stage], 4) for stage in STAGES},
            "warnings": list(self.warnings),
        }
