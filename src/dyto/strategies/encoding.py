"""The `encode` that a strategy receives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from dyto.features import FrameFeatures, select
from dyto.savings import Savings
from dyto.strategies.base import NEEDS
from dyto.strategies.sparing import alike
from dyto.timing import Stopwatch
from dyto.video import Frames

if TYPE_CHECKING:
    from dyto.models.base import VideoModel

_METHODS = frozenset(method for _, methods in NEEDS.values() for method in methods)


class KeptFeatures:
    """Features of the last frames, kept for the next question about the same object."""

    def __init__(self) -> None:
        self._kept: tuple[Frames, int | None, FrameFeatures] | None = None

    def of(self, frames: Frames, attention_layer: int | None) -> FrameFeatures | None:
        """Return the kept features if they belong to these frames."""
        if self._kept is None or self._kept[0] is not frames or self._kept[1] != attention_layer:
            return None
        return self._kept[2]

    def keep(self, frames: Frames, attention_layer: int | None, features: FrameFeatures) -> None:
        """Replace the kept features."""
        self._kept = (frames, attention_layer, features)

    def forget(self) -> None:
        """Free the kept features."""
        self._kept = None


class Encoder:
    """The `encode` that a strategy receives: the model's own, with savings, and timed as the stage "encode".

    Further methods that the model offers (those in `dyto.strategies.base.NEEDS`) are attributes of the same
    name, timed in the same way; missing methods are missing here, too.

    Args:
        model: The model.
        watch: The stopwatch to which the seconds are added.
        savings: Its savings; None for the defaults.
        kept: Store for the features of `whole`, for the next question; None to keep nothing.
        whole: The frames of the video.
    """

    def __init__(
        self,
        model: VideoModel,
        watch: Stopwatch,
        savings: Savings | None = None,
        kept: KeptFeatures | None = None,
        whole: Frames | None = None,
    ) -> None:
        self._model, self._watch, self._savings = model, watch, savings or Savings()
        self._kept, self._whole = kept, whole
        self.name = model.name
        self.seen: list[FrameFeatures] = []
        """The features of all frames encoded so far, if the family needs them again for `with_deep`."""

    def __call__(
        self, images: Frames | Sequence[npt.NDArray[np.uint8]], *, attention_layer: int | None = None
    ) -> FrameFeatures:
        """See `VideoModel.encode`."""
        waited = images.waited if isinstance(images, Frames) else 0.0
        with self._watch.stage("encode"):
            features = self._timed(self._encode(images, attention_layer))
        if isinstance(images, Frames):
            self._watch.add("encode", waited - images.waited)  # waiting for the decoder does not count as encoding
        if features.load_deep is not None and isinstance(images, Frames):
            self.seen.append(features)
        return features

    def _encode(self, images: Frames | Sequence[npt.NDArray[np.uint8]], attention_layer: int | None) -> FrameFeatures:
        """Return the features of pictures, from the kept ones where possible."""
        if self._kept is None or not isinstance(images, Frames) or images is not self._whole:
            return self._new(images, attention_layer)
        features = self._kept.of(images, attention_layer)
        if features is None:
            self._kept.forget()  # free the old ones before the new ones are made
            features = self._new(images, attention_layer)
            self._kept.keep(images, attention_layer, features)
        return features

    def _new(self, images: Frames | Sequence[npt.NDArray[np.uint8]], attention_layer: int | None) -> FrameFeatures:
        """Return the features of pictures; if that saving is on, similar frames are encoded once."""
        levels = self._savings.similar
        if levels is not None and levels is not False and isinstance(images, Frames):
            kept, stands = alike(images, levels)
            if len(kept) < len(images):
                seen = self._tower(images[kept], attention_layer)
                return replace(select(seen, stands), indices=images.indices, seconds=images.seconds)
        return self._tower(images, attention_layer)

    def _tower(self, images: Frames | Sequence[npt.NDArray[np.uint8]], attention_layer: int | None) -> FrameFeatures:
        """Encode pictures with the tower, compiled if that saving is on."""
        with self._model.compiled_tower() if self._savings.compiled else nullcontext():
            return self._model.encode(images, attention_layer=attention_layer)

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
        if not self._savings.project_chosen:
            every = features.patches()  # (T, N, D)
            return replace(features, load_patches=lambda positions: every[positions.to(every.device)], load_deep=deep)
        return replace(features, load_patches=self._watch.timed("encode", features.load_patches), load_deep=deep)
