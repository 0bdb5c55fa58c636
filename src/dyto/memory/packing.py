"""What is kept of the frame that represents a segment: summary, patches and picture, in few bytes.

Patches are merged by halves, as `plus` merges them, until they fit: merging goes on from there without a difference, as
long as no more tokens are asked for than are kept. Beyond that the picture is encoded again.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from dyto.errors import ConfigError, unknown
from dyto.features import FrameFeatures
from dyto.merge import merge_with_owners

Picture: TypeAlias = "npt.NDArray[np.uint8]"
Pack: TypeAlias = Mapping[str, Tensor]
"""Tensors of one frame by name: "summary" (D,), "patches" (R, D), "thumbnail" (bytes,) uint8; if patches were merged,
"owners" (N,), with DeepStack "deep" (levels, R, D), and as int8 "scales" (R,) and "deep_scales" (levels, R)."""

KINDS = ("same", "float16", "int8")
"""What numbers patches are kept as: the model's own dtype, or fewer bytes."""
QUALITIES = (90, 75, 50, 25)
"""JPEG qualities that are tried until a picture fits."""
PICTURE_SHARE = 0.25
"""Part of a segment's bytes that its picture may take."""
COLUMNS = 256
"""Bytes of a segment for times, counts and the like."""


@dataclass(frozen=True)
class Packing:
    """How much is kept of a frame.

    Attributes:
        kind: One of `KINDS`.
        patches: Number of merged patches, R.
        picture_bytes: Most bytes of its picture.
        num_patches: Patches of a frame, N.
    """

    kind: str
    patches: int
    picture_bytes: int
    num_patches: int

    @classmethod
    def fitting(cls, features: FrameFeatures, segments: int, kind: str, max_mb: float) -> Packing:
        """Choose how far patches are merged so that a file of so many segments fits.

        Args:
            features: Features of a frame.
            segments: How many are kept.
            kind: One of `KINDS`.
            max_mb: Size limit of the file in MB.

        Raises:
            ConfigError: The kind is unknown, or not even one token of each fits.
        """
        if kind not in KINDS:
            raise unknown("kind of numbers", kind, KINDS)
        if isinstance(max_mb, bool) or not isinstance(max_mb, (int, float)) or not max_mb > 0:
            raise ConfigError(f"max_mb is {max_mb!r}, expected megabytes above 0: give e.g. max_mb=64")
        n, one = features.num_patches, torch.zeros(1, dtype=torch.int64)
        levels = 0 if features.load_deep is None else len(features.load_deep(one))
        size = {"same": features.summary.element_size(), "float16": 2, "int8": 1}[kind]
        token = (1 + levels) * (features.dim * size + 2 * (kind == "int8"))
        width = features.summary.shape[1]
        room = max_mb * 1e6 / segments - COLUMNS - width * (4 + features.summary.element_size())
        picture = int(PICTURE_SHARE * room)
        kept = n
        while kept * token + (2 * n if kept < n else 0) > room - picture:
            if kept == 1 or room <= 0:
                raise ConfigError(
                    f"{segments} segments of a token of {token} bytes each do not fit into {max_mb:g} MB: raise "
                    "max_mb, or remember fewer segments"
                )
            kept -= kept // 2
        return cls(kind, kept, picture, n)

    @torch.no_grad()
    def pack(self, features: FrameFeatures, row: int, picture: Picture) -> Pack:
        """Return what is kept of a frame.

        Args:
            features: Features of some frames.
            row: Its position among them.
            picture: (H, W, 3) uint8, as the model saw it.
        """
        position = torch.tensor([row])
        patches = features.patches(position)  # (1, N, D)
        deep = None if features.load_deep is None else features.load_deep(position)[:, 0]  # (levels, N, D)
        pack = {"summary": features.summary[row].detach().cpu().clone()}
        if self.patches < self.num_patches:
            patches, owners = merge_with_owners(patches, self.patches, "max", "alternate", "raster", 1)
            pack["owners"] = owners[0].to("cpu", torch.int16)
            if deep is not None:
                deep = _means(deep, owners[0], self.patches)
        pack |= self._numbers("patches", "scales", patches[0])
        if deep is not None:
            pack |= self._numbers("deep", "deep_scales", deep)
        pack["thumbnail"] = torch.frombuffer(bytearray(jpeg(picture, self.picture_bytes)), dtype=torch.uint8)
        return pack

    def _numbers(self, name: str, scales: str, x: Tensor) -> dict[str, Tensor]:
        x = x.detach().cpu()
        if self.kind == "same":
            return {name: x.clone()}
        if self.kind == "float16":
            return {name: x.clamp(-65504, 65504).half()}
        most = x.float().abs().amax(-1, keepdim=True).clamp(1e-12, 65504 * 127)
        scale = (most / 127).half().float().clamp(min=6e-8)
        whole = (x.float() / scale).round().clamp(-127, 127).to(torch.int8)
        return {name: whole, scales: scale[..., 0].half()}


def unpacked(numbers: Tensor, scales: Tensor | None, like: Tensor) -> Tensor:
    """Return (..., R, D) numbers in the dtype and on the device of another tensor; int8 by their (..., R) scales."""
    if scales is not None:
        return (numbers.to(like.device).float() * scales.to(like.device).float()[..., None]).to(like.dtype)
    return numbers.to(like)


def jpeg(picture: Picture, most: int) -> bytes:
    """Return a picture as JPEG, in the best of `QUALITIES` that fits; if none does, at half its size and so on.

    Args:
        picture: (H, W, 3) uint8.
        most: Bytes that it may take.

    Example:
        >>> grey = np.full((48, 64, 3), 127, np.uint8)
        >>> picture_of(jpeg(grey, 4000)).shape
        (48, 64, 3)
    """
    image = Image.fromarray(picture)
    while True:
        for quality in QUALITIES:
            buffer = io.BytesIO()
            image.save(buffer, "JPEG", quality=quality)
            if buffer.tell() <= most or max(image.size) <= 16:
                return buffer.getvalue()
        image = image.resize((max(1, image.width // 2), max(1, image.height // 2)), Image.Resampling.BOX)


def picture_of(data: bytes) -> Picture:
    """Return the picture, (H, W, 3) uint8, of a JPEG.

    Raises:
        OSError: It is none.
    """
    try:
        with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
            return np.asarray(image.convert("RGB"))
    except Image.DecompressionBombError as err:
        raise OSError(str(err)) from err


def _means(deep: Tensor, owners: Tensor, count: int) -> Tensor:
    """Return the (levels, R, D) means of (levels, N, D) over the patches of each merged one."""
    total = deep.new_zeros(len(deep), count, deep.shape[2], dtype=torch.float32).index_add_(1, owners, deep.float())
    return (total / torch.bincount(owners, minlength=count)[:, None]).to(deep.dtype)
