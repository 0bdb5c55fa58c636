"""A pipeline whose frames are compared by their pixels, in no time."""

import pytest

import dyto
from dyto.eye import PixelEye
from dyto.models.eyes import seen_by


@pytest.fixture
def by_pixels(tiny):
    return dyto.VideoQA(seen_by(tiny, PixelEye()))
