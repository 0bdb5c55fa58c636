"""A model's vision side as a strategy is handed it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dyto.features import FrameFeatures
from dyto.strategies.base import NEEDS
from dyto.timing import Stopwatch
from dyto.video import Frames

if TYPE_CHECKING:
    from dyto.models.base import VideoModel

_METHODS = frozenset(method for _, methods in NEEDS.values() for method in methods)


class Encoder:
    """Encodes for a strategy, and adds the seconds to the stage "encode".

    What else the model offers to strategies (the methods in `dyto.strategies.base.NEEDS`) is there under the same
    name, timed likewise; what it does not offer is not there.

    Args:
        model: The model.
        watch: What the seconds are added to.
    """

    def __init__(self, model: VideoModel, watch: Stopwatch) -> None:
        self._model, self._watch = model, watch
        self.name = model.name
        self.seen: list[FrameFeatures] = []
        """The features of all frames encoded so far, where the family needs them again for `with_deep`."""

    def __call__(
        self, images: Frames | Sequence[npt.NDArray[np.uint8]], *, attention_layer: int | None = None
    ) -> FrameFeatures:
        """See `VideoModel.encode`."""
        with self._watch.stage("encode"):
            features = self._timed(self._model.encode(images, attention_layer=attention_layer))
        if features.load_deep is not None and isinstance(images, Frames):
            self.seen.append(features)
        return features

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if name not in _METHODS:
            raise AttributeError(name)
        method = getattr(self._model, name)

        def call(*args: Any) -> Any:
            with self._watch.stage("encode"):
                found = method(*args)
            return self._timed(found) if isinstance(found, FrameFeatures) else found

        return call

    def _timed(self, features: FrameFeatures) -> FrameFeatures:
        deep = features.load_deep and self._watch.timed("encode", features.load_deep)
        return replace(features, load_patches=self._watch.timed("encode", features.load_patches), load_deep=deep)
