"""VipLLaVA: LLaVA with the features of five layers of its tower."""

from __future__ import annotations

from typing import Any

from dyto.models.adapters.llava import Llava


class VipLlava(Llava):
    """A VipLLaVA checkpoint in stock transformers: LLaVA 1.5 with other layers and a normalising projector."""

    def _chosen_layers(self, config: Any) -> int | list[int]:
        layers: int | list[int] = config.vision_feature_layers
        return layers
