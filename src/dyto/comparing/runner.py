"""The runner of a comparison: every cell on every video; recorded questions are never asked again."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from dyto.benchmarks import Sample
from dyto.comparing.asking_cells import COMPARED, STAGES, CellAsker, Cost, labelled, row_key, unavailable
from dyto.comparing.cells import Cell, attention_layer
from dyto.comparing.comparison import Comparison
from dyto.comparing.rotation import variants
from dyto.errors import ConfigError, DatasetError
from dyto.evaluation.folders import RunFolders, read_json
from dyto.evaluation.journal import Journal
from dyto.evaluation.loading import Loader, Unavailable
from dyto.evaluation.outcome import ErrorLimit, reason_of, status_of
from dyto.evaluation.questions import Questions
from dyto.evaluation.rows import Row
from dyto.evaluation.runner import MISSING, Group, answered, is_open, load_clip
from dyto.evaluation.workers import Progress, Run
from dyto.scaling.jobs import Done, Job, Refused
from dyto.scaling.working import refusal


@dataclass(frozen=True)
class RemainingWork:
    """The work that is left.

    Args:
        folders: The folders for the rows.
        groups: Clips with their samples.
        cells: Every strategy at every budget.
        rotate: Ask every rotation of the options.
        error_limit: Largest number of rows without an answer.
    """

    folders: RunFolders
    groups: Sequence[Group]
    cells: Sequence[Cell]
    rotate: bool
    error_limit: ErrorLimit = field(default_factory=ErrorLimit)

    def keys(self) -> set[str]:
        """Return the key of every expected row."""
        asked = [variant for _, samples in self.groups for variant in variants(samples, self.rotate)]
        return {row_key(cell, sample.key, number) for sample, number, _ in asked for cell in self.cells}

    def costs(self) -> Journal:
        """Return the costs of cells on each clip; of two records of a clip, the one with more questions counts."""
        return Journal(self.folders.artifacts / "costs", rank=_rank_of_cost)

    def rows(self) -> Journal:
        """Return the recorded rows."""
        return self.folders.journal(COMPARED)


def nothing_open(work: RemainingWork, loader: Loader) -> bool:
    """Return whether everything is recorded, so that no model needs to be loaded.

    Raises:
        TooManyErrorsError: Too many rows have no answer.
    """
    with work.rows() as journal:
        journal.refresh()
        work.error_limit.check(lambda: answered(journal, work.keys()))
        return not any(_open(journal, loader, work, cell, members) for _, members in work.groups for cell in work.cells)


def recorded_cells(contest: Comparison, questions: Questions) -> list[Cell] | None:
    """Return the cells, if an earlier run noted the number of patches per frame; None before the first run."""
    if not contest.folders.check(contest.config(questions), questions):
        return None
    noted = read_json(contest.folders.artifacts / "config.json")
    return contest.cells(int(noted["patches_per_frame"]))


class CompareWork:
    """Asks every cell about one clip after another.

    Decoding, encoding and asking run one after another, so that nothing else runs while a strategy is timed; the
    cells take turns going first.

    Args:
        contest: The comparison.
        device: Device of the model.

    Attributes:
        about: What determines the rows and is known only once the model is loaded.
    """

    def __init__(self, contest: Comparison, device: str | None) -> None:
        settings = contest.settings
        qa = settings.load(device)
        about = settings.about(qa)
        about["config"]["patches_per_frame"] = qa.model.num_patches
        self.about: Mapping[str, Any] = about
        self._cells, self._rotate = contest.cells(qa.model.num_patches), contest.rotate
        self._loader = settings.loader(qa)
        self._panel = CellAsker(
            qa,
            settings.spec,
            settings.template(qa),
            max_new_tokens=settings.max_new_tokens,
            scoring=settings.scoring,
            subtitles=settings.subtitles(),
            attention_layer=attention_layer(self._cells),
        )

    def prepare(self, job: Job) -> None:
        """See `Work.prepare`: does nothing, because seconds are measured."""

    def rows(self, job: Job) -> Done | Refused:
        """See `Work.rows`."""
        samples, done = job.payload
        asked = variants(samples, self._rotate)
        log = self._panel.log
        try:
            video = load_clip(self._loader, samples)
            self._panel.open(video)
        except DatasetError:
            raise  # a fault of the machine, not of this video
        except ConfigError as err:
            return refusal(job.number, err, log.take())
        except Exception as err:  # noqa: BLE001 - of the tower: it becomes these rows' reason
            log.error(samples[0].video, err)
            video = Unavailable(status_of(err), reason_of(err))
        rows: list[Row] = []
        costs: list[Row] = []
        for cell in _turned(self._cells, job.number):
            names = {row_key(cell, sample.key, number) for sample, number, _ in asked} - done
            if not names:
                continue
            found, cost = self._panel.rows(cell, asked, video)
            if cost.seconds["generate"]:  # it answered
                costs.append(_cost_line(cell, samples, len(found), cost))
            rows += [row for row in found if row["key"] in names]
        self._panel.vision.close()
        lacking = isinstance(video, Unavailable) and video.status == MISSING
        return Done("", job.number, rows, lacking, {"log": log.take(), "costs": costs})

    def close(self) -> None:
        """See `Work.close`."""


class ComparisonRun(Run):
    """Records what workers report about cells.

    Args:
        contest: The comparison.
        questions: The question file.
        work: The work that is left; it has no cells if no model was loaded before.
        progress: Called with the number of rows recorded, and of all.
    """

    def __init__(self, contest: Comparison, questions: Questions, work: RemainingWork, progress: Progress) -> None:
        folders = replace(contest.folders, logs=contest.folders.logs / "logs")
        super().__init__(contest.settings, questions, folders, progress)
        self._contest, self.work = contest, work
        self._name = secrets.token_hex(4)  # identifies this run, to separate seconds of several runs
        self._costs = work.costs()

    def compare(self) -> RemainingWork:
        """Ask everything that is not recorded yet, and return the work with its cells."""
        with self._costs:
            self.ask(partial(CompareWork, self._contest))
        return self.work

    def journal(self) -> Journal:
        """See `Run.journal`."""
        return self.work.rows()

    def catch_up(self) -> None:
        """See `Run.catch_up`: the cells, if another process has found out meanwhile how many patches a frame has."""
        if not self.work.cells:
            self.work = replace(self.work, cells=recorded_cells(self._contest, self._questions) or [])

    def keys(self) -> set[str]:
        """See `Run.keys`."""
        return self.work.keys()

    def payload(self, samples: Sequence[Sample]) -> Any:
        """See `Run.payload`: the samples of a clip, and the keys of rows that need not be asked for again."""
        asked = variants(samples, self.work.rotate)
        keys = [(row_key(cell, s.key, number), s) for cell in self.work.cells for s, number, _ in asked]
        done = {key for key, sample in keys if not is_open(self._journal, self._loader, sample, key)}
        return None if keys and len(done) == len(keys) else (list(samples), frozenset(done))

    def config(self, about: Mapping[str, Any]) -> dict[str, Any]:
        """See `Run.config`."""
        self.work = replace(self.work, cells=self._contest.cells(about["config"]["patches_per_frame"]))
        return self._contest.config(self._questions) | about["config"]

    def poisoned(self, job: Job, why: str) -> list[Row]:
        """See `Run.poisoned`."""
        return self._rows(job, "failed", why)

    def failed(self, job: Job, error: Exception) -> list[Row]:
        """See `Run.failed`."""
        return self._rows(job, status_of(error), reason_of(error))

    def beside(self, lines: Mapping[str, Sequence[Row]]) -> None:
        """See `Run.beside`: costs of cells."""
        self._costs.append(line | {"run": self._name} for line in lines.get("costs", ()))

    def _rows(self, job: Job, status: str, why: str) -> list[Row]:
        samples, done = job.payload
        asked = variants(samples, self.work.rotate)
        rows = [
            row
            for cell in self.work.cells
            for row in labelled(
                cell, asked, [unavailable(self._settings.spec, turned, status, why) for _, _, turned in asked]
            )
        ]
        return [row for row in rows if row["key"] not in done]


def _rank_of_cost(line: Mapping[str, Any]) -> int:
    """Return the rank of a record of costs, by which one of two is chosen; raise an error if it is invalid."""
    kinds = {"cell": str, "video": str, "questions": int, "asked": int, "seconds": dict, "peak_mib": dict, "run": str}
    for name, kind in kinds.items():
        if not isinstance(line[name], kind):
            raise TypeError(f"{name} is {line[name]!r}")
    numbers = [line["asked"], *(line["seconds"][stage] for stage in STAGES), *line["peak_mib"].values()]
    if not all(isinstance(number, (int, float)) for number in numbers) or line["asked"] < 1:
        raise ValueError(f"found {numbers}, expected costs")
    return -int(line["questions"])


def _turned(cells: Sequence[Cell], index: int) -> list[Cell]:
    first = index % len(cells)
    return [*cells[first:], *cells[:first]]


def _open(journal: Journal, loader: Loader, work: RemainingWork, cell: Cell, samples: Sequence[Sample]) -> bool:
    """Return whether a cell lacks any record of a clip."""
    asked = variants(samples, work.rotate)
    return any(is_open(journal, loader, sample, row_key(cell, sample.key, number)) for sample, number, _ in asked)


def _cost_line(cell: Cell, samples: Sequence[Sample], asked: int, cost: Cost) -> dict[str, Any]:
    """Format one line for a cell and a clip."""
    return {
        "key": f"{samples[0].place:06d}-{cell.key}",
        "cell": cell.key,
        "video": samples[0].video,
        "questions": len(samples),
        "asked": asked,
        "seconds": {stage: round(cost.seconds.get(stage, 0.0), 6) for stage in STAGES},
        "peak_mib": {stage: round(mib, 1) for stage, mib in cost.memory.items()},
    }
