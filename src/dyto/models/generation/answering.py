"""Answers from tokens and prompts: questions about any number of videos in batches, or one answer piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from pathlib import Path
from typing import Any

from dyto.features import VisualTokens
from dyto.models.base import Prefix, VideoModel
from dyto.models.generation.keeping import KeptVideos
from dyto.models.generation.preparing import PreparedQuestion
from dyto.models.generation.streaming import stream_text
from dyto.timing import Stopwatch

VIDEOS_AT_A_TIME = 16
"""Number of videos whose tokens are held together while questions about several are answered."""


def by_video(
    requests: Sequence[tuple[Any, str, Any]],
    encode: Callable[..., VisualTokens],
    videos: int,
    one_each: bool,
) -> Iterator[dict[int, VisualTokens]]:
    """Encode videos and iterate over their questions, a few videos at a time.

    Args:
        requests: Triples (video, question, choices); paths are compared by text, other videos by identity.
        encode: Function that encodes a video, given also the question.
        videos: Number of encoded videos held at a time.
        one_each: Whether every question needs its own encoding.

    Yields:
        The tokens for questions, by their index among the requests.
    """
    groups: dict[str | int, list[int]] = {}
    for index, (video, _, _) in enumerate(requests):
        groups.setdefault(str(video) if isinstance(video, (str, Path)) else id(video), []).append(index)
    load: dict[int, VisualTokens] = {}
    for group in groups.values():
        tokens = None
        for index in group:
            if tokens is None or one_each:
                if len({id(one) for one in load.values()}) >= videos:
                    yield load
                    load = {}
                video, question, _ = requests[index]
                tokens = encode(video, question=question)
            load[index] = tokens
    if load:
        yield load


class Answerer:
    """A model that answers questions about encoded videos, in batches or piece by piece.

    Args:
        model: The model.
        kept: Store of the prefixes.
    """

    def __init__(self, model: VideoModel, kept: KeptVideos) -> None:
        self._model, self._kept = model, kept

    def answer(
        self,
        asked: Sequence[PreparedQuestion],
        *,
        max_new_tokens: int,
        batch_size: int | None,
        on_stage: Callable[[str], None] | None,
        **options: Any,
    ) -> list[tuple[str, dict[str, float]]]:
        """Answer questions in batches; the language model reads each video once.

        Args:
            asked: The questions.
            max_new_tokens: Largest number of tokens in an answer.
            batch_size: Number of questions answered at a time; None for as many as reasonably fit in memory.
            on_stage: Called with each stage's name when it begins.
            **options: Options of `VideoModel.generate`.

        Returns:
            For each question the text, and the seconds of its stages, which it shares with its batch.

        Raises:
            DoesNotFitError: A question does not fit the context.
        """
        groups: dict[bool, list[int]] = {}
        for index, one in enumerate(asked):
            groups.setdefault(self._is_scaled(one, max_new_tokens), []).append(index)
        answers: list[tuple[str, dict[str, float]]] = [("", {})] * len(asked)
        for scaled, members in groups.items():
            watch = Stopwatch(self._model.device, on_stage)
            left = _neighbours(asked, members)
            while left:
                with watch.stage("prefill"):
                    first = self._prefix(asked[left[0]], scaled)
                    size = batch_size or self._model.batch_size(first)
                    rows, left = left[:size], left[size:]
                    others = [self._prefix(asked[row], scaled) for row in rows[1:]]
                with watch.stage("generate"):
                    after = [asked[row].prompt.after for row in rows]
                    texts = self._model.generate(
                        [first, *others], after, max_new_tokens=max_new_tokens, batch_size=size, **options
                    )
                for row, text in zip(rows, texts, strict=True):
                    answers[row] = text, watch.seconds
        return answers

    def stream(
        self,
        one: PreparedQuestion,
        *,
        max_new_tokens: int,
        on_stage: Callable[[str], None] | None,
        start: str,
        **options: Any,
    ) -> Generator[str, None, tuple[str, dict[str, float]]]:
        """Answer one question and yield the text as the model writes it.

        Args:
            one: The question.
            max_new_tokens: Largest number of tokens in the answer.
            on_stage: Called with each stage's name when it begins.
            start: The part of the prompt that belongs to the answer; it is yielded first.
            **options: Options of `VideoModel.generate`.

        Yields:
            Pieces of text.

        Returns:
            The same as `answer` for this question.
        """
        watch = Stopwatch(self._model.device, on_stage)
        scaled = self._is_scaled(one, max_new_tokens)
        with watch.stage("prefill"):
            prefix = self._prefix(one, scaled)
        if start:
            yield start
        with watch.stage("generate"):
            after = one.prompt.after
            text = yield from stream_text(self._model, prefix, after, max_new_tokens=max_new_tokens, **options)
        return text, watch.seconds

    def _is_scaled(self, one: PreparedQuestion, max_new_tokens: int) -> bool:
        return self._model.check_fit(one.prompt, one.tokens, max_new_tokens)

    def _prefix(self, one: PreparedQuestion, scaled: bool) -> Prefix:
        return self._kept.prefix(one.tokens, one.prompt.before, scaled)


def _neighbours(asked: Sequence[PreparedQuestion], members: Sequence[int]) -> list[int]:
    """Order the members so that those with the same prefix are adjacent."""
    groups: dict[tuple[int, tuple[int, ...]], list[int]] = {}
    for index in members:
        one = asked[index]
        groups.setdefault((id(one.tokens), tuple(one.prompt.before.tolist())), []).append(index)
    return [index for group in groups.values() for index in group]
