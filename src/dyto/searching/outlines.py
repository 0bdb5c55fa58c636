"""What a search needs of a memory: times and vectors. Patches are not read, and pictures when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from dyto.errors import DatasetError
from dyto.memory.header import MAGIC, damaged, facts_of
from dyto.memory.online import Segments
from dyto.memory.origin import Origin
from dyto.memory.packing import Picture, picture_of
from dyto.memory.remembered import About, Memory
from dyto.memory.splits import Splits
from dyto.memory.store import described, segments_in

COLUMNS = sorted({*Segments._fields, *Splits._fields} - {"rows"})


@dataclass(frozen=True, repr=False)
class Outline:
    """A memory without its patches and pictures.

    Attributes:
        path: Its file; None for a memory that is in no file.
        origin: The model that made it, and the eye.
        about: Facts about the video.
        segments: The K segments in the order of time, without their means.
        vectors: (K, D) summaries of the frames that represent them; (K, 0) once an index holds them.
        memory: The memory, if it is in no file.
    """

    path: Path | None
    origin: Origin
    about: About
    segments: Segments
    vectors: Tensor
    memory: Memory | None = None

    def __len__(self) -> int:
        return len(self.segments.frames)

    @classmethod
    def of(cls, memory: Memory, path: Path | None = None) -> Outline:
        """Take what is needed of a memory."""
        kept = memory if path is None else None
        return cls(path, memory.origin, memory.about, _slim(memory.segments), memory.vectors.detach(), kept)

    @classmethod
    def read(cls, path: Path) -> Outline:
        """Read what is needed of a file.

        Args:
            path: A memory, or the log of one that grows.

        Raises:
            DatasetError: It is no memory, or damaged.
        """
        facts = facts_of(path)
        try:
            with path.open("rb") as file:
                grows = file.read(len(MAGIC)) == MAGIC
            if grows:
                return cls.of(Memory.open(path), path)
            origin, about = described(facts)
            with safe_open(path, framework="pt") as file:
                tensors = {name: file.get_tensor(name) for name in (*COLUMNS, "summary")}
            order, segments = segments_in(tensors)
            vectors = tensors["summary"][torch.from_numpy(order)]
            if vectors.ndim != 2 or 0 in vectors.shape or not torch.isfinite(vectors).all():
                raise ValueError(f"summary has shape {tuple(vectors.shape)}, or holds NaN")
        except (SafetensorError, LookupError, TypeError, ValueError, OverflowError, RuntimeError) as err:
            raise damaged(path, f"is damaged ({err})") from err
        except OSError as err:
            raise DatasetError(f"{path} cannot be read ({err.strerror or err}), expected a memory") from err
        return cls(path, origin, about, _slim(segments), vectors)

    def without_vectors(self) -> Outline:
        """Return the outline for an index, which holds the vectors itself."""
        return replace(self, vectors=self.vectors.new_empty(len(self), 0))

    def whole(self) -> Memory:
        """Return the memory with its patches and pictures.

        Raises:
            DatasetError: Its file is not what it was.
        """
        if self.memory is not None:
            return self.memory
        assert self.path is not None
        memory = Memory.open(self.path)
        if memory.segments.frames.tolist() != self.segments.frames.tolist():
            raise DatasetError(f"{self.path} has changed since it was searched, expected the same memory: search again")
        return memory

    def thumbnail(self, row: int) -> bytes:
        """Return the picture of a segment as JPEG.

        Raises:
            DatasetError: The file is not what it was.
        """
        if self.path is None:
            return self.whole().thumbnails[row]
        try:
            with self.path.open("rb") as file:
                grows = file.read(len(MAGIC)) == MAGIC
            if grows:
                return self.whole().thumbnails[row]
            with safe_open(self.path, framework="pt") as file:
                place = file.get_tensor("frames").tolist().index(int(self.segments.frames[row]))
                ends = [0, *file.get_tensor("thumbnail_ends").tolist()]
                return bytes(file.get_slice("thumbnails")[ends[place] : ends[place + 1]].numpy().tobytes())
        except (SafetensorError, LookupError, TypeError, ValueError, OverflowError, RuntimeError, OSError) as err:
            raise damaged(self.path, f"has changed since it was searched ({err})", "search again") from err

    def picture(self, row: int) -> Picture:
        """Return the picture of a segment, (H, W, 3) uint8.

        Raises:
            DatasetError: The file is not what it was, or the picture is damaged.
        """
        try:
            return picture_of(self.thumbnail(row))
        except OSError as err:
            raise damaged(self.path or Path("a memory"), f"holds a damaged picture ({err})") from err


def _slim(segments: Segments) -> Segments:
    return segments._replace(means=np.empty((len(segments.frames), 0), np.float32))
