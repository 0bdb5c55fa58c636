"""LLaVA-NeXT (LLaVA 1.6): CLIP tower with CLS, two-layer projector, Llama, Vicuna, Mistral or Yi."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dyto.errors import ConfigError, ModelError
from dyto.features import FrameFeatures
from dyto.models.base import VideoModel
from dyto.models.pixels import Pictures, as_pictures, resize_pictures

if TYPE_CHECKING:
    from dyto.video import Frames

CHUNK_FRAMES = 16
"""Frames that pass the tower together."""

KEEP_BYTES = 2 << 30
"""Tower output kept for a later projection; beyond it the frames chosen are encoded a second time."""


class LlavaNext(VideoModel):
    """A LLaVA-NeXT checkpoint in stock transformers.

    Frames are resized to the tower's square, one tile each, without newline tokens: what DyTo was published
    with. The summary of a frame is its CLS token after the projector.
    """

    def __init__(self, name: str, model: Any, tokenizer: Any, **kwargs: Any) -> None:
        super().__init__(name, model, tokenizer, **kwargs)
        vision = model.config.vision_config
        if vision.model_type != "clip_vision_model":
            raise ModelError(
                f"model {name} has a tower of type {vision.model_type!r}, expected 'clip_vision_model', whose CLS "
                "stands for a frame: take a checkpoint of `dyto list models`"
            )
        side = vision.image_size
        self.image_size = (side, side)
        self.grid = (side // vision.patch_size, side // vision.patch_size)
        self.num_patches = self.grid[0] * self.grid[1]
        layer = model.config.vision_feature_layer
        self._layers: tuple[int, ...] = (layer,) if isinstance(layer, int) else tuple(layer)
        depth = vision.num_hidden_layers
        if not all(-depth - 1 <= one <= depth for one in self._layers):
            raise ModelError(
                f"model {name} takes its features from layer {layer}, but its tower has {depth}: correct "
                "vision_feature_layer in its config.json"
            )

    def _language_model(self) -> Any:
        return self.model.model.language_model

    @torch.inference_mode()
    def encode(self, images: Frames | Pictures, *, attention_layer: int | None = None) -> FrameFeatures:
        """See `VideoModel.encode`.

        Only CLS of every frame and, later, the patches asked for are projected. Tower output of more than
        `KEEP_BYTES` is not kept: the frames asked for pass the tower again, with the same result.
        """
        pictures, indices, seconds = as_pictures(images)
        hidden, attention = self._tower(pictures, attention_layer)  # (T, 1 + N or 1, C)
        project = self.model.model.multi_modal_projector

        @torch.inference_mode()
        def load_patches(positions: Tensor) -> Tensor:
            if hidden.shape[1] > 1:
                kept = hidden[positions.to(hidden.device)]  # (K, 1 + N, C)
            else:
                kept = self._tower([pictures[i] for i in positions.tolist()], None, keep_bytes=None)[0]
            projected: Tensor = project(kept[:, 1:])  # (K, N, D)
            return projected

        return FrameFeatures(
            summary=project(hidden[:, :1])[:, 0],
            grid=self.grid,
            load_patches=load_patches,
            indices=indices,
            seconds=seconds,
            attention=attention,
        )

    def _tower(
        self,
        pictures: Pictures,
        attention_layer: int | None,
        keep_bytes: int | None = KEEP_BYTES,
    ) -> tuple[Tensor, Tensor | None]:
        """Hidden states (T, 1 + N, C), or CLS alone (T, 1, C) past `keep_bytes`; attention (T, N) or None."""
        tower = self.model.model.vision_tower
        weight = next(tower.parameters())
        width = tower.config.hidden_size * len(self._layers)
        size = len(pictures) * (1 + self.num_patches) * width * weight.element_size()
        rows = 1 if keep_bytes is not None and size > keep_bytes else 1 + self.num_patches
        hidden = torch.empty(len(pictures), rows, width, dtype=weight.dtype, device=weight.device)
        attention = None
        if attention_layer is not None:
            attention = torch.empty(len(pictures), self.num_patches, device=weight.device)
        for start in range(0, len(pictures), CHUNK_FRAMES):
            chunk = slice(start, start + CHUNK_FRAMES)
            pixels = resize_pictures(pictures[chunk], self.image_size)  # (B, H, W, 3) uint8
            states = tower(
                self.normalization.apply(pixels, weight.device, weight.dtype), output_hidden_states=True
            ).hidden_states
            hidden[chunk] = torch.cat([states[layer][:, :rows] for layer in self._layers], -1)
            if attention is not None and attention_layer is not None:
                attention[chunk] = self._cls_attention(states, attention_layer)
        return hidden, attention

    def _cls_attention(self, states: Sequence[Tensor], layer: int) -> Tensor:
        """(B, N) attention from CLS to the patches in one layer, the mean over its heads."""
        tower = self.model.model.vision_tower
        layers = getattr(tower, "vision_model", tower).encoder.layers
        if not -len(layers) <= layer < len(layers):
            raise ConfigError(f"attention layer {layer}, but the tower has layers 0 to {len(layers) - 1}")
        block = layers[layer]
        x = block.layer_norm1(states[range(len(layers))[layer]])  # the input of the layer, (B, 1 + N, C)
        heads = block.self_attn.num_heads
        query = block.self_attn.q_proj(x[:, :1]).unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, h, 1, d)
        key = block.self_attn.k_proj(x).unflatten(-1, (heads, -1)).transpose(1, 2)  # (B, h, 1 + N, d)
        scores = query.float() @ key.float().transpose(2, 3) * query.shape[-1] ** -0.5
        return scores.softmax(-1).mean(1)[:, 0, 1:]
