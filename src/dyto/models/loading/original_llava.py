"""Checkpoints in the layout of the LLaVA authors, read into the stock classes.

LLaVA-NeXT (liuhaotian/llava-v1.6-...), LLaVA-OneVision (lmms-lab/llava-onevision-qwen2-...-ov) and LLaVA-Video
(lmms-lab/LLaVA-Video-...-Qwen2) share it. Their config describes only the language model and names the tower;
the tower's weights are in the checkpoint, so their shapes describe it.

Source: the conversion scripts of huggingface/transformers (`convert_llava_next_weights_to_hf.py`,
`convert_llava_onevision_weights_to_hf.py`), and `llava/model/llava_arch.py` of LLaVA-VL/LLaVA-NeXT.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaNextConfig,
    LlavaOnevisionConfig,
    MistralConfig,
    PretrainedConfig,
    Qwen2Config,
)

from dyto.errors import ModelError
from dyto.models.adapters.llava_onevision import NEWLINES, POOLINGS
from dyto.models.loading.original_towers import vision_config

KEY_MAPPING = {
    r"^model\.vision_tower\.vision_tower\.vision_model\.": "model.vision_tower.",
    r"^model\.mm_projector\.0\.": "model.multi_modal_projector.linear_1.",
    r"^model\.mm_projector\.2\.": "model.multi_modal_projector.linear_2.",
    r"^model\.(embed_tokens|layers|norm)\b": r"model.language_model.\1",
}
"""Names in the original layout with their stock names; all other names are equal."""

_TEXT_KEYS = (
    "vocab_size", "hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads",
    "num_key_value_heads", "head_dim", "hidden_act", "max_position_embeddings", "rms_norm_eps", "rope_theta",
    "rope_scaling", "rope_parameters", "sliding_window", "use_sliding_window", "max_window_layers", "attention_bias",
    "tie_word_embeddings", "bos_token_id", "eos_token_id", "pad_token_id",
)  # fmt: skip

_LANGUAGES: dict[str, type[PretrainedConfig]] = {"mistral": MistralConfig, "qwen": Qwen2Config}
"""The language model by parts of the names of its class and type; Llama if no part matches."""

_EXPECTED: dict[str, tuple[Any, ...]] = {
    "mm_projector_type": (None, "mlp2x_gelu"),
    "mm_resampler_type": (None,),
    "mm_vision_select_feature": (None, "patch"),
    "add_faster_video": (None, False),
    "mm_newline_position": (None, *NEWLINES),
    "mm_spatial_pool_mode": (None, *POOLINGS),
}
"""Supported settings; a checkpoint with other values was trained in another way."""

_TILES = [[336, 672], [672, 336], [672, 672]]


def download(source: str, revision: str | None) -> str:
    """Return the local folder of a checkpoint; a Hub name is downloaded first."""
    if Path(source).is_dir():
        return source
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = ["*.json", "*.safetensors", "*.model", "merges.txt"]
    try:
        return str(snapshot_download(source, revision=revision, allow_patterns=wanted))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as err:
        raise ModelError(f"model {source} cannot be downloaded ({err}): check the name and the network") from err


def stock_config(folder: str, config: Mapping[str, Any]) -> LlavaNextConfig | LlavaOnevisionConfig:
    """Return the stock config of a checkpoint in the original layout.

    Args:
        folder: The checkpoint.
        config: Content of its config.json.

    Returns:
        The config of LLaVA-NeXT for a CLIP tower, of LLaVA-OneVision for a SigLIP tower. With `inputs_embeds` the image
        token is never embedded, so the vocabulary stays as it is.

    Raises:
        ModelError: There are no safetensors, or they contain no tower (LLaVA 1.5 omits it), or the config names
            an unknown part.
    """
    for key, known in _EXPECTED.items():
        if config.get(key) not in known:
            raise ModelError(
                f"config.json of checkpoint {folder} says {key} = {config[key]!r}, expected "
                f"{' or '.join(repr(value) for value in known if value is not None) or 'none'}: this kind of LLaVA "
                "is not supported, use a checkpoint of `dyto list models`"
            )
    said = " ".join([config.get("model_type", ""), *config.get("architectures", [])]).lower()
    language = next((kind for name, kind in _LANGUAGES.items() if name in said), LlamaConfig)
    tied = bool(config.get("tie_word_embeddings", False))
    shared = {
        "text_config": language(**{key: config[key] for key in _TEXT_KEYS if config.get(key) is not None}),
        "vision_config": vision_config(Path(folder), config),
        "image_token_index": 0,
        "tie_word_embeddings": tied,
    }
    if isinstance(shared["vision_config"], CLIPVisionConfig):
        return LlavaNextConfig(
            **shared,
            vision_feature_layer=config.get("mm_vision_select_layer", -2),
            vision_feature_select_strategy="default",
            image_grid_pinpoints=config.get("image_grid_pinpoints") or _TILES,
        )
    return LlavaOnevisionConfig(
        **shared,
        video_token_index=0,
        vision_feature_layer=-1,  # the authors drop the last layer of the tower, whatever mm_vision_select_layer says
        vision_feature_select_strategy="full",
        **_video_config(config),
    )


def _video_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return how a checkpoint with a SigLIP tower writes a video, for `LlavaOnevision`."""
    newline = config.get("mm_newline_position") or "one_token"
    merge = str(config.get("mm_patch_merge_type") or "flat")
    if not merge.startswith("spatial") or (newline == "one_token" and "unpad" not in merge):
        newline = "no_token"
    told = {
        "mm_newline_position": newline,
        "mm_spatial_pool_mode": config.get("mm_spatial_pool_mode") or "bilinear",
        "mm_spatial_pool_stride": config.get("mm_spatial_pool_stride") or 2,
    }
    if newline in ("grid", "frame"):  # LLaVA-Video, for which no converted form with its own format exists
        told["dyto_prompt"] = config.get("dyto_prompt", "llava-video")
    return told
