"""An eye from the hub: the image tower of any CLIP, SigLIP or DINO."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.errors import ConfigError, ModelError
from dyto.models.loading.devices import find_device
from dyto.models.loading.files import read_json, read_normalization
from dyto.models.pixels import resize_pictures

CHUNK = 16
"""Pictures per batch."""


class TowerEye:
    """The image tower of a checkpoint.

    Args:
        source: A folder or hub name.
        name: Its name.

    Raises:
        ModelError: The checkpoint cannot be loaded.
        ConfigError: It has no image tower.
    """

    def __init__(self, source: str, name: str | None = None) -> None:
        self.name = name or source
        self._model = _loaded(source)
        config = getattr(self._model.config, "vision_config", self._model.config)
        side = getattr(config, "image_size", None)
        if not isinstance(side, int):
            raise ConfigError(
                f"eye {source} is a {self._model.config.model_type!r}, expected CLIP, SigLIP or DINO: name another"
            )
        stated = (read_json(source, "preprocessor_config.json", None) or {}).get("crop_size")
        cropped = stated.get("height") if isinstance(stated, dict) else stated
        self._side = cropped if type(cropped) is int and 0 < cropped <= side else side
        self._normalization = read_normalization(source, None)

    @torch.inference_mode()
    def summaries(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> Tensor:
        """See `Eye.summaries`."""
        seen = []
        for at in range(0, len(pictures), CHUNK):
            squares = resize_pictures(pictures[at : at + CHUNK], (self._side, self._side))
            pixels = self._normalization.apply(squares, self._model.device, self._model.dtype)
            seen.append(self._see(pixels).float().cpu())
        return torch.cat(seen)

    def _see(self, pixels: Tensor) -> Tensor:
        """Return (B, D) for (B, 3, H, W): the projected features, else the pooled ones, else the mean patch."""
        project = getattr(self._model, "get_image_features", None)
        out: Any = self._model(pixel_values=pixels) if project is None else project(pixel_values=pixels)
        if isinstance(out, Tensor):
            return out
        pooled = getattr(out, "pooler_output", None)
        found: Tensor = out.last_hidden_state.mean(1) if pooled is None else pooled
        return found


def _loaded(source: str) -> Any:
    from transformers import AutoModel

    try:
        model = AutoModel.from_pretrained(source, use_safetensors=True, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError, KeyError) as err:
        said = next((line.strip() for line in str(err).splitlines() if line.strip()), type(err).__name__)
        raise ModelError(
            f"eye {source} cannot be loaded ({said}), expected a CLIP, SigLIP or DINO checkpoint: check the folder, or "
            "the name and the network"
        ) from err
    return model.to(find_device(None)).eval()
