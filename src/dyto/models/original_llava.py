"""Checkpoints in the layout of the LLaVA authors (liuhaotian/llava-v1.6-...), loaded into the stock class.

Their config describes only the language model and names the tower. The tower's weights are in the checkpoint, so its
shape is read from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from transformers import CLIPVisionConfig, LlamaConfig, LlavaNextConfig, MistralConfig

from dyto.errors import ModelError
from dyto.models.claims import checked_claims
from dyto.models.files import parse_json
from dyto.models.weights import check_head

TOWER = "model.vision_tower.vision_tower.vision_model."
HEAD_DIM = 64
"""Size of a head in every CLIP tower, because the weights do not show the number of heads."""

KEY_MAPPING = {
    r"^model\.vision_tower\.vision_tower\.vision_model\.": "model.vision_tower.",
    r"^model\.mm_projector\.0\.": "model.multi_modal_projector.linear_1.",
    r"^model\.mm_projector\.2\.": "model.multi_modal_projector.linear_2.",
    r"^model\.(embed_tokens|layers|norm)\b": r"model.language_model.\1",
}
"""Names in the original layout with their stock names; all others are equal."""

_TEXT_KEYS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "hidden_act", "max_position_embeddings", "rms_norm_eps", "rope_theta",
    "rope_scaling", "rope_parameters", "sliding_window", "attention_bias", "tie_word_embeddings",
    "bos_token_id", "eos_token_id", "pad_token_id",
)  # fmt: skip


def is_original(config: Mapping[str, Any]) -> bool:
    """Return whether a config.json has the original layout."""
    return "mm_vision_tower" in config or "mm_hidden_size" in config


def download(source: str, revision: str | None) -> str:
    """Return the local folder of a checkpoint; a Hub name is downloaded first."""
    if Path(source).is_dir():
        return source
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    try:
        return str(snapshot_download(source, revision=revision, allow_patterns=["*.json", "*.safetensors", "*.model"]))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as err:
        raise ModelError(f"model {source} cannot be downloaded ({err}): check the name and the network") from err


def stock_config(folder: str, config: Mapping[str, Any]) -> LlavaNextConfig:
    """Return the stock config of a checkpoint in the original layout.

    Args:
        folder: The checkpoint.
        config: Content of its config.json.

    Returns:
        The config; with `inputs_embeds` the image token is never embedded, so the vocabulary is unchanged.

    Raises:
        ModelError: There are no safetensors, or they have no tower (LLaVA 1.5 omits it).
    """
    text = {key: config[key] for key in _TEXT_KEYS if config.get(key) is not None}
    kind = (
        MistralConfig
        if "mistral" in " ".join([config.get("model_type", ""), *config.get("architectures", [])]).lower()
        else LlamaConfig
    )
    return LlavaNextConfig(
        text_config=kind(**text),
        vision_config=_vision_config(Path(folder), config),
        image_token_index=0,
        vision_feature_layer=config.get("mm_vision_select_layer", -2),
        vision_feature_select_strategy="default",
        image_grid_pinpoints=config.get("image_grid_pinpoints") or [[336, 672], [672, 336], [672, 672]],
        tie_word_embeddings=config.get("tie_word_embeddings", False),
    )


def _vision_config(folder: Path, config: Mapping[str, Any]) -> CLIPVisionConfig:
    if isinstance(config.get("vision_config"), Mapping):
        return CLIPVisionConfig(**config["vision_config"])
    shapes = _tower_shapes(folder)
    if not shapes:
        raise ModelError(
            f"checkpoint {folder} has no weights of a vision tower ({TOWER}...), expected them beside the language "
            "model as in llava-v1.6: take that version, or one converted to the Hugging Face layout"
        )
    try:
        hidden, _, patch, _ = shapes["embeddings.patch_embedding.weight"]
        positions = shapes["embeddings.position_embedding.weight"][0]
        intermediate = shapes["encoder.layers.0.mlp.fc1.weight"][0]
    except KeyError as err:
        raise ModelError(f"checkpoint {folder} lacks the tower's weight {err}, expected a complete CLIP tower") from err
    tower = Path(str(config.get("mm_vision_tower", "")))
    stated: dict[str, Any] = {}
    if (tower / "config.json").is_file():  # a tower in a local folder has more information than its weights
        stated = checked_claims(str(tower), parse_json(str(tower), tower / "config.json"))
        stated = stated.get("vision_config") or stated
    return CLIPVisionConfig(
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=1 + max(int(key.split(".")[2]) for key in shapes if key.startswith("encoder.layers.")),
        num_attention_heads=stated.get("num_attention_heads", max(1, hidden // HEAD_DIM)),
        image_size=round((positions - 1) ** 0.5) * patch,
        patch_size=patch,
        hidden_act=stated.get("hidden_act", "quick_gelu"),
    )


def _tower_shapes(folder: Path) -> dict[str, list[int]]:
    """Read the shapes of the tower's weights from the headers of the files."""
    shapes: dict[str, list[int]] = {}
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise ModelError(f"checkpoint {folder} has no *.safetensors: pickled weights are never read, convert them")
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
