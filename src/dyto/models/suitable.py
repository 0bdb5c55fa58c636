"""The model to try next on this machine, after a bundled one has answered."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import cache

import torch

from dyto.models.catalog import CATALOG
from dyto.models.facts import FACTS, LARGE, first_to_try
from dyto.models.loading.devices import memory_of
from dyto.models.loading.downloads import on_disk

PATIENCE = 120.0
"""Longest time for the first answer, in seconds, that a suitable model may be expected to take."""

SHARE = 0.8
"""Share of a device's memory that a model may fill."""

PER_THREAD, PER_PROCESSOR, OTHERS = 0.05, 0.75, 4.0
"""Tera-operations a second: of a thread of a CPU, of a multiprocessor of a CUDA device, and of any other device. They
put a laptop of four cores at 0.2 and a large GPU at 100, as the seconds in docs/models.md do."""


@dataclass(frozen=True)
class NextModel:
    """A model that fits this machine.

    Attributes:
        name: Its short name.
        download: GB that are still to be downloaded; 0 if it is on the disk.
        memory: GB of memory that it needs, computed from its shape.
        seconds: Expected time for the first answer about 100 frames, estimated from its operations.
        licence: Its licence.
    """

    name: str
    download: float
    memory: float
    seconds: float
    licence: str

    def __str__(self) -> str:
        """Return the options to pass, and what they cost."""
        fetched = f"{self.download:.1f} GB to download" if self.download else "already on this disk"
        least = "less than a second" if self.seconds < 1 else f"about {_round(self.seconds)}"
        costs = f"{fetched}, {self.memory:.1f} GB of memory, {least} for the first answer, estimated; {self.licence}"
        return f"--model {self.name} ({costs})"


def _round(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.0f} minutes"


@cache
def next_model(device: torch.device) -> NextModel | None:
    """Return the smallest suitable model for real videos on this machine.

    A suitable model fits the memory and is expected to answer within `PATIENCE`. One on the disk comes before one to
    download; then smaller classes of size come first, and the newest within a class, as in `dyto list models`. If none
    is fast enough, the one with the fewest operations is returned.

    Args:
        device: Where it is to run.

    Returns:
        The model; None if none fits the memory.

    Example:
        >>> found = next_model(torch.device("cpu"))
        >>> found is None or found.name in CATALOG
        True
    """
    return choose(device.type, memory_of(device), _speed(device), _on_disk())


def choose(kind: str, memory: int | None, speed: float, on_disk: frozenset[str]) -> NextModel | None:
    """Choose a model for a device.

    Args:
        kind: Kind of the device: "cpu", "cuda", "xpu" or "mps".
        memory: Its memory in bytes; None if unknown, which fits every model.
        speed: Its tera-operations a second.
        on_disk: Short names of the models that need no download.

    Example:
        >>> choose("cpu", 16 << 30, 0.2, frozenset()).name, choose("cuda", 24 << 30, 60.0, frozenset()).name
        ('smolvlm2-256m', 'internvl3.5-1b')
        >>> print(choose("cuda", 24 << 30, 60.0, frozenset({"qwen3-vl-2b"})))  # doctest: +ELLIPSIS
        --model qwen3-vl-2b (already on this disk, 6.2 GB of memory, about 4 s for the first answer, ...)
    """
    fitting = []
    for name, entry in CATALOG.items():
        facts = FACTS.get(name)
        if not entry.source or facts is None:
            continue
        bits = 32 if kind == "cpu" and 4 * facts.weights * 1e9 <= LARGE else 16
        need = facts.memory(bits)
        if memory is None or need * 1e9 <= SHARE * memory:
            download = 0.0 if name in on_disk else entry.size
            fitting.append(NextModel(name, download, need, facts.operations / speed, entry.licence))
    quick = [one for one in fitting if one.seconds <= PATIENCE]
    if quick:
        return min(quick, key=lambda one: (one.download > 0, first_to_try(one.name, one.download)))
    return min(fitting, key=lambda one: (one.seconds, one.name), default=None)


def _speed(device: torch.device) -> float:
    if device.type == "cuda":
        return PER_PROCESSOR * torch.cuda.get_device_properties(device).multi_processor_count
    return PER_THREAD * torch.get_num_threads() if device.type == "cpu" else OTHERS


def _on_disk() -> frozenset[str]:
    """Return the short names of the models in the hub's cache."""
    return frozenset(name for name, entry in CATALOG.items() if entry.source and on_disk(entry.source))


def for_more(device: torch.device, what: str) -> str:
    """Return a sentence that says what to pass for more than a bundled model knows.

    Args:
        device: Where the next model is to run.
        what: What it is to be good for: "anything else".

    Example:
        >>> for_more(torch.device("cpu"), "real videos").startswith("for real videos pass --model ")
        True
    """
    found = next_model(device)
    if found is None:
        return f"for {what} no model that we know of fits the memory of this machine: see dyto list models"
    return f"for {what} pass {found}"


def for_a_page(note: str, offered: Collection[str]) -> str:
    """Return a note in words for people before a page, who pass no options.

    Args:
        note: Any note, such as one with a sentence of `for_more`.
        offered: Names of the models in the page's menu.

    Example:
        >>> for_a_page("for anything else pass --model qwen3-vl-2b (4.3 GB to download)", [])
        'for anything else start the page with dyto demo --model qwen3-vl-2b (4.3 GB to download)'
        >>> for_a_page("for anything else pass --model qwen3-vl-2b (4.3 GB to download)", ["qwen3-vl-2b"])
        'for anything else choose qwen3-vl-2b in the menu Model (4.3 GB to download)'
    """

    def told(match: re.Match[str]) -> str:
        name = match[1]
        return (
            f"choose {name} in the menu Model" if name in offered else f"start the page with dyto demo --model {name}"
        )

    return re.sub(r"pass --model (\S+)", told, note)
