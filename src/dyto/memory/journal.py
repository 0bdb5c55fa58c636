"""The log of a memory that grows: what a crash loses was not sealed.

A record has the times and counts of all segments, the means of those that changed, and the packs of new frames. What
the last whole record says is the memory as it was when that was sealed.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from dyto.errors import DatasetError
from dyto.memory.growing import Snapshot, memory_of
from dyto.memory.header import MAGIC, RECORD, damaged, facts_of, records_of
from dyto.memory.noise import BINS
from dyto.memory.online import Segments
from dyto.memory.origin import Origin
from dyto.memory.packing import Pack
from dyto.memory.remembered import About, Memory
from dyto.memory.store import check_kept, described, metadata_of
from dyto.system.files import cannot_write, replacing

WASTE = 3
"""A log that is that many times as long as what it still needs is written anew."""
_KEPT = "kept."
_COLUMNS = [name for name in Segments._fields if name != "means"]

Span = tuple[int, int]
"""First and last frame of a segment, by which its mean is found again."""


class GrowthLog:
    """The log of a growing memory, which is on the disk when `seal` returns.

    Args:
        path: The file; it must not be there yet.
        origin: The model.
        resumes: Whether the file is there, and is replaced by the first seal.

    Raises:
        DatasetError: There is such a file, or it cannot be written.
    """

    def __init__(self, path: Path, origin: Origin, resumes: bool = False) -> None:
        self.path, self._origin = path, origin
        self._spans: set[Span] = set()
        self._frames: set[int] = set()
        self._size = 0
        self._file: BinaryIO | None = None
        if resumes:
            return
        try:
            self._file = path.open("xb")
            self._append(MAGIC)
        except FileExistsError as err:
            raise DatasetError(
                f"{path} is there already, expected a new name: a memory that grows never replaces another"
            ) from err
        except OSError as err:
            raise cannot_write(path, err) from err

    def seal(self, taken: Snapshot, about: About) -> None:
        """Append what changed since the last time; write the log anew if most of it is not needed any more.

        Args:
            taken: The memory now.
            about: Facts about the video.

        Raises:
            DatasetError: The disk is full.
        """
        record = _record(taken, about, self._origin, self._spans, self._frames)
        try:
            if self._file is not None and self._size + len(record) <= WASTE * self._needed(taken, record):
                self._append(record)
            else:
                self.close()
                whole = MAGIC + _record(taken, about, self._origin, set(), set())
                with replacing(self.path) as half:
                    half.write_bytes(whole)
                self._file, self._size = self.path.open("ab"), len(whole)
        except OSError as err:
            raise cannot_write(self.path, err) from err
        self._spans, self._frames = set(_spans(taken.segments)), set(taken.segments.frames.tolist())

    def close(self) -> None:
        """Close the file; what was sealed stays, and the next seal writes all of it again."""
        if self._file is not None:
            self._file.close()
        self._file = None

    @staticmethod
    def _needed(taken: Snapshot, record: bytes) -> int:
        """Return about how many bytes a log needs for a memory."""
        packs = sum(tensor.nbytes for pack in taken.packs for tensor in pack.values())
        return int(packs + taken.segments.means.nbytes + taken.noise.nbytes + len(record))

    def _append(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write(data)
        self._file.flush()
        os.fsync(self._file.fileno())
        self._size += len(data)


def read_journal(path: Path) -> Memory:
    """Read what was sealed of a memory that grows, or grew until its process ended.

    Args:
        path: The log.

    Returns:
        The memory; a warning says if there is more in the file that was not sealed.

    Raises:
        DatasetError: Nothing was sealed, or it is damaged.
    """
    origin, about = described(facts_of(path))
    packs: dict[int, Pack] = {}
    means: dict[Span, Tensor] = {}
    last: Mapping[str, Tensor] = {}
    try:
        with path.open("rb") as file:
            end = file.seek(len(MAGIC))
            for record in records_of(file):
                end, last = file.tell(), from_bytes(record)
                kept = {name.removeprefix(_KEPT): tensor for name, tensor in last.items() if name.startswith(_KEPT)}
                for row, frame in enumerate(last["new"].tolist()):
                    packs[frame] = _pack_of(kept, last["ends"], row)
                means |= dict(zip(map(tuple, last["spans"].tolist()), last["means"], strict=True))
            left = file.seek(0, os.SEEK_END) - end
        columns: dict[str, Any] = {name: last[name].numpy() for name in _COLUMNS}
        spans = zip(columns["first"].tolist(), columns["last"].tolist(), strict=True)
        segments = Segments(**columns, means=torch.stack([means[span] for span in spans]).numpy())
        if last["noise"].shape != (BINS,):
            raise ValueError("the histogram has another size")
        noise = last["noise"].numpy()
        taken = Snapshot(segments, tuple(packs[frame] for frame in segments.frames.tolist()), noise)
        memory = memory_of(taken, origin, about)
        check_kept(memory.tensors, len(memory), about)
    except (SafetensorError, LookupError, TypeError, ValueError, RuntimeError) as err:
        raise damaged(path, f"is damaged ({err})") from err
    except OSError as err:
        raise DatasetError(f"{path} cannot be read ({err.strerror or err}), expected a memory: check the disk") from err
    if not left:
        return memory
    note = f"{path.name}: its last {left} bytes were not sealed, so what was filmed last is not remembered"
    return replace(memory, about=replace(about, warnings=(*about.warnings, note)))


def _record(taken: Snapshot, about: About, origin: Origin, spans: set[Span], frames: set[int]) -> bytes:
    """Return a sealed record of what is not known yet, given the spans and frames that are."""
    segments = taken.segments
    changed = [row for row, span in enumerate(_spans(segments)) if span not in spans]
    new = [row for row, frame in enumerate(segments.frames.tolist()) if frame not in frames]
    columns = {name: getattr(segments, name) for name in _COLUMNS}
    tensors = {name: torch.from_numpy(np.ascontiguousarray(column)) for name, column in columns.items()}
    tensors["means"] = torch.from_numpy(np.ascontiguousarray(segments.means[changed]))
    tensors["spans"] = torch.tensor(_spans(segments), dtype=torch.int64)[changed]
    tensors["new"] = tensors["frames"][new]
    tensors["noise"] = torch.from_numpy(taken.noise)
    packs = [taken.packs[row] for row in new]
    tensors["ends"] = torch.tensor([len(pack["thumbnail"]) for pack in packs], dtype=torch.int64).cumsum(0)
    for name in packs[0] if packs else ():
        parts = [pack[name] for pack in packs]
        tensors[_KEPT + name] = torch.cat(parts) if name == "thumbnail" else torch.stack(parts)
    data = to_bytes(tensors, metadata=metadata_of(origin, about))
    return RECORD.pack(len(data), zlib.crc32(data)) + data


def _spans(segments: Segments) -> list[Span]:
    return list(zip(segments.first.tolist(), segments.last.tolist(), strict=True))


def _pack_of(kept: Mapping[str, Tensor], ends: Tensor, row: int) -> Pack:
    start = int(ends[row - 1]) if row else 0
    pack = {name: tensor[row] for name, tensor in kept.items() if name != "thumbnail"}
    return pack | {"thumbnail": kept["thumbnail"][start : int(ends[row])]}
