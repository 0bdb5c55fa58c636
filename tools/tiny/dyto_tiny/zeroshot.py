"""Zero-shot on videos: the same questions by several strategies at one budget of tokens."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch

from dyto.comparing.statistics import Difference, paired_difference
from dyto.errors import ConfigError
from dyto.finch import IntArray
from dyto.pipeline import VideoQA
from dyto.prompts import prompt_for
from dyto.strategies import DyTo, Strategy, Uniform
from dyto.synthetic.films import REGIMES, Film
from dyto.synthetic.videos import Asked, is_right, make_video, sample_video
from dyto.video import sample_frames
from dyto_tiny.exam import Score

METHODS = ("release", "finest", "paper-34b", "uniform", "oracle", "blind", "guess")
"""DyTo's presets (that for 34B at the same budget as the others), uniform frames, the middle frame of every true
scene, the model without any visual token, and the most frequent answer of each type, which needs no model."""


@dataclass(frozen=True)
class Oracle(DyTo):
    """DyTo told the truth: its key frames are the middles of the true scenes.

    Attributes:
        positions: Which of the sampled frames.
    """

    positions: tuple[int, ...] = ()

    name: ClassVar[str] = "oracle"

    def select_keyframes(self, summary: Any) -> IntArray:
        """The given positions; the features are not looked at."""
        return np.asarray(self.positions, np.int64)


class AnsweredRow(NamedTuple):
    """One answered question."""

    method: str
    video: str
    regime: str
    asked: Asked
    text: str
    right: bool


def strategy_for(method: str, film: Film, indices: IntArray) -> Strategy:
    """The strategy that a method's name stands for, on one film.

    Args:
        method: One of `METHODS` but "blind" and "guess".
        film: The film; only the oracle looks at it.
        indices: Frame numbers of the sampled frames.
    """
    if method == "uniform":
        return Uniform()
    if method == "oracle":
        middles = [int(np.abs(indices - shot.middle).argmin()) for shot in film.shots]
        return Oracle(positions=tuple(sorted(set(middles))))
    return DyTo.preset(method, reference_budget=DyTo().reference_budget)


def blind_answers(qa: VideoQA, asked: Sequence[Asked]) -> list[str]:
    """What the model answers when it is shown nothing at all: its prompt with no visual token."""
    prompts = []
    for a in asked:
        template = prompt_for(qa.model.chat, a.choices is not None)
        prompts.append(qa.model.tokenize(*template.fill(a.question, a.choices)))
    nothing = torch.zeros(0, qa.model.model.get_input_embeddings().weight.shape[1])
    prefix = qa.model.prefill(prompts[0].before, nothing)
    return qa.model.generate(prefix, [prompt.after for prompt in prompts], max_new_tokens=24)


def answer_film(
    qa: VideoQA, path: Path, film: Film, asked: Sequence[Asked], methods: Sequence[str]
) -> list[AnsweredRow]:
    """Answer all questions about one video by every method but "guess".

    Args:
        qa: The model.
        path: The video.
        film: Its truth, for the oracle.
        asked: The questions.
        methods: Which.

    Returns:
        A row for every method and question.
    """
    frames = sample_frames(path, num_frames=100, size=qa.model.image_size)
    rows = []
    for method in methods:
        if method == "guess":
            continue
        if method == "blind":
            texts = blind_answers(qa, asked)
        else:
            qa.strategy = strategy_for(method, film, frames.indices)
            tokens = qa.encode(frames)
            answers = qa.ask_many(
                tokens, [a.question for a in asked], choices=[a.choices for a in asked], max_new_tokens=24
            )
            texts = [answer.text for answer in answers]
        rows += [
            AnsweredRow(method, path.stem, film.regime, a, text, is_right(a, text))
            for a, text in zip(asked, texts, strict=True)
        ]
    return rows


def guess_rows(rows: Sequence[AnsweredRow]) -> list[AnsweredRow]:
    """Rows of a guesser who says what is the most frequent answer to each type of question in the other videos."""
    mine = [row for row in rows if row.method == rows[0].method]

    def key(row: AnsweredRow) -> tuple[str, bool]:
        return row.asked.type, row.asked.choices is None

    def truth(row: AnsweredRow) -> str:
        a = row.asked
        return a.answer if a.choices is None else str(a.choices.index(a.answer))

    counts: dict[tuple[str, bool], Counter[str]] = defaultdict(Counter)
    own: dict[tuple[str, tuple[str, bool]], Counter[str]] = defaultdict(Counter)
    for row in mine:
        counts[key(row)][truth(row)] += 1
        own[row.video, key(row)][truth(row)] += 1
    guessed = []
    for row in mine:
        elsewhere = counts[key(row)] - own[row.video, key(row)]
        text = min(elsewhere, key=lambda answer: (-elsewhere[answer], answer), default="")
        guessed.append(row._replace(method="guess", text=text, right=text == truth(row)))
    return guessed


def video_exam(
    qa: VideoQA,
    seed: Sequence[int],
    videos: int,
    regimes: Sequence[str] = REGIMES,
    methods: Sequence[str] = METHODS,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> list[AnsweredRow]:
    """Answer the questions of fresh videos of every regime.

    Args:
        qa: The model; its strategy is set as the methods need it.
        seed: Of the videos.
        videos: How many of each regime.
        regimes: Which regimes.
        methods: Which methods.
        progress: Told how many videos are done, of how many.

    Returns:
        One row for every method and question.
    """
    rows: list[AnsweredRow] = []
    with TemporaryDirectory() as folder:
        for number in range(videos):
            for place, regime in enumerate(regimes):
                path = Path(folder) / f"{regime}_{number:04d}.mp4"
                film, asked = make_video(path, (*seed, REGIMES.index(regime), number), regime)
                rows += answer_film(qa, path, film, asked, methods)
                path.unlink()
                progress(number * len(regimes) + place + 1, videos * len(regimes))
    return rows + (guess_rows(rows) if "guess" in methods else [])


def sample_exam(qa: VideoQA, seeds: Sequence[int]) -> Score:
    """How many questions about sample videos of the demo's kind are right.

    Args:
        qa: The model with the strategy of the demo.
        seeds: Of the videos.

    Returns:
        The score over all their questions.
    """
    right = total = 0
    with TemporaryDirectory() as folder:
        for seed in seeds:
            path = Path(folder) / f"{seed}.mp4"
            asked = sample_video(path, seed)
            answers = qa.ask_many(path, [q for q, _, _ in asked], choices=[c for _, c, _ in asked], max_new_tokens=24)
            for (_, choices, truth), answer in zip(asked, answers, strict=True):
                right += is_right(Asked("", "", choices, truth), answer.text)
                total += 1
    return Score(right, total)


def scores(rows: Sequence[AnsweredRow], by: str) -> dict[str, dict[str, dict[str, Score]]]:
    """Accuracy by mode ("free", "letters"), group and method.

    Args:
        rows: From `video_exam`.
        by: "type" or "regime"; every table begins with the group "all".
    """
    tally: dict[tuple[str, str, str], list[bool]] = defaultdict(list)
    for row in rows:
        mode = "letters" if row.asked.choices else "free"
        for group in ("all", row.asked.type if by == "type" else row.regime):
            tally[mode, group, row.method].append(row.right)
    table: dict[str, dict[str, dict[str, Score]]] = {"free": {}, "letters": {}}
    for (mode, group, method), right in tally.items():
        table[mode].setdefault(group, {})[method] = Score(sum(right), len(right))
    return table


def lead(rows: Sequence[AnsweredRow], method: str, other: str) -> Difference:
    """How much more a method gets right than another on the same questions.

    Args:
        rows: From `video_exam`.
        method: The one.
        other: The other.

    Returns:
        The difference, with an interval that respects that questions share videos.

    Raises:
        ConfigError: One of the two answered nothing.
    """
    sums: dict[str, int] = defaultdict(int)
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        sums[row.video] += row.right * ((row.method == method) - (row.method == other))
        counts[row.video] += row.method == method
    found = paired_difference(list(sums.values()), list(counts.values()), 1)
    if found is None:
        raise ConfigError(f"no question was answered by {method}, expected rows of {method} and {other}")
    return found
