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
}
"""Every short name. A hub name or a local folder works as well."""


def real_models_hint() -> str:
    """One line that names models for real videos, with size and licence."""
    real = [
        f"{name} ({entry.size:.0f} GB, {entry.licence})"
        for name, entry in CATALOG.items()
        if name.startswith("llava-next")
    ]
    return "for real videos pass --model " + ", ".join(real)
