"""Qwen3-VL: times in text before every frame, and features of several tower layers (DeepStack)."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor
from transformers import DynamicCache

from dyto.errors import BadFeaturesError, ModelError
from dyto.features import PatchLoader, VisualTokens
from dyto.models.adapters.qwen3_5 import Qwen35
from dyto.models.generation.finite import cause
from dyto.models.generation.layout import Layout
from dyto.models.loading.versions import cache_argument


class Qwen3VL(Qwen35):
    """A Qwen3-VL checkpoint in stock transformers, read as its video path does.

    The video is written as for Qwen3.5: every key frame is a separate block, after its true time.

    The first layers of the language model get features from earlier tower layers for each token (DeepStack). For a
    merged token these are the mean over its patches, see `FrameFeatures.deep_of`.
    """

    @property
    def _levels(self) -> int:
        """Layers of the tower whose features the language model gets; there may be none."""
        return len(self.model.config.vision_config.deepstack_visual_indexes)

    def encode_patches(self, patches: Tensor, grid: Tensor) -> Tensor:
        seen = self.model.model.visual(patches, grid_thw=grid)
        return torch.stack([seen.pooler_output, *seen.deepstack_features])  # (1 + levels, n, D)

    def deep_loader(self, load: PatchLoader) -> PatchLoader | None:
        return (lambda positions: load(positions)[:, 1:].transpose(0, 1)) if self._levels else None

    def lay_out(self, video: VisualTokens | Tensor) -> Layout:
        """Lay out a video as `VideoModel.lay_out` does; the tokens need their DeepStack features."""
        layout = super().lay_out(video)
        levels = self._levels
        if not len(layout) or not levels:
            return replace(
                layout, deep=layout.embeds.new_zeros(levels, int(layout.visual.sum()), layout.embeds.shape[1])
            )
        if layout.deep is None:
            raise ModelError(
                f"the visual tokens have no DeepStack features, but model {self.name} reads them: encode the video "
                "with this model and `VideoQA.encode`, or give them as `VisualTokens.deep`"
            )
        expected = (levels, int(layout.visual.sum()), layout.embeds.shape[1])
        if layout.deep.shape != expected:
            raise BadFeaturesError(
                f"the DeepStack features are {tuple(layout.deep.shape)}, expected {expected}: encode the video with "
                f"model {self.name}"
            )
        if not torch.isfinite(layout.deep).all():
            raise BadFeaturesError(
                f"DeepStack features hold NaN or infinity in {layout.deep.dtype}, expected numbers: {cause(self.model)}"
            )
        return layout

    def read_prompt(self, embeds: Tensor, cache: DynamicCache, layout: Layout, positions: Tensor | None) -> Tensor:
        assert layout.deep is not None
        visual = torch.zeros(embeds.shape[:2], dtype=torch.bool, device=embeds.device)
        visual[0, embeds.shape[1] - len(layout) :] = layout.visual
        states: Tensor = self.language_model()(
            inputs_embeds=embeds,
            attention_mask=torch.ones_like(visual, dtype=torch.int64),
            position_ids=positions,
            use_cache=True,
            visual_pos_masks=visual,
            deepstack_visual_embeds=list(layout.deep.to(embeds)),
            **cache_argument(self.language_model(), cache),
        ).last_hidden_state
        return states[:, -1:]
