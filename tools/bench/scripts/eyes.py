"""How many scenes get a key frame, by the eye that compares frames: pixels, the bundled eye, and others that you name.

    python eyes.py [--eyes pixels,nouns,tiny] [--films 6] [--clips FOLDER] [--pictures 10] [--seed 91]

The films are `--films` of each regime of the synthetic world, where the scenes are known, and as many films spliced
from real clips: 6 to 12 pieces of 3 to 25 of 100 frames, neighbours from different clips, so that each cut is known.
(What happens inside a piece is not counted, although a clip may have cuts of its own.) Every film has 100 frames. A
scene is found if a key frame lies in it. Pictures are chosen as for an endpoint, at most `--pictures` a film; "tiny"
compares frames by the tower of the bundled model. Intervals are over films (bootstrap).
"""

import argparse
from collections import defaultdict
from functools import partial
from pathlib import Path

import numpy as np
import torch

import dyto
from dyto.models.endpoint.model import EndpointModel
from dyto.models.endpoint.service import Service
from dyto.models.eyes import find_eye
from dyto.synthetic.films import FPS, FRAMES_PER_TICK, REGIMES, TICKS, draw_film, draw_frames
from dyto.video import Frames

STRATEGIES = ("plus", "dyto", "kmeans", "uniform")
COST = 100


class TinyEye:
    """The tower of the bundled model."""

    name = "tiny"

    def __init__(self):
        self._model = dyto.load_model("tiny", device="cpu")

    def summaries(self, pictures):
        return self._model.encode(pictures).summary


class Once:
    """An eye that looks at the frames of a film once for all strategies."""

    def __init__(self, eye):
        self.name, self._eye, self._seen = eye.name, eye, torch.zeros(0)

    def of(self, pictures):
        self._seen = self._eye.summaries(list(pictures))

    def summaries(self, pictures):
        return self._seen[: len(pictures)]  # "uniform" encodes fewer, and does not look at what it gets


def drawn(rng, regime):
    """A film of the synthetic world, and the scene of every frame."""
    film = draw_film(rng, regime)
    pictures = list(draw_frames(film, int(rng.integers(1 << 31))))[::FRAMES_PER_TICK]
    shots = [np.full((shot.end - shot.start) // FRAMES_PER_TICK, i) for i, shot in enumerate(film.shots)]
    return np.stack(pictures), np.concatenate(shots)


def spliced(rng, clips):
    """A film of pieces of real clips, and the piece of every frame."""
    lengths = rng.multinomial(TICKS - 3 * (count := int(rng.integers(6, 13))), np.full(count, 1 / count)) + 3
    pieces, last = [], -1
    for length in lengths:
        last = int(rng.choice([number for number in range(len(clips)) if number != last]))
        start = int(rng.integers(0, len(clips[last]) - length))
        pieces.append(clips[last][start : start + length])
    return np.concatenate(pieces), np.repeat(np.arange(count), lengths)


def interval(found):
    """Half the width of the 95 % interval of the mean over films."""
    rng, found = np.random.default_rng(0), np.array(found)
    means = found[rng.integers(0, len(found), (2000, len(found)))].mean(1)
    return (np.quantile(means, 0.975) - np.quantile(means, 0.025)) / 2


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--eyes", default="pixels,nouns,tiny")
    parser.add_argument("--films", type=int, default=6)
    parser.add_argument("--clips", type=Path)
    parser.add_argument("--pictures", type=int, default=10)
    parser.add_argument("--seed", type=int, default=91)
    options = parser.parse_args()

    sources = {regime: partial(drawn, regime=regime) for regime in REGIMES}
    if options.clips:
        paths = sorted(options.clips.glob("*.mp4"))
        clips = [dyto.sample_frames(path, num_frames=100, size=(240, 320)).data for path in paths]
        sources["real clips"] = partial(spliced, clips=clips)
    service = Service("http://127.0.0.1:9/v1", tokens_per_image=COST)  # where nobody listens: nothing is asked
    eyes = {name: Once(TinyEye() if name == "tiny" else find_eye(name)) for name in options.eyes.split(",")}
    models = {name: EndpointModel(name, service, eye) for name, eye in eyes.items()}
    found, kept = defaultdict(list), defaultdict(list)
    for number, (source, draw) in enumerate(sources.items()):
        for film in range(options.films * (len(REGIMES) if source == "real clips" else 1)):
            pictures, scene = draw(np.random.default_rng((options.seed, number, film)))
            at = np.arange(len(pictures))
            frames = Frames(pictures, at, at / (FPS / FRAMES_PER_TICK), source_size=pictures.shape[1:3])
            for eye, model in models.items():
                eyes[eye].of(pictures)
                for name in STRATEGIES:
                    strategy = dyto.build_strategy(name, token_budget=options.pictures * COST)
                    tokens = dyto.VideoQA(model, strategy).encode(frames)
                    positions = tokens.keyframes.positions
                    key = source if source == "real clips" else "drawn", eye, name
                    found[key].append(len(np.unique(scene[positions])) / (scene.max() + 1))
                    kept[key].append(len(positions))
    print(f"| films | eye | {' | '.join(STRATEGIES)} |")
    print("|---" * (2 + len(STRATEGIES)) + "|")
    for source, eye in dict.fromkeys((source, eye) for source, eye, _ in found):
        cells = [
            f"{100 * np.mean(found[source, eye, name]):.1f} ± {100 * interval(found[source, eye, name]):.1f} "
            f"({np.mean(kept[source, eye, name]):.1f})"
            for name in STRATEGIES
        ]
        print(f"| {source} ({len(found[source, eye, 'plus'])}) | {eye} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
