"""The stock processor of a checkpoint, which turns pictures and words into the input of the stock model."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
from transformers import AutoImageProcessor, AutoProcessor

from dyto.models.base import VideoModel
from dyto.models.catalog import CATALOG
from dyto.models.families import FAMILIES
from dyto.models.mrope import QwenVL
from dyto.models.stock import Tokenizer

PAD = "<|image_pad|>"


class QwenPictures:
    """The stock image processor of Qwen-VL with the text that its stock processor makes.

    The whole stock processor cannot be made without torchvision, which it wants for videos alone.

    Args:
        image_processor: The stock one.
        tokenizer: The stock one.
    """

    image_token = PAD

    def __init__(self, image_processor: Any, tokenizer: Tokenizer) -> None:
        self.image_processor, self.tokenizer = image_processor, tokenizer

    def __call__(self, *, text: Sequence[str], images: Sequence[Any], return_tensors: str) -> dict[str, torch.Tensor]:
        """Return the inputs of the stock model for one text."""
        seen = self.image_processor(images=list(images), return_tensors=return_tensors)
        counts = (seen["image_grid_thw"].prod(1) // self.image_processor.merge_size**2).tolist()
        pieces = text[0].split(PAD)
        whole = "".join(piece + PAD * count for piece, count in zip(pieces, [*counts, 0], strict=True))
        found = self.tokenizer([whole], return_tensors=return_tensors)
        kinds = (found["input_ids"] == self.tokenizer.convert_tokens_to_ids(PAD)).to(torch.int32)
        return {**found, **seen, "mm_token_type_ids": kinds}


def find_processor(name: str, revision: str | None, model: VideoModel) -> Any:
    """Find the stock processor of a checkpoint.

    Args:
        name: As the model was named.
        revision: Branch, tag or commit of a hub name.
        model: The model loaded from it.

    Returns:
        The processor; None where it has none, or none that works without torchvision.
    """
    if name == "tiny":
        with as_file(files("dyto") / "checkpoints" / "tiny") as folder:
            return AutoProcessor.from_pretrained(folder, trust_remote_code=False)
    source = CATALOG[name].source if name in CATALOG else str(Path(name).expanduser())
    try:
        if issubclass(FAMILIES[model.model.config.model_type].adapter_class, QwenVL):
            return QwenPictures(
                AutoImageProcessor.from_pretrained(source, revision=revision, trust_remote_code=False), model.tokenizer
            )
        return AutoProcessor.from_pretrained(source, revision=revision, trust_remote_code=False)
    except (ImportError, OSError, ValueError, AttributeError, KeyError, TypeError):
        return None  # the side that needs it says so
