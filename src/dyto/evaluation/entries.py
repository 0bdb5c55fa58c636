"""Conversion of an encoded video to the tensors and header of a file, and back with checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dyto.features import KeyFrames, Sources, VisualTokens

MARK = "dyto"
"""Key of the header in a file's metadata; it marks the file as ours."""

_INTEGERS = ("indices", "positions", "keyframe", "source_token", "source_keyframe", "source_patch")


def to_entry(tokens: VisualTokens) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Return the tensors and the header of some tokens."""
    arrays = {
        "indices": tokens.keyframes.indices,
        "seconds": tokens.keyframes.seconds,
        "positions": tokens.keyframes.positions,
        "keyframe": tokens.keyframe,
        "source_token": tokens.sources.token,
        "source_keyframe": tokens.sources.keyframe,
        "source_patch": tokens.sources.patch,
    }
    kinds = {name: np.int64 if name in _INTEGERS else np.float64 for name in arrays}
    # Copies: two columns of a strategy may be one array, which the format refuses.
    tensors = {name: torch.from_numpy(np.array(array, kinds[name])) for name, array in arrays.items()}
    tensors["data"] = tokens.data.detach().cpu().contiguous()
    if tokens.places is not None:
        tensors["places"] = torch.from_numpy(np.ascontiguousarray(tokens.places, np.int64))
    if tokens.deep is not None:
        tensors["deep"] = tokens.deep.detach().cpu().contiguous()
    header = {name: getattr(tokens, name) for name in ("grid", "budget", "uncompressed", "summary_source")}
    return tensors, header | {"warnings": list(tokens.warnings)}


def read_entry(tensors: Mapping[str, Tensor], header: Mapping[str, Any], width: int | None = None) -> VisualTokens:
    """Rebuild tokens from the content of a file.

    Args:
        tensors: Tensors by name.
        header: The header.
        width: Width of the tokens; None for any.

    Raises:
        LookupError: A tensor or field is missing.
        TypeError: A field of the header has the wrong type.
        ValueError: A tensor has the wrong shape or dtype, holds NaN, or an index is out of range.
    """
    data = _numbers(tensors, "data", (None, width))
    deep = _numbers(tensors, "deep", (None, len(data), None)) if "deep" in tensors else None
    whole = {name: _whole(tensors[name], name) for name in _INTEGERS}
    frames = len(whole["indices"])
    seconds = tensors["seconds"]
    if seconds.dtype != torch.float64 or not torch.isfinite(seconds).all():
        raise ValueError(f"seconds are of {seconds.dtype}, or hold NaN")
    for name, shape in (("seconds", frames), ("positions", frames), ("keyframe", len(data))):
        if tensors[name].shape != (shape,):
            raise ValueError(f"{name} has shape {tuple(tensors[name].shape)}, expected ({shape},)")
    sources = len(whole["source_token"])
    for name, most in (("keyframe", frames), ("source_token", len(data)), ("source_keyframe", frames)):
        if whole[name].size and whole[name].max() >= most:
            raise ValueError(f"{name} points to {whole[name].max()} of {most}")
    if any(len(whole[name]) != sources for name in ("source_keyframe", "source_patch")):
        raise ValueError("the sources are not of one length")
    if (np.diff(whole["source_token"]) < 0).any():
        raise ValueError("the sources are not in the order of their tokens")
    grid, budget, summary = header["grid"], header["budget"], header["summary_source"]
    numbers = [*grid, header["uncompressed"], *([] if budget is None else [budget])]
    texts = [*header["warnings"], *([] if summary is None else [summary])]
    if len(grid) != 2 or any(type(number) is not int for number in numbers) or any(type(t) is not str for t in texts):
        raise TypeError(f"the header is {dict(header)!r}")
    return VisualTokens(
        data=data,
        keyframes=KeyFrames(whole["indices"], seconds.numpy(), whole["positions"]),
        keyframe=whole["keyframe"],
        sources=Sources(whole["source_token"], whole["source_keyframe"], whole["source_patch"]),
        grid=(grid[0], grid[1]),
        budget=budget,
        uncompressed=header["uncompressed"],
        summary_source=summary,
        warnings=tuple(header["warnings"]),
        deep=deep,
        places=_whole(tensors["places"], "places") if "places" in tensors else None,
    )


def _numbers(tensors: Mapping[str, Tensor], name: str, shape: tuple[int | None, ...]) -> Tensor:
    """Return a tensor of finite numbers; None in the shape allows any length."""
    tensor = tensors[name]
    if len(tensor.shape) != len(shape) or any(w not in (None, n) for w, n in zip(shape, tensor.shape, strict=True)):
        raise ValueError(f"{name} has shape {tuple(tensor.shape)}, expected {shape}")
    if not tensor.dtype.is_floating_point or not torch.isfinite(tensor).all():
        raise ValueError(f"{name} is of {tensor.dtype}, or holds NaN or infinity")
    return tensor


def _whole(tensor: Tensor, name: str) -> Any:
    """Return an array of whole numbers, none below 0."""
    if tensor.dtype != torch.int64 or tensor.ndim != 1 or bool((tensor < 0).any()):
        raise ValueError(
            f"{name} is of {tensor.dtype} and shape {tuple(tensor.shape)}, expected whole numbers from 0 on"
        )
    return tensor.numpy()
