"""The unit of comparison: a strategy at a budget."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from typing import Any

from dyto.errors import ConfigError
from dyto.features import VisualTokens
from dyto.strategies import STRATEGIES, Strategy
from dyto.strategies.base import Encode
from dyto.strategies.published import split_names
from dyto.strategies.targets import describe_strategy, find_strategy, takes_budget, with_budget
from dyto.video import Frames

BASELINE = "uniform"
BLIND = "blind"
POOLED = "uniform-pool:pool=3"
SIMPLE_RIVALS = (BASELINE, "uniform-pool", POOLED, "uniform-merge", "downsample", "evs", "vidcom2")
"""Simple strategies that a useful method must beat."""

EVERY = [*(name for name, kind in STRATEGIES.items() if takes_budget(kind)), POOLED]


@dataclass(frozen=True)
class Cell:
    """One strategy at one budget; or the control without any video.

    Attributes:
        strategy: Its name, as given.
        budget: Largest number of visual tokens; None for the control.
        frames: The budget in whole frames as the user wrote it ("1.6f"), or "".
        call: The strategy; None for the control.
    """

    strategy: str
    budget: int | None = None
    frames: str = ""
    call: Strategy | None = field(default=None, repr=False)

    @cached_property
    def key(self) -> str:
        """Name, budget and a hash of the strategy's fields: another configuration is another cell."""
        fields = describe_strategy(self.call) if self.call else {}
        digest = sha256(json.dumps(fields, sort_keys=True, default=str).encode()).hexdigest()[:10]
        return f"{self.strategy}@{self.budget or 0}-{digest}"

    def __str__(self) -> str:
        return self.strategy if self.budget is None else f"{self.strategy} at {self.budget}"


def parse_strategies(text: str) -> list[str]:
    """Parse comma-separated names and add `uniform`; "all" means all with a budget, and more pooling.

    Raises:
        ConfigError: No strategy is named.

    Example:
        >>> parse_strategies("dyto, finest")
        ['dyto', 'finest', 'uniform']
    """
    names = split_names(text)
    if not names:
        raise ConfigError("no strategy named, expected comma-separated names such as dyto,uniform")
    if "all" in names:
        names[names.index("all") : names.index("all") + 1] = EVERY
    if BASELINE not in names:
        names.append(BASELINE)
    return list(dict.fromkeys(names))


def parse_budgets(text: str, num_patches: int) -> list[tuple[int, str]]:
    """Parse numbers of tokens, given directly or in whole frames.

    Args:
        text: Comma-separated: "230" for tokens, "6.4f" for the tokens of 6.4 frames.
        num_patches: Tokens of one frame.

    Returns:
        Budgets in ascending order: tokens, and the frames if they were given.

    Example:
        >>> parse_budgets("1.6f,230", 36)
        [(58, '1.6f'), (230, '')]
    """
    found: dict[int, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(\d+(?:\.\d+)?)f|(\d+)", part)
        tokens = (round(float(match[1]) * num_patches) if match[1] else int(match[2])) if match else 0
        if tokens < 1:
            raise ConfigError(f"budget {part!r}, expected tokens such as 230, or frames such as 6.4f, at least 1 token")
        found.setdefault(tokens, part if part.endswith("f") else "")
    if not found:
        raise ConfigError("no budget named, expected comma-separated numbers such as 115,230 or 3.2f,6.4f")
    return sorted(found.items())


def attention_layer(cells: Sequence[Cell]) -> int | None:
    """Return the layer whose attention strategies need: the first of several, or None if none needs any."""
    needing: list[Any] = [cell.call for cell in cells if "attention" in getattr(cell.call, "needs", ())]
    layers: list[int] = [call.attention_layer for call in needing if hasattr(call, "attention_layer")]
    return min(layers, default=None)


def make_cells(names: Sequence[str], budgets: Sequence[tuple[int, str]], *, blind: bool) -> list[Cell]:
    """Return every strategy at every budget, and the control.

    Raises:
        ConfigError: A strategy is unknown, or takes no budget.
    """
    cells = []
    for name in names:
        target = find_strategy(name)
        for tokens, frames in budgets:
            cells.append(Cell(name, tokens, frames, with_budget(target, tokens)))
    return cells + ([Cell(BLIND)] if blind else [])


def recorded_cells(rows: Iterable[Mapping[str, Any]]) -> list[Cell]:
    """Return the cells of recorded rows, known by their keys; their strategies cannot be called.

    Args:
        rows: Rows of a comparison.
    """
    found: dict[str, Cell] = {}
    for row in rows:
        key = row["key"].split("-", 3)[3]
        if key not in found:
            blind = row["budget"] is None
            cell = Cell(row["strategy"], row["budget"], "", None if blind else _not_here)
            vars(cell)["key"] = key
            found[key] = cell
    return list(found.values())


def _not_here(frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
    raise ConfigError("this strategy comes from a record and cannot be called: build it with find_strategy")
