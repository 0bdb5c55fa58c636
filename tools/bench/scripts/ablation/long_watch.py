"""Long films of the synthetic world as a model sees them, made once and kept in a folder."""

import json
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from dyto.features import FrameFeatures
from dyto.synthetic.benchmark import SPLITS
from dyto.synthetic.filming import frame_of, sample_long_film
from dyto.synthetic.long_films import LONG_REGIMES, draw_long_film
from dyto.synthetic.long_questions import ask_about
from dyto.synthetic.videos import Asked

LENGTHS = (20, 60, 180, 600, 1800, 3600)
"""Seconds of the films, in turn."""
SAMPLES = (100, 100, 300, 100, 100, 1000)
"""How many frames are sampled, in turn with another period, so that every length meets every number."""


class Cell(NamedTuple):
    """Which film, and how it is sampled."""

    split: str
    regime: str
    number: int

    @property
    def seconds(self):
        return LENGTHS[self.number % len(LENGTHS)]

    @property
    def num_frames(self):
        return SAMPLES[(self.number // len(LENGTHS) + self.number + LONG_REGIMES.index(self.regime)) % len(SAMPLES)]

    @property
    def name(self):
        return f"{self.split}_{self.regime}_{self.number:04d}"


class Watched(NamedTuple):
    """A film that a model has seen.

    Attributes:
        cell: Which.
        scene: (T,) the number of the scene that each sampled frame shows; -1 in a flash.
        events: {scene number: positions of its frames} of those events that were sampled.
        unseen: A frame for every scene that was not sampled: features of its middle, (1 + N, D).
        asked: The questions.
        features: Of the sampled frames.
    """

    cell: Cell
    scene: np.ndarray
    events: dict
    unseen: list
    asked: list
    features: FrameFeatures

    def middles(self):
        """The sampled frame in the middle of the longest run of every scene."""
        chosen = []
        for number in np.unique(self.scene[self.scene >= 0]):
            at = np.flatnonzero(self.scene == number)
            runs = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1)
            run = max(runs, key=len)
            chosen.append(int(run[len(run) // 2]))
        return np.array(sorted(chosen))


def cells(split, films, regimes=LONG_REGIMES, first=0):
    """Film after film through all regimes."""
    return [Cell(split, regime, number) for number in range(first, films) for regime in regimes]


def watch(model, work, cell):
    """A film as the model sees it; what was made before is read again where there is a work folder."""
    path = None if work is None else Path(work) / f"{cell.name}.npz"
    if path is None or not path.exists():
        made = _make(model, cell)
        if path is None:
            return _watched(cell, made)
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(f".{os.getpid()}.part.npz")
        np.savez(part, **made)
        part.replace(path)
    with np.load(path) as kept:
        return _watched(cell, dict(kept))


@torch.inference_mode()
def _make(model, cell):
    rng = np.random.default_rng((SPLITS[cell.split], 17, LONG_REGIMES.index(cell.regime), cell.number))
    film = draw_long_film(rng, cell.regime, cell.seconds, cell.split)
    asked = ask_about(rng, film)
    side = model.image_size[0]
    frames = sample_long_film(film, num_frames=cell.num_frames, side=side)
    place = np.searchsorted([shot.end for shot in film.shots], frames.indices, side="right")
    scene = np.array(film.numbers)[place]
    for start, end, _ in film.camera.flashes:
        scene[(frames.seconds >= start) & (frames.seconds < end)] = -1
    missing = {n: shot for n, shot in zip(film.numbers, film.shots, strict=True) if n not in scene}
    pictures = [frame_of(film, shot.middle, side) for shot in missing.values()]
    needles = sorted({n for n, shot in zip(film.numbers, film.shots, strict=True) if shot.needle})
    return {
        "projected": _seen(model, frames.data),
        "unseen": _seen(model, np.stack(pictures)) if pictures else np.zeros((0, 1, 1), np.float16),
        "indices": frames.indices,
        "seconds": frames.seconds,
        "scene": scene,
        "needles": np.array(needles, np.int64),
        "asked": np.array(json.dumps([list(a) for a in asked])),
    }


def _seen(model, pictures):
    """(T, 1 + N, D) float16 of T pictures."""
    parts = []
    for start in range(0, len(pictures), 100):
        seen = model.encode(list(pictures[start : start + 100]))
        parts.append(torch.cat([seen.summary[:, None], seen.patches()], 1).half().numpy())
    return np.concatenate(parts)


def _watched(cell, kept):
    asked = [Asked(t, q, tuple(c) if c else None, a) for t, q, c, a in json.loads(str(kept["asked"]))]
    features = FrameFeatures.from_projected(
        torch.from_numpy(kept["projected"]).float(), indices=kept["indices"], seconds=kept["seconds"]
    )
    scene = kept["scene"]
    events = {int(n): np.flatnonzero(scene == n) for n in kept["needles"] if (scene == n).any()}
    return Watched(cell, scene, events, list(torch.from_numpy(kept["unseen"]).float()), asked, features)
