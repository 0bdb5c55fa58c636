"""Measure the model `nouns` on films of photographs whose content is known; its card states what this prints.

python -m dyto_nouns.measure PACKAGES --films 60 --half "held out"

`PACKAGES` holds the unpacked packages of `dyto_nouns.photos`. Every film shows one to six photographs of one half in 20
seconds. What is asserted of photographs of people, and of pictures of nothing, is counted too.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dyto.features import FrameFeatures, select
from dyto.models.adapters.nouns import NounsModel
from dyto.models.loading.load import load_model
from dyto.nouns.answers import reply
from dyto.nouns.questions import understand
from dyto.nouns.seeing import Sighting, Timeline, named
from dyto.nouns.table import nouns, with_article
from dyto.strategies import build_strategy
from dyto.strategies.uniform import whole_frames
from dyto.synthetic.photographs import FPS, PhotoShot, filmed, plan
from dyto.video import Frames
from dyto_nouns.nothing import pictures
from dyto_nouns.photos import HALVES, Photo, listed, load, people

STRATEGIES = {
    "release": "dyto",
    "plus": "plus",
    "plus-2025": "plus-2025",
    "kmeans": "kmeans",
    "evs": "evs",
    "uniform": "uniform",
    "pooled 3 x 3": "uniform-pool:pool=3,num_frames=57",
    "every frame": "uniform-pool:pool=7,num_frames=100,token_budget=100",
}
"""What is measured; all but the last with a budget of 313 tokens, 6.4 frames."""


@dataclass
class Tally:
    """Counts of one way to look at the films.

    Attributes:
        of: For each measure its counts: "right", "wrong" or "not sure".
    """

    of: dict[str, Counter[str]] = field(default_factory=dict)

    def add(self, measure: str, outcome: str) -> None:
        """Count one outcome."""
        self.of.setdefault(measure, Counter())[outcome] += 1

    def summary(self) -> dict[str, dict[str, int]]:
        """All counts."""
        return {measure: dict(counts) for measure, counts in self.of.items()}


@dataclass(frozen=True)
class PhotoFilm:
    """A film, and what is true of it.

    Attributes:
        photos: In the order in which they are shown.
        shots: When.
        features: Of its hundred frames.
        frames: The frames.
        likeliest: For each photograph the eye's five likeliest nouns over all frames of its shot, people left out.
    """

    photos: Sequence[Photo]
    shots: Sequence[PhotoShot]
    features: FrameFeatures
    frames: Frames
    likeliest: Sequence[Sequence[int]]

    @property
    def held(self) -> list[bool]:
        """For each photograph whether the five hold the truth."""
        return [bool(photo.classes & set(five)) for photo, five in zip(self.photos, self.likeliest, strict=True)]

    def timeline(self, model: NounsModel, strategy: str) -> Timeline:
        """What is seen by way of a strategy."""

        def encode(images: Any, *, attention_layer: int | None = None) -> FrameFeatures:
            place = {int(number): at for at, number in enumerate(self.features.indices)}
            return select(self.features, np.array([place[int(number)] for number in images.indices], np.int64))

        return model.timeline(build_strategy(strategy)(self.frames, encode))

    def shown(self, start: float, end: float) -> list[Photo]:
        """What is shown in a stretch of time."""
        met = [shot for shot in self.shots if shot.start / FPS <= end + 1e-6 and shot.stop / FPS > start - 1e-6]
        return [self.photos[shot.picture] for shot in met]


def right_kind(one: Sighting, photo: Photo) -> bool:
    """Whether what is said of a sighting is true of a photograph: its noun, or a kind that covers it."""
    return any(is_right(one.verdict.classes, true) for true in photo.things)


def right_noun(noun: int, photo: Photo) -> bool:
    """Whether a noun is right of a photograph, or of one of its kinds."""
    return any(is_right(frozenset([noun]), true) for true in photo.things)


def is_right(said: frozenset[int], true: frozenset[int]) -> bool:
    """Whether classes that are said are right of a thing: they hold it, or are of one narrow kind with it."""
    shared = [kind.classes for kind in nouns().kinds if true <= kind.classes and len(kind.classes) < 200]
    return (bool(said & true) and (len(said) == 1 or true <= said)) or any(said <= kind for kind in shared)


def measure(film: PhotoFilm, timeline: Timeline, tally: Tally, rng: np.random.Generator) -> None:
    """Ask about a film, and count."""
    every = timeline.sightings()
    seen = named(every)
    for one in every:
        tally.add("stretches", "asserted" if one.verdict.name else "not sure")
    for one in seen:
        true = any(right_kind(one, photo) for photo in film.shown(one.start, one.end))
        tally.add("asserted, by kind", "right" if true else "wrong")
    known = []
    for photo, shot, held in zip(film.photos, film.shots, film.held, strict=True):
        near = [one for one in every if one.start < shot.stop / FPS and one.end >= shot.start / FPS]
        met = named(near)
        noun = photo.known and any(one.verdict.classes <= photo.classes for one in met)
        kind = any(right_kind(one, photo) for one in met)
        measure_name = "brief" if shot.brief else "shown"
        guessed = any(nouns().names.index(name) in photo.classes for one in near for name in one.verdict.guesses[:2])
        if photo.known:
            tally.add(f"{measure_name}, by noun", "right" if noun else "not named")
        if photo.known and held and not shot.brief:
            tally.add("held, by noun", "right" if noun else "not named")
            tally.add("held, by noun or as a guess", "right" if noun or guessed else "not named")
            tally.add("held, by kind", "right" if kind else "not named")
        tally.add(f"{measure_name}, by kind", "right" if kind else "not named")
        known += [(photo, shot)] if kind else []
    _exist(film, timeline, tally, rng)
    _order(known, timeline, tally)


def _exist(film: PhotoFilm, timeline: Timeline, tally: Tally, rng: np.random.Generator) -> None:
    """Is there a ...: of what is shown, and of as many things that are not."""
    shown = [photo for photo in film.photos if photo.known]
    things = [thing for photo in film.photos for thing in photo.things]
    kinds = {kind.word for kind in nouns().kinds if any(thing <= kind.classes for thing in things)}
    maybe = {kind.word for kind in nouns().kinds if any(thing & kind.classes for thing in things)}
    half = film.photos[0].half
    others = [
        photo for photo in listed(half) if photo.known and not any(photo.classes & p.classes for p in film.photos)
    ]
    absent = [others[int(i)] for i in rng.choice(len(others), len(shown), replace=False)] if shown else []
    for photo, there in [*((p, True) for p in shown), *((p, False) for p in absent)]:
        said = _said(timeline, f"Is there {with_article(photo.shows.split(' or ')[0])}?")
        tally.add(f"is there: {'yes' if there else 'no'}", _outcome(said, "yes" if there else "no"))
    missing = [kind.word for kind in nouns().kinds if kind.word not in maybe]
    for words, there in ((sorted(kinds), True), (missing, False)):
        if not words:  # what is shown is of none of the kinds
            continue
        word = words[int(rng.integers(len(words)))]
        said = _said(timeline, f"Is there {with_article(word)}?")
        tally.add(f"is there, by kind: {'yes' if there else 'no'}", _outcome(said, "yes" if there else "no"))


def _said(timeline: Timeline, question: str) -> str:
    return reply(timeline, understand(question)).text


def _outcome(said: str, true: str) -> str:
    return "not sure" if said.startswith("not sure") else "right" if said.startswith(true) else "wrong"


def _order(known: Sequence[tuple[Photo, PhotoShot]], timeline: Timeline, tally: Tally) -> None:
    """What comes first, last, before, after: of things that were seen right."""
    if len(known) < 2 or len({photo.shows for photo, _ in known}) < len(known):
        return
    asked = [("Which of these is seen first?", 0), ("Which of these is seen last?", len(known) - 1)]
    for at in range(1, len(known)):
        asked.append((f"What comes after the {known[at - 1][0].shows.split(' or ')[0]}?", at))
        asked.append((f"What comes before the {known[at][0].shows.split(' or ')[0]}?", at - 1))
    options = [with_article(photo.shows.split(" or ")[0]) for photo, _ in known]
    for question, true in asked:
        written = "\n".join([question, *(f"({chr(65 + i)}) {option}" for i, option in enumerate(options))])
        choice = reply(timeline, understand(written)).choice
        tally.add("order", "not sure" if choice is None else "right" if choice == true else "wrong")


def majority(film: PhotoFilm, shares: npt.NDArray[np.float64], tally: Tally) -> None:
    """The eye alone: the noun that most frames have as their likeliest, and those of single frames."""
    likeliest = shares.argmax(1)
    best = Counter(likeliest.tolist()).most_common(1)[0][0]
    for photo in film.photos:
        if photo.known:
            tally.add("shown, by noun", "right" if best in photo.classes else "not named")
    kinds = [kind.classes for kind in nouns().kinds if best in kind.classes and len(kind.classes) < 200]
    true = any(best in photo.classes or any(photo.classes <= kind for kind in kinds) for photo in film.photos)
    tally.add("asserted, by kind", "right" if true else "wrong")
    for photo, shot, held, five in zip(film.photos, film.shots, film.held, film.likeliest, strict=True):
        if photo.known and held and not shot.brief:  # the bound of whoever names the likeliest noun of each shot
            tally.add("held, likeliest, by noun", "right" if five[0] in photo.classes else "wrong")
            tally.add("held, likeliest, by kind", "right" if right_noun(five[0], photo) else "wrong")


def _filmed(
    model: NounsModel, held: Sequence[tuple[Photo, npt.NDArray[np.uint8]]], rng: np.random.Generator, brief: bool
) -> tuple[PhotoFilm, npt.NDArray[np.float64]]:
    """A film of one to six photographs, and the (100, 1000) shares of the nouns in its frames."""
    count = int(rng.integers(1, 7))
    chosen = [held[int(i)] for i in rng.choice(len(held), count, replace=False)]
    shots = plan(rng, count, needle=brief and count >= 3)
    frames = filmed([pixels for _, pixels in chosen], shots, 100, (224, 398))
    features = model.encode(frames)
    with torch.inference_mode():
        shares = model.tower().classifier(features.summary).softmax(1).double().numpy()
    photos, top = [photo for photo, _ in chosen], []
    for shot in shots:
        rows = (frames.seconds >= shot.start / FPS) & (frames.seconds < shot.stop / FPS)
        mean = shares[rows].mean(0) if rows.any() else np.zeros(shares.shape[1])
        mean[list(nouns().people)] = 0
        top.append(np.argsort(-mean)[:5].tolist() if rows.any() else [])
    return PhotoFilm(photos, shots, features, frames, top), shares


def asserted(model: NounsModel, picture: npt.NDArray[np.uint8]) -> str:
    """What is asserted of a still picture; "" for nothing."""
    frames = Frames(picture[None], np.zeros(1, np.int64), np.zeros(1), source_size=picture.shape[:2], total=1)
    return ", ".join(one.verdict.name for one in named(whole(model, frames).sightings()))


def whole(model: NounsModel, frames: Frames) -> Timeline:
    """What is seen in all tokens of frames."""
    return model.timeline(whole_frames(model.encode(frames), np.arange(len(frames)), None, 49 * len(frames)))


def main(argv: list[str] | None = None) -> None:
    """Film, ask, count, and print the counts as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("packages", type=Path)
    parser.add_argument("--films", type=int, default=60)
    parser.add_argument("--nothing", type=int, default=30, help="pictures of nothing, of each sort")
    parser.add_argument("--half", choices=HALVES, default="held out")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    model = load_model("nouns", device="cpu")
    assert isinstance(model, NounsModel)
    held = [(photo, pixels) for photo in listed(options.half) if (pixels := load(photo, options.packages)) is not None]
    tallies = {name: Tally() for name in [*STRATEGIES, "eye alone"]}
    for number in range(options.films):
        film, shares = _filmed(model, held, np.random.default_rng((options.seed, number)), number % 2 == 0)
        for name, strategy in STRATEGIES.items():
            asking = np.random.default_rng((options.seed, number, 1))
            measure(film, film.timeline(model, strategy), tallies[name], asking)
        majority(film, shares, tallies["eye alone"])
        sys.stderr.write(f"\r{number + 1} of {options.films} films")
    counted: dict[str, Any] = {name: tally.summary() for name, tally in tallies.items()}
    counted["asserted of nothing"] = {
        sort: [name for made in some if (name := asserted(model, made))]
        for sort, some in pictures(options.half, options.nothing).items()
    }
    counted["asserted of people"] = [
        f"{photo.package} {Path(photo.path).name}: {asserted(model, pixels) or 'nothing'}"
        for photo in people()
        if (pixels := load(photo, options.packages)) is not None
    ]
    sys.stdout.write(json.dumps(counted, indent=1) + "\n")


if __name__ == "__main__":
    main()
