"""Loading a model by name: short names, local folders and Hub names, in either of LLaVA's layouts."""

from __future__ import annotations

import logging
import weakref
from contextlib import ExitStack
from importlib.resources import as_file, files
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import transformers
from transformers import AutoTokenizer
from transformers.utils import cached_file

from dyto.errors import ConfigError, MissingExtraError, ModelError, unknown
from dyto.eye import Eye
from dyto.eye.drawn import is_drawn
from dyto.models.base import VideoModel
from dyto.models.endpoint.service import PREFIX, Service
from dyto.models.eyes import find_eye, seen_by, usual_eye
from dyto.models.families import FAMILIES, Family
from dyto.models.generation.chats import Chat
from dyto.models.generation.finite import check_weights
from dyto.models.generation.tokenizing import check_class, check_growth
from dyto.models.loading.chosen import chosen_model
from dyto.models.loading.claims import checked_claims
from dyto.models.loading.complaints import in_one_line
from dyto.models.loading.files import (
    TOKENIZER_FILES,
    find_file,
    is_original,
    no_progress_bars,
    parse_json,
    read_ends,
    read_json,
    read_normalization,
)
from dyto.models.loading.naming import locate
from dyto.models.loading.placement import DeviceMap, Placement
from dyto.models.loading.records import record_of
from dyto.models.loading.templates import chat_of
from dyto.models.loading.weights import check_sizes, untied_unless_said, weight_files
from dyto.models.processing import load_processor
from dyto.models.ranking import chosen_for
from dyto.models.stock import Tokenizer
from dyto.models.stock_classes import NEEDS_TRANSFORMERS, family_of
from dyto.models.suitable import for_more
from dyto.prompts import PROMPT_PAIRS

logger = logging.getLogger(__name__)


def load_model(
    name: str | Path | None = None,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | torch.dtype | None = None,
    attn_implementation: str | None = None,
    device_map: DeviceMap | None = None,
    quantization: str | None = None,
    rope_scaling_factor: float | None = None,
    eye: str | None = None,
    **service: Any,
) -> VideoModel:
    """Load a model.

    Args:
        name: A short name in `dyto.models.CATALOG`, a folder, a Hub name ("owner/model"), or "endpoint:" and the name
            of a model behind an OpenAI-compatible endpoint; "auto" for the best that fits this machine. None takes the
            choice of the environment or of a file (see `dyto.models.loading.chosen`), or "tiny".
        revision: Branch, tag or commit of a hub name.
        device: As torch names it: "cpu", "cuda:1", "xpu", "mps"; None or "auto" for the first available of CUDA,
            Intel's XPU, Apple's MPS and the CPU.
        dtype: "float32", "bfloat16" or "float16"; None to choose by device and size.
        attn_implementation: "sdpa" (default), "eager" or "flash_attention_2".
        device_map: For a model larger than one device: "auto", "balanced", "balanced_low_0" or "sequential", or a
            device for each part, {"model.language_model": 0, "lm_head": "cpu", ...}; it replaces `device`.
        quantization: "8bit" or "4bit" weights of the language model; the vision side stays in `dtype`.
        rope_scaling_factor: Factor by which the original context may be extended; None or 1 for no scaling.
        eye: Compare frames by this eye instead of the model's own tower, see `dyto.models.eyes.find_eye`.
        **service: For a model behind an endpoint, "endpoint:NAME": `base_url`, `tokens_per_image`, `picture_side`,
            `max_requests`, `max_tokens` and more, see `dyto.models.endpoint.service.Service`.

    Returns:
        The adapter of the model's family. Remote code is never run and pickled weights are never read.

    Raises:
        ConfigError: A name or option is unknown.
        ModelError: The checkpoint cannot be found or read, or weights are missing.
        MissingExtraError: A device map without accelerate, or quantization without bitsandbytes.

    Example:
        >>> model = load_model("tiny", device="cpu")
        >>> model.name, model.context_length
        ('tiny', 2048)
    """
    if name is None and (chosen := chosen_model()) is not None:
        stated = {
            "revision": revision, "device": device, "dtype": dtype, "attn_implementation": attn_implementation,
            "device_map": device_map, "quantization": quantization, "rope_scaling_factor": rope_scaling_factor,
            "eye": eye, **service,
        }  # fmt: skip
        given = {key: value for key, value in stated.items() if value is not None}
        return load_model(chosen.model, **{**chosen.options, **given})
    text, why = chosen_for(str(name or "tiny"))
    placement = Placement.of(
        revision=revision,
        device=device,
        dtype=dtype,
        attention=attn_implementation,
        device_map=device_map,
        quantization=quantization,
    )
    factor = 1.0 if rope_scaling_factor is None else float(rope_scaling_factor)
    other = None if eye is None else find_eye(eye)
    if text.startswith(PREFIX):
        return _reach(text.removeprefix(PREFIX), placement, factor, other, service)
    if others := sorted(name for name, value in service.items() if value is not None):
        raise ConfigError(
            f"{others[0]} was given with model {text}, but only a model behind an endpoint takes it: leave it out, or "
            f"name the model {PREFIX}NAME"
        )
    model = _named(text, placement, factor)
    model.notices = (*model.notices, *why)
    return model if other is None else seen_by(model, other)


def _reach(name: str, placement: Placement, factor: float, eye: Eye | None, options: dict[str, Any]) -> VideoModel:
    """Return a model behind an endpoint."""
    from dyto.models.endpoint.model import EndpointModel

    if not name.strip():
        raise ConfigError(f"found {PREFIX} without a name, expected {PREFIX}NAME, as the endpoint calls the model")
    placement.refuse_for(f"{PREFIX}{name}", factor)
    return EndpointModel(name, Service.of(options), eye or usual_eye())


def _named(text: str, placement: Placement, factor: float) -> VideoModel:
    """Load a model of this machine or of the hub."""
    if text == "tiny":
        return _load_tiny(placement, factor)
    if text == "nouns":
        from dyto.models.adapters.nouns import load_nouns

        return load_nouns(placement, factor)
    return _load(text, locate(text), placement, factor, ())


def _load_tiny(placement: Placement, factor: float) -> VideoModel:
    """Load the bundled model, in the same way as any checkpoint."""
    hint = f"the bundled model knows synthetic shapes only; {for_more(placement.device, 'real videos')}"
    with as_file(files("dyto") / "checkpoints" / "tiny") as folder:
        model = _load("tiny", str(folder), placement, factor, (hint,))
    model.knows = is_drawn
    return model


def _load(name: str, source: str, placement: Placement, factor: float, notices: tuple[str, ...]) -> VideoModel:
    config = read_config(source, placement.revision)
    original = is_original(config)
    key_mapping = None
    if original:
        from dyto.models.loading import original_llava

        key_mapping = original_llava.KEY_MAPPING
        source = original_llava.download(source, placement.revision)
        shape = in_one_line(name, original_llava.stock_config, source, config)
    model_type = shape.model_type if original else config.get("model_type")
    row = _row(model_type)
    if row is None and isinstance(model_type, str) and model_type in NEEDS_TRANSFORMERS:
        raise ModelError(
            f"model {name} is of type {model_type!r}, for which transformers {transformers.__version__} has no class, "
            f"expected {NEEDS_TRANSFORMERS[model_type]} or newer: pip install -U transformers"
        )
    if row is None:
        raise ModelError(
            f"model {name} is of type {model_type!r}, expected one of {', '.join(sorted(FAMILIES))}, or another whose "
            "class in transformers has get_image_features and get_placeholder_mask: see `dyto list models`"
        )
    family: type[VideoModel] = row.adapter_class
    stock = row.stock_class
    if not original:
        shape = untied_unless_said(in_one_line(name, stock.config_class.from_dict, dict(config)), config)
    normalization = read_normalization(source, placement.revision, row.normalization)
    generic = model_type not in FAMILIES
    processor = (
        in_one_line(name, load_processor, name, source, placement.revision, str(model_type)) if generic else None
    )
    model = load_weights(stock, source, placement, shape, key_mapping)
    tokenizer = load_tokenizer(source, placement.revision, model.config)
    usual = chat_format(model.config, tokenizer)
    chat: str | Chat = usual
    more: dict[str, Any] = {}
    if generic:
        more = {"processor": processor, "record": record_of(source, placement)}
        chat, more["picture"], told = chat_of(name, source, placement.revision, model.config, tokenizer, usual)
        notices = (*notices, told)
    return in_one_line(
        name,
        family,
        name,
        model,
        tokenizer,
        normalization=normalization,
        chat=chat,
        rope_factor=factor,
        notices=notices,
        **more,
    )


def _row(model_type: Any) -> Family | None:
    """Return the table's row for a model type, or a new one; None if no class fits."""
    if not isinstance(model_type, str):
        return None
    return FAMILIES.get(model_type) or family_of(model_type)


def read_config(source: str, revision: str | None) -> dict[str, Any]:
    """Read the config.json of a folder or Hub name, check its sizes, and remove keys that name code and places."""
    path = in_one_line(source, cached_file, source, "config.json", revision=revision)
    if path is None:
        raise ModelError(
            f"model {source} cannot be loaded: it has no config.json, expected a checkpoint of transformers or of "
            "LLaVA: check the folder, or the name and the network"
        )
    return checked_claims(source, parse_json(source, Path(path)))


def load_weights(
    stock: Any,
    source: str,
    placement: Placement,
    shape: Any,
    key_mapping: dict[str, str] | None = None,
) -> Any:
    """Load safetensors into a stock class; refuse a checkpoint with missing, NaN or infinite weights.

    The model in the config is compared with the files and the memory before anything is built.
    """
    with torch.device("meta"):
        skeleton = in_one_line(source, stock, shape)
    placement.check_parts(skeleton)
    if find_file(source, "adapter_config.json", placement.revision):
        raise ModelError(
            f"model {source} holds an adapter (adapter_config.json), expected a whole model: merge it into its base"
        )
    files = weight_files(source, placement.revision)
    check_sizes(source, skeleton, files, placement, hasattr(shape, "quantization_config"))
    with ExitStack() as kept, no_progress_bars():
        # Weights that wait on disk and are of another shape there (experts) are written anew, for as long as the model.
        folder = kept.enter_context(TemporaryDirectory(prefix="dyto-")) if placement.device_map is not None else None
        model, report = in_one_line(
            source,
            stock.from_pretrained,
            source,
            config=shape,
            key_mapping=key_mapping,
            revision=placement.revision,
            **placement.options(skeleton),
            offload_folder=folder,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # reported below
            generation_config=read_ends(source, placement.revision),
        )
        weakref.finalize(model, kept.pop_all().close)
    for problem in ("missing_keys", "mismatched_keys"):
        keys = sorted(key if isinstance(key, str) else str(key[0]) for key in report[problem])
        if keys:
            raise ModelError(
                f"checkpoint {source} has {len(keys)} {problem.removesuffix('_keys')} weights (first: {keys[0]}), "
                "expected all of them: download it again, or take a complete one"
            )
    if report["unexpected_keys"]:
        logger.info("%s holds %d weights that the model does not use", source, len(report["unexpected_keys"]))
    model = (model if placement.is_settled else model.to(placement.device)).eval()
    check_weights(source, model)
    return model


def load_tokenizer(source: str, revision: str | None, config: Any) -> Any:
    """Load the tokenizer of a checkpoint.

    If there is only a sentencepiece model, as in the original layout, the language model's config names the class that
    reads it correctly (with the leading space of such texts).
    """
    if find_file(source, "tokenizer.json", revision) is None and find_file(source, "tokenizer.model", revision):
        if not (find_spec("sentencepiece") and find_spec("google") and find_spec("google.protobuf")):
            raise MissingExtraError(f"the tokenizer of {source}", "sentencepiece and protobuf", "original")
        config = config.get_text_config()
    for name in TOKENIZER_FILES:
        find_file(source, name, revision)  # each has a size limit
    stated = read_json(source, "tokenizer_config.json", revision) or {}
    for kind in (stated.get("tokenizer_class"), getattr(config, "tokenizer_class", None)):
        check_class(source, kind)
    tokenizer = in_one_line(
        source, AutoTokenizer.from_pretrained, source, revision=revision, config=config, trust_remote_code=False
    )
    check_growth(source, tokenizer)
    return tokenizer


def chat_format(config: Any, tokenizer: Tokenizer) -> str:
    """Return the chat format of a checkpoint, from its config, tokenizer and language model."""
    own = getattr(config, "dyto_prompt", None)
    if own:
        if not isinstance(own, str) or own not in PROMPT_PAIRS:
            raise unknown("dyto_prompt in config.json", own, PROMPT_PAIRS)
        return str(own)
    family = _row(config.model_type)
    assert family is not None
    if family.chat:
        return family.chat.name
    language, vocabulary = config.get_text_config().model_type, tokenizer.get_vocab()
    if "<|im_start|>" in vocabulary:
        if language.startswith("qwen"):
            return family.qwen_chat.name
        return "chatml"
    if "<|start_header_id|>" in vocabulary:
        return "llama3"
    for mark, other in (("<|turn>", "gemma4"), ("<start_of_turn>", "gemma")):
        if mark in vocabulary:
            return other
    return "mistral" if language == "mistral" else "vicuna"
