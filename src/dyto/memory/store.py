"""The file of a memory: one safetensors file whose rows are segments in the order in which the hierarchy splits.

Every tensor but the histogram has a row for each segment, so that whoever reads the first k rows of each has the memory
of k segments. Nothing is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as to_bytes
from torch import Tensor

from dyto.errors import ConfigError, DatasetError
from dyto.finch import IntArray
from dyto.memory import said
from dyto.memory.header import FORMAT, MAGIC, MARK, damaged, facts_of
from dyto.memory.noise import BINS
from dyto.memory.online import Segments
from dyto.memory.origin import Origin
from dyto.memory.packing import KINDS
from dyto.memory.remembered import About, Memory
from dyto.memory.splits import Splits, split_order, time_order
from dyto.system.files import cannot_write, replacing

KEPT = {"summary": 2, "patches": 3, "owners": 2, "scales": 2, "deep": 4, "deep_scales": 3}
"""Tensors of the frames that represent segments, and their axes; the first two are always there."""
SAID = "said"
"""The tensor with the bytes of what is said; it is not there if nothing is."""
MOST_SIDE = 1 << 14
"""Rows or columns of a picture that a file may speak of, so that a hostile one fills no memory."""
WHOLE = ("first", "last", "sizes", "frames", "parents", "edges", "thumbnail_ends")
REAL = ("start", "end", "seconds", "edge_seconds")


def metadata_of(origin: Origin, about: About) -> dict[str, str]:
    """Return the metadata of a file."""
    return {MARK: json.dumps({"format": FORMAT, "origin": origin.written(), "about": asdict(about)})}


def write_memory(memory: Memory, path: Path) -> Path:
    """Write a memory, so that the file is either the old one or the new one.

    Args:
        memory: The memory.
        path: The file.

    Raises:
        DatasetError: The disk is full, or the folder is not writable.
    """
    splits = split_order(memory.segments, memory.directions)
    place = {int(frame): row for row, frame in enumerate(memory.segments.frames)}
    rows = [place[int(frame)] for frame in splits.rows.frames]
    pictures = [memory.thumbnails[row] for row in rows]
    arrays = {
        **splits.rows._asdict(),
        "parents": splits.parents,
        "edges": splits.edges,
        "edge_seconds": splits.edge_seconds,
        "thumbnail_ends": np.cumsum([len(picture) for picture in pictures]),
        "noise": memory.noise,
    }
    tensors = {name: torch.from_numpy(np.ascontiguousarray(array)) for name, array in arrays.items()}
    tensors |= {name: tensor[torch.tensor(rows)].contiguous() for name, tensor in memory.tensors.items()}
    tensors["thumbnails"] = torch.frombuffer(bytearray(b"".join(pictures)), dtype=torch.uint8)
    if memory.said is not None:
        tensors[SAID] = said.written(memory.said)
    data = to_bytes(tensors, metadata=metadata_of(memory.origin, memory.about))
    try:
        with replacing(path) as half:
            half.write_bytes(data)
    except OSError as err:
        raise cannot_write(path, err) from err
    return path


def read_memory(path: Path, segments: int | None = None) -> Memory:
    """Read a memory, or the sealed part of one that still grows.

    Args:
        path: The file.
        segments: Read no more than this; None for all.

    Raises:
        ConfigError: `segments` is below 1.
        DatasetError: It is no memory, or damaged.
    """
    if segments is not None and segments < 1:
        raise ConfigError(f"{segments} segments asked for, expected at least 1")
    facts = facts_of(path)
    with path.open("rb") as file:
        grows = file.read(len(MAGIC)) == MAGIC
    if grows:
        from dyto.memory.journal import read_journal

        memory = read_journal(path)
        return memory if segments is None else memory.prefix(segments)
    try:
        origin, about = described(facts)
        with safe_open(path, framework="pt") as file:
            names = set(file.keys())
            if segments is None:  # mapped: the memory below holds copies, in the order of time
                arrays = {name: file.get_tensor(name) for name in names}
            else:
                taken = min(segments, file.get_slice("frames").get_shape()[0])
                arrays = {name: file.get_slice(name)[:taken] for name in names - {"thumbnails", "noise", SAID}}
                arrays["thumbnails"] = file.get_slice("thumbnails")[: int(arrays["thumbnail_ends"][-1])]
                arrays |= {name: file.get_tensor(name) for name in names & {"noise", SAID}}
            ends, noise = arrays.pop("thumbnail_ends"), arrays.pop("noise").clone()
            return _checked(origin, about, arrays, ends, noise)
    except (SafetensorError, LookupError, TypeError, ValueError, OverflowError, RuntimeError) as err:
        raise damaged(path, f"is damaged ({err})") from err
    except OSError as err:
        raise DatasetError(f"{path} cannot be read ({err.strerror or err}), expected a memory: check the disk") from err


def described(facts: Mapping[str, Any]) -> tuple[Origin, About]:
    """Return the model and the facts of a file.

    Raises:
        ValueError: They are not what is written.
    """
    given: Any = facts.get("about")
    try:
        about = About(**given)
        about = replace(
            about,
            grid=_pair(about.grid),
            size=_pair(about.size),
            source_size=_pair(about.source_size),
            warnings=tuple(map(str, about.warnings)),
        )
    except TypeError as err:
        raise ValueError(f"the video is described by {given!r}") from err
    if about.kind not in KINDS or not isinstance(about.source, str) or not isinstance(about.meaningful, bool):
        raise ValueError(f"the video is described by {given!r}")
    return Origin.read(facts.get("origin")), about


def _pair(given: Any) -> tuple[int, int]:
    whole = isinstance(given, (list, tuple)) and len(given) == 2
    if not whole or any(type(n) is not int or not 0 < n <= MOST_SIDE for n in given):
        raise ValueError(f"{given!r} are no rows and columns")
    return given[0], given[1]


def _checked(origin: Origin, about: About, tensors: dict[str, Tensor], ends: Tensor, noise: Tensor) -> Memory:
    """Return the memory of the rows of a file in the order of splits.

    Raises:
        LookupError: A tensor is missing.
        ValueError: One has the wrong shape, holds NaN, or points nowhere.
    """
    count = len(tensors["frames"])
    order, segments = segments_in(tensors)
    pictures = _pictures(tensors["thumbnails"], _column(ends, "thumbnail_ends", count, torch.int64))
    at = torch.from_numpy(order)
    kept = {name: tensors[name][at] for name in KEPT if name in tensors}
    check_kept(kept, count, about)
    if noise.shape != (BINS,) or noise.dtype != torch.int64 or (noise < 0).any():
        raise ValueError(f"noise is {tuple(noise.shape)} of {noise.dtype}")
    words = said.read(tensors[SAID]) if SAID in tensors else None
    return Memory(origin, about, segments, kept, tuple(pictures[row] for row in order), noise.numpy(), words)


def segments_in(tensors: Mapping[str, Tensor]) -> tuple[IntArray, Segments]:
    """Return the row of each segment in the order of time, and the segments, from the columns of a file.

    Raises:
        LookupError: A column is missing.
        ValueError: One has the wrong shape, holds NaN, or points nowhere.
    """
    count = len(tensors["frames"])
    columns = {name: _column(tensors[name], name, count, torch.int64) for name in WHOLE if name != "thumbnail_ends"}
    columns |= {name: _column(tensors[name], name, count, torch.float64) for name in REAL}
    means = tensors["means"]
    if means.ndim != 2 or len(means) != count or means.dtype != torch.float32 or not torch.isfinite(means).all():
        raise ValueError(f"means are {tuple(means.shape)} of {means.dtype}, or hold NaN")
    columns["means"] = means.numpy()
    rows = Segments(**{name: columns[name] for name in Segments._fields})
    splits = Splits(rows, columns["parents"], columns["edges"], columns["edge_seconds"])
    return time_order(splits, count)


def check_kept(kept: Mapping[str, Tensor], count: int, about: About) -> None:
    """Check the tensors of the frames that represent segments.

    Raises:
        LookupError: One is missing.
        ValueError: One has the wrong shape, or holds NaN, or points nowhere.
    """
    patches, n = kept["patches"], about.grid[0] * about.grid[1]
    for name, tensor in kept.items():
        if tensor.ndim != KEPT[name] or len(tensor) != count or 0 in tensor.shape:
            raise ValueError(f"{name} has shape {tuple(tensor.shape)}")
        if tensor.is_floating_point() and not _is_finite(tensor):
            raise ValueError(f"{name} hold NaN or infinity")
    held, owners = patches.shape[1], kept.get("owners")
    if kept["summary"].shape[0] != count or (owners is None and held != n):
        raise ValueError(f"patches have shape {tuple(patches.shape)}, and a frame has {n}")
    if owners is not None and (owners.shape[1] != n or not 0 <= owners.min() <= owners.max() < held):
        raise ValueError("owners point to patches that are not there")
    whole = about.kind == "int8"
    if ("scales" in kept) != whole or (patches.dtype == torch.int8) != whole or patches.is_floating_point() == whole:
        raise ValueError(f"patches are of {patches.dtype}")


def _is_finite(tensor: Tensor) -> bool:
    """Return whether no number is NaN or infinity; their sum, which is soon made, seldom says so wrongly."""
    return bool(torch.isfinite(tensor.sum(dtype=torch.float32))) or bool(torch.isfinite(tensor).all())


def _column(tensor: Tensor, name: str, count: int, dtype: torch.dtype) -> np.ndarray[Any, Any]:
    if tensor.shape != (count,) or tensor.dtype != dtype or not torch.isfinite(tensor).all():
        raise ValueError(f"{name} is {tuple(tensor.shape)} of {tensor.dtype}, or holds NaN")
    return np.asarray(tensor.numpy())


def _pictures(data: Tensor, ends: np.ndarray[Any, Any]) -> list[bytes]:
    if data.dtype != torch.uint8 or (np.diff(ends, prepend=0) <= 0).any() or ends[-1] != len(data):
        raise ValueError("the thumbnails are not where they should be")
    whole = data.numpy().tobytes()
    return [whole[start:end] for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=True)]
