"""A memory that grows frame by frame."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch

from dyto.errors import ConfigError
from dyto.features import FrameFeatures, usable_features
from dyto.memory.noise import Counts, NoiseMeter
from dyto.memory.online import OnlineHierarchy, Segments
from dyto.memory.origin import Origin
from dyto.memory.packing import Pack, Packing, Picture
from dyto.memory.remembered import About, Memory
from dyto.strategies import scenes

BLOCK = 32
"""Frames that wait until the hierarchy takes them together: that costs less than one by one, and changes nothing. They
are held as they are until the next ones come: most soon represent nothing, and need not be packed."""


class _Fresh(NamedTuple):
    """A frame that is not packed yet."""

    features: FrameFeatures
    row: int
    picture: Picture


@dataclass(frozen=True)
class Snapshot:
    """A growing memory at one time; it does not change with it.

    Attributes:
        segments: In the order of time.
        packs: What is kept of each one's frame.
        noise: As in `Memory`.
    """

    segments: Segments
    packs: tuple[Pack, ...]
    noise: Counts


class GrowingMemory:
    """Segments of a stream with what is kept of them, at most M.

    The result depends on the features of the frames, not on how many are added at a time, nor on when it is looked at.
    One thread at a time.

    Args:
        segments: M.
        kind: What patches are kept as, one of `dyto.memory.packing.KINDS`.
        max_mb: Size limit of the file, in MB.
    """

    def __init__(self, segments: int, kind: str = "same", max_mb: float = 64.0) -> None:
        self._tree = OnlineHierarchy(segments)
        self._meter = NoiseMeter()
        self._kind, self._max_mb = kind, max_mb
        self._packing: Packing | None = None
        self._waiting: dict[int, _Fresh] = {}
        self._fresh: dict[int, _Fresh] = {}
        self._packs: dict[int, Pack] = {}
        self._held: int | None = None  # patches of a frame in the memory from which it goes on
        self.about: About | None = None

    @classmethod
    def of(cls, memory: Memory, segments: int, kind: str = "same", max_mb: float = 64.0) -> GrowingMemory:
        """Go on from a memory; how far its last frames are from those that follow is not part of the noise.

        Args:
            memory: The memory.
            segments: As for a new one.
            kind: As for a new one.
            max_mb: As for a new one.

        Raises:
            ConfigError: The memory has more segments, or keeps something else of each.
        """
        growing = cls(segments, kind, max_mb)
        if len(memory) > segments or memory.about.kind != kind:
            raise ConfigError(
                f"{memory.name} has {len(memory)} segments and numbers {memory.about.kind!r}, expected {segments} at "
                f"most and {kind!r}: go on with the options that it was begun with"
            )
        growing._tree = OnlineHierarchy.of(memory.segments, memory.directions, segments)
        growing._meter = NoiseMeter(memory.noise)
        growing.about, growing._held = memory.about, memory.tensors["patches"].shape[1]
        for row, number in enumerate(memory.segments.frames.tolist()):
            picture = torch.frombuffer(bytearray(memory.thumbnails[row]), dtype=torch.uint8)
            pack = {name: tensor[row].clone() for name, tensor in memory.tensors.items()}
            growing._packs[number] = {**pack, "thumbnail": picture}
        return growing

    def __len__(self) -> int:
        self._settle()
        return len(self._tree)

    def add(self, features: FrameFeatures, pictures: Picture, source_size: tuple[int, int]) -> None:
        """Take the next frames.

        Args:
            features: Of T frames, with numbers and times above those before.
            pictures: (T, H, W, 3) uint8, as the model saw them.
            source_size: (height, width) of the video.

        Raises:
            BadFeaturesError: The features hold NaN or infinity.
            ConfigError: Frames are of another size than those before them, or not even a token of each fits.
        """
        if not math.isfinite(features.summary.sum()):  # the cheapest test that seldom errs
            with usable_features():
                scenes.directions(features.summary)
        size = (int(pictures.shape[1]), int(pictures.shape[2]))
        if self._packing is None:
            packing = Packing.fitting(features, self._tree.most, self._kind, self._max_mb)
            if self._held not in (None, packing.patches):
                raise ConfigError(
                    f"the memory keeps {self._held} tokens of a frame, but {packing.patches} fit now, expected as "
                    "many: go on with the options that it was begun with"
                )
            self._packing = packing
        if self.about is None:
            self.about = About(features.grid, features.summary_source, size, source_size, self._kind)
        elif self.about.grid != features.grid or self.about.size != size:
            raise ConfigError(
                f"found a frame of {size[0]}x{size[1]}, expected {self.about.size[0]}x{self.about.size[1]} like those "
                "before it: a memory has frames of one size"
            )
        for row, number in enumerate(features.indices.tolist()):
            self._waiting[number] = _Fresh(features, row, pictures[row])
            if len(self._waiting) == BLOCK:
                self._settle()

    def _settle(self) -> None:
        """Let the hierarchy take the frames that wait."""
        if not self._waiting:
            return
        old, frames = list(self._fresh), list(self._waiting.items())
        self._fresh |= self._waiting
        self._waiting = {}
        directions = scenes.directions(torch.stack([one.features.summary[one.row] for _, one in frames]))
        self._meter.add(directions)
        for (number, one), direction in zip(frames, directions, strict=True):
            dropped = self._tree.add(direction, number, float(one.features.seconds[one.row]))
            if dropped is not None:
                self._fresh.pop(dropped, None)
                self._packs.pop(dropped, None)
        for number in old:
            if number in self._fresh:
                self._pack(number)

    def snapshot(self) -> Snapshot:
        """Return the memory of what was added so far.

        Raises:
            ConfigError: Nothing was.
        """
        self._settle()
        segments = self._tree.segments()
        for number in segments.frames.tolist():
            if number in self._fresh:
                self._pack(number)
        return Snapshot(segments, tuple(self._packs[int(n)] for n in segments.frames), self._meter.counts)

    def _pack(self, number: int) -> None:
        one = self._fresh.pop(number)
        assert self._packing is not None
        self._packs[number] = self._packing.pack(one.features, one.row, one.picture)


def memory_of(taken: Snapshot, origin: Origin, about: About) -> Memory:
    """Return the memory of a snapshot."""
    names = [name for name in taken.packs[0] if name != "thumbnail"]
    tensors = {name: torch.stack([pack[name] for pack in taken.packs]) for name in names}
    thumbnails = tuple(pack["thumbnail"].numpy().tobytes() for pack in taken.packs)
    return Memory(origin, about, taken.segments, tensors, thumbnails, taken.noise)


def told(about: About, source: str, meaningful: bool, warnings: tuple[str, ...] = ()) -> About:
    """Return facts about a video with what is known at its end."""
    return replace(about, source=source, meaningful=meaningful, warnings=tuple(dict.fromkeys(warnings)))


def is_known(pictures: Picture, knows: object) -> bool:
    """Return whether a model knows anything of what pictures show, as far as it can tell."""
    return not callable(knows) or bool(knows(np.asarray(pictures)))
