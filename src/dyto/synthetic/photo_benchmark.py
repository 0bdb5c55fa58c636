"""A benchmark of real pixels: films of photographs that lie in a folder, in the layout that this field shares.

What a picture shows is told by its name, or by that of its folder: `giant_panda.jpg`, `dog/2041.png`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from dyto.errors import ConfigError, unknown
from dyto.nouns.table import Concept, nouns, with_article
from dyto.synthetic.benchmark import CHOICE_FILE, CHOICE_VIDEOS, SPLITS, write_records
from dyto.synthetic.photographs import FPS, Picture, film, plan
from dyto.synthetic.videos import write_video

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp")
LEAST = 8
"""Smallest number of different things with pictures: four options, three of them not shown."""

MOST_SHOTS = 6


@dataclass(frozen=True)
class Shown:
    """A picture, and what it shows.

    Attributes:
        path: The file.
        what: The noun or kind that its name, or its folder's, stands for.
    """

    path: Path
    what: Concept

    @property
    def text(self) -> str:
        """As it stands in a question."""
        return with_article(self.what.word)

    def load(self) -> Picture:
        """Load the picture, no side longer than 960 pixels."""
        picture = Image.open(self.path).convert("RGB")
        picture.thumbnail((960, 960))
        return np.asarray(picture)


def find_pictures(folder: Path) -> list[Shown]:
    """Find the pictures below a folder that are named, or lie in a folder named, after a noun or kind of `dyto.nouns`.

    Raises:
        ConfigError: Too few different things are shown.
    """
    found = []
    for path in sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES):
        for name in (path.stem, path.parent.name):
            concepts = nouns().concepts(re.sub(r"[\W_\d]+", " ", name))
            if concepts:
                found.append(Shown(path, concepts[0]))
                break
    words = {shown.what.word for shown in found}
    if len(words) < LEAST:
        raise ConfigError(
            f"{folder} holds pictures of {len(words)} things by their names, expected at least {LEAST}: call each "
            "picture, or its folder, by what it shows, as in giant_panda.jpg"
        )
    return found


def photo_benchmark(
    pictures: str | Path,
    split: str,
    out: str | Path,
    videos: int = 20,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
) -> dict[str, int]:
    """Write films of photographs and questions with options, where `dyto eval synthetic` looks for them.

    Every film shows one to six pictures for 20 seconds; every other film of three or more has one for about a second.
    Every other picture is of one split, so that none is in both.

    Args:
        pictures: The folder of pictures.
        split: "dev" or "test".
        out: The folder to write to.
        videos: How many films.
        progress: Told how many are written, of how many.

    Returns:
        How many videos and questions there are.

    Raises:
        ConfigError: An unknown split, or too few pictures.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    held = find_pictures(Path(pictures))
    own = held[list(SPLITS).index(split) :: len(SPLITS)]
    root, records = Path(out), []
    (root / CHOICE_VIDEOS).mkdir(parents=True, exist_ok=True)
    for number in range(videos):
        rng = np.random.default_rng((SPLITS[split], 7, number))
        shown = _choose(rng, own)
        shots = plan(rng, len(shown), needle=len(shown) >= 3 and number % 2 == 1)
        name = f"{split}_photographs_{number:04d}"
        write_video(root / CHOICE_VIDEOS / f"{name}.mp4", film([one.load() for one in shown], shots), FPS)
        brief = next((shot.picture for shot in shots if shot.brief), None)
        for count, facts in enumerate(_questions(rng, shown, [one.what for one in held], brief)):
            common = {"task_name": "Synthetic", "video_name": f"{name}.mp4", "question_id": f"{name}_{count:02d}"}
            records.append({**common, "regime": "photographs", **facts})
        progress(number + 1, videos)
    write_records(root / CHOICE_FILE, records)
    return {"videos": videos, "choice": len(records), "free": 0}


def _choose(rng: np.random.Generator, own: Sequence[Shown]) -> list[Shown]:
    """Choose one to six pictures of different things."""
    wanted = int(rng.integers(1, MOST_SHOTS + 1))
    chosen: list[Shown] = []
    for place in rng.permutation(len(own)):
        if len(chosen) < wanted and not any(own[place].what.classes & one.what.classes for one in chosen):
            chosen.append(own[place])
    return chosen


def _questions(
    rng: np.random.Generator, shown: Sequence[Shown], things: Sequence[Concept], brief: int | None
) -> list[dict[str, Any]]:
    """Ask about a film: what is shown, first, last, after another, for a moment; and whether it is there."""
    absent = {
        one.word: with_article(one.word) for one in things if not any(one.classes & s.what.classes for s in shown)
    }
    others = list(absent.values())
    right = int(rng.integers(len(shown))) if brief is None else brief
    kind = "which" if brief is None else "needle"
    asked = [(kind, "Which of these is shown?", shown[right].text, others)]
    there = bool(rng.integers(2)) or not others
    thing = shown[right].text if there else others[int(rng.integers(len(others)))]
    found = [_facts("exist", f"Is there {thing}?", "yes" if there else "no", ["yes", "no"])]
    if len(shown) >= 2:
        texts = [one.text for one in shown]
        asked.append(("first", "Which of these is seen first?", texts[0], texts[1:]))
        asked.append(("last", "Which of these is seen last?", texts[-1], texts[:-1]))
        at = int(rng.integers(1, len(shown)))
        rest = [text for place, text in enumerate(texts) if place != at and place != at - 1] + others
        asked.append(("after", f"What comes after the {shown[at - 1].what.word}?", texts[at], rest))
    for type_, question, answer, wrong in asked:
        picked = [wrong[int(i)] for i in rng.permutation(len(wrong))[:3]]
        if picked:
            options = [answer, *picked]
            found.append(_facts(type_, question, answer, [options[int(i)] for i in rng.permutation(len(options))]))
    return found


def _facts(type_: str, question: str, answer: str, options: list[str]) -> dict[str, Any]:
    return {
        "question": question, "type": type_, "answer": answer, "candidates": options,
        "answer_number": options.index(answer),
    }  # fmt: skip
