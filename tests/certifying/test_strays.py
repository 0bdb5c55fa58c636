"""Faults that show on long films, at some sizes, or after many calls are found."""

from __future__ import annotations

import pytest
import torch

import dyto
from certifying.strays import STRAYS
from dyto.certifying.eye import PlainEye
from dyto.certifying.films import long_film


def named(value):
    return getattr(value, "__name__", value)


@pytest.mark.sampled(4)
@pytest.mark.parametrize(("stray", "check"), STRAYS.items(), ids=named)
def test_every_stray_is_found(small, stray, check):
    report = dyto.certify(stray, small, only=(check,), calls=400)
    assert check in report.failed, str(report)


def test_the_plain_eye_sees_like_pictures_alike_and_no_two_patches_the_same(small):
    eye = PlainEye(small)
    film = long_film(small, 30, scenes=3, seed=4)
    features = eye.encode(film)
    real = small.encode(film[:1])
    assert (features.grid, features.summary.dtype) == (real.grid, real.summary.dtype)
    patches = features.patches()
    assert len(patches.flatten(0, 1).unique(dim=0)) == patches.shape[0] * patches.shape[1]
    within = (features.summary[0] - features.summary[9]).norm()
    across = (features.summary[0] - features.summary[10]).norm()
    assert within < 0.7 * across
    part = PlainEye(small).encode(film[[3, 17]])
    assert torch.equal(part.patches(), patches[[3, 17]]), "to the last bit, alone or among others"
    assert eye.changed() == 0
    features.summary.mul_(2)
    assert eye.changed() == 30
