"""The rate "auto": more frames of a longer clip, within bounds, on the command line and in Python."""

import numpy as np
import pytest
import typer
from hypothesis import given, settings
from hypothesis import strategies as st

from dyto.cli.options import FrameFlags, rate_of
from dyto.errors import ConfigError
from dyto.video import sample_frames
from dyto.video.sampling import FrameTimes, Request


@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(st.floats(1, 8000), st.sampled_from([2.0, 10.0, 25.0]))
def test_there_is_a_frame_a_second_within_bounds(seconds, rate):
    total = max(1, round(seconds * rate))
    timeline = FrameTimes(np.arange(total) / rate, total / rate)
    chosen, _ = Request(fps="auto").choose(timeline, "film")
    assert len(chosen) == min(total, max(100, min(1000, round(total / rate))))
    assert (np.diff(chosen) > 0).all()


def test_only_the_clip_counts():
    timeline = FrameTimes(np.arange(36000) / 10, 3600.0)
    chosen, total = Request(fps="auto", start=1000, end=1300).choose(timeline, "film")
    assert (len(chosen), total) == (300, 3000)


def test_it_reaches_the_reader_and_the_command_line():
    video = np.zeros((400, 8, 8, 3), np.uint8)
    assert len(sample_frames(video, fps="auto", source_fps=2)) == 200
    assert (rate_of("auto"), rate_of("2.5")) == ("auto", 2.5)
    assert FrameFlags(fps=rate_of("auto")).sampling_options(100)["fps"] == "auto"
    assert "num_frames" not in FrameFlags(fps=rate_of("auto")).sampling_options(100)


def test_other_words_are_refused():
    with pytest.raises(ConfigError, match="'auto'"):
        Request(fps="often")
    with pytest.raises(ConfigError, match="num_frames=3 and fps=auto"):
        Request(fps="auto", num_frames=3)
    with pytest.raises(typer.BadParameter, match="neither a number nor auto"):
        rate_of("often")
