"""Evidence: the moments of a video that an answer rests on.

Every key frame is weighed in two ways: how much less probable the answer becomes without it, and how much more
probable it is from this key frame alone than from the least helpful one. Leaving out fails if several key frames show
the same scene, because each replaces the others; a key frame alone cannot show an order of events. The mean of both is
the first and the last term of the key frame's Shapley value (Shapley, "A Value for n-Person Games", 1953), with K + K
readings of tokens instead of 2^K.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dyto.errors import ConfigError
from dyto.features import Sources, VisualTokens
from dyto.models.base import VideoModel
from dyto.models.generation.likelihood import mean_log_likelihood
from dyto.models.generation.preparing import text_of
from dyto.pipeline import Video, VideoQA


@dataclass(frozen=True)
class Moment:
    """A key frame, and how much of the answer rests on it.

    Attributes:
        keyframe: Position among the key frames.
        index: Number of the frame in the video.
        second: Its time in the video.
        weight: The mean of what its absence costs and of what it gives alone, from -1 to 1.
        alone: Probability of a word of the answer from this key frame alone (the geometric mean over its tokens).
        without: The same from all other key frames; None if there is none.

    Example:
        >>> moment = Moment(keyframe=0, index=12, second=0.48, weight=0.3, alone=0.7, without=0.4)
        >>> moment.to_dict()
        {'second': 0.48, 'index': 12, 'weight': 0.3, 'alone': 0.7, 'without': 0.4}
    """

    keyframe: int
    index: int
    second: float
    weight: float
    alone: float
    without: float | None

    def to_dict(self) -> dict[str, Any]:
        """Return the moment as JSON-ready values."""
        rounded = {name: round(getattr(self, name), 4) for name in ("weight", "alone")}
        without = None if self.without is None else round(self.without, 4)
        return {"second": round(self.second, 3), "index": self.index, **rounded, "without": without}


def check_evidence(model: VideoModel) -> None:
    """Check that a model can say what an answer rests on.

    Raises:
        ConfigError: It gives no likelihoods.
    """
    if not model.gives_likelihoods:
        raise ConfigError(f"model {model.name} gives no likelihoods, only text: leave out --evidence")


def find_evidence(
    qa: VideoQA,
    video: Video,
    question: str,
    answer: str | None = None,
    *,
    choices: Sequence[str] | None = None,
    max_new_tokens: int = 128,
    **sampling: Any,
) -> list[Moment]:
    """Rank the key frames of a video by how much an answer rests on them.

    This costs about as much as reading the video's tokens once per key frame. The kept prefix stays.

    Args:
        qa: The model, and the strategy for a video that is not encoded yet.
        video: A video, or encoded tokens.
        question: The question.
        answer: The model's answer to explain; None to ask the model.
        choices: The options of a multiple choice question.
        max_new_tokens: Largest number of tokens in an answer, if the model is asked; room that subtitles leave.
        **sampling: Options of `dyto.sample_frames`.

    Returns:
        One moment for each key frame that still has tokens, largest weight first; ties in order of time.

    Raises:
        VideoError: The video cannot be read.
        ModelError: Prompt, video and answer do not fit the context.
        ConfigError: The question or answer is empty, or an option is impossible.

    Example:
        >>> import numpy as np, dyto
        >>> qa = dyto.VideoQA.from_pretrained("tiny")
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3), dtype=np.uint8)
        >>> moments = find_evidence(qa, video, "is there a red ring ?", "yes")
        >>> moments[0].weight >= moments[-1].weight
        True
    """
    if answer is not None and not answer.strip():
        raise ConfigError("the answer is empty, expected a text: pass the answer to explain, or None to ask the model")
    tokens = qa.encode(video, question=qa.question_for_strategy(question), **sampling)
    if answer is None:
        answer = qa.ask(tokens, question, choices=choices, max_new_tokens=max_new_tokens).text
    if not answer.strip():
        return []
    chance = _Chance.of(qa, tokens, question, answer, choices, max_new_tokens)
    whole = chance.given(tokens)
    found = [int(frame) for frame in np.unique(tokens.keyframe)]
    alone = [chance.given(only(tokens, tokens.keyframe == frame)) for frame in found]
    without = [chance.given(only(tokens, tokens.keyframe != frame)) if len(found) > 1 else None for frame in found]
    floor = min(alone) if len(found) > 1 else 0.0
    moments = [
        Moment(
            keyframe=frame,
            index=int(tokens.keyframes.indices[frame]),
            second=float(tokens.keyframes.seconds[frame]),
            weight=((whole - (rest or 0.0)) + (single - floor)) / 2,
            alone=single,
            without=rest,
        )
        for frame, single, rest in zip(found, alone, without, strict=True)
    ]
    return sorted(moments, key=lambda moment: (-moment.weight, moment.second))


@dataclass(frozen=True)
class _Chance:
    """The probability of an answer as a function of visual tokens.

    Attributes:
        qa: The model that answers.
        before: (P,) token ids before the video.
        asked: (S,) token ids after the video.
        written: (R,) token ids after the video, followed by the answer.
        scaled: Whether positions are scaled, as they were for the whole video.
    """

    qa: VideoQA
    before: torch.Tensor
    asked: torch.Tensor
    written: torch.Tensor
    scaled: bool

    @classmethod
    def of(
        cls,
        qa: VideoQA,
        tokens: VisualTokens,
        question: str,
        answer: str,
        choices: Sequence[str] | None,
        max_new_tokens: int,
    ) -> _Chance:
        prompt, model = qa.prompt_for(choices), qa.model
        spoken = qa.prepare(tokens, question, choices, max_new_tokens).spoken
        lines = text_of(model, spoken.lines) if spoken and spoken.lines else ""
        before, after = prompt.fill(question, choices, lines)
        said = answer.strip().removeprefix(prompt.answer_start).strip() or answer.strip()
        gap = "" if prompt.answer_start or after[-1].isspace() else " "
        asked, written = model.tokenize(before, after), model.tokenize(before, after + gap + said)
        scaled = model.check_fit(asked, tokens, len(written.after) - len(asked.after))
        return cls(qa, asked.before, asked.after, written.after, scaled)

    def given(self, tokens: VisualTokens) -> float:
        """Return the probability of the answer, as the geometric mean over its tokens."""
        model = self.qa.model
        prefix = model.prefill(self.before, tokens, scaled=self.scaled)
        return math.exp(mean_log_likelihood(model, prefix, self.asked, self.written))


def only(tokens: VisualTokens, keep: npt.NDArray[np.bool_]) -> VisualTokens:
    """Select some tokens of a video, in order; key frames keep their numbers.

    Args:
        tokens: All tokens.
        keep: (L,) mask of the tokens to keep, at least one.

    Returns:
        The tokens, with their own sources.
    """
    source = tokens.sources
    held = keep[source.token]
    number = np.cumsum(keep) - 1  # new position of each kept token
    pick = torch.from_numpy(np.flatnonzero(keep)).to(tokens.data.device)
    deep, places = tokens.deep, tokens.places
    return dataclasses.replace(
        tokens,
        data=tokens.data[pick],
        keyframe=tokens.keyframe[keep],
        sources=Sources(number[source.token[held]], source.keyframe[held], source.patch[held]),
        deep=None if deep is None else deep[:, pick],
        places=None if places is None else places[keep],
    )
