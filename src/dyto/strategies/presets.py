"""Presets of `DyTo`: named readings of the paper and of its released code, and ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Preset:
    """A named set of fields.

    Attributes:
        fields: The fields that say what the preset is; all others keep their defaults.
        note: Where it comes from.
        strategy: Name of the strategy.
    """

    fields: Mapping[str, Any]
    note: str
    strategy: str = "dyto"


PRESETS: dict[str, Preset] = {
    "release": Preset(
        {"partition": "second-finest", "max_keyframes": 25, "reference_budget": 3680},
        "the authors' code at its last commit (570e977), its missing return restored",
    ),
    "paper-7b": Preset(
        {"partition": "second-finest", "max_keyframes": 25, "reference_budget": 3680},
        "the paper's 7B setting; the same as release, as far as we know",
    ),
    "paper-34b": Preset(
        {
            "partition": "second-finest",
            "quotas": ((6, 12), (12, 24)),
            "max_keyframes": 50,
            "reference_budget": 7200,
        },
        "our reconstruction of the paper's 34B setting (Z = 7200)",
    ),
    "finest": Preset(
        {"partition": "finest", "max_keyframes": 25, "reference_budget": 3680},
        "the finest partition: catches short scenes that release misses",
    ),
    "plus": Preset(
        {"reference_budget": 3680}, "ours: a key frame for each scene that differs by more than noise", strategy="plus"
    ),
}
