"""An eye from the hub: the image tower of any CLIP, SigLIP or DINO."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.errors import ConfigError, ModelError
from dyto.models.loading.devices import find_device
from dyto.models.loading.files import read_json, read_normalization
from dyto.models.pixels import resize_pictures
from dyto.models.stock import weights_fingerprint

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
        self.name, self._source = name or source, source
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

    @cached_property
    def weights(self) -> str:
        """Hash of its weights, 16 hexadecimal digits."""
        return weights_fingerprint(self._model)

    @torch.inference_mode()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Describe texts in the space of the pictures.

        Args:
            texts: The texts, each truncated to the length of the text tower.

        Returns:
            (n, D) float32 of length 1.

        Raises:
            ConfigError: The checkpoint has no text tower, as DINO has none.
            ModelError: Its tokenizer cannot be loaded.
        """
        if not hasattr(self._model, "get_text_features"):
            raise ConfigError(
                f"eye {self.name} is a {self._model.config.model_type!r}, which reads no text, expected CLIP or "
                "SigLIP: name another"
            )
        return text_vectors(self._model, self._tokenizer, texts).cpu()

    @cached_property
    def _tokenizer(self) -> Any:
        from transformers import AutoTokenizer

        try:
            return AutoTokenizer.from_pretrained(self._source, trust_remote_code=False)
        except (OSError, ValueError, RuntimeError, KeyError) as err:
            raise _unusable(self._source, err) from err

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
        raise _unusable(source, err) from err
    return model.to(find_device(None)).eval()


def _unusable(source: str, err: Exception) -> ModelError:
    said = next((line.strip() for line in str(err).splitlines() if line.strip()), type(err).__name__)
    return ModelError(
        f"eye {source} cannot be loaded ({said}), expected a CLIP, SigLIP or DINO checkpoint: check the folder, or "
        "the name and the network"
    )


def text_vectors(towers: Any, reader: Any, texts: Sequence[str]) -> Tensor:
    """Return what the text tower of a stock CLIP or SigLIP says of texts, (n, D) float32 of length 1."""
    length = int(towers.config.text_config.max_position_embeddings)
    padding = "max_length" if towers.config.model_type.startswith("siglip") else False  # as SigLIP was trained
    found = []
    for text in texts:
        words = reader(text, return_tensors="pt", truncation=True, max_length=length, padding=padding)
        found.append(unit(towers.get_text_features(input_ids=words.input_ids.to(towers.device))))
    return torch.cat(found)


def unit(features: Any) -> Tensor:
    """Normalise to (n, d) float32 of length 1; some versions of transformers wrap their outputs."""
    found: Tensor = getattr(features, "pooler_output", features)
    return torch.nn.functional.normalize(found.float(), dim=1)
