"""What is said in a video, as bytes in the file of its memory."""

from __future__ import annotations

import json
import zlib

import torch
from torch import Tensor

from dyto.subtitles.finding import LONGEST, MOST_LINES, Subtitles

MOST_BYTES = MOST_LINES * (4 * LONGEST + 100)
"""Bytes that the lines may have, so that a hostile file fills no memory."""


def written(said: Subtitles) -> Tensor:
    """Return subtitles as (bytes,) uint8."""
    text = json.dumps({"source": said.source, "notes": said.notes, "lines": said.plain})
    return torch.frombuffer(bytearray(zlib.compress(text.encode())), dtype=torch.uint8)


def read(data: Tensor) -> Subtitles:
    """Return the subtitles that `written` made bytes of; a model that reads no words may go without.

    Raises:
        ValueError: They are something else.

    Example:
        >>> read(written(Subtitles.of([[1.0, 2.5, "Hello there."]], "film.srt", optional=True, notes=())))
        Subtitles(1 line of film.srt, 1.0 s to 2.5 s)
    """
    if data.dtype != torch.uint8 or data.ndim != 1:
        raise ValueError(f"what is said is {tuple(data.shape)} of {data.dtype}")
    try:
        packed = zlib.decompressobj()
        found = json.loads(packed.decompress(data.numpy().tobytes(), MOST_BYTES))
        return Subtitles.of(found["lines"], found["source"], optional=True, notes=found["notes"])
    except (zlib.error, LookupError, TypeError, ValueError, RecursionError) as err:
        raise ValueError(f"what is said cannot be read: {err}") from err
