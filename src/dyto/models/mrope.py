"""The common parts of Qwen2.5-VL and Qwen3-VL: native aspect ratio, and three position axes (M-RoPE)."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from dyto.errors import ModelError
from dyto.features import FrameFeatures, PatchLoader, VisualTokens
from dyto.finch import FloatArray, IntArray
from dyto.models.base import VideoModel
from dyto.models.generation.layout import Layout, TextRun
from dyto.models.loading.placement import device_of
from dyto.models.pixels import NativeSize, Pictures, as_pictures, resize_pictures
from dyto.models.qwen_attention import watched
from dyto.models.stock import StockModel, Tokenizer
from dyto.models.towers import look

if TYPE_CHECKING:
    from dyto.video import Frames

LEAST_TOKENS, MOST_TOKENS = 128, 768
"""Range of visual tokens per frame, which determines its resolution; Qwen's own range for video frames."""

CHUNK_TOKENS = 4096
"""Number of visual tokens that pass the tower together."""

START, END = "<|vision_start|>", "<|vision_end|>"


class QwenVL(VideoModel):
    """A Qwen-VL checkpoint: a tower of native resolution without CLS, a language model with M-RoPE.

    Frames keep their aspect ratio: `image_size` gives the multiples of `patch_size * spatial_merge_size` nearest to
    their own size that make 128 to 768 tokens per frame, so that text on slides stays readable. The tower combines
    `temporal_patch_size` (two) frames into one; a key frame is a single moment, so it is repeated, as stock
    transformers repeats an image. The summary of a frame is its mean token. The attention that a token receives is the
    mean attention from all patches of its frame to its own patches.

    Positions are those of the whole key frames: a merged token has the position `VisualTokens.patch`, its patch nearest
    to the centre of its patches. Text continues after the longer side of the grid, as in the stock model, however many
    tokens of a frame remain.
    """

    def __init__(self, name: str, model: StockModel, tokenizer: Tokenizer, **kwargs: Any) -> None:
        super().__init__(name, model, tokenizer, **kwargs)
        vision = model.config.vision_config
        self._patch, self._merge = vision.patch_size, vision.spatial_merge_size
        self._repeat = vision.temporal_patch_size
        self._side = self._patch * self._merge
        self.image_size: NativeSize = NativeSize(self._side, LEAST_TOKENS, MOST_TOKENS)
        self.num_patches = MOST_TOKENS

    def language_model(self) -> Any:
        return self.model.model.language_model

    def tower(self) -> Any:
        return self.model.model.visual

    @abstractmethod
    def encode_patches(self, patches: Tensor, grid: Tensor) -> Tensor:
        """Encode patches with their (B, 3) grids into (1 + levels, n, D): tokens, then DeepStack features."""

    @abstractmethod
    def time_steps(self, seconds: FloatArray) -> IntArray:
        """Return (L,) positions in time, from 0, of tokens in one block, from their seconds."""

    @torch.inference_mode()
    def encode(self, images: Frames | Pictures, *, attention_layer: int | None = None) -> FrameFeatures:
        """Encode pictures as `VideoModel.encode` does; if sizes differ, all get the size for the first."""
        pictures, indices, seconds = as_pictures(images)
        height, width = self.image_size(*pictures[0].shape[:2])
        rows, cols = height // self._side, width // self._side
        tower = self.tower()
        device, dtype = device_of(tower), next(tower.parameters()).dtype

        attentions: list[Tensor] = []

        def see(some: Pictures) -> Tensor:
            pixels = self.normalization.apply(resize_pictures(some, (height, width)), device, dtype)
            grid = torch.tensor([[1, rows * self._merge, cols * self._merge]] * len(some), device=device)
            if attention_layer is None or sum(map(len, attentions)) == len(pictures):  # all seen once
                seen = self.encode_patches(self._patches(pixels), grid)  # (1 + levels, B * N, D)
            else:
                with watched(tower, attention_layer) as received:
                    seen = self.encode_patches(self._patches(pixels), grid)
                paid = received[0].view(-1, self._merge**2).mean(1)  # (B * N,), the mean over the patches of a token
                attentions.append(paid[self.raster(grid)].view(len(some), -1) / (rows * cols * self._merge**2))
            return seen.view(len(seen), len(some), rows * cols, -1).transpose(0, 1)

        # the output: (B, 1 + levels, N, D), the tokens and then their DeepStack features
        step = max(1, CHUNK_TOKENS // (rows * cols))
        summary, load = look(pictures, see, lambda seen: seen[:, 0].mean(1), step)
        return FrameFeatures(
            summary=summary,
            grid=(rows, cols),
            load_patches=lambda positions: load(positions)[:, 0],
            indices=indices,
            seconds=seconds,
            summary_source="mean patch",
            attention=torch.cat(attentions) if attentions else None,
            load_deep=self.deep_loader(load),
        )

    def raster(self, grid: Tensor) -> Tensor | slice:
        """Return the places of frames' tokens in the tower's layers, in raster order."""
        return slice(None)

    def deep_loader(self, load: PatchLoader) -> PatchLoader | None:
        """Return the function that gives (levels, K, N, D) DeepStack features; None for a family without them."""
        return None

    def _patches(self, pixels: Tensor) -> Tensor:
        """Cut (B, C, H, W) pixels into (n, C * t * p * p) patches, with the patches of a token adjacent."""
        (count, channels, height, width), p, m = pixels.shape, self._patch, self._merge
        x = pixels.reshape(count, channels, height // self._side, m, p, width // self._side, m, p)
        x = x.permute(0, 2, 5, 3, 6, 1, 4, 7)[..., None, :, :]  # (B, rows, cols, m, m, C, 1, p, p)
        return x.expand(*x.shape[:6], self._repeat, p, p).flatten(5).flatten(0, 4)

    def frame_texts(self, seconds: FloatArray) -> list[str]:
        """Return the texts for one block for the whole video or, if times are written, a block for each frame."""
        if not self.time_text:
            return [START, *[""] * (len(seconds) - 1), END]
        times = [self.time_text.format(seconds=second) for second in seconds.tolist()]
        return [f"{END if number else ''}{time}{START}" for number, time in enumerate(times)] + [END]

    def places_of(self, video: VisualTokens) -> tuple[IntArray, IntArray]:
        """Return the rows and columns of tokens in their frames, (L,) each.

        Args:
            video: The tokens.

        Raises:
            ModelError: The tokens do not state their sources.
        """
        try:
            rows, cols = np.divmod(video.patch, video.grid[1])
        except ValueError as err:
            raise ModelError(f"model {self.name} needs the places of tokens in their frames, but {err}") from err
        return rows, cols

    def positions(self, video: VisualTokens, runs: Sequence[TextRun]) -> tuple[Tensor | None, int]:
        patch = self.places_of(video)
        axes, place, block = [], 0, 0
        for index, run in enumerate(runs):
            axes.append(np.tile(place + np.arange(len(run.text)), (3, 1)))
            place += len(run.text)
            block = run.tokens.start if len(run.text) else block
            last = index + 1 == len(runs) or len(runs[index + 1].text) > 0
            if last and run.tokens.stop > block:
                tokens = slice(block, run.tokens.stop)
                axes.append(
                    place + np.stack([self.time_steps(video.seconds[tokens]), patch[0][tokens], patch[1][tokens]])
                )
                place += max(video.grid)
        return torch.from_numpy(np.concatenate(axes, 1)).to(self.device), place

    def lay_out(self, video: VisualTokens | Tensor) -> Layout:
        """Lay out a video as `VideoModel.lay_out` does; the tokens must state their sources."""
        if len(video) and not isinstance(video, VisualTokens):
            raise ModelError(
                f"model {self.name} needs the places of tokens, expected VisualTokens: pass the whole object"
            )
        layout = super().lay_out(video)
        return (
            layout if len(layout) else replace(layout, positions=torch.zeros(3, 0, dtype=torch.int64).to(self.device))
        )
