"""One measurement: all sides on the same model, video and settings, interleaved run by run."""

from __future__ import annotations

import dataclasses
import gc
import platform
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

import torch

from dyto.errors import ModelError
from dyto.video.stretches import cores
from dyto_bench import floors, reading, tally
from dyto_bench.plan import FORMAT, QUESTIONS, Subject
from dyto_bench.probes import MemoryProbe
from dyto_bench.sides import FollowUps, Side

Progress = Callable[[str], None]


def bench(
    subject: Subject, sides: Sequence[Side], progress: Progress = lambda _: None, readers: Sequence[str] = ()
) -> dict[str, Any]:
    """Measure sides against one another.

    Every run measures every side once, in an order that turns, so that what slows one down slows the others. One run
    before the first warms up and is thrown away.

    Args:
        subject: What is measured with.
        sides: The sides; the first is this library with all savings.
        progress: Told what is under way.
        readers: Libraries of `dyto_bench.reading` that read the same frames.

    Returns:
        A JSON-ready document: settings, machine, raw runs, and the figures that `dyto_bench.tally` makes of them.

    Raises:
        ModelError: Sides do not do the same work: other frames, answers of another length.
    """
    plan, device = subject.plan, subject.model.device
    records = [_record(side) for side in sides]
    for number in range(-1, plan.runs):
        label = f"run {number + 1} of {plan.runs}" if number >= 0 else "warming up"
        for place in range(len(sides)):
            index = (place + max(number, 0)) % len(sides)
            progress(f"{label}: {sides[index].name}")
            measured = _measure(subject, sides[index], warm=number < 0)
            if number >= 0:
                _add(records[index], *measured)
            else:
                _check_frames(subject, sides[index], measured[0])
    for side, record in zip(sides, records, strict=True):
        record["warnings"] = list(dict.fromkeys(side.warnings))
        record["figures"] = tally.first_figures(record)
        record["same_answer"] = all(
            run["ids"] == other["ids"] for run, other in zip(record["first"], records[0]["first"], strict=True)
        )
        for cell in record["further"]:
            cell["figures"] = tally.further_figures(cell["runs"], cell["questions"])
    progress("measuring the machine")
    document: dict[str, Any] = {
        "format": FORMAT,
        "dyto": version("dyto"),
        "machine": machine(device),
        "settings": settings(subject),
        "memory": MemoryProbe.kind(device),
        "spread": tally.SPREAD,
        "sides": records,
    }
    document["ratios"] = tally.ratios(document)
    document["select_and_merge"] = tally.shares(document)
    document["rates"] = floors.measure_rates(device, subject.model.dtype)
    document["floors"] = floors.floors(subject, document)
    request = {
        "path": str(subject.video),
        "numbers": subject.uniform(plan.num_frames),
        "size": list(_frame_sizes(subject)[1]),
    }
    document["reading"] = reading.measure(readers, request, plan.runs, progress)
    return document


def _record(side: Side) -> dict[str, Any]:
    return {"name": side.name, "about": side.about, "first": [], "further": []}


def _measure(subject: Subject, side: Side, warm: bool) -> tuple[dict[str, Any], list[tuple[int, int, FollowUps]]]:
    """Run one side once: a first answer, then further questions at every number and batch size."""
    gc.collect()
    memory = MemoryProbe(subject.model.device)
    first = {**dataclasses.asdict(side.first()), "peak_mib": memory.peak()}
    cells = subject.plan.cells() if side.has_axes else [(1, 1)]
    further = [(count, size, side.further(subject.plan.further(count), size)) for count, size in cells]
    check = getattr(side, "check_cache", None)
    if warm and check is not None:
        check()
    side.release()
    return first, further


def _add(record: dict[str, Any], first: dict[str, Any], further: Sequence[tuple[int, int, FollowUps]]) -> None:
    record["first"].append(first)
    known = {(cell["questions"], cell["batch_size"]): cell for cell in record["further"]}
    for count, size, run in further:
        cell = known.get((count, size))
        if cell is None:
            cell = {"questions": count, "batch_size": size, "runs": []}
            record["further"].append(cell)
        cell["runs"].append(dataclasses.asdict(run))


def _check_frames(subject: Subject, side: Side, first: dict[str, Any]) -> None:
    """Check that all sides see the same evenly spread frames; stock, which the budget limits, may see fewer."""
    expected = subject.uniform(len(first["frames"]))
    if list(first["frames"]) != expected:
        raise ModelError(
            f"side {side.name!r} saw frames {list(first['frames'])[:5]}..., expected {expected[:5]}... as all sides: "
            "report it"
        )
    if first["visual_tokens"] > subject.budget and len(expected) > 1:
        raise ModelError(
            f"side {side.name!r} has {first['visual_tokens']} visual tokens, expected at most {subject.budget}: "
            "report it"
        )


def settings(subject: Subject) -> dict[str, Any]:
    """Return the settings common to all sides, as JSON-ready values."""
    from dyto.strategies.targets import describe_strategy

    model = subject.model
    return {
        "model": model.name,
        "strategy": describe_strategy(subject.strategy),
        "budget": subject.budget,
        "video": subject.video.name,
        "dtype": str(model.dtype).removeprefix("torch."),
        "attention": model.model.config._attn_implementation,
        "resolution": resolution(subject),
        "question": QUESTIONS[0],
        **subject.plan.to_dict(),
        "notes": list(subject.notes),
    }


def resolution(subject: Subject) -> str:
    """Return the size of the file's frames, and their size at the tower.

    Stock cuts a frame into tiles of the same square.
    """
    (height, width), (rows, cols) = _frame_sizes(subject)
    return f"{width}x{height}, at the tower {cols}x{rows}"


def _frame_sizes(subject: Subject) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return (height, width) of the file's frames, and of the frames that the tower takes."""
    from dyto.video import sample_frames

    frames = sample_frames(subject.video, num_frames=1, size=subject.model.image_size)
    return frames.source_size, (frames.data.shape[1], frames.data.shape[2])


def machine(device: torch.device) -> dict[str, Any]:
    """Describe the machine."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else _processor()
    return {
        "device": str(device),
        "name": name,
        "cores": cores(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "av": version("av"),
    }


def _processor() -> str:
    """Return the processor's name as Linux reports it."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor() or platform.machine()
