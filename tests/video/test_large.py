"""Frames of more than sixteen megapixels: shrunk before they become RGB, if they are kept small anyway."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dyto import Savings
from dyto.video import rgb, sample_frames
from dyto.video.sampling import TargetSize

from video_files import KINDS_OF_READING, numbers_in, turn_right, write_video

HIGH, WIDE = 3840, 4800


@pytest.fixture(scope="module")
def large(tmp_path_factory) -> Path:
    return write_video(
        tmp_path_factory.mktemp("large") / "large.mp4", 3, size=(HIGH, WIDE), options={"preset": "ultrafast"}
    )


@pytest.mark.sampled(2)
@pytest.mark.parametrize("reading", KINDS_OF_READING)
def test_a_large_frame_shows_the_same_in_its_small_size(large, monkeypatch, reading):
    savings = KINDS_OF_READING[reading]
    shrunk = sample_frames(large, size=336, savings=savings)
    assert numbers_in(shrunk.data) == [0, 1, 2]
    assert shrunk.source_size == (HIGH, WIDE)
    monkeypatch.setattr(rgb, "LARGE", HIGH * WIDE)
    whole = sample_frames(large, size=336, savings=savings)
    assert np.abs(shrunk.data.astype(int) - whole.data).mean() < 0.5


@pytest.mark.parametrize("turns", [1, 2])
def test_a_large_frame_is_turned_as_a_small_one(tmp_path, large, turns):
    video = turn_right(
        write_video(tmp_path / "turned.mp4", 2, size=(HIGH, WIDE), options={"preset": "ultrafast"}, turns=turns), turns
    )
    frames = sample_frames(video, max_side=400)
    assert frames.source_size == (HIGH, WIDE)
    assert frames.data.shape[1:3] == (320, 400)
    assert numbers_in(frames.data) == [0, 1]


def test_a_frame_that_is_kept_whole_is_never_shrunk(large):
    frames = sample_frames(large, num_frames=1, savings=Savings.none())
    assert frames.data.shape == (1, HIGH, WIDE, 3)
    assert numbers_in(frames.data) == frames.indices.tolist()


@pytest.mark.parametrize(
    ("fit", "most"), [(TargetSize(336), 5), (TargetSize(336, preview=1200), 2), (TargetSize(2000), 1)]
)
def test_what_is_kept_bounds_the_shrinking(fit, most):
    assert fit.shrinks(HIGH, WIDE) == most
