"""Training-free video understanding on stock Hugging Face transformers.

An unofficial implementation of DyTo (arXiv 2411.14401, ICCV 2025) and of its peers behind one interface::

    import dyto

    qa = dyto.VideoQA.from_pretrained("tiny", strategy=dyto.DyTo.preset("release"))
    print(qa.ask("clip.mp4", "What happens?").text)
"""

from __future__ import annotations

from importlib.metadata import version

from dyto import finch, keyframes, merge
from dyto.answer import Answer
from dyto.errors import (
    ConfigError,
    DatasetError,
    DytoError,
    JudgeError,
    MissingExtraError,
    ModelError,
    VideoError,
)
from dyto.features import FrameFeatures, KeyFrames, VisualTokens
from dyto.models import load_model
from dyto.pipeline import VideoQA
from dyto.strategies import Concat, DyTo, SlowFast, Strategy, Uniform, build_strategy
from dyto.video import Frames, sample_frames

__version__ = version("dyto")

__all__ = [
    "Answer",
    "Concat",
    "ConfigError",
    "DatasetError",
    "DyTo",
    "DytoError",
    "FrameFeatures",
    "Frames",
    "JudgeError",
    "KeyFrames",
    "MissingExtraError",
    "ModelError",
    "SlowFast",
    "Strategy",
    "Uniform",
    "VideoError",
    "VideoQA",
    "VisualTokens",
    "build_strategy",
    "finch",
    "keyframes",
    "load_model",
    "merge",
    "sample_frames",
]
