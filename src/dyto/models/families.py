"""The table of families: everything that must be known about a model type before its adapter is imported.

A family is one file, a subclass of `dyto.models.VideoModel`, and one row of `FAMILIES`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from dyto.models.generation.chats import (
    GEMMA,
    GEMMA4,
    IDEFICS3,
    INTERNVL,
    ONEVISION,
    QWEN3,
    QWEN25,
    QWEN35,
    SMOLVLM,
    VIPLLAVA,
)
from dyto.models.generation.chats import Chat as Chat

HALF = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
UNIT = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
"""Mean and standard deviation of each channel of a tower's input, of values from 0 to 1."""


@dataclass(frozen=True)
class ModelEntry:
    """A model with a short name.

    Attributes:
        source: Hub name, or "" for the one that ships with the package.
        size: Of the download, in GB.
        licence: As its makers state it.
        note: Its purpose.
        run_by: Who is known to have run its true weights with this package; "" for nobody.
    """

    source: str
    size: float
    licence: str
    note: str
    run_by: str = ""


@dataclass(frozen=True)
class Family:
    """A row of the table.

    Attributes:
        adapter: "module:class" of the adapter.
        stock: The transformers class that the adapter drives.
        chat: The chat format that the family was trained with; None if it depends on the language model.
        qwen_chat: Chat format of its checkpoints with a Qwen language model, if `chat` is None.
        reader: "module:function" that reads the arguments of a call to the stock model, for `dyto.compressing`: one of
            `dyto.dropin.readers`, by the shape of the pixels that the family's processor makes.
        normalization: Default normalisation of the family's processor; None for the tower's.
        sees_both_ways: Whether the tokens of a picture attend to each other in both directions.
        marks: What the processor writes around the placeholders of a picture, for `dyto.compressing`: pictures with
            nothing but marks between them are frames of one video.
        models: Short names, in listing order.
    """

    adapter: str
    stock: str
    chat: Chat | None = None
    reader: str = "dyto.dropin.readers:images"
    normalization: tuple[tuple[float, ...], tuple[float, ...]] | None = None
    sees_both_ways: bool = False
    qwen_chat: Chat = INTERNVL
    marks: tuple[str, ...] = ()
    models: Mapping[str, ModelEntry] = field(default_factory=dict)

    @property
    def adapter_class(self) -> Any:
        """Import the adapter, a subclass of `dyto.models.VideoModel`."""
        return _imported(self.adapter)

    @property
    def stock_class(self) -> Any:
        """Import the transformers class, without the Auto classes and their imports."""
        return getattr(import_module("transformers"), self.stock)

    @property
    def read_call(self) -> Any:
        """Import the reader, see `dyto.dropin.readers.Reader`."""
        return _imported(self.reader)


def _imported(place: str) -> Any:
    module, name = place.split(":")
    return getattr(import_module(module), name)


_APACHE, _LLAMA, _GEMMA_TERMS = "Apache-2.0", "Llama 2 Community License", "Gemma Terms of Use"
_TIMES = "native resolution, times in text, 256k context"
_VIDEOS = "trained on videos, 32k context"
_MIT_QWEN = "MIT, Qwen2.5 part Apache-2.0"
_QWEN_MARKS = ("<|vision_start|>", "<|vision_end|>")
_SMOLVLM_MARKS = ("<fake_token_around_image>", "<global-img>")
_GEMMA4_MARKS = ("<|image>", "<image|>")

FAMILIES: dict[str, Family] = {
    "llava_next": Family(
        "dyto.models.adapters.llava_next:LlavaNext",
        "LlavaNextForConditionalGeneration",
        reader="dyto.dropin.readers:base_tiles",
        models={
            "llava-next-vicuna-7b": ModelEntry(
                "llava-hf/llava-v1.6-vicuna-7b-hf", 14.1, _LLAMA, "the paper's 7B model"
            ),
            "llava-next-mistral-7b": ModelEntry(
                "llava-hf/llava-v1.6-mistral-7b-hf", 15.1, _APACHE, "7B with a 32k context"
            ),
            "llava-next-34b": ModelEntry("llava-hf/llava-v1.6-34b-hf", 69.5, _APACHE, "the paper's 34B model (Yi)"),
            "llava-v1.6-vicuna-7b": ModelEntry(
                "liuhaotian/llava-v1.6-vicuna-7b", 14.1, _LLAMA, "the same in the original layout"
            ),
            "llava-v1.6-mistral-7b": ModelEntry(
                "liuhaotian/llava-v1.6-mistral-7b", 15.1, _APACHE, "the same in the original layout"
            ),
            "llava-v1.6-34b": ModelEntry("liuhaotian/llava-v1.6-34b", 69.5, _APACHE, "the same in the original layout"),
        },
    ),
    "qwen3_vl": Family(
        "dyto.models.adapters.qwen3_vl:Qwen3VL",
        "Qwen3VLForConditionalGeneration",
        QWEN3,
        "dyto.dropin.readers:native_patches",
        HALF,
        marks=_QWEN_MARKS,
        models={
            "qwen3-vl-2b": ModelEntry("Qwen/Qwen3-VL-2B-Instruct", 4.3, _APACHE, f"small; {_TIMES}"),
            "qwen3-vl-4b": ModelEntry("Qwen/Qwen3-VL-4B-Instruct", 8.9, _APACHE, _TIMES),
            "qwen3-vl-8b": ModelEntry("Qwen/Qwen3-VL-8B-Instruct", 17.5, _APACHE, _TIMES),
        },
    ),
    "qwen3_vl_moe": Family(
        "dyto.models.adapters.qwen3_vl:Qwen3VL",
        "Qwen3VLMoeForConditionalGeneration",
        QWEN3,
        "dyto.dropin.readers:native_patches",
        HALF,
        marks=_QWEN_MARKS,
        models={
            "qwen3-vl-30b-a3b": ModelEntry(
                "Qwen/Qwen3-VL-30B-A3B-Instruct", 62.1, _APACHE, "experts, 3B active per token; 256k context"
            ),
        },
    ),
    "cosmos3_omni": Family(
        "dyto.models.adapters.qwen3_vl:Qwen3VL",
        "Cosmos3OmniForConditionalGeneration",
        QWEN3,
        "dyto.dropin.readers:native_patches",
        HALF,
        marks=_QWEN_MARKS,
    ),
    "qwen3_5": Family(
        "dyto.models.adapters.qwen3_5:Qwen35",
        "Qwen3_5ForConditionalGeneration",
        QWEN35,
        "dyto.dropin.readers:native_patches",
        HALF,
        marks=_QWEN_MARKS,
        models={
            "qwen3.5-9b": ModelEntry(
                "Qwen/Qwen3.5-9B", 19.3, _APACHE, "native resolution, times in text, linear attention, 256k context"
            ),
        },
    ),
    "qwen3_5_moe": Family(
        "dyto.models.adapters.qwen3_5:Qwen35",
        "Qwen3_5MoeForConditionalGeneration",
        QWEN35,
        "dyto.dropin.readers:native_patches",
        HALF,
        marks=_QWEN_MARKS,
    ),
    "qwen2_5_vl": Family(
        "dyto.models.adapters.qwen2_5_vl:Qwen25VL",
        "Qwen2_5_VLForConditionalGeneration",
        QWEN25,
        "dyto.dropin.readers:native_patches",
        marks=_QWEN_MARKS,
        models={
            "qwen2.5-vl-7b": ModelEntry(
                "Qwen/Qwen2.5-VL-7B-Instruct", 16.6, _APACHE, "native resolution, absolute time; 32k context"
            ),
        },
    ),
    "qwen2_vl": Family(
        "dyto.models.adapters.qwen2_vl:Qwen2VL",
        "Qwen2VLForConditionalGeneration",
        QWEN25,
        "dyto.dropin.readers:native_patches",
        marks=_QWEN_MARKS,
    ),
    "llava_onevision": Family(
        "dyto.models.adapters.llava_onevision:LlavaOnevision",
        "LlavaOnevisionForConditionalGeneration",
        ONEVISION,
        "dyto.dropin.readers:videos",
        HALF,
        models={
            "llava-onevision-0.5b": ModelEntry(
                "llava-hf/llava-onevision-qwen2-0.5b-ov-hf", 1.8, _APACHE, "small; trained on videos, 32k context"
            ),
            "llava-onevision-7b": ModelEntry(
                "llava-hf/llava-onevision-qwen2-7b-ov-hf", 16.1, _APACHE, "trained on videos, 32k context"
            ),
        },
    ),
    "internvl": Family(
        "dyto.models.adapters.internvl:InternVL",
        "InternVLForConditionalGeneration",
        INTERNVL,
        "dyto.dropin.readers:single_tiles",
        IMAGENET,
        marks=("<img>", "</img>"),
        models={
            "internvl3-1b": ModelEntry("OpenGVLab/InternVL3-1B-hf", 1.9, _MIT_QWEN, f"small; {_VIDEOS}"),
            "internvl3-8b": ModelEntry("OpenGVLab/InternVL3-8B-hf", 15.9, _MIT_QWEN, _VIDEOS),
        },
    ),
    "llava": Family(
        "dyto.models.adapters.llava:Llava",
        "LlavaForConditionalGeneration",
        qwen_chat=ONEVISION,
        models={
            "llava-1.5-7b": ModelEntry(
                "llava-hf/llava-1.5-7b-hf", 14.1, _LLAMA, "trained on single images, 4k context"
            ),
            "llava-1.5-13b": ModelEntry(
                "llava-hf/llava-1.5-13b-hf", 26.7, _LLAMA, "trained on single images, 4k context"
            ),
        },
    ),
    "llava_next_video": Family(
        "dyto.models.adapters.llava_next_video:LlavaNextVideo",
        "LlavaNextVideoForConditionalGeneration",
        reader="dyto.dropin.readers:videos",
        models={
            "llava-next-video-7b": ModelEntry(
                "llava-hf/LLaVA-NeXT-Video-7B-hf", 14.1, _LLAMA, "trained on videos, 4k context"
            ),
        },
    ),
    "smolvlm": Family(
        "dyto.models.adapters.smolvlm:SmolVLM",
        "SmolVLMForConditionalGeneration",
        SMOLVLM,
        "dyto.dropin.readers:filled_rows",
        HALF,
        marks=_SMOLVLM_MARKS,
        models={
            "smolvlm2-500m": ModelEntry(
                "HuggingFaceTB/SmolVLM2-500M-Video-Instruct", 2.0, _APACHE, "small; trained on videos, 8k context"
            ),
            "smolvlm2-2.2b": ModelEntry(
                "HuggingFaceTB/SmolVLM2-2.2B-Instruct", 9.0, _APACHE, "trained on videos, 8k context"
            ),
        },
    ),
    "idefics3": Family(
        "dyto.models.adapters.idefics3:Idefics3",
        "Idefics3ForConditionalGeneration",
        IDEFICS3,
        "dyto.dropin.readers:filled_rows",
        HALF,
        marks=_SMOLVLM_MARKS,
    ),
    "gemma3": Family(
        "dyto.models.adapters.gemma3:Gemma3",
        "Gemma3ForConditionalGeneration",
        GEMMA,
        normalization=HALF,
        sees_both_ways=True,
        marks=("<start_of_image>", "<end_of_image>"),
        models={
            "gemma-3-4b": ModelEntry(
                "google/gemma-3-4b-it",
                8.6,
                _GEMMA_TERMS,
                "trained on several images, 128k context; asks for consent",
            ),
            "gemma-3-12b": ModelEntry(
                "google/gemma-3-12b-it",
                24.4,
                _GEMMA_TERMS,
                "trained on several images, 128k context; asks for consent",
            ),
        },
    ),
    "gemma4": Family(
        "dyto.models.adapters.gemma4:Gemma4",
        "Gemma4ForConditionalGeneration",
        GEMMA4,
        "dyto.dropin.readers:placed_patches",
        UNIT,
        marks=_GEMMA4_MARKS,
        models={
            "gemma-4-e2b": ModelEntry(
                "google/gemma-4-E2B-it", 10.2, _APACHE, "small; trained on videos, times in text, 128k context"
            ),
            "gemma-4-e4b": ModelEntry(
                "google/gemma-4-E4B-it", 16.0, _APACHE, "trained on videos, times in text, 128k context"
            ),
        },
    ),
    "gemma4_unified": Family(
        "dyto.models.adapters.gemma4:Gemma4",
        "Gemma4UnifiedForConditionalGeneration",
        GEMMA4,
        "dyto.dropin.readers:placed_patches",
        UNIT,
        marks=_GEMMA4_MARKS,
        models={
            "gemma-4-12b": ModelEntry(
                "google/gemma-4-12B-it", 24.0, _APACHE, "without a tower; trained on videos, 256k context"
            ),
        },
    ),
    "vipllava": Family("dyto.models.adapters.vipllava:VipLlava", "VipLlavaForConditionalGeneration", VIPLLAVA),
}
"""All families by the `model_type` of a config."""
