"""Training-free video understanding on stock Hugging Face transformers.

An unofficial implementation of DyTo (arXiv 2411.14401, ICCV 2025) and its rivals behind one interface::

    import dyto

    qa = dyto.VideoQA.from_pretrained("tiny", strategy=dyto.DyTo.preset("release"))
    print(qa.ask("clip.mp4", "What happens?").text)
"""

import sys

TYPE_CHECKING = False  # nothing is imported here, so that a command can handle interrupts before anything else

if TYPE_CHECKING:
    from typing import Any

    from dyto import finch, keyframes, merge
    from dyto.answer import Answer
    from dyto.certifying.certify import certify
    from dyto.conversation.talking import Conversation
    from dyto.conversation.turns import Turn
    from dyto.dropin import compressing
    from dyto.errors import (
        BadFeaturesError,
        ConfigError,
        DatasetError,
        DoesNotFitError,
        DytoError,
        EngineError,
        JudgeError,
        MissingExtraError,
        ModelError,
        StrategyError,
        VideoError,
    )
    from dyto.features import FrameFeatures, KeyFrames, VisualTokens
    from dyto.inspecting import inspect_video
    from dyto.inspecting.evidence import Moment, find_evidence
    from dyto.memory.remembered import Memory
    from dyto.memory.watching import Watch
    from dyto.models import load_model
    from dyto.moments.describing import describe_timeline
    from dyto.moments.finding import Segment, VideoTimeline, find_timeline
    from dyto.moments.saving import SavedFrames, save_frames
    from dyto.moments.writing import save_timeline
    from dyto.pipeline import VideoQA
    from dyto.savings import Savings
    from dyto.searching.hits import Hit
    from dyto.searching.index import MemoryIndex
    from dyto.searching.search import search
    from dyto.serving.engine import Engine
    from dyto.strategies import (
        AKS,
        EVS,
        Concat,
        Downsample,
        DyTo,
        DyToNoClustering,
        DyToNoMerging,
        EchoLike,
        FastVID,
        FlashVIDOuter,
        HoliTomOuter,
        ImageGrid,
        KMeans,
        Peaks,
        Plus,
        Plus2025,
        PlusQuery,
        Query,
        Random,
        RandomFrames,
        SlowFast,
        Strategy,
        Uniform,
        UniformMerge,
        UniformPool,
        VCast,
        VidCom2,
        VisionZip,
        build_strategy,
    )
    from dyto.subtitles.finding import Subtitles, find_subtitles
    from dyto.video import Frames, sample_frames
    from dyto.video.cutting import VideoClip

__all__ = [
    "AKS",
    "EVS",
    "Answer",
    "BadFeaturesError",
    "Concat",
    "ConfigError",
    "Conversation",
    "DatasetError",
    "DoesNotFitError",
    "Downsample",
    "DyTo",
    "DyToNoClustering",
    "DyToNoMerging",
    "DytoError",
    "EchoLike",
    "Engine",
    "EngineError",
    "FastVID",
    "FlashVIDOuter",
    "FrameFeatures",
    "Frames",
    "Hit",
    "HoliTomOuter",
    "ImageGrid",
    "JudgeError",
    "KMeans",
    "KeyFrames",
    "Memory",
    "MemoryIndex",
    "MissingExtraError",
    "ModelError",
    "Moment",
    "Peaks",
    "Plus",
    "Plus2025",
    "PlusQuery",
    "Query",
    "Random",
    "RandomFrames",
    "SavedFrames",
    "Savings",
    "Segment",
    "SlowFast",
    "Strategy",
    "StrategyError",
    "Subtitles",
    "Turn",
    "Uniform",
    "UniformMerge",
    "UniformPool",
    "VCast",
    "VidCom2",
    "VideoClip",
    "VideoError",
    "VideoQA",
    "VideoTimeline",
    "VisionZip",
    "VisualTokens",
    "Watch",
    "build_strategy",
    "certify",
    "compressing",
    "describe_timeline",
    "finch",
    "find_evidence",
    "find_subtitles",
    "find_timeline",
    "inspect_video",
    "keyframes",
    "load_model",
    "merge",
    "sample_frames",
    "save_frames",
    "save_timeline",
    "search",
]

_HOMES = {
    "answer": ("Answer",),
    "certifying.certify": ("certify",),
    "conversation.talking": ("Conversation",),
    "conversation.turns": ("Turn",),
    "dropin": ("compressing",),
    "errors": (
        "BadFeaturesError",
        "ConfigError",
        "DatasetError",
        "DoesNotFitError",
        "DytoError",
        "EngineError",
        "JudgeError",
        "MissingExtraError",
        "ModelError",
        "StrategyError",
        "VideoError",
    ),
    "inspecting.evidence": ("Moment", "find_evidence"),
    "features": ("FrameFeatures", "KeyFrames", "VisualTokens"),
    "inspecting": ("inspect_video",),
    "memory.remembered": ("Memory",),
    "memory.watching": ("Watch",),
    "models": ("load_model",),
    "moments.describing": ("describe_timeline",),
    "moments.finding": ("Segment", "VideoTimeline", "find_timeline"),
    "moments.saving": ("SavedFrames", "save_frames"),
    "moments.writing": ("save_timeline",),
    "pipeline": ("VideoQA",),
    "savings": ("Savings",),
    "searching.hits": ("Hit",),
    "searching.index": ("MemoryIndex",),
    "searching.search": ("search",),
    "serving.engine": ("Engine",),
    "subtitles.finding": ("Subtitles", "find_subtitles"),
    "video": ("Frames", "sample_frames"),
    "video.cutting": ("VideoClip",),
}
"""Homes of the public names, but for the strategies, which are all in `dyto.strategies`, and for modules."""
_MODULES = ("finch", "keyframes", "merge")
_HOME = dict.fromkeys(__all__, "strategies") | {name: home for home, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> "Any":
    """Import a public name, or a module of the package, when it is first asked for: torch takes seconds to load."""
    from importlib import import_module, metadata

    if name == "__version__":
        return metadata.version("dyto")
    if name in _HOME and name not in _MODULES:
        return getattr(import_module(f"dyto.{_HOME[name]}"), name)
    if not name.startswith("_"):
        try:
            return import_module(f"dyto.{name}")
        except ModuleNotFoundError as err:
            if err.name != f"dyto.{name}":
                raise
    raise AttributeError(f"module 'dyto' has no attribute {name!r}")


_MOVED = {
    "dyto.evidence": "dyto.inspecting.evidence",
    "dyto.limits": "dyto.video.limits",
    "dyto.models.loading_options": "dyto.models.loading.options",
    "dyto.models.tiny": "dyto.models.adapters.tiny",
    "dyto.sheet": "dyto.inspecting.sheet",
    "dyto.targets": "dyto.strategies.targets",
}


class _FormerModules:
    """Import hook for the module names from before 0.2.0; it warns."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> "Any":
        """Return the spec of the renamed module, or None for any other name."""
        if name not in _MOVED:
            return None
        import warnings
        from importlib import import_module
        from importlib.machinery import ModuleSpec

        warnings.warn(f"{name} was renamed: use {_MOVED[name]}", DeprecationWarning, stacklevel=2)
        self._found = import_module(_MOVED[name])
        self._spec = self._found.__spec__
        return ModuleSpec(name, self)  # type: ignore[arg-type]

    def create_module(self, spec: object) -> "Any":
        """Return the module itself, not a copy."""
        return self._found

    def exec_module(self, module: "Any") -> None:
        """Restore the module's own spec; the module has already run."""
        module.__spec__ = self._spec


sys.meta_path.append(_FormerModules())


def __dir__() -> "list[str]":
    return sorted({*globals(), *__all__, "__version__"})
