"""Questions about any number of videos, answered together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dyto.features import VisualTokens
from dyto.models.base import Encoded, VideoModel
from dyto.models.keeping import KeptPrefix
from dyto.timing import Stopwatch

VIDEOS_AT_A_TIME = 16
"""Videos whose tokens are held together while questions about several are answered."""


@dataclass(frozen=True)
class Asked:
    """A question, ready to be answered.

    Attributes:
        tokens: The video.
        prompt: The tokenized prompt.
    """

    tokens: VisualTokens
    prompt: Encoded


def by_video(
    requests: Sequence[tuple[Any, str, Any]],
    prompts: Sequence[Encoded],
    encode: Callable[[Any, str], VisualTokens],
    videos: int,
    one_each: bool,
) -> Iterator[dict[int, Asked]]:
    """Encode videos and go through their questions, those of some videos at a time.

    Args:
        requests: Triples (video, question, choices); a path is known again by its text, all else by identity.
        prompts: The tokenized prompt of each.
        encode: Encodes a video; it is given the question, too.
        videos: How many encoded videos are held at a time.
        one_each: Whether every question needs an encoding of its own.

    Yields:
        Questions, by their place among the requests.
    """
    groups: dict[str | int, list[int]] = {}
    for index, (video, _, _) in enumerate(requests):
        groups.setdefault(str(video) if isinstance(video, (str, Path)) else id(video), []).append(index)
    load: dict[int, Asked] = {}
    for group in groups.values():
        tokens = None
        for index in group:
            if tokens is None or one_each:
                if len({id(one.tokens) for one in load.values()}) >= videos:
                    yield load
                    load = {}
                tokens = encode(*requests[index][:2])
            load[index] = Asked(tokens, prompts[index])
    if load:
        yield load


def answer_all(
    model: VideoModel,
    kept: KeptPrefix,
    asked: Sequence[Asked],
    max_new_tokens: int,
    batch_size: int | None,
    options: Mapping[str, Any],
    on_stage: Callable[[str], None] | None,
) -> list[tuple[str, dict[str, float]]]:
    """Answer questions in batches; each video is read by the language model once.

    Args:
        model: The model.
        kept: Where its prefixes are kept.
        asked: The questions.
        max_new_tokens: Most tokens of an answer.
        batch_size: Questions answered at a time; None for as many as memory sensibly holds.
        options: Generation options of transformers.
        on_stage: Told the name of each stage as it begins.

    Returns:
        For each question the text, and the seconds of the stages that it shares with those answered with it.

    Raises:
        ModelError: A question does not fit the context.
    """
    groups: dict[bool, list[int]] = {}
    for index, one in enumerate(asked):
        groups.setdefault(model.check_fit(one.prompt, one.tokens, max_new_tokens), []).append(index)
    answers: list[tuple[str, dict[str, float]]] = [("", {})] * len(asked)
    for scaled, members in groups.items():
        watch = Stopwatch(model.device, on_stage)
        left = _neighbours(asked, members)
        while left:
            with watch.stage("prefill"):
                first = kept.of(asked[left[0]].tokens, asked[left[0]].prompt.before, scaled)
                size = batch_size or model.batch_size(first)
                rows, left = left[:size], left[size:]
                others = [kept.of(asked[row].tokens, asked[row].prompt.before, scaled) for row in rows[1:]]
            with watch.stage("generate"):
                after = [asked[row].prompt.after for row in rows]
                texts = model.generate(
                    [first, *others], after, max_new_tokens=max_new_tokens, batch_size=size, **options
                )
            for row, text in zip(rows, texts, strict=True):
                answers[row] = text, watch.seconds
    return answers


def _neighbours(asked: Sequence[Asked], members: Sequence[int]) -> list[int]:
    """The members, those that share a prefix next to one another."""
    groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for index in members:
        one = asked[index]
        groups.setdefault((id(one.tokens), tuple(one.prompt.before.tolist())), []).append(index)
    return [index for group in groups.values() for index in group]
