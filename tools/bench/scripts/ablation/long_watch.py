"""Long films of the synthetic world as a model sees them, made once and kept in a folder."""

import json
import os
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from dyto.features import FrameFeatures
from dyto.synthetic.benchmark import long_film_of
from dyto.synthetic.filming import frame_of, sample_long_film
from dyto.synthetic.long_films import LONG_REGIMES
from dyto.synthetic.videos import Asked

ATTENTION_LAYER = -2
"""Of the strategies that look at attention."""
MOST_TOLD = 24
"""A film of more shots is told scene by scene."""
LENGTHS = (20, 60, 180, 600, 1800, 3600)
"""Seconds of the films, in turn."""
SAMPLES = (100, 100, 300, 100, 100, 1000)
"""How many frames are sampled, in turn with another period, so that every length meets every number."""


class FilmCell(NamedTuple):
    """One film and its sampling."""

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
    def event(self):
        """Return the seconds of an event: one sampled frame in every third film, otherwise as the split says."""
        return self.seconds / self.num_frames if self.number % 3 == 2 else None

    @property
    def name(self):
        return f"{self.split}_{self.regime}_{self.number:04d}"


class WatchedLong(NamedTuple):
    """A film as a model sees it.

    Attributes:
        cell: Which.
        scene: (T,) the number of the scene that each sampled frame shows; -1 in a flash.
        events: {scene number: positions of its frames} of those events that were sampled.
        told: (S, N, D) patches of the middle of every true shot, sampled or not; of many, of every scene.
        asked: The questions.
        features: Of the sampled frames.
    """

    cell: FilmCell
    scene: np.ndarray
    events: dict[int, np.ndarray]
    told: torch.Tensor
    asked: list[Asked]
    features: FrameFeatures

    def runs(self):
        """Return the sampled frame in the middle of every run of a scene."""
        cuts = np.flatnonzero(np.diff(self.scene)) + 1
        runs = np.split(np.arange(len(self.scene)), cuts)
        return np.array([run[len(run) // 2] for run in runs if self.scene[run[0]] >= 0])

    def middles(self):
        """Return the sampled frame in the middle of the longest run of every scene."""
        chosen = []
        for number in np.unique(self.scene[self.scene >= 0]):
            at = np.flatnonzero(self.scene == number)
            runs = np.split(at, np.flatnonzero(np.diff(at) > 1) + 1)
            run = max(runs, key=len)
            chosen.append(int(run[len(run) // 2]))
        return np.array(sorted(chosen))


def cells(split, films, regimes=LONG_REGIMES, first=0):
    """Return the films, number by number through all regimes."""
    return [FilmCell(split, regime, number) for number in range(first, films) for regime in regimes]


def watch(model, work, cell):
    """Return a film as the model sees it, from the work folder if it is there."""
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
    regime = LONG_REGIMES.index(cell.regime)
    film, asked = long_film_of(cell.split, regime, cell.number, cell.seconds, cell.event)
    side = model.image_size[0]
    frames = sample_long_film(film, num_frames=cell.num_frames, side=side)
    place = np.searchsorted([shot.end for shot in film.shots], frames.indices, side="right")
    scene = np.array(film.numbers)[place]
    for start, end, _ in film.camera.flashes:
        scene[(frames.seconds >= start) & (frames.seconds < end)] = -1
    firsts = dict(reversed([(n, shot) for n, shot in zip(film.numbers, film.shots, strict=True)]))
    told = film.shots if len(film.shots) <= MOST_TOLD else sorted(firsts.values(), key=lambda shot: shot.start)
    pictures = np.stack([frame_of(film, shot.middle, side) for shot in told])
    needles = sorted({n for n, shot in zip(film.numbers, film.shots, strict=True) if shot.needle})
    projected, attention = _seen(model, frames.data)
    return {
        "projected": projected,
        "attention": attention,
        "told": _seen(model, pictures)[0],
        "indices": frames.indices,
        "seconds": frames.seconds,
        "scene": scene,
        "needles": np.array(needles, np.int64),
        "asked": np.array(json.dumps([list(a) for a in asked])),
    }


def _seen(model, pictures):
    """(T, 1 + N, D) float16 of T pictures, and the attention of their patches."""
    parts, attention = [], []
    for start in range(0, len(pictures), 100):
        seen = model.encode(list(pictures[start : start + 100]), attention_layer=ATTENTION_LAYER)
        parts.append(torch.cat([seen.summary[:, None], seen.patches()], 1).half().numpy())
        attention.append(seen.attention.float().numpy())
    return np.concatenate(parts), np.concatenate(attention)


def _watched(cell, kept):
    asked = [Asked(t, q, tuple(c) if c else None, a) for t, q, c, a in json.loads(str(kept["asked"]))]
    features = FrameFeatures.from_projected(
        torch.from_numpy(kept["projected"]).float(), indices=kept["indices"], seconds=kept["seconds"]
    )
    features = replace(features, attention=torch.from_numpy(kept["attention"]))
    scene = kept["scene"]
    events = {int(n): np.flatnonzero(scene == n) for n in kept["needles"] if (scene == n).any()}
    return WatchedLong(cell, scene, events, torch.from_numpy(kept["told"][:, 1:]).float(), asked, features)
