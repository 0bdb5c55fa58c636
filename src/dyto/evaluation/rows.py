"""Rows: exactly one per sample, with an answer or the reason why there is none."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dyto.benchmarks import Benchmark, Sample

if TYPE_CHECKING:
    from dyto.answer import Answer

Row = dict[str, Any]

ANSWERED = "answered"
STATUSES = (ANSWERED, "does_not_fit", "undecodable", "failed", "unsafe_name", "bad_row", "missing_video")
"""Statuses by rank: of two rows for one sample, the earlier status counts, so a video found later wins."""


FIELDS: Mapping[str, type | tuple[type, ...]] = {
    **{"key": str, "place": int, "status": str, "reason": str, "video_name": str, "question_id": str, "answer": str},
    **{"groups": dict, "question": (str, list), "pred": (str, list, type(None)), "choice": (int, type(None))},
}
"""Keys of every row, and their types."""


FORMAT = 1
"""The number of the format of a row; raised when a key changes its meaning or goes away. Rows without one have this."""

LONGEST_REASON = 500
"""Longest reason in letters; a longer one, which may quote a whole question, is cut."""


def rank_of_row(row: Mapping[str, Any], also: Mapping[str, type | tuple[type, ...]] | None = None) -> int:
    """Return the `rank` of a row that was read from a file.

    Args:
        row: The row.
        also: Further required fields, in addition to `FIELDS`.

    Raises:
        LookupError: A field is missing.
        TypeError: A field has another type.
        ValueError: The format or the status is unknown, or an answered row has no answer.
    """
    for name, kind in {**FIELDS, **(also or {})}.items():
        if not isinstance(row[name], kind):
            raise TypeError(f"{name} is {row[name]!r}")
    if row.get("format", FORMAT) != FORMAT or isinstance(row.get("format"), bool):
        raise ValueError(f"format is {row['format']!r}, expected {FORMAT}")
    if row["status"] == ANSWERED and not _answers(row["pred"], row["question"]):
        raise ValueError(f"pred is {row['pred']!r}")
    if not all(isinstance(group, str) for group in row["groups"].values()):
        raise TypeError(f"groups are {row['groups']!r}")
    return rank(row)


def _answers(pred: Any, question: Any) -> bool:
    """Return whether there is an answer for each question of a row."""
    if isinstance(question, str):
        return isinstance(pred, str)
    return isinstance(pred, list) and [type(text) for text in pred] == [str] * len(question)


def rank(row: Mapping[str, Any]) -> int:
    """Return the rank of a row; of two rows for one sample, the lower rank counts.

    Example:
        >>> rank({"status": "answered"}) < rank({"status": "missing_video"})
        True
    """
    return STATUSES.index(row["status"])


def answered(
    benchmark: Benchmark,
    sample: Sample,
    answers: Sequence[Answer],
    *,
    note: str = "",
    known: Sequence[str] = (),
) -> Row:
    """Make the row of an answered sample; seconds, which vary from run to run, are logged elsewhere.

    Args:
        benchmark: The benchmark.
        sample: The sample.
        answers: The answer; for consistency, two answers.
        note: A note about special treatment of this sample.
        known: Warnings that apply to all answers of the model and are left out of the rows.
    """
    texts = [answer.text for answer in answers]
    keyframes = answers[0].keyframes
    spoken = answers[0].spoken
    return _row(benchmark, sample) | {
        "status": ANSWERED,
        "reason": note,
        "pred": texts[0] if len(texts) == 1 else texts,
        "choice": answers[0].choice,
        "visual_tokens": answers[0].num_visual_tokens,
        "keyframes": keyframes.indices.tolist(),
        "keyframe_seconds": [round(second, 3) for second in keyframes.seconds.tolist()],
        "warnings": [text for text in answers[0].warnings if text not in known],
        **({} if spoken is None else {"subtitles": spoken.to_dict()}),
    }


def unanswered(benchmark: Benchmark, sample: Sample, status: str, reason: str) -> Row:
    """Make the row of an unanswered sample, with the reason."""
    told = reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]} ..."
    return _row(benchmark, sample) | {"status": status, "reason": told, "pred": None, "choice": None}


def _group(grouping: Callable[[Sample], str], sample: Sample) -> str:
    """Return the group of a sample; it may be unknown for a broken sample."""
    try:
        return str(grouping(sample))
    except Exception:
        if not sample.broken:
            raise
        return "none"


def _row(benchmark: Benchmark, sample: Sample) -> Row:
    questions = list(sample.questions)
    row: Row = {
        "format": FORMAT,
        "key": sample.key,
        "place": sample.place,
        "video_name": sample.video,
        "question_id": sample.question_id,
        "question": questions[0] if len(questions) == 1 else questions,
        "answer": sample.answer,
        "groups": {name: _group(group, sample) for name, group in benchmark.groupings.items()},
    }
    if benchmark.kind == "choice":
        row |= {"candidates": list(sample.candidates), "answer_number": sample.answer_number}
    return row
