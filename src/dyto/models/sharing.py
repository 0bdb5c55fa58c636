"""One encoding of a video's frames for all strategies, each of which is charged for what it looks at.

The sampled frames pass the tower once, all of them, before any strategy runs. A strategy that asks for some of them
is given its part of the result, and charged the tower's time for as many frames; pictures that it composes itself
pass the tower for it alone. So every strategy's seconds are those that it would have needed by itself, while the
whole comparison needs the tower once.
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
    """Stands in for the vision side of a model: encodes a video's frames once and hands out parts.

    Args:
        model: The model.
        layer: The layer whose attention some strategy will ask for, so that it comes with the one pass; None for none.

    Attributes:
        model: The same model with the shared `encode`; everything else of it is as it was.
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
        """Encode a video's frames; what was kept of the one before is freed.

        Args:
            frames: All that strategies will be given.

        Returns:
            Seconds that the tower took.
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
            except ConfigError:  # told to the strategy that needs it, when it asks; the others go on without
                self._layer = None
        return self._encode(frames)

    def close(self) -> None:
        """Free what is kept."""
        self._frames, self._seen, self._places = None, {}, {}

    def warm_up(self, frames: Frames) -> None:
        """Let the tower see one frame, so that what happens once in a process is charged to nobody."""
        self._encode(frames[:1]).patches()

    def encode(self, images: Any, *, attention_layer: int | None = None, **more: Any) -> FrameFeatures:
        """As `VideoModel.encode`, from what is kept where that is possible."""
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
        """Seconds to add to what was measured since the last call: the tower's share, less what looking up took."""
        charged, self._charged = self._charged, 0.0
        return charged

    def _positions(self, images: Any) -> IntArray | None:
        """Which of the kept frames these are; None where they are others, or were changed."""
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
