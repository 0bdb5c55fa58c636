"""The vision tower of a checkpoint in the original layout, which has only its name and weights."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import CLIPVisionConfig, SiglipVisionConfig

from dyto.errors import ModelError
from dyto.models.loading.claims import checked_claims
from dyto.models.loading.files import parse_json
from dyto.models.loading.weights import check_head

TOWER = "model.vision_tower.vision_tower.vision_model."

HEAD_DIM = 64
"""Width of a head in every CLIP tower; the weights do not show the number of heads."""

SO400M_HEAD_DIM = 72
"""Width of a head in SigLIP So400m, which has 16; a SigLIP tower whose width it does not divide has heads of 64."""

SIDES = r"patch(\d+)-(\d+)$"
"""The end of a tower's name: pixels of a patch, and of a side. "google/siglip-so400m-patch14-384" has 27 patches of 14
pixels per side and six unused pixels; from the weights alone, the side would be 378."""


def vision_config(folder: Path, config: Mapping[str, Any]) -> CLIPVisionConfig | SiglipVisionConfig:
    """Return the stock config of the tower.

    Args:
        folder: The checkpoint.
        config: Its config.json.

    Returns:
        The config of a CLIP tower if there is a CLS embedding, otherwise of a SigLIP tower.

    Raises:
        ModelError: There are no safetensors, or they hold no tower (LLaVA 1.5 leaves it out), or none of a square.
    """
    stated = config.get("vision_config")
    if isinstance(stated, Mapping):
        kind = SiglipVisionConfig if "siglip" in str(stated.get("model_type", "")) else CLIPVisionConfig
        return kind(**{key: value for key, value in stated.items() if key != "model_type"})
    shapes = _shapes(folder)
    if not shapes:
        raise ModelError(
            f"checkpoint {folder} has no weights of a vision tower ({TOWER}...), expected them next to the "
            "language model as in llava-v1.6: use that version, or one converted to the Hugging Face layout"
        )
    has_cls = "embeddings.class_embedding" in shapes
    try:
        hidden, _, patch, _ = shapes["embeddings.patch_embedding.weight"]
        positions = shapes["embeddings.position_embedding.weight"][0]
        intermediate = shapes["encoder.layers.0.mlp.fc1.weight"][0]
    except KeyError as err:
        raise ModelError(
            f"checkpoint {folder} lacks the tower's weight {err}, expected a complete CLIP or SigLIP tower"
        ) from err
    name = str(config.get("mm_vision_tower", ""))
    said = _said(Path(name))
    sizes: dict[str, Any] = {
        "hidden_size": hidden,
        "intermediate_size": intermediate,
        "num_hidden_layers": 1 + max(int(key.split(".")[2]) for key in shapes if key.startswith("encoder.layers.")),
        "num_attention_heads": said.get("num_attention_heads", _heads(hidden, has_cls)),
        "image_size": _side(folder, name, said, positions - has_cls, patch),
        "patch_size": patch,
    }
    if has_cls:
        return CLIPVisionConfig(**sizes, hidden_act=said.get("hidden_act", "quick_gelu"))
    return SiglipVisionConfig(
        **sizes,
        hidden_act=said.get("hidden_act", "gelu_pytorch_tanh"),
        vision_use_head="head.probe" in shapes,  # the authors drop it
    )


def _heads(hidden: int, has_cls: bool) -> int:
    return max(1, hidden // (HEAD_DIM if has_cls or hidden % SO400M_HEAD_DIM else SO400M_HEAD_DIM))


def _said(tower: Path) -> Mapping[str, Any]:
    """Read the config of a tower in a local folder, which says more than its weights do."""
    if not (tower / "config.json").is_file():
        return {}
    said = checked_claims(str(tower), parse_json(str(tower), tower / "config.json"))
    found: Mapping[str, Any] = said.get("vision_config") or said
    return found


def _side(folder: Path, name: str, said: Mapping[str, Any], patches: int, patch: int) -> int:
    """Return the side in pixels: from the tower's config or name if it fits the patches, else from these."""
    rows = round(patches**0.5)
    if rows * rows != patches:
        raise ModelError(
            f"the tower of checkpoint {folder} has {patches} patches, expected a square: use another checkpoint"
        )
    called = re.search(SIDES, name)
    for side in (said.get("image_size"), int(called[2]) if called and int(called[1]) == patch else None):
        if isinstance(side, int) and side // patch == rows:
            return side
    return rows * patch


def _shapes(folder: Path) -> dict[str, list[int]]:
    """Read the shapes of the tower's weights from the headers of the files."""
    shapes: dict[str, list[int]] = {}
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"checkpoint {folder} has no *.safetensors: pickled weights are never read; convert them")
    for path in files:
        check_head(str(folder), path)
        try:
            with safe_open(path, framework="pt") as weights:
                for key in weights.keys():  # noqa: SIM118 - not a dict
                    if key.startswith(TOWER):
                        shapes[key.removeprefix(TOWER)] = weights.get_slice(key).get_shape()
        except (SafetensorError, OSError) as err:
            raise ModelError(f"weights {path} cannot be read ({err}): download them again") from err
    return shapes
