"""The runner of a comparison: video by video, every cell; what is recorded is never asked again."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dyto.benchmarks import Sample
from dyto.comparing.asking import COMPARED, STAGES, CellAsker, Cost, Variant, row_key
from dyto.comparing.cells import Cell
from dyto.comparing.rotation import variants
from dyto.errors import ConfigError, DatasetError
from dyto.evaluation.folders import RunFolders
from dyto.evaluation.journal import Journal, pieces
from dyto.evaluation.loading import Loaded, Loader, Unavailable
from dyto.evaluation.outcome import ErrorLimit, reason_of, status_of
from dyto.evaluation.runlog import RunLog
from dyto.evaluation.runner import IDLE_SECONDS, Group, answered, is_open, load_clip

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Work:
    """What there is to do.

    Args:
        folders: Where rows are recorded.
        groups: Clips with their samples.
        cells: Every strategy at every budget.
        rotate: Ask every rotation of the options.
        error_limit: How many rows may stay without an answer.
    """

    folders: RunFolders
    groups: Sequence[Group]
    cells: Sequence[Cell]
    rotate: bool
    error_limit: ErrorLimit = field(default_factory=ErrorLimit)

    def keys(self) -> set[str]:
        """The key of every row there will be."""
        asked = [variant for _, samples in self.groups for variant in variants(samples, self.rotate)]
        return {row_key(cell, sample.key, number) for sample, number, _ in asked for cell in self.cells}

    def costs(self) -> Journal:
        """What cells cost on each clip; of two records of one clip, that of more questions counts."""
        return Journal(self.folders.artifacts / "costs", rank=_rank_of_cost)

    def rows(self) -> Journal:
        """The rows as they are recorded."""
        return self.folders.journal(COMPARED)


def nothing_open(work: Work, loader: Loader) -> bool:
    """Whether everything is recorded, so that no model need be loaded.

    Raises:
        TooManyErrorsError: More rows stayed without an answer than are allowed.
    """
    with work.rows() as journal:
        journal.refresh()
        work.error_limit.check(lambda: answered(journal, work.keys()))
        return not any(_open(journal, loader, work, cell, members) for _, members in work.groups for cell in work.cells)


def run(work: Work, panel: CellAsker, loader: Loader, progress: Progress) -> None:
    """Ask everything that is not recorded yet, and wait for what other processes are asking.

    Decoding, encoding and asking follow one another in this process, so that no strategy is timed while something
    else is going on; the cells take turns in going first.

    Raises:
        DatasetError: The disk is full; what was recorded before is safe.
        TooManyErrorsError: More rows stayed without an answer than are allowed.
    """
    groups = dict(work.groups)
    keys = work.keys()
    name = secrets.token_hex(4)  # of this run, so that seconds of several runs can be told apart
    with (
        work.rows() as journal,
        work.costs() as costs,
        work.folders.claims() as claims,
        RunLog(work.folders.logs / "logs") as log,
    ):
        panel.log = log

        def open_cells(index: int) -> dict[Cell, list[Variant]]:
            found = {cell: _open(journal, loader, work, cell, groups[index]) for cell in _turned(work.cells, index)}
            return {cell: wanted for cell, wanted in found.items() if wanted}

        def has_open(index: int) -> bool:
            journal.refresh()
            return bool(open_cells(index))

        def report() -> None:
            progress(len(keys & journal.refresh()), len(keys))
            work.error_limit.check(lambda: answered(journal, keys))

        report()
        for index in pieces(claims, groups, has_open):
            if index is None:
                time.sleep(IDLE_SECONDS)
                continue
            samples = groups[index]
            video = _opened(panel, loader, samples, alone=not any(answered(journal, keys)))
            for cell, wanted in open_cells(index).items():
                rows, cost = panel.rows(cell, variants(samples, work.rotate), video)
                names = {row_key(cell, sample.key, number) for sample, number, _ in wanted}
                if cost.seconds["generate"]:  # it answered
                    costs.append([_cost_line(cell, samples, len(rows), cost) | {"run": name}])
                journal.append(row for row in rows if row["key"] in names)
                report()
            panel.vision.close()
            claims.release(index)
        report()


def _opened(panel: CellAsker, loader: Loader, samples: Sequence[Sample], *, alone: bool) -> Loaded | Unavailable:
    """The video of some samples, seen by the tower, or why there is none; `alone` while none was answered yet.

    Raises:
        ConfigError: A setting that no video has met so far.
        DatasetError: The machine has no room to read any.
    """
    try:
        video = load_clip(loader, samples)
        panel.open(video)
    except DatasetError:
        raise  # of the machine, and not of this video
    except Exception as err:
        if isinstance(err, ConfigError) and alone:
            raise
        if panel.log is not None:
            panel.log.error(samples[0].video, err)
        return Unavailable(status_of(err), reason_of(err))
    return video


def _rank_of_cost(line: Mapping[str, Any]) -> int:
    """Which of two costs of one cell on one clip counts; an error where it is none."""
    kinds = {"cell": str, "video": str, "questions": int, "asked": int, "seconds": dict, "peak_mib": dict, "run": str}
    for name, kind in kinds.items():
        if not isinstance(line[name], kind):
            raise TypeError(f"{name} is {line[name]!r}")
    numbers = [line["asked"], *(line["seconds"][stage] for stage in STAGES), *line["peak_mib"].values()]
    if not all(isinstance(number, (int, float)) for number in numbers) or line["asked"] < 1:
        raise ValueError(f"{numbers} are no costs")
    return -int(line["questions"])


def _turned(cells: Sequence[Cell], index: int) -> list[Cell]:
    first = index % len(cells)
    return [*cells[first:], *cells[:first]]


def _open(journal: Journal, loader: Loader, work: Work, cell: Cell, samples: Sequence[Sample]) -> list[Variant]:
    """What of a clip is not recorded for a cell."""
    return [
        variant
        for variant in variants(samples, work.rotate)
        if is_open(journal, loader, variant[0], row_key(cell, variant[0].key, variant[1]))
    ]


def _cost_line(cell: Cell, samples: Sequence[Sample], asked: int, cost: Cost) -> dict[str, Any]:
    """One line for a cell and a clip."""
    return {
        "key": f"{samples[0].place:06d}-{cell.key}",
        "cell": cell.key,
        "video": samples[0].video,
        "questions": len(samples),
        "asked": asked,
        "seconds": {stage: round(cost.seconds.get(stage, 0.0), 6) for stage in STAGES},
        "peak_mib": {stage: round(mib, 1) for stage, mib in cost.memory.items()},
    }
