"""One encoding of a video's frames for all strategies, with each strategy charged for the frames that it uses.

All sampled frames pass the tower once, before any strategy runs. A strategy that asks for some of them gets its part of
the result, and is charged the tower's time for that many frames; pictures that it composes itself pass the tower
separately. So every strategy's seconds are what it would have needed alone, while the whole comparison needs the tower
only once.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from dyto.errors import ConfigError
from dyto.features import FrameFeatures, select
from dyto.finch import IntArray
from dyto.models.base import VideoModel
from dyto.timing import synchronize
from dyto.video import Frames


class SharedVision:
    """Substitute for the vision side of a model: it encodes a video's frames once and hands out parts.

    Args:
        model: The model.
        layer: The layer whose attention some strategy will need, so that the single pass includes it; None for none.

    Attributes:
        model: The same model with the shared `encode`, otherwise unchanged.
    """

    def __init__(self, model: VideoModel, layer: int | None = None) -> None:
        self._encode = model.encode
        self._layer = layer
        self._device = model.device
        self.model = model.seeing_by(self.encode)
        self._frames: Frames | None = None
        self._places: dict[int, int] = {}
        self._seen: dict[int | None, FrameFeatures] = {}
        self._tower_seconds = 0.0
        self._charged = 0.0

    def open(self, frames: Frames) -> float:
        """Encode a video's frames, and free those of the previous video.

        Args:
            frames: All frames that strategies will get.

        Returns:
            Seconds of the tower.
        """
        self.close()
        start = self._now()
        features = self._pass(frames)
        self._tower_seconds = self._now() - start
        self._frames, self._seen = frames, {None: features, self._layer: features}
        self._places = {int(number): place for place, number in enumerate(frames.indices)}
        return self._tower_seconds

    def _pass(self, frames: Frames) -> FrameFeatures:
        if self._layer is not None:
            try:
                return self._encode(frames, attention_layer=self._layer)
            except ConfigError:  # raised for the strategy that needs it; the others continue without it
                self._layer = None
        return self._encode(frames)

    def close(self) -> None:
        """Free the kept features."""
        self._frames, self._seen, self._places = None, {}, {}

    def warm_up(self, frames: Frames) -> None:
        """Encode one frame, so that one-time costs of the process are charged to no strategy."""
        self._encode(frames[:1]).patches()

    def encode(self, images: Any, *, attention_layer: int | None = None, **more: Any) -> FrameFeatures:
        """Encode as `VideoModel.encode` does, from kept features if possible."""
        positions = None if more else self._positions(images)
        if positions is None:
            return self._encode(images, attention_layer=attention_layer, **more)
        start = self._now()
        assert self._frames is not None
        if attention_layer not in self._seen:
            self._seen[attention_layer] = self._encode(self._frames, attention_layer=attention_layer)
        part = select(self._seen[attention_layer], positions)
        share = self._tower_seconds * len(positions) / len(self._frames)
        self._charged += share - (self._now() - start)
        return part

    def take_charge(self) -> float:
        """Return the seconds to add since the last call: the tower's share minus the time of looking up."""
        charged, self._charged = self._charged, 0.0
        return charged

    def _positions(self, images: Any) -> IntArray | None:
        """Return the positions of these frames among the kept ones; None if they are others, or were changed."""
        kept = self._frames
        if kept is None or not isinstance(images, Frames) or images.data.shape[1:] != kept.data.shape[1:]:
            return None
        if images is kept:
            return np.arange(len(kept), dtype=np.int64)
        places = [self._places.get(int(number), -1) for number in images.indices]
        positions = np.asarray(places, np.int64)
        if (positions < 0).any() or not np.array_equal(images.data, kept.data[positions]):
            return None
        return positions

    def _now(self) -> float:
        synchronize(self._device)
        return time.perf_counter()
