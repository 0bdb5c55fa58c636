"""What is said in a video, as bytes in the file of its memory."""

from __future__ import annotations

import json
import zlib

import torch
from torch import Tensor

from dyto.subtitles.finding import LONGEST, MOST_LINES, Subtitles, tidy
from dyto.subtitles.parsing import Subtitle

MOST_BYTES = MOST_LINES * (4 * LONGEST + 100)
"""Bytes that the lines may have, so that a hostile file fills no memory."""


def written(said: Subtitles) -> Tensor:
    """Return subtitles as (bytes,) uint8."""
    lines = [(line.start, line.end, line.text) for line in said.lines]
    text = json.dumps({"source": said.source, "notes": said.notes, "lines": lines})
    return torch.frombuffer(bytearray(zlib.compress(text.encode())), dtype=torch.uint8)


def read(data: Tensor) -> Subtitles:
    """Return the subtitles that `written` made bytes of; a model that reads no words may go without.

    Raises:
        ValueError: They are something else.

    Example:
        >>> read(written(Subtitles((Subtitle(1.0, 2.5, "Hello there."),), "film.srt")))
        Subtitles(1 line of film.srt, 1.0 s to 2.5 s)
    """
    if data.dtype != torch.uint8 or data.ndim != 1:
        raise ValueError(f"what is said is {tuple(data.shape)} of {data.dtype}")
    try:
        packed = zlib.decompressobj()
        found = json.loads(packed.decompress(data.numpy().tobytes(), MOST_BYTES))
        lines = [Subtitle(float(start), float(end), str(text)) for start, end, text in found["lines"]]
        return Subtitles(tidy(lines), str(found["source"]), True, tuple(map(str, found["notes"])))
    except (zlib.error, LookupError, TypeError, ValueError, RecursionError) as err:
        raise ValueError(f"what is said cannot be read: {err}") from err
