"""Single pictures in LLaVA-NeXT's own path: a small copy of the picture, then tiles, with a newline after each row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.finch import FloatArray
from dyto.models.loading.placement import device_of
from dyto.models.towers import CHUNK_FRAMES, FrameTower


@dataclass(frozen=True)
class PictureTokens:
    """The tokens of one picture for the language model.

    Attributes:
        data: (L, D) tokens.
        boxes: (L, 4) top, left, bottom and right of each token's area, as fractions of the picture; NaN for a newline,
            which has no area.
    """

    data: Tensor
    boxes: FloatArray


class AnyresTower(FrameTower):
    """A tower of a family that reads a picture in tiles ("anyres"), as stock LLaVA-NeXT does."""

    def picture_length(self, size: tuple[int, int]) -> int:
        """Return the number of tokens of a picture of (height, width), with its tiles."""
        return len(self._boxes(size, tiles=True))

    @torch.inference_mode()
    def encode_picture(self, picture: npt.NDArray[np.uint8], tiles: bool = True) -> PictureTokens:
        """Encode a picture as stock transformers does.

        Args:
            picture: (H, W, 3) uint8.
            tiles: Whether to use its tiles too; False for the picture alone, squashed to the tower's square.

        Returns:
            The tokens, equal to stock `get_image_features`.
        """
        size = (picture.shape[0], picture.shape[1])
        boxes = self._boxes(size, tiles)
        if not tiles:
            return PictureTokens(self.encode([picture]).patches()[0], boxes)
        from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

        config, side = self.model.config, self._side()
        processor = LlavaNextImageProcessorPil(
            size={"shortest_edge": side},
            crop_size={"height": side, "width": side},
            image_grid_pinpoints=config.image_grid_pinpoints,
            image_mean=list(self.normalization.mean),
            image_std=list(self.normalization.std),
        )
        pixels = processor(images=[picture], return_tensors="pt").pixel_values[0]  # (1 + tiles, 3, side, side)
        weight = next(self.tower().parameters())
        pixels = pixels.to(device_of(self.tower()), weight.dtype)
        seen = [self.project(self.tower_states(some)[:, 1:]) for some in pixels.split(CHUNK_FRAMES)]
        return PictureTokens(self._pack(torch.cat(seen), size, self.model.model.image_newline), boxes)

    def _side(self) -> int:
        return int(self.model.config.vision_config.image_size)

    def _pack(self, parts: Tensor, size: tuple[int, int], newline: Tensor) -> Tensor:
        """Join the (1 + tiles, N, D) parts of a picture to (L, D), as stock transformers does."""
        packed: Any = self.model.model.pack_image_features(
            [parts], torch.tensor([size]), vision_feature_select_strategy="default", image_newline=newline
        )
        tokens: Tensor = packed[0][0]
        return tokens

    def _boxes(self, size: tuple[int, int], tiles: bool) -> FloatArray:
        """Return (L, 4) `PictureTokens.boxes`: places of patches, joined in the same order as the patches."""
        side, (rows, cols) = self._side(), self.grid
        row, col = (place.reshape(-1, 1) for place in np.indices((rows, cols)))
        whole = np.hstack([row / rows, col / cols, (row + 1) / rows, (col + 1) / cols])  # (N, 4)
        if not tiles:
            return whole
        from transformers.image_processing_utils import get_patch_output_size, select_best_resolution
        from transformers.image_utils import ChannelDimension

        target = select_best_resolution(size, self.model.config.image_grid_pinpoints)
        blank = np.broadcast_to(np.uint8(0), (3, *size))
        shrunk = get_patch_output_size(blank, target, input_data_format=ChannelDimension.FIRST)
        margin = [(target[axis] - shrunk[axis]) // 2 for axis in (0, 1)]  # the picture is in the middle
        corners = [(top, left) for top in range(0, target[0], side) for left in range(0, target[1], side)]
        places = [
            (whole * side + np.array([top, left] * 2) - np.array(margin * 2)) / np.array([*shrunk, *shrunk])
            for top, left in corners
        ]
        parts = torch.from_numpy(np.stack([whole, *np.clip(places, 0, 1)]))  # (1 + tiles, N, 4)
        boxes: FloatArray = self._pack(parts, size, torch.full((4,), torch.nan, dtype=parts.dtype)).numpy()
        return boxes
