"""The model that is used where none is named."""

from __future__ import annotations

from dyto.eye import can_see
from dyto.models.loading.chosen import chosen_model


def usual_model(name: str | None) -> str:
    """Return the model for `dyto ask`: the named one, the chosen one, or the best bundled one.

    Args:
        name: The given name; None for none.

    Returns:
        `name`, or that of `chosen_model`, or "nouns" if the extra `see` is installed, or "tiny".
    """
    chosen = None if name else chosen_model()
    return name or (chosen.model if chosen else "nouns" if can_see() else "tiny")
