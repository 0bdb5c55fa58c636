"""Comparing two results: by all their numbers, or by a hash of them."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import numpy as np
import torch

from dyto.features import VisualTokens


def arrays(tokens: VisualTokens) -> Mapping[str, Any]:
    """Return all arrays in tokens, by name."""
    return {
        "indices": tokens.keyframes.indices,
        "seconds": tokens.keyframes.seconds,
        "positions": tokens.keyframes.positions,
        "keyframe": tokens.keyframe,
        "token sources": tokens.sources.token,
        "frame sources": tokens.sources.keyframe,
        "patch sources": tokens.sources.patch,
    }


def content(array: Any) -> bytes:
    """Hash the numbers of an array."""
    return sha256(np.ascontiguousarray(array).tobytes()).digest()


def digest(tokens: VisualTokens) -> str:
    """Hash everything in tokens except their seconds."""
    found = sha256(repr((tokens.budget, tokens.uncompressed, tokens.grid, tokens.data.dtype)).encode())
    if tokens.data.device.type != "meta":  # for arrays without numbers
        found.update(tokens.data.detach().cpu().contiguous().view(torch.uint8).numpy().tobytes())
    for name, array in arrays(tokens).items():
        found.update(f"{name} {array.dtype} {array.shape}".encode())
        found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()


def difference(one: VisualTokens, other: VisualTokens) -> str:
    """Say what differs between two results that should be equal; "" for nothing."""
    if one.data.shape != other.data.shape:
        return f"{len(one)} tokens and then {len(other)}"
    if not torch.equal(one.data.cpu(), other.data.cpu()):
        return f"tokens that differ by up to {float((one.data.cpu() - other.data.cpu()).abs().max()):.3g}"
    names = [name for name, array in arrays(one).items() if not np.array_equal(array, arrays(other)[name])]
    return f"other {', '.join(names)}" if names else ""
