"""Benchmarks: questions about videos, and how the public files store them."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import chain
from typing import Any, Literal

from dyto.errors import ConfigError, unknown

Kind = Literal["open", "choice", "generative"]
Row = Mapping[str, Any]

FILES: Mapping[str, int] = {"open": 2, "choice": 1, "generative": 1}
"""How many prepared files a benchmark of each kind has."""


@dataclass(frozen=True)
class Sample:
    """One question (VCGBench's consistency: a pair of them) about one video.

    Args:
        video: Name of the video, as in the prepared question file.
        questions: The question; two if both are asked and judged together.
        question_id: The public file's id. It may repeat, and is never used as a key.
        answer: The true answer, as text.
        candidates: The options of a multiple choice question, else empty.
        answer_number: Index of the right option; None if the file gives only the answer's text.
        type: The public file's own label for the kind of question.
        start: Start of the clip in seconds, if the question is about a part of a longer video.
        end: End of the clip in seconds.
        extra: Other data from the public file, such as a duration class or a domain.
        place: Position in the question file, from 0.
        line: Line (CSV) or record (JSON, parquet), from 1, for messages.
        problems: Contradictions in this row; it is asked and scored anyway.
        broken: Why this row cannot be asked or scored; empty if it can.

    Example:
        >>> Sample("clip", ("What happens?",), "q1", "nothing", place=12).key[:7]
        '000012-'
    """

    video: str
    questions: tuple[str, ...]
    question_id: str
    answer: str
    candidates: tuple[str, ...] = ()
    answer_number: int | None = None
    type: str = ""
    start: float | None = None
    end: float | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    place: int = 0
    line: int = 0
    problems: tuple[str, ...] = ()
    broken: str = ""

    @cached_property
    def key(self) -> str:
        """Key of the row from place and content, so repeated ids lose nothing, and an edited row is a new row."""
        content = (
            *(self.video, self.questions, self.question_id, self.answer, self.candidates),
            *(self.answer_number, self.start, self.end),
        )
        told = json.dumps(content, ensure_ascii=False, default=str).encode(errors="surrogatepass")
        digest = hashlib.sha256(told).hexdigest()
        return f"{self.place:06d}-{digest[:16]}"

    @property
    def clip(self) -> tuple[str, float | None, float | None]:
        """The part of the video to decode; samples with the same clip share one encoding."""
        return (self.video, None, None) if self.broken else (self.video, self.start, self.end)


@dataclass(frozen=True)
class Benchmark:
    """The declaration of a dataset.

    Args:
        name: Name to type: "nextqa".
        title: Name to print: "NExT-QA".
        kind: "choice" (scored by option), "open" (judged yes or no and 0 to 5) or "generative" (judged 0 to 5).
        prepared: The prepared question file (for "open": questions and answers) under the folder of prepared files.
        videos: Folder of the videos under the folder of all data.
        columns: Columns that the public file must have.
        sample: Function from a row of the public file to a `Sample`; the reader fills in place and line.
        source: Source of the public file.
        groupings: Breakdowns of the report: names, and functions from a sample to its group.
        aspects: Aspects to judge: "match" for open questions, VCGBench's five aspects otherwise.
        rows: Number of rows of the public file; with another number, the report says that it is a subset.
        note: Note for readers of the figures, such as that the rows are a validation split.
        subfolders: Additional folders under `videos` to search.
        folders_of: For each sample type further such folders, to search first.
        prefixes: Possible prefixes of a video's name on disk.
        folder_fps: Frames per second of a video that is a folder of frames.
        subtitles: Folder of `.srt` files under the folder of all data, if the questions come with them.
        files: The public files of a benchmark that is a folder: names, or a pattern such as "*.json". Of two names, the
            i-th rows are two wordings of one question (`second_question`).
        nested: Key of a JSON record that holds several rows; they share the record's other keys.
        renamed: Names of columns in such records, and the names in `columns` that they stand for.
        clips: Whether questions are about parts of videos (`Sample.start` and `end`).
        group: Name for this benchmark and others together.

    Raises:
        ConfigError: The name cannot name a folder, or the kind is unknown.

    Example:
        >>> Benchmark(
        ...     name="mine",
        ...     title="My questions",
        ...     kind="choice",
        ...     prepared=("Mine/val_qa.json",),
        ...     videos="multiple_choice_qa/Mine/video",
        ...     columns=("video_name", "question", "question_id", "answer", "a0", "a1"),
        ...     sample=choice_sample,
        ...     source="written by hand",
        ... ).name
        'mine'
    """

    name: str
    title: str
    kind: Kind
    prepared: tuple[str, ...]
    videos: str
    columns: tuple[str, ...]
    sample: Callable[[Row], Sample]
    source: str
    groupings: Mapping[str, Callable[[Sample], str]] = field(default_factory=dict)
    aspects: tuple[str, ...] = ()
    rows: int | None = None
    note: str = ""
    subfolders: tuple[str, ...] = ()
    folders_of: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prefixes: tuple[str, ...] = ("",)
    folder_fps: float = 1.0
    subtitles: str = ""
    files: tuple[str, ...] = ()
    nested: str = ""
    renamed: Mapping[str, str] = field(default_factory=dict)
    clips: bool = False
    group: str = ""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[A-Za-z0-9][\w.-]*", self.name):
            raise ConfigError(f"benchmark name {self.name!r}, expected letters, digits and -_. only: it names folders")
        if self.kind not in FILES:
            raise unknown("kind of benchmark", self.kind, FILES)

    @property
    def own_folders(self) -> tuple[str, ...]:
        """Folders under `videos` to search, each once: `subfolders`, then those of `folders_of`."""
        return tuple(dict.fromkeys((*self.subfolders, *chain.from_iterable(self.folders_of.values()))))

    def check(self) -> None:
        """Check that a question file can be found and its answers scored with this declaration.

        Raises:
            ConfigError: The kind does not fit the other fields.
        """
        if len(self.prepared) != FILES[self.kind]:
            raise ConfigError(
                f"benchmark {self.name} of kind {self.kind!r} has {len(self.prepared)} prepared files, "
                f"expected {FILES[self.kind]} (for 'open': questions and answers)"
            )
        if bool(self.aspects) == (self.kind == "choice"):
            found = ", ".join(self.aspects) or "none"
            raise ConfigError(
                f"benchmark {self.name} of kind {self.kind!r} has aspects: {found}; expected ('match',) for 'open', "
                "VCGBench's for 'generative', and none for 'choice', which needs no judge"
            )


class HugeNumber(str):
    """The digits of a whole number that is too long for Python to read; neither text nor number."""


def text(row: Row, column: str) -> str:
    """Return the text of a cell; a number counts as text, but nothing else does. NaN means that there is none.

    Raises:
        ValueError: The cell is missing, or does not hold text.

    Example:
        >>> text({"question_id": 7}, "question_id")
        '7'
    """
    if column not in row:
        raise ValueError(f"there is no {column!r}")
    value = row[column]
    if not isinstance(value, (str, int, float)) or isinstance(value, HugeNumber) or _is_nan(value):
        raise ValueError(f"{column!r} is {kind_of(value)}, expected text")
    return str(value)


def text_or_none(row: Row, column: str) -> str:
    """Return the text of a cell, or "" if there is none."""
    return "" if row.get(column) is None or _is_nan(row[column]) else text(row, column)


def _is_nan(value: object) -> bool:
    """Return whether a cell holds NaN or infinity."""
    return isinstance(value, float) and not math.isfinite(value)


def texts(row: Row, column: str) -> tuple[str, ...]:
    """Return the texts in a cell that holds a list of texts.

    Raises:
        ValueError: The cell is missing, or does not hold a list of texts.

    Example:
        >>> texts({"candidates": ["one", 2]}, "candidates")
        ('one', '2')
    """
    if column not in row:
        raise ValueError(f"there is no {column!r}")
    value = row[column]
    if not isinstance(value, (list, tuple)):
        raise ValueError(f"{column!r} is {kind_of(value)}, expected a list of texts")
    return tuple(text({f"one of {column}": one}, f"one of {column}") for one in value)


def kind_of(value: object) -> str:
    """Describe the kind of a value in JSON terms."""
    names = {type(None): "null", dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    names[HugeNumber] = "a number of too many digits"
    if _is_nan(value):
        return "NaN or infinity"
    return names.get(type(value), "a number" if isinstance(value, (int, float)) else type(value).__name__)


def by_type(names: Mapping[str, str], *, prefix: int | None = None) -> Callable[[Sample], str]:
    """Return a grouping by the type label, or by its first characters, with readable names; "none" without a label.

    Example:
        >>> causal = by_type({"C": "causal"}, prefix=1)
        >>> causal(Sample("v", ("why?",), "1", "so", type="CW"))
        'causal'
    """
    return lambda sample: names.get(sample.type[:prefix], sample.type or "none")


def by_extra(key: str) -> Callable[[Sample], str]:
    """Return a grouping by another field of the public file; "none" if a row lacks it.

    Example:
        >>> by_extra("domain")(Sample("v", ("why?",), "1", "so", extra={"domain": "Sports"}))
        'Sports'
    """
    return lambda sample: str(sample.extra.get(key) or "none")


def open_sample(row: Row) -> Sample:
    """Make a sample from a row of an open-ended question file with the IG-VLM project's columns.

    Example:
        >>> open_sample({"video_name": "v", "question": "who?", "question_id": "1", "answer": "a man"}).answer
        'a man'
    """
    told = (text(row, "video_name"), (text(row, "question"),), text(row, "question_id"), text(row, "answer"))
    return Sample(*told, type=text_or_none(row, "question_type"))


def choice_sample(row: Row) -> Sample:
    """Make a sample from a row of a multiple choice file with the IG-VLM project's columns (`a0` .. `a4`).

    Example:
        >>> row = {"video_name": "v", "question": "who?", "question_id": "1", "answer": "b"}
        >>> row |= {"a0": "a", "a1": "b"}
        >>> choice_sample(row).candidates
        ('a', 'b')
    """
    number = row.get("answer_number")
    if number is not None:
        number = int(digits) if (digits := text(row, "answer_number")).isdecimal() else -1
    return replace(
        open_sample(row),
        video=f"{text(row, 'video_name')}.mp4",
        candidates=tuple(text(row, column) for column in ("a0", "a1", "a2", "a3", "a4") if column in row),
        answer_number=number,
    )
