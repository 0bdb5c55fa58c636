"""Video input: turns files, folders, arrays and pictures into frames with numbers and times."""

from dyto.video.frames import (
    READER,
    ArrivingFrames,
    Frames,
    VideoSource,
    sample_frames,
)
from dyto.video.paths import existing, openable
from dyto.video.sampling import FrameSize, uniform_indices

__all__ = [
    "READER",
    "ArrivingFrames",
    "FrameSize",
    "Frames",
    "VideoSource",
    "existing",
    "openable",
    "sample_frames",
    "uniform_indices",
]
