"""The folders of one run: a benchmark under one configuration."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from dyto.errors import DatasetError
from dyto.evaluation.files import dump_json, dump_lines, write_atomic
from dyto.evaluation.journal import Claims, Journal
from dyto.evaluation.questions import Questions
from dyto.evaluation.rows import ANSWERED, FORMAT, rank_of_row, unanswered

TELLING_SECONDS = 60.0
"""Seconds of waiting for another process after which a log line says so."""

logger = logging.getLogger(__name__)

_OF_A_QUESTION = ("video_name", "question_id", "question", "answer", "groups")


@dataclass(frozen=True)
class RunFolders:
    """The folders of a run.

    Args:
        artifacts: Predictions, results, configuration and manifest, with the journal in `rows/`.
        verdicts: The judge's verdicts.
        verdict_cache: Verdicts by content, shared by all runs under one output folder.
        logs: Logs of the run, with seconds.

    Example:
        >>> RunFolders.under("outputs", "nextqa", "tiny-release").artifacts.as_posix()
        'outputs/artifacts/nextqa/tiny-release'
    """

    artifacts: Path
    verdicts: Path
    verdict_cache: Path
    logs: Path

    @classmethod
    def under(
        cls,
        out: str | Path,
        benchmark: str,
        name: str,
        *,
        artifacts: str | Path | None = None,
        verdicts: str | Path | None = None,
        logs: str | Path | None = None,
    ) -> RunFolders:
        """Return the folders under one output folder, or under separate ones for each purpose."""
        temp = Path(verdicts or Path(out, "eval_save_dir"))
        return cls(
            artifacts=Path(artifacts or Path(out, "artifacts"), benchmark, name),
            verdicts=temp / benchmark / name,
            verdict_cache=temp / "cache",
            logs=Path(logs or Path(out, "logs"), benchmark, name),
        )

    @property
    def predictions(self) -> Path:
        """The file of all rows, sorted by their place in the question file."""
        return self.artifacts / "predictions.jsonl"

    def journal(self, also: Mapping[str, Any] | None = None) -> Journal:
        """Return the journal of rows; `also` as in `rank_of_row`."""
        return Journal(self.artifacts / "rows", rank=partial(rank_of_row, also=also))

    @contextmanager
    def alone(self, what: str, *, part: str = "", seconds: float = 1.0, shared: bool = False) -> Iterator[None]:
        """Be the only process that does something here, or (shared) one of several that do it together.

        Args:
            what: What this process does, for messages.
            part: The part to lock; other processes may do other parts at the same time.
            seconds: Seconds to wait for another process.
            shared: Whether other processes that also share may do it at the same time.

        Raises:
            DatasetError: Another process still holds the lock after some seconds.
        """
        name = f"{what}-{part}" if part else what
        with Claims(self.artifacts / "locks" / f"{name}.lock") as claims:
            give_up, told = time.monotonic() + seconds, False
            while not claims.take(0, shared=shared):
                if time.monotonic() > give_up:
                    raise DatasetError(f"another process is {what} in {self.artifacts}: wait until it ends")
                if not told and seconds > TELLING_SECONDS:
                    logger.warning("another process is %s in %s: waiting until it ends", what, self.artifacts)
                    told = True
                time.sleep(0.05)
            yield

    def settle(self, config: Mapping[str, Any], manifest: Mapping[str, Any]) -> None:
        """Assign the folder to this configuration, or check that it already is.

        Args:
            config: Everything that determines the rows.
            manifest: Everything needed to repeat the run; manifests of other machines or versions are added.

        Raises:
            DatasetError: The folder holds rows of another configuration; the message names every difference.
        """
        with self.alone("starting", seconds=60.0):
            if not self.check(config):
                write_atomic(self.artifacts / "config.json", dump_json(config))
            self._note_manifest(json.loads(json.dumps(manifest)))

    def check(self, config: Mapping[str, Any], questions: Questions | None = None) -> bool:
        """Return whether the folder is in use, after checking that its configuration is this one.

        Args:
            config: Everything known that determines the rows.
            questions: The question file, to report where it differs.

        Raises:
            DatasetError: The folder holds rows of another configuration; the message names every difference.
        """
        path = self.artifacts / "config.json"
        if not path.exists():
            return False
        wanted, there = json.loads(json.dumps(config)), read_json(path)
        differences = list(_differences({key: there.get(key) for key in wanted}, wanted))
        if differences:
            if questions is not None and there.get("questions") != wanted.get("questions"):
                differences.append(self._other_questions(questions))
            raise DatasetError(
                f"{self.artifacts} contains results of another configuration: {'; '.join(differences)}: "
                "give this run another --name or --out, or delete that folder"
            )
        return True

    def _other_questions(self, questions: Questions) -> str:
        """Describe how a question file differs from the one whose rows are recorded."""
        with self.journal() as journal:
            journal.refresh()
            recorded = sorted(journal.rows().values(), key=lambda row: int(row["place"]))
        for row in recorded:
            if row["place"] >= len(questions.samples):
                break
            sample = questions.samples[row["place"]]
            if row.get("sample", row["key"]) != sample.key:
                now = unanswered(questions.benchmark, sample, "bad_row", "")
                parts = {name: row[name] for name in _OF_A_QUESTION}, {name: now[name] for name in _OF_A_QUESTION}
                told = "; ".join(_differences(*parts)) or "its options or its place in the video changed"
                return f"the first question that differs is number {row['place'] + 1} of {questions.path}: {told}"
        before = self._noted().get("question_file", {}).get("rows", "another number of")
        return f"{questions.path} has {len(questions.samples)} questions, and had {before}"

    def _noted(self) -> dict[str, Any]:
        path = self.artifacts / "manifest.json"
        return read_json(path) if path.exists() else {}

    def noted(self, name: str) -> list[Any]:
        """Return the values of one key in the manifests of all runs into this folder."""
        first = self._noted()
        return [first.get(name), *(other[name] for other in first.get("also_run_with", []) if name in other)]

    def _note_manifest(self, manifest: dict[str, Any]) -> None:
        path = self.artifacts / "manifest.json"
        noted = self._noted()
        if not noted:
            write_atomic(path, dump_json(manifest))
            return
        also = noted.pop("also_run_with", [])
        changed = {key: value for key, value in manifest.items() if noted.get(key) != value}
        if changed and changed not in also:
            write_atomic(path, dump_json(noted | {"also_run_with": [*also, changed]}))

    def forget_unanswered(self) -> int:
        """Drop the rows of unanswered samples, so that they are asked again.

        Returns:
            The number of dropped rows.

        Raises:
            DatasetError: Another process is using this folder.
        """
        with self.alone("asking"):
            old = sorted(path for path in (self.artifacts / "rows").glob("*.jsonl") if path.is_file())
            with self.journal() as journal:
                journal.refresh()
                rows = list(journal.rows().values())
                keep = [row for row in rows if row["status"] == ANSWERED]
                journal.append(keep)
            for path in old:  # only now: a crash before this line changes nothing
                path.unlink()
        return len(rows) - len(keep)

    def merge(self, other: RunFolders) -> int:
        """Take over the rows of a run of the same configuration, such as a shard from another machine.

        Returns:
            The number of rows that were new, or better than the existing ones.

        Raises:
            DatasetError: There is no such run, or its configuration differs; the message names every difference.
        """
        config = read_json(other.artifacts / "config.json")
        with self.alone("asking"), self.journal() as ours, other.journal() as theirs:
            if not self.check(config):
                write_atomic(self.artifacts / "config.json", dump_json(config))
            self._note_manifest(read_json(other.artifacts / "manifest.json"))
            ours.refresh()
            theirs.refresh()
            found = [row for key, row in theirs.rows().items() if _is_better(theirs.rank_of(key), ours.rank_of(key))]
            ours.append(found)
        return len(found)

    def finish(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write all rows into one file, sorted by place: the same for the same rows, whoever wrote them.

        Rows name their kind of machine only if there are several kinds. Rows from before formats had a number
        get one.
        """
        ordered = sorted(rows, key=lambda row: (row["place"], row["key"]))
        if len({row["machine"] for row in rows if row.get("machine")}) < 2:
            ordered = [{name: value for name, value in row.items() if name != "machine"} for row in ordered]
        write_atomic(self.predictions, dump_lines({"format": FORMAT, **row} for row in ordered))


def _is_better(rank: int | None, than: int | None) -> bool:
    return rank is not None and (than is None or rank < than)


def read_json(path: Path) -> dict[str, Any]:
    """Read one of our JSON objects.

    Raises:
        DatasetError: The file is missing or damaged.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        raise DatasetError(f"{path} cannot be read ({err}): give a results folder of `dyto eval`") from err
    if not isinstance(value, dict):
        raise DatasetError(f"{path} holds {type(value).__name__}, expected an object")
    return value


def _differences(there: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for key in sorted({*there, *wanted}):
        old, new = there.get(key), wanted.get(key)
        if isinstance(old, dict) and isinstance(new, dict):
            yield from _differences(old, new, f"{prefix}{key}.")
        elif old != new:
            yield f"{prefix}{key} was {old!r} and is now {new!r}"
