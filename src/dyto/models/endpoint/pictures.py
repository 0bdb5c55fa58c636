"""Key frames as pictures for an endpoint: as many as the budget pays for, and as large."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image

from dyto.features import KeyFrames, Sources, VisualTokens
from dyto.finch import IntArray
from dyto.keyframes import thin
from dyto.models.endpoint.counting import Count, fitted
from dyto.strategies.base import too_small

if TYPE_CHECKING:
    from dyto.video import Frames

SMALLEST = 256
"""Longest side of a picture below which it is left out rather than shrunk, in pixels."""

STEP = 4
"""Steps in which a picture's longest side is shrunk, in pixels."""

QUALITY = 90
"""Quality of JPEG files."""


@dataclass(frozen=True, repr=False)
class FramePicture:
    """A key frame as a file.

    Attributes:
        content: The bytes of the file.
        kind: "png" or "jpeg", whichever is smaller.
        height: In pixels.
        width: In pixels.
        tokens: What it costs at the endpoint, by the rule.
    """

    content: bytes
    kind: str
    height: int
    width: int
    tokens: int

    @classmethod
    def of(cls, pixels: npt.NDArray[np.uint8], tokens: int) -> FramePicture:
        """Encode (H, W, 3) pixels."""
        files: dict[str, bytes] = {}
        for kind, options in (("png", {"optimize": False}), ("jpeg", {"quality": QUALITY})):
            file = io.BytesIO()
            Image.fromarray(pixels).save(file, kind, **options)
            files[kind] = file.getvalue()
        kind = min(files, key=lambda kind: (len(files[kind]), kind == "jpeg"))
        return cls(files[kind], kind, pixels.shape[0], pixels.shape[1], tokens)

    @property
    def url(self) -> str:
        """The file as an address that holds it."""
        return f"data:image/{self.kind};base64,{base64.b64encode(self.content).decode('ascii')}"


@dataclass(frozen=True, repr=False)
class SentPictures(VisualTokens):
    """What an endpoint reads of a video: whole key frames. Their tokens are only counted, so `data` is zero.

    Attributes:
        pictures: The K key frames, in order.
    """

    pictures: tuple[FramePicture, ...] = ()

    @property
    def nbytes(self) -> int:
        """Bytes of memory that the pictures and their sources hold."""
        return super().nbytes + sum(len(picture.content) for picture in self.pictures)


def as_whole_pictures(tokens: VisualTokens, frames: Frames, count: Count) -> SentPictures:
    """Replace the tokens of a strategy by its key frames, each as large as its tokens pay for.

    Args:
        tokens: What a strategy chose among the frames.
        frames: The frames.
        count: The endpoint's rule.

    Returns:
        The pictures; together they cost the budget at most.

    Raises:
        ConfigError: The budget does not pay for a single picture.
    """
    height, width = frames.data.shape[1:3]
    chosen, paid = shares(
        np.bincount(tokens.keyframe, minlength=len(tokens.keyframes)),
        least=count(*size_within(height, width, SMALLEST)),
        most=count(height, width),
        budget=tokens.budget,
    )
    pictures = tuple(
        shrunk(frames.data[position], int(share), count)
        for position, share in zip(tokens.keyframes.positions[chosen], paid, strict=True)
    )
    costs = np.array([picture.tokens for picture in pictures], np.int64)
    total = int(costs.sum())
    keyframe = np.repeat(np.arange(len(pictures)), costs)
    old = tokens.keyframes
    whole = count(height, width)
    said = []
    if (np.bincount(tokens.keyframe, minlength=len(old)) != whole).any():
        said.append(MERGING_LEFT_OUT)
    if len(chosen) < len(old):
        said.append(
            f"{len(chosen)} of {len(old)} key frames are sent, since a budget of {tokens.budget} tokens pays for no "
            "more pictures"
        )
    return SentPictures(
        data=torch.zeros(total, 1),
        keyframes=KeyFrames(old.indices[chosen], old.seconds[chosen], old.positions[chosen]),
        keyframe=keyframe,
        sources=Sources(np.arange(total), keyframe, np.zeros(total, np.int64)),
        grid=(1, 1),
        budget=tokens.budget,
        uncompressed=tokens.uncompressed,
        summary_source=tokens.summary_source,
        stages=tokens.stages,
        warnings=(*tokens.warnings, *said),
        pictures=pictures,
    )


MERGING_LEFT_OUT = "key frames are sent whole, and smaller where the budget asks for it: an endpoint merges no tokens"
"""Warning in place of a strategy's merging."""


def shares(given: IntArray, least: int, most: int, budget: int | None) -> tuple[IntArray, IntArray]:
    """Share out a budget among pictures.

    Args:
        given: (K,) tokens that the strategy gave to each key frame.
        least: What the smallest picture costs.
        most: What the largest costs.
        budget: Tokens in all; None for no limit.

    Returns:
        The positions of those that are sent, ascending, and what each may cost, `least` to `most`. Those with most
        tokens come first; among equal ones they are spread evenly.

    Raises:
        ConfigError: The budget is below `least`.

    Example:
        >>> [part.tolist() for part in shares(np.array([90, 5, 90, 5]), least=20, most=100, budget=200)]
        [[0, 1, 2, 3], [80, 20, 80, 20]]
        >>> [part.tolist() for part in shares(np.array([9, 9, 9, 9]), least=20, most=100, budget=50)]
        [[0, 3], [20, 20]]
    """
    if budget is None:
        return np.arange(len(given)), np.full(len(given), most, np.int64)
    if budget < least:
        raise too_small(budget, least, "the smallest picture at this endpoint", "state --tokens-per-image")
    room = min(len(given), budget // least)
    edge = np.sort(given)[::-1][room - 1]
    above, equal = np.flatnonzero(given > edge), np.flatnonzero(given == edge)
    chosen = np.sort(np.concatenate([above, thin(equal, room - len(above))]))
    wanted = np.clip(given[chosen], least, max(least, most))
    more = wanted - least
    spare = budget - least * len(chosen)
    if more.sum() > spare:
        more = more * spare // more.sum()
    return chosen, least + more


def size_within(height: int, width: int, longest: int) -> tuple[int, int]:
    """Return the (height, width) of a picture whose longer side is at most `longest`; it never grows."""
    rows, cols = fitted(height, width, longest)
    return max(1, round(rows)), max(1, round(cols))


def shrunk(pixels: npt.NDArray[np.uint8], share: int, count: Count) -> FramePicture:
    """Return the largest picture of an (H, W, 3) frame that costs at most a share."""
    height, width = pixels.shape[:2]
    sides: Sequence[int] = [*range(max(height, width), SMALLEST, -STEP), SMALLEST]
    sizes = (size_within(height, width, side) for side in sides)
    rows, cols = next((size for size in sizes if count(*size) <= share), size_within(height, width, SMALLEST))
    if (rows, cols) != (height, width):
        pixels = np.asarray(Image.fromarray(pixels).resize((cols, rows), Image.Resampling.LANCZOS))
    return FramePicture.of(np.ascontiguousarray(pixels), count(rows, cols))
