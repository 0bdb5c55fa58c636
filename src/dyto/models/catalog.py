"""Models by short name, with what somebody must know before downloading them."""

from __future__ import annotations

from dyto.models.families import FAMILIES, ModelEntry

CATALOG: dict[str, ModelEntry] = {
    "tiny": ModelEntry("", 0.0, "Apache-2.0", "ships with the package; knows synthetic shapes only"),
    "nouns": ModelEntry("", 0.0, "Apache-2.0", "with the extra see; names 1,000 kinds of things in real videos"),
    **{name: entry for family in FAMILIES.values() for name, entry in family.models.items()},
}
"""Every short name. A hub name or a local folder works as well."""


def real_models_hint() -> str:
    """One line that names models for real videos, with size and licence."""
    named = ("llava-next-vicuna-7b", "llava-next-mistral-7b", "llava-next-34b")
    real = [f"{name} ({CATALOG[name].size:.0f} GB, {CATALOG[name].licence})" for name in named]
    return "for real videos pass --model " + ", ".join(real)


def smallest_real_model() -> str:
    """The smallest model of the catalogue that answers freely about real videos, with its size and licence."""
    name, entry = min(
        ((name, entry) for name, entry in CATALOG.items() if entry.source), key=lambda pair: (pair[1].size, pair[0])
    )
    return f"{name} ({entry.size:.1f} GB, {entry.licence})"
