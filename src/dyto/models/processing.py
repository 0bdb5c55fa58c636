"""Image processors of checkpoints without an adapter, with one tile per picture; most need only PIL."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
import transformers
from PIL import Image

from dyto.errors import ModelError
from dyto.models.loading.claims import checked_claims
from dyto.models.loading.files import read_json

PictureProcessor: TypeAlias = Callable[[Sequence[npt.NDArray[np.uint8]]], Mapping[str, Any]]
"""Makes of pictures, uint8 (H, W, 3), the arguments of a stock model that hold their pixels."""

ONE_TILE: dict[str, Any] = {
    "do_image_splitting": False, "crop_to_patches": False, "slice_mode": False, "do_pan_and_scan": False,
    "use_thumbnail": False, "max_slice_nums": 1, "vision_input_type": "vanilla",
}  # fmt: skip
"""Options that keep image processors from cutting a picture; each processor knows some of them."""


MOST_SIDE = 8192
"""Largest side in pixels to which a picture may be enlarged."""


def load_processor(name: str, source: str, revision: str | None, model_type: str) -> PictureProcessor:
    """Load the image processor of a checkpoint, if possible of a stock class that needs only PIL.

    Args:
        name: The model, for errors.
        source: Its folder or hub name.
        revision: Branch, tag or commit.
        model_type: Model type in its config.

    Raises:
        ModelError: There is none, or it needs torchvision, which is not installed.
    """
    from transformers.models.auto.image_processing_auto import IMAGE_PROCESSOR_MAPPING_NAMES  # slow to import

    settings: dict[str, Any] = {}
    said = ""  # by the file that describes it
    for file in ("preprocessor_config.json", "processor_config.json"):
        found = read_json(source, file, revision) or {}
        if not settings:
            settings, said = dict(found.get("image_processor", found)), file
    known = IMAGE_PROCESSOR_MAPPING_NAMES.get(model_type) or {}
    stated = str(settings.get("image_processor_type") or "").removesuffix("Pil").removesuffix("Fast")
    names = (known.get("pil"), f"{stated}Pil", known.get("torchvision"), stated)
    kinds: list[Any] = [getattr(transformers, name, None) for name in names if name]
    usable = [
        kind for kind in kinds if kind is not None and type(kind).__name__ != "DummyObject"
    ]  # (one that is there)
    kind = next((kind for kind in usable if hasattr(kind, "preprocess")), None)
    if kind is None:
        needed = known.get("torchvision") or stated or "an image processor"
        raise ModelError(
            f"model {name} needs {needed}, which needs torchvision, which is not installed: pip install torchvision, "
            f"or use a model of another type than {model_type!r}"
        )
    if not settings:
        raise ModelError(
            f"model {name} has neither preprocessor_config.json nor processor_config.json, expected one of them to say "
            "how pictures are prepared: download it again"
        )
    _check_size(name, settings)
    return one_tile(kind.from_dict(checked_claims(name, settings, said)))


def one_tile(images: Any) -> PictureProcessor:
    """Let an image processor of transformers make one tile of each picture.

    Args:
        images: The image processor.
    """
    told = {option: value for option, value in ONE_TILE.items() if hasattr(images, option)}

    def process(pictures: Sequence[npt.NDArray[np.uint8]]) -> Mapping[str, Any]:
        return overviews(images([Image.fromarray(picture) for picture in pictures], return_tensors="pt", **told))

    return process


def overviews(made: Mapping[str, Any]) -> dict[str, Any]:
    """Keep only the first crop of each picture, which shows all of it, where a processor always adds finer ones.

    Args:
        made: The result of an image processor. Molmo 2's has the crops of all pictures one after the other in
            `pixel_values`, their number in `image_num_crops`, and in `image_grids` the rows and columns of tokens of
            the first crop and of the others together; `image_token_pooling` has the patches of each token.
    """
    if made.get("image_num_crops") is None:
        return dict(made)
    grids, crops = made["image_grids"], made["image_num_crops"]
    own = grids[:, 0] * grids[:, 1]
    first_token = (own + grids[:, 2] * grids[:, 3]).cumsum(0) - own - grids[:, 2] * grids[:, 3]
    first_crop, patches = crops.cumsum(0) - crops, made["pixel_values"].shape[1]
    pooling = [
        made["image_token_pooling"][start : start + count] - (crop - number) * patches
        for number, (start, count, crop) in enumerate(zip(first_token, own, first_crop, strict=True))
    ]
    return {
        **made,
        "pixel_values": made["pixel_values"][first_crop],
        "image_token_pooling": torch.cat(pooling),
        "image_grids": torch.cat([grids[:, :2], torch.zeros_like(grids[:, 2:])], 1),
        "image_num_crops": torch.ones_like(crops),
    }


def _check_size(name: str, settings: Mapping[str, Any]) -> None:
    """Check that small pictures are not enlarged excessively."""
    size = settings.get("size")
    told = dict(size) if isinstance(size, Mapping) else {"size": size}
    most = dict.fromkeys(("size", "height", "width", "shortest_edge", "scale_resolution"), MOST_SIDE)
    if "longest_edge" in told:  # native resolution: both are areas
        most["shortest_edge"] = MOST_SIDE**2
    for key, value in {**told, "scale_resolution": settings.get("scale_resolution")}.items():
        if key in most and isinstance(value, int) and value > most[key]:
            raise ModelError(
                f"preprocessor_config.json of model {name} says {key} = {value}, expected {most[key]} at most: "
                "download it again, or use another checkpoint"
            )


def accepted(function: Callable[..., Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """Keep those of some named values that a function takes as arguments.

    Example:
        >>> accepted(lambda a, b=1, **rest: a, {"a": 1, "c": 2})
        {'a': 1}
    """
    named = inspect.signature(function).parameters
    return {name: value for name, value in values.items() if name in named}
