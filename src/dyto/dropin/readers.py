"""Readers of the pixels and placeholders that each family's processor makes."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor

from dyto.dropin.inputs import Visual, pictures_of
from dyto.errors import ConfigError
from dyto.models.base import VideoModel

Call: TypeAlias = Mapping[str, Any]
Reader: TypeAlias = Callable[[VideoModel, Call], list[Visual]]
"""Function from an adapter and the arguments of a call to its images and videos, in the order of placeholders."""


def images(adapter: VideoModel, call: Call) -> list[Visual]:
    """Read (I, 3, H, W): one picture per image, each with the tokens of one frame."""
    _only(adapter, call, "pixel_values")
    pictures = pictures_of(call["pixel_values"], adapter.normalization)  # (I, H, W, 3)
    return [Visual(picture[None], adapter.num_patches) for picture in pictures]


def single_tiles(adapter: VideoModel, call: Call) -> list[Visual]:
    """Read pixels as `images` does; tiles of one image are adjacent, frames are not."""
    ids = call["input_ids"]
    marks = torch.nn.functional.pad((ids == adapter.model.config.image_token_id).int(), (1, 1))  # (B, 1 + L + 1)
    edges = marks.diff(dim=1)
    lengths = (edges == -1).nonzero()[:, 1] - (edges == 1).nonzero()[:, 1]
    if (lengths > adapter.num_patches).any():
        raise ConfigError(
            "an image was cut into tiles, expected one tile a frame: call the processor with max_patches=1"
        )
    return images(adapter, call)


def filled_rows(adapter: VideoModel, call: Call) -> list[Visual]:
    """Read (B, I, 3, H, W): as `images`, with rows of fewer images padded with zeros."""
    _only(adapter, call, "pixel_values")
    pixels = call["pixel_values"].flatten(0, 1)  # (B * I, 3, H, W)
    real = (pixels != 0).flatten(1).any(1)
    pictures = pictures_of(pixels[real], adapter.normalization)
    before = call["input_ids"].roll(1, 1)
    first = (call["input_ids"] == adapter.model.config.image_token_id) & (before != adapter.model.config.image_token_id)
    if len(before[first].unique()) > 1:
        raise ConfigError(
            "an image was split, expected one picture a frame: call the processor with do_image_splitting=False"
        )
    return [Visual(picture[None], adapter.num_patches) for picture in pictures]


def videos(adapter: VideoModel, call: Call) -> list[Visual]:
    """Read (V, T, 3, H, W) videos, which the family may end with its own tokens."""
    _only(adapter, call, "pixel_values_videos")
    end = 0 if (closing := adapter.video_end()) is None else len(closing)
    found = [pictures_of(video, adapter.normalization) for video in call["pixel_values_videos"]]
    return [Visual(video, len(video) * adapter.num_patches + end, end, video=True) for video in found]


def base_tiles(adapter: VideoModel, call: Call) -> list[Visual]:
    """Read (I, tiles, 3, H, W): the base tile of every image, which shows all of it, without the finer tiles."""
    from transformers.models.llava_next.modeling_llava_next import image_size_to_num_patches

    if call.get("image_sizes") is None:
        raise ConfigError("pixel_values came without image_sizes: pass everything that the processor made")
    config, pixels = adapter.model.config, call["pixel_values"]
    side = config.vision_config.image_size
    tiles = [image_size_to_num_patches(size, config.image_grid_pinpoints, side) for size in call["image_sizes"]]
    _, lengths = adapter.model.model.pack_image_features(  # features of width one: only their number matters
        [torch.zeros(count, adapter.num_patches, 1) for count in tiles],
        call["image_sizes"],
        vision_feature_select_strategy="default",
        image_newline=torch.zeros(1),
    )
    base = torch.stack([image[0] for image in pixels])  # (I, 3, H, W)
    pictures = pictures_of(base, adapter.normalization)
    return [Visual(p[None], int(length), tiled=True) for p, length in zip(pictures, lengths, strict=True)]


def native_patches(adapter: VideoModel, call: Call) -> list[Visual]:
    """Read (n, C * 2 * p * p) patches of images or videos, in which two consecutive frames make one patch."""
    return [*_patched(adapter, call, video=False), *_patched(adapter, call, video=True)]


def placed_patches(adapter: VideoModel, call: Call) -> list[Visual]:
    """Return (I, P, p * p * 3) patches of images, or of all videos' frames, and the place (x, y) of each, or -1."""
    visuals = []
    for kind, pixels in (("image", call.get("pixel_values")), ("video", call.get("pixel_values_videos"))):
        places = call.get(f"{kind}_position_ids")
        if pixels is None:
            continue
        if places is None:
            raise ConfigError(f"pixels came without {kind}_position_ids: pass everything that the processor made")
        counts = [1] * len(pixels) if kind == "image" else _frames_of_each(call, pixels)
        frames = [_put_together(*one) for one in zip(pixels.flatten(0, -3), places.flatten(0, -3), strict=True)]
        vision = adapter.model.config.vision_config
        side = vision.patch_size * vision.pooling_kernel_size
        for count in counts:
            own, frames = torch.stack(frames[:count]), frames[count:]  # (T, 3, H, W)
            visuals.append(
                Visual(
                    pictures_of(own, adapter.normalization),
                    tokens=own.shape[2] * own.shape[3] // side**2 * count,
                    video=kind == "video",
                    mark=getattr(adapter.model.config, f"{kind}_token_id"),
                )
            )
    return visuals


def _frames_of_each(call: Call, pixels: Tensor) -> list[int]:
    """Return the frames of each video: transformers 5.17 has an axis for them, later versions their counts."""
    if pixels.ndim == 4:
        return [pixels.shape[1]] * len(pixels)
    if call.get("num_frames_per_video") is None:
        raise ConfigError("pixels came without num_frames_per_video: pass everything that the processor made")
    return [int(count) for count in call["num_frames_per_video"]]


def _put_together(patches: Tensor, places: Tensor) -> Tensor:
    """Reassemble (3, H, W) from (P, p * p * 3) patches, left to right and top to bottom."""
    cols, rows = (int(most) + 1 for most in places.amax(0))
    side = math.isqrt(patches.shape[1] // 3)
    x = patches[: rows * cols].reshape(rows, cols, side, side, 3)
    return x.permute(4, 0, 2, 1, 3).reshape(3, rows * side, cols * side)


def _patched(adapter: VideoModel, call: Call, video: bool) -> list[Visual]:
    kind = "video" if video else "image"
    pixels, grids = call.get("pixel_values_videos" if video else "pixel_values"), call.get(f"{kind}_grid_thw")
    if pixels is None:
        return []
    if grids is None or int(grids.prod(1).sum()) != len(pixels):
        raise ConfigError("pixels came without their grid_thw: pass everything that the processor made")
    merge = adapter.model.config.vision_config.spatial_merge_size
    apart = call.get("second_per_grid_ts") if video else None
    visuals = []
    for number, (grid, patches) in enumerate(zip(grids.tolist(), pixels.split(grids.prod(1).tolist()), strict=True)):
        visuals.append(
            Visual(
                pictures_of(_unfold(patches, grid, adapter), adapter.normalization),
                tokens=grid[0] * grid[1] * grid[2] // merge**2,
                seconds=None if apart is None else np.arange(grid[0]) * float(apart[number]),
                patches=patches.split(grid[1] * grid[2]),
                video=video,
                mark=getattr(adapter.model.config, f"{kind}_token_id"),
            )
        )
    return visuals


def _unfold(patches: Tensor, grid: list[int], adapter: VideoModel) -> Tensor:
    """Return (T, 3, H, W) pixels from (T * h * w, C * t * p * p) patches, using the first frame of each patch."""
    vision = adapter.model.config.vision_config
    (frames, rows, cols), p, m = grid, vision.patch_size, vision.spatial_merge_size
    x = patches.reshape(frames, rows // m, cols // m, m, m, -1, vision.temporal_patch_size, p, p)
    x = x[:, :, :, :, :, :, 0].permute(0, 5, 1, 3, 6, 2, 4, 7)  # (T, 3, rows / m, m, p, cols / m, m, p)
    return x.reshape(frames, -1, rows * p, cols * p)


def _only(adapter: VideoModel, call: Call, name: str) -> None:
    """Refuse pixels for which this family has another path."""
    for other in ("pixel_values", "pixel_values_videos"):
        if other != name and call.get(other) is not None:
            raise ConfigError(
                f"{other} were given, but {adapter.name} takes the frames of a video as {name}: pass those"
            )
