"""Models by short name, with the facts to know before downloading them."""

from __future__ import annotations

from dyto.models.families import FAMILIES, ModelEntry

CATALOG: dict[str, ModelEntry] = {
    "tiny": ModelEntry("", 0.0, "Apache-2.0", "ships with the package; knows synthetic shapes only"),
    **{name: entry for family in FAMILIES.values() for name, entry in family.models.items()},
}
"""All short names. A Hub name or a local folder works as well."""


def real_models_hint() -> str:
    """Return one line that names models for real videos, with size and licence."""
    named = ("llava-next-vicuna-7b", "llava-next-mistral-7b", "llava-next-34b")
    real = [f"{name} ({CATALOG[name].size:.0f} GB, {CATALOG[name].licence})" for name in named]
    return "for real videos pass --model " + ", ".join(real)
