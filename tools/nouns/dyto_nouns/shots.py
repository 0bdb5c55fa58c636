"""Measure the model `nouns` on single shots: each photograph of a half in two pans of four frames, without a strategy.

python -m dyto_nouns.shots PACKAGES --half "held out"

This separates what the eye and the thresholds can do from what a strategy leaves of a film; `dyto_nouns.measure` films.
"Where a reader knew when" bounds any reader of the eye's likeliest noun and its kinds: it says what the grammar says
where that is right, and otherwise that noun or a kind of it exactly where that is right.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dyto.models.adapters.nouns import NounsModel
from dyto.models.loading.load import load_model
from dyto.nouns.seeing import NOUN, STRENGTH, named
from dyto.nouns.table import nouns
from dyto.synthetic.photographs import filmed, plan
from dyto_nouns.measure import is_right, right_kind, right_noun, whole
from dyto_nouns.photos import HALVES, Photo, listed, load

SIZE = (224, 398)


def count(model: NounsModel, photo: Photo, pixels: np.ndarray, seed: tuple[int, ...], counted: Counter[str]) -> None:
    """Film a photograph for five seconds, and count what is said of it."""
    shots = plan(np.random.default_rng(seed), 1, seconds=5)
    timeline = whole(model, filmed([pixels], shots, 4, SIZE))
    every = timeline.sightings()
    seen = named(every)
    shares = timeline.shares.mean(0)
    shares[list(nouns().people)] = 0
    likeliest = np.argsort(-shares)[:5].tolist()
    kind = any(right_kind(one, photo) for one in seen)
    guessed = any(nouns().names.index(name) in photo.classes for one in every for name in one.verdict.guesses[:2])
    counted["shots"] += 1
    counted["asserted"] += bool(seen)
    said = bool(seen) and all(right_kind(one, photo) for one in seen)
    counted["asserted and right by kind"] += said
    counted["right where a reader knew when"] += said or can_be_right(likeliest[0], photo)
    counted["nothing asserted, where a reader would be right"] += not seen and can_be_right(likeliest[0], photo)
    if photo.known and photo.classes & set(likeliest):
        noun = any(one.verdict.classes <= photo.classes for one in seen)
        counted["held"] += 1
        counted["held: noun asserted"] += noun
        counted["held: noun asserted or first or second guess"] += noun or guessed
        counted["held: kind asserted"] += kind
        counted["held: likeliest noun right"] += likeliest[0] in photo.classes
        counted["held: likeliest noun right by kind"] += right_noun(likeliest[0], photo)
        if not noun:
            reason = why(photo, shares, float(timeline.strength.max()))
            counted[f"held: noun not asserted: {reason}"] += 1
            counted[f"held: noun not asserted: {reason}, but the kind"] += kind


def why(photo: Photo, shares: npt.NDArray[np.float64], strength: float) -> str:
    """Why the noun of a photograph is not asserted, from the (1000,) shares of its shot and its strongest output."""
    allowed = np.where(nouns().guarded, 0, shares)
    best = int(allowed.argmax())
    if photo.classes <= set(np.flatnonzero(nouns().guarded).tolist()):
        return "it may only be guessed"
    if best not in photo.classes:
        return "another is likelier"
    if strength < STRENGTH:
        return "weak output"
    return "small share" if allowed[best] < NOUN else "frames differ"


def can_be_right(noun: int, photo: Photo) -> bool:
    """Whether a noun, or one of its kinds, is right of a photograph."""
    kinds = [kind.classes for kind in nouns().kinds_of(noun)]
    return any(is_right(said, true) for said in (frozenset([noun]), *kinds) for true in photo.things)


def main(argv: list[str] | None = None) -> None:
    """Film, ask, count, and print the counts as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("packages", type=Path)
    parser.add_argument("--half", choices=HALVES, default="held out")
    options = parser.parse_args(argv)
    model = load_model("nouns", device="cpu")
    assert isinstance(model, NounsModel)
    counted: Counter[str] = Counter()
    for number, photo in enumerate(listed(options.half)):
        pixels = load(photo, options.packages)
        if pixels is not None:
            for view in range(2):
                count(model, photo, pixels, (7, number, view), counted)
    sys.stdout.write(json.dumps({"half": options.half, **counted}, indent=1) + "\n")


if __name__ == "__main__":
    main()
