"""Models ranked for a machine: what fits its memory, best first, and what is on the disk before a download.

"Best" is no measurement of ours: of the models that fit, larger ones come first, and of one size the newest. On a CPU,
models that take minutes for a first word come after the quick ones, small ones first.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

from dyto.eye import can_see
from dyto.models.catalog import CATALOG
from dyto.models.facts import FACTS, LARGE
from dyto.models.loading.downloads import is_offline, on_disk
from dyto.models.loading.naming import AUTO
from dyto.system.memory import machine_memory

ACCELERATORS = ("nvidia*", "kfd", "accel*", "dri/renderD*")
"""Patterns in /dev of devices other than CPUs."""

ROOM = 0.9
"""Part of a device's memory that a model may take."""

QUICK = 70.0
"""Most tera-operations for the first word of an answer on a CPU; see `dyto.models.facts.Facts.operations`."""


@dataclass(frozen=True)
class ThisMachine:
    """What a machine has.

    Attributes:
        kind: "cpu", or a kind of accelerator.
        memory: GB of the device's memory; None if unknown.
    """

    kind: str
    memory: float | None

    @classmethod
    def here(cls) -> ThisMachine:
        """Look at this machine, with torch only where it may have more than a CPU."""
        if sys.platform == "linux" and not any(next(Path("/dev").glob(part), None) for part in ACCELERATORS):
            kind, size = "cpu", machine_memory()
        else:
            from dyto.models.loading.devices import best_kind, find_device, memory_of

            kind, size = best_kind(), memory_of(find_device(None))
        return cls(kind, None if size is None else size / 1e9)


@dataclass(frozen=True)
class Ranked:
    """A model and its place.

    Attributes:
        name: Its short name.
        usable: Whether it fits.
        on_disk: Whether its files are here already.
        reason: Why it stands where it stands.
    """

    name: str
    usable: bool
    on_disk: bool
    reason: str


def ranking(machine: ThisMachine | None = None) -> list[Ranked]:
    """Rank all models with short names.

    Args:
        machine: The machine; None for this one.

    Returns:
        The models: those that fit, those on the disk first among them; bundled ones; those that do not fit.

    Example:
        >>> first = ranking(ThisMachine("cuda", 24.0))[0]
        >>> first.name, first.usable
        ('qwen3.5-9b', True)
    """
    given = machine or ThisMachine.here()
    return [place for _, place in sorted((_placed(name, given) for name in CATALOG), key=lambda pair: pair[0])]


def best_model(machine: ThisMachine | None = None) -> Ranked:
    """Return the model that "auto" stands for.

    A model whose makers ask for consent is left out, since its download would fail; so is any download if
    HF_HUB_OFFLINE is set.
    """
    for place in ranking(machine):
        bundled = not CATALOG[place.name].source
        asks = "asks for consent" in CATALOG[place.name].note
        if place.usable and (place.on_disk or not (is_offline() or asks)) and (place.name != "nouns" or can_see()):
            if bundled and place.name == "tiny" and can_see():
                continue
            return place
    return Ranked("tiny", True, True, "ships with the package")


def chosen_for(name: str) -> tuple[str, tuple[str, ...]]:
    """Return the model that a name stands for, and notices that say so if it is "auto"."""
    if name != AUTO:
        return name, ()
    best = best_model()
    return best.name, (f"auto chose {best.name}: {best.reason}",)


def _placed(name: str, machine: ThisMachine) -> tuple[tuple[float, ...], Ranked]:
    """Return the sort key and the place of a model."""
    facts, entry = FACTS.get(name), CATALOG[name]
    if not entry.source or facts is None:
        knows = "1,000 kinds of things" if name == "nouns" else "drawn shapes"
        return (1, float(name == "tiny")), Ranked(name, True, True, f"bundled; knows {knows} only")
    on_cpu = machine.kind == "cpu"
    need = facts.memory(32 if on_cpu and 4 * facts.weights * 1e9 <= LARGE else 16)
    here = on_disk(entry.source)
    where = "on the disk" if here else f"{entry.size:.1f} GB to download"
    year, _, month = facts.published.partition("-")
    newest = -int(year) - int(month or 12) / 13
    if machine.memory is not None and need > ROOM * machine.memory:
        reason = f"too large: needs {need:.0f} GB of {machine.memory:.0f} GB"
        return (2, need, newest), Ranked(name, False, here, reason)
    fits = f"fits: {need:.0f} GB" + ("" if machine.memory is None else f" of {machine.memory:.0f} GB")
    if on_cpu and facts.operations > QUICK:
        return (0, not here, 1, need, newest), Ranked(name, True, here, f"{fits}, but slow on a CPU; {where}")
    original = name.endswith("-original") or entry.source.startswith("liuhaotian/")  # the same weights once more
    return (0, not here, 0, -round(facts.weights), original, newest), Ranked(name, True, here, f"{fits}; {where}")
