"""The answer to a question about a video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dyto.choices import parse_choice
from dyto.features import KeyFrames, VisualTokens
from dyto.models.base import VideoModel

STAGES = ("decode", "encode", "select", "merge", "prefill", "generate", "total")
"""The stages whose seconds an answer reports, in order."""


FORMAT = 1
"""Format number of `Answer.to_dict`. It rises when a key changes its meaning or goes away."""

SAID_NOTHING = "the model ended its answer before the first word: rephrase the question, or use another prompt"
"""Warning for an answer without text, which is not an error."""


@dataclass(frozen=True)
class Answer:
    """An answer, with the key frames, tokens and seconds behind it.

    Attributes:
        text: The model's answer.
        choice: For multiple choice, the index of the option that the answer names, or None if it names none.
        keyframes: The frames whose tokens the model read.
        num_visual_tokens: Number of tokens that the model read for the video.
        token_budget: Number of tokens that were allowed; None for no limit.
        uncompressed_tokens: Number of tokens of all sampled frames before anything was dropped or merged.
        seconds: Wall time of each stage in `STAGES`. A stage that was shared with an earlier question counts its
            original time, except prefill, which counts 0. "total" is the sum.
        warnings: Notes for the reader: an incomplete file, a model that knows little or said nothing.
        num_time_tokens: Number of tokens for the times and marks of key frames, in families that write them among
            and after the visual tokens. The budget does not count them.
        model: Name of the model.
        strategy: Name and fields of the strategy, JSON-ready.

    Example:
        >>> import numpy as np, dyto
        >>> qa = dyto.VideoQA.from_pretrained("tiny")
        >>> answer = qa.ask(np.zeros((8, 32, 32, 3), np.uint8), "what is shown ?", max_new_tokens=2)
        >>> answer.to_dict()["model"], answer.to_dict()["strategy"]["name"]
        ('tiny', 'dyto')
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
    ) -> Answer:
        """Make an answer about an encoded video.

        Args:
            model: The model that answered.
            tokens: The encoded video.
            text: The model's answer.
            choices: The options, for multiple choice.
            seconds: Seconds of the stages after encoding.
            start: The beginning of the answer that the prompt already contains.
            strategy: Description of the strategy.
        """
        stages = {**dict.fromkeys(("decode", "encode", "select", "merge"), 0.0), **tokens.stages, **seconds}
        silent = () if text.strip() else (SAID_NOTHING,)
        return cls(
            text=start + text,
            choice=None if choices is None else parse_choice(start + text, choices),
            keyframes=tokens.keyframes,
            num_visual_tokens=len(tokens),
            token_budget=tokens.budget,
            uncompressed_tokens=tokens.uncompressed,
            seconds={**stages, "total": sum(stages.values())},
            warnings=(*model.notices, *tokens.warnings, *silent),
            num_time_tokens=model.count_text(tokens),
            model=model.name,
            strategy=strategy or {},
        )

    def __str__(self) -> str:
        return self.text

    def to_dict(self) -> dict[str, Any]:
        """Return the answer as JSON-ready values, as `dyto ask --json` prints them; their format number is `FORMAT`."""
        frames = zip(self.keyframes.indices.tolist(), self.keyframes.seconds.tolist(), strict=True)
        return {
            "format": FORMAT,
            "model": self.model,
            "strategy": dict(self.strategy),
            "answer": self.text,
            "choice": self.choice,
            "keyframes": [{"index": index, "second": round(second, 3)} for index, second in frames],
            "tokens": {
                "uncompressed": self.uncompressed_tokens,
                "budget": self.token_budget,
                "used": self.num_visual_tokens,
                "times": self.num_time_tokens,
            },
            "seconds": {stage: round(self.seconds[stage], 4) for stage in STAGES},
            "warnings": list(self.warnings),
        }
