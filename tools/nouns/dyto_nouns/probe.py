"""Rank strategies on real pixels: how many of a film's photographs a linear probe finds in the tokens that they keep.

python -m dyto_nouns.probe PACKAGES --films 20

The tokens are the eye's features of 7 x 7 patches before its classifier, where averaging costs something. The probe is
a ridge regression from one token to the photograph that it is of, fitted to other views of all photographs of a half;
it never sees a film. A film's photographs are said to be those with the highest scores of any token, as many as were
shown. What a strategy finds is given apart for brief events of about a second.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.features import FrameFeatures, select
from dyto.models.adapters.nouns import NounsModel
from dyto.models.loading.load import load_model
from dyto.strategies import build_strategy
from dyto.synthetic.photographs import filmed, plan
from dyto_nouns.photos import HALVES, listed, load

STRATEGIES = ("dyto", "plus", "kmeans", "evs", "uniform", "uniform-pool:pool=3")
BUDGETS = (98, 313, 784)
"""Two, 6.4 and 16 whole frames."""

SIZE = (224, 398)
VIEWS = 4
RIDGE = 30.0


def fit(views: Sequence[Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """Fit the probe.

    Args:
        views: For each of P photographs the (V, 49, 1280) features of views of it.

    Returns:
        Mean (1280,), weights (1280, P) and offsets (P,).
    """
    tokens = torch.cat([view.flatten(0, 1) for view in views]).double()
    owner = torch.arange(len(views)).repeat_interleave(torch.tensor([view[..., 0].numel() for view in views]))
    mean = tokens.mean(0)
    centred = tokens - mean
    truth = torch.nn.functional.one_hot(owner, len(views)).double()
    gram = centred.T @ centred + RIDGE * torch.eye(tokens.shape[1], dtype=torch.float64)
    return mean, torch.linalg.solve(gram, centred.T @ (truth - truth.mean(0))), truth.mean(0)


def find(tokens: Tensor, probe: tuple[Tensor, Tensor, Tensor], count: int) -> set[int]:
    """The photographs that (L, 1280) tokens show, as many as `count`."""
    mean, weights, offsets = probe
    scores = ((tokens.double() - mean) @ weights + offsets).amax(0)  # (P,)
    return set(scores.topk(count).indices.tolist())


def main(argv: list[str] | None = None) -> None:
    """Film, choose and merge, look for the photographs, and print shares as JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("packages", type=Path)
    parser.add_argument("--films", type=int, default=20)
    parser.add_argument("--half", choices=HALVES, default="held out")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args(argv)
    model = load_model("nouns", device="cpu")
    assert isinstance(model, NounsModel)
    pixels = [held for photo in listed(options.half) if (held := load(photo, options.packages)) is not None]
    probe = fit([_views(model, picture, number) for number, picture in enumerate(pixels)])
    counts: dict[tuple[str, int], Counter[str]] = {(name, b): Counter() for name in STRATEGIES for b in BUDGETS}
    for number in range(options.films):
        rng = np.random.default_rng((options.seed, number, 9))
        shown = rng.choice(len(pixels), int(rng.integers(3, 9)), replace=False).tolist()
        shots = plan(rng, len(shown), needle=True)
        frames = filmed([pixels[one] for one in shown], shots, 100, SIZE)
        features = model.encode(frames)
        for (name, budget), counted in counts.items():
            tokens = build_strategy(f"{name}{',' if ':' in name else ':'}token_budget={budget}")(
                frames, _encoded(features)
            )
            found = find(tokens.data, probe, len(shown))
            for one, shot in zip(shown, shots, strict=True):
                sort = "brief" if shot.brief else "shown"
                counted[f"{sort}, {'found' if one in found else 'missed'}"] += 1
        sys.stderr.write(f"\r{number + 1} of {options.films} films")
    written = {f"{name} {budget}": dict(sorted(counted.items())) for (name, budget), counted in counts.items()}
    sys.stdout.write(json.dumps({"films": options.films, "photographs": len(pixels), **written}, indent=1) + "\n")


def _views(model: NounsModel, picture: npt.NDArray[np.uint8], number: int) -> Tensor:
    """Views of a photograph with other boxes than any film has, (V, 49, 1280)."""
    shots = plan(np.random.default_rng((number, 77)), 1, seconds=5)
    features = model.encode(filmed([picture], shots, VIEWS, SIZE))
    return features.patches(np.arange(VIEWS))


def _encoded(features: FrameFeatures) -> Any:
    """An encoder that has all features already."""

    def encode(images: Any, *, attention_layer: int | None = None) -> FrameFeatures:
        place = {int(number): at for at, number in enumerate(features.indices)}
        return select(features, np.array([place[int(number)] for number in images.indices], np.int64))

    return encode


if __name__ == "__main__":
    main()
