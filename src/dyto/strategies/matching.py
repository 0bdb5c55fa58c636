"""Scores of how well frames match a text, from a checkpoint with an image tower and a text tower in one space."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from dyto.errors import ConfigError, ModelError
from dyto.finch import FloatArray
from dyto.models.pixels import Normalization, resize_pictures
from dyto.models.tower_eye import text_vectors, unit

CHUNK_FRAMES = 16


def match_by_towers(source: str, pictures: npt.NDArray[np.uint8], text: str, device: torch.device) -> FloatArray:
    """Compare pictures with a text in the common space of a checkpoint's two towers.

    Args:
        source: A folder or hub name of a CLIP or SigLIP checkpoint. It stays loaded for the next call.
        pictures: (T, H, W, 3) uint8.
        text: The text, truncated to the text tower's length.
        device: The device to use.

    Returns:
        (T,) cosines.

    Raises:
        ModelError: The checkpoint cannot be loaded.
        ConfigError: It does not have two towers in one space.
    """
    model, tokenizer, normalization = _towers(source, str(device))
    side = int(model.config.vision_config.image_size)
    with torch.inference_mode():
        wanted = text_vectors(model, tokenizer, [text])  # (1, d)
        cosines = []
        for start in range(0, len(pictures), CHUNK_FRAMES):
            resized = resize_pictures(list(pictures[start : start + CHUNK_FRAMES]), (side, side))
            pixels = normalization.apply(resized, device, model.dtype)
            cosines.append((unit(model.get_image_features(pixel_values=pixels)) @ wanted.T)[:, 0])
    return torch.cat(cosines).double().cpu().numpy()


@lru_cache(maxsize=1)
def _towers(source: str, device: str) -> tuple[Any, Any, Normalization]:
    from transformers import AutoModel, AutoTokenizer

    from dyto.models.loading.files import read_normalization

    try:
        model = AutoModel.from_pretrained(source, use_safetensors=True, trust_remote_code=False).to(device).eval()
        tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=False)
    except (OSError, ValueError, RuntimeError, KeyError) as err:
        said = next((line.strip() for line in str(err).splitlines() if line.strip()), type(err).__name__)
        raise ModelError(
            f"towers {source} cannot be loaded ({said}), expected a CLIP or SigLIP checkpoint: check the folder, or "
            "the name and the network"
        ) from err
    if not all(hasattr(model, f"get_{side}_features") for side in ("text", "image")):
        raise ConfigError(
            f"towers {source} are a {model.config.model_type!r}, expected a checkpoint with a text and an image tower "
            "in one space, such as openai/clip-vit-base-patch32"
        )
    return model, tokenizer, read_normalization(source, None)
