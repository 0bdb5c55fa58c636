"""Question files in the common layout: samples to records and back.

Open-ended benchmarks have two lists, questions and answers, where the i-th answer belongs to the i-th
question; the others have one list.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dyto.benchmarks import Benchmark, Sample
from dyto.benchmarks.base import text, text_or_none, texts
from dyto.errors import DatasetError
from dyto.evaluation.tables import NO_OBJECT, read_rows

Record = dict[str, Any]
_CHOICE_KEYS = ("task_name", "video_name", "question_id", "question", "answer_number", "candidates", "answer")
PREPARED = ("video_name", "question_id", "question")
"""Keys that every record has."""

_OWN_KEYS = (*_CHOICE_KEYS, "type", "start", "end")


def to_records(benchmark: Benchmark, samples: Sequence[Sample]) -> list[list[Record]]:
    """Return the contents of the prepared files, one list per path in `benchmark.prepared`."""
    if benchmark.kind == "choice":
        return [[_choice_record(benchmark, sample) for sample in samples]]
    if benchmark.kind == "generative":
        return [[_question_record(sample) | {"answer": sample.answer} for sample in samples]]
    answers = [{"answer": s.answer, "type": _number(s.type), "question_id": s.question_id} for s in samples]
    return [[_question_record(sample) for sample in samples], answers]


def _question(sample: Sample) -> str | list[str]:
    return sample.questions[0] if len(sample.questions) == 1 else list(sample.questions)


def _question_record(sample: Sample) -> Record:
    record = {"video_name": sample.video, "question_id": sample.question_id, "question": _question(sample)}
    return record | dict(sample.extra)


def _choice_record(benchmark: Benchmark, sample: Sample) -> Record:
    values = (
        *(benchmark.prepared[0].partition("/")[0], sample.video, sample.question_id, _question(sample)),
        *(sample.answer_number, list(sample.candidates), sample.answer),
    )
    record: Record = dict(zip(_CHOICE_KEYS, values, strict=True))
    optional = {"type": sample.type or None, "start": sample.start, "end": sample.end}
    return record | {key: value for key, value in optional.items() if value is not None} | dict(sample.extra)


def _number(label: str) -> int | str:
    return int(label) if label.isdecimal() else label


def read_prepared(benchmark: Benchmark, path: Path, encoding: str | None = None) -> list[Sample]:
    """Read samples from a prepared file.

    Args:
        benchmark: The benchmark of the file.
        path: The file; for open-ended benchmarks the file of questions. The answers are next to it.
        encoding: As in `read_rows`.

    Raises:
        DatasetError: The file is damaged, or the numbers of questions and answers differ.
    """
    rows = read_rows(path, columns=PREPARED, encoding=encoding)
    if benchmark.kind != "open":
        return [read_record(record, place, line) for place, (line, record) in enumerate(rows)]
    beside = path.with_name(Path(benchmark.prepared[1]).name)
    answers = read_rows(beside, columns=("question_id", "answer"), encoding=encoding)
    if len(answers) != len(rows):
        raise DatasetError(
            f"{len(rows)} questions in {path}, but {len(answers)} answers in {beside.name}: "
            "the i-th answer must belong to the i-th question; prepare both again"
        )
    return [
        read_record({**answer, **record}, place, line, _id_problem(record, answer))
        for place, ((line, record), (_, answer)) in enumerate(zip(rows, answers, strict=True))
    ]


def _id_problem(question: Mapping[str, Any], answer: Mapping[str, Any]) -> tuple[str, ...]:
    own, other = question.get("question_id"), answer.get("question_id")
    return () if own == other else (f"the question's id is {own!r}, its answer's {other!r}",)


def read_record(record: Mapping[str, Any], place: int, line: int, problems: tuple[str, ...] = ()) -> Sample:
    """Make a sample from any record; an unusable one carries the reason in `broken`."""
    try:
        return from_record(record, place, line, problems)
    except Exception as err:  # noqa: BLE001 - a bad row must cost only itself
        return unreadable(record, place, line, err)


def unreadable(row: Mapping[str, Any], place: int, line: int, err: Exception) -> Sample:
    """Make the sample of an unusable row, with its known fields and the reason."""
    told = {column: row.get(column, "") for column in ("question", "question_id")}
    question, number = (value if isinstance(value, str) else json.dumps(value, default=str) for value in told.values())
    why = str(row.get(NO_OBJECT) or (err if type(err) is ValueError else f"{type(err).__name__}: {err}"))
    return Sample("", (question,), number, "", place=place, line=line, broken=f"unreadable row: {why}")


def from_record(record: Mapping[str, Any], place: int, line: int, problems: tuple[str, ...] = ()) -> Sample:
    """Make a sample from a record in the common layout.

    Example:
        >>> record = {"video_name": "v", "question_id": "7", "question": ["a?", "b?"], "answer": "c"}
        >>> from_record(record, 0, 1).questions
        ('a?', 'b?')

    Raises:
        ValueError: It is none: something is missing in it, or no text.
    """
    pair = isinstance(record.get("question"), list)
    number = record.get("answer_number")
    return Sample(
        video=text(record, "video_name"),
        questions=texts(record, "question") if pair else (text(record, "question"),),
        question_id=text(record, "question_id"),
        answer=text_or_none(record, "answer"),
        candidates=() if record.get("candidates") is None else texts(record, "candidates"),
        answer_number=number if type(number) is int else None,
        type=text_or_none(record, "type"),
        start=record.get("start"),
        end=record.get("end"),
        extra={key: value for key, value in record.items() if key not in _OWN_KEYS},
        place=place,
        line=line,
        problems=problems,
    )
