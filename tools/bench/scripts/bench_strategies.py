"""The cost of each strategy after the tower, compared with the tower's cost for a frame in the same run.

    python bench_strategies.py [--frames 100] [--patches 576] [--dim 1024] [--rounds 5] [--film scenes] [NAME ...]

A strategy is to take less than the tower takes for one frame; one that looks at the question, less than for five.

The tower is CLIP-L/336 with random weights. A strategy is handed features that are ready, so that what is measured is
compression alone: choosing, merging, and writing the tokens; for the image grid and for lower resolutions, what is
left once the model does the rest. The work of some depends on what is to be seen: `--film still` is twelve still
scenes, `--film restless` one long scene in which no patch is like another.
"""

import argparse
import dataclasses
import statistics
import time
from types import SimpleNamespace

import numpy as np
import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

import dyto
from bench_merge import make_features
from dyto.models.anyres import PictureTokens
from dyto.strategies import STRATEGIES

ASKING = 5
"""Frames of the tower that a strategy may cost which looks at the question."""


def make_film(kind, frames, patches, dim):
    """Make the (T, 1 + N, D) float32 features of a film."""
    if kind == "restless":
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(frames, 1 + patches, dim, generator=generator)
        noise[:, 0] *= 0.1  # frames are alike as a whole
        return noise.add_(torch.randn(dim, generator=generator))
    return make_features(frames, patches, dim, noise={"scenes": 0.4, "still": 0.1}[kind])


class ComputedModel:
    """A stand-in for a model, with precomputed results."""

    name = "ready"

    def __init__(self, features):
        self.features, self.attention = features, features[:, 1:].sum(2).softmax(1)
        self.grid = (int(features.shape[1] ** 0.5),) * 2
        self.words = torch.randn(16, features.shape[2], generator=torch.Generator().manual_seed(1))

    def __call__(self, images, *, attention_layer=None):
        chosen = images.indices.tolist()
        x = self.features if len(chosen) == len(self.features) else self.features[chosen[0] :][: len(chosen)]
        patches = x[:, 1:]
        return dataclasses.replace(
            dyto.FrameFeatures.from_projected(x, indices=images.indices, seconds=images.seconds),
            load_patches=lambda places: patches if len(places) == len(patches) else patches[places],
            attention=self.attention[chosen],
        )

    def encode_grid(self, images, grid):
        x = self.features[: len(images), : 1 + grid[0] * grid[1]]
        return dyto.FrameFeatures.from_projected(x, grid=grid, indices=images.indices, seconds=images.seconds)

    def embed_text(self, text):
        return self.words

    def picture_length(self, size):
        return 2160

    def encode_picture(self, picture, tiles):
        places = np.linspace(0, 0.9, 2160)[:, None].repeat(4, 1)
        return PictureTokens(self.features.flatten(0, 1)[:2160], places + np.array([0, 0, 0.05, 0.05]))


def seconds(function):
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def make_tower():
    """Make CLIP-L/336 for one frame, as LLaVA reads it."""
    config = CLIPVisionConfig(
        hidden_size=1024, intermediate_size=4096, num_hidden_layers=24, num_attention_heads=16, image_size=336,
        patch_size=14,
    )  # fmt: skip
    tower = CLIPVisionModel(config).eval()
    pixels = torch.randn(1, 3, 336, 336)

    @torch.inference_mode()
    def look():
        return tower(pixels, output_hidden_states=True).hidden_states[-2]

    return look


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="strategies, with options if need be (default: all)")
    for name, default in (("frames", 100), ("patches", 576), ("dim", 1024), ("rounds", 5)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--film", choices=("scenes", "still", "restless"), default="scenes", help="what is to be seen")
    options = parser.parse_args()
    model = ComputedModel(make_film(options.film, options.frames, options.patches, options.dim))
    number = np.arange(options.frames)
    frames = dyto.Frames(np.zeros((options.frames, 336, 336, 3), np.uint8), number, number / 2, (336, 336))
    names = options.names or [name for name in STRATEGIES if name != "concat"]
    runs = {name: SimpleNamespace(strategy=dyto.build_strategy(name), times=[], tokens=None) for name in names}
    look, tower = make_tower(), []
    look()
    for round_number in range(-1, options.rounds):  # side by side: what slows one down slows the others
        for run in runs.values():
            took = seconds(lambda run=run: setattr(run, "tokens", run.strategy(frames, model, "what is it ?")))
            run.times += [took] if round_number >= 0 else []  # the first warms up
        tower += [seconds(look)] if round_number >= 0 else []
    one = statistics.median(tower)
    print(
        f"{options.frames} frames of {1 + options.patches} x {options.dim} float32, {options.film}, "
        f"{torch.get_num_threads()} threads"
    )
    print(f"{'tower, one frame':40} median {1e3 * one:8.1f} ms  (fastest {1e3 * min(tower):.1f})")
    over = []
    for name, run in runs.items():
        took, most = statistics.median(run.times), ASKING if run.strategy.uses_question else 1
        fits = "" if took < most * one else f"   SLOWER THAN THE TOWER FOR {most}"
        over += [name] if fits else []
        print(
            f"{name:40} median {1e3 * took:8.1f} ms  (fastest {1e3 * min(run.times):.1f})"
            f"  {took / one:5.2f} of the tower, {len(run.tokens)} tokens{fits}"
        )
    raise SystemExit(f"slower than the tower may be: {', '.join(over)}" if over else 0)


if __name__ == "__main__":
    main()
