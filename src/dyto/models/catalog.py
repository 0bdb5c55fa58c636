"""Models by short name, with what somebody must know before downloading them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ModelEntry:
    """A model that a short name stands for.

    Attributes:
        source: Hub name, or "" for the one that ships with the package.
        size: Of the download, in GB.
        licence: As its makers state it.
        note: What it is good for.
    """

    source: str
    size: float
    licence: str
    note: str


CATALOG: dict[str, ModelEntry] = {
    "tiny": ModelEntry("", 0.0, "Apache-2.0", "ships with the package; knows synthetic shapes only"),
    "llava-next-vicuna-7b": ModelEntry(
        "llava-hf/llava-v1.6-vicuna-7b-hf", 14.1, "Llama 2 Community License", "the paper's 7B model"
    ),
    "llava-next-mistral-7b": ModelEntry(
        "llava-hf/llava-v1.6-mistral-7b-hf", 15.1, "Apache-2.0", "7B with a 32k context"
    ),
    "llava-next-34b": ModelEntry("llava-hf/llava-v1.6-34b-hf", 69.5, "Apache-2.0", "the paper's 34B model (Yi)"),
    "llava-v1.6-vicuna-7b": ModelEntry(
        "liuhaotian/llava-v1.6-vicuna-7b",
        14.1,
        "Llama 2 Community License",
        "the same in the original layout",
    ),
    "llava-v1.6-mistral-7b": ModelEntry(
        "liuhaotian/llava-v1.6-mistral-7b", 15.1, "Apache-2.0", "the same in the original layout"
    ),
    "llava-v1.6-34b": ModelEntry("liuhaotian/llava-v1.6-34b", 69.5, "Apache-2.0", "the same in the original layout"),
    "qwen3-vl-2b": ModelEntry(
        "Qwen/Qwen3-VL-2B-Instruct", 4.3, "Apache-2.0", "small; native resolution, times in text, 256k context"
    ),
    "qwen3-vl-8b": ModelEntry(
        "Qwen/Qwen3-VL-8B-Instruct", 17.5, "Apache-2.0", "native resolution, times in text, 256k context"
    ),
    "qwen2.5-vl-7b": ModelEntry(
        "Qwen/Qwen2.5-VL-7B-Instruct", 16.6, "Apache-2.0", "native resolution, absolute time, 128k context"
    ),
    "llava-onevision-0.5b": ModelEntry(
        "llava-hf/llava-onevision-qwen2-0.5b-ov-hf", 1.8, "Apache-2.0", "small; trained on videos, 32k context"
    ),
    "llava-onevision-7b": ModelEntry(
        "llava-hf/llava-onevision-qwen2-7b-ov-hf", 16.1, "Apache-2.0", "trained on videos, 32k context"
    ),
    "internvl3-1b": ModelEntry("OpenGVLab/InternVL3-1B-hf", 1.9, "Apache-2.0", "small; trained on videos, 32k context"),
    "internvl3-8b": ModelEntry("OpenGVLab/InternVL3-8B-hf", 15.9, "Apache-2.0", "trained on videos, 32k context"),
    "llava-1.5-7b": ModelEntry(
        "llava-hf/llava-1.5-7b-hf", 14.1, "Llama 2 Community License", "trained on single images, 4k context"
    ),
    "llava-1.5-13b": ModelEntry(
        "llava-hf/llava-1.5-13b-hf", 26.7, "Llama 2 Community License", "trained on single images, 4k context"
    ),
    "llava-next-video-7b": ModelEntry(
        "llava-hf/LLaVA-NeXT-Video-7B-hf", 14.1, "Llama 2 Community License", "trained on videos, 4k context"
    ),
    "smolvlm2-500m": ModelEntry(
        "HuggingFaceTB/SmolVLM2-500M-Video-Instruct", 2.0, "Apache-2.0", "small; trained on videos, 8k context"
    ),
    "smolvlm2-2.2b": ModelEntry(
        "HuggingFaceTB/SmolVLM2-2.2B-Instruct", 9.0, "Apache-2.0", "trained on videos, 8k context"
    ),
    "gemma-3-4b": ModelEntry(
        "google/gemma-3-4b-it", 8.6, "Gemma Terms of Use", "trained on several images, 128k context; asks for consent"
    ),
    "gemma-3-12b": ModelEntry(
        "google/gemma-3-12b-it", 24.4, "Gemma Terms of Use", "trained on several images, 128k context; asks for consent"
    ),
}
"""Every short name. A hub name or a local folder works as well."""


def real_models_hint() -> str:
    """One line that names models for real videos, with size and licence."""
    named = ("llava-next-vicuna-7b", "llava-next-mistral-7b", "llava-next-34b")
    real = [f"{name} ({CATALOG[name].size:.0f} GB, {CATALOG[name].licence})" for name in named]
    return "for real videos pass --model " + ", ".join(real)
