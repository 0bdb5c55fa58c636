"""Preparation: conversion of public question files to the common layout."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dyto.benchmarks import Benchmark, Sample, expand, get
from dyto.evaluation.files import dump_json, write_atomic
from dyto.evaluation.layout import to_records
from dyto.evaluation.questions import read_questions

GT_QA_DIR = Path("playground/gt_qa_files")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """The result of preparing one question file.

    Args:
        benchmark: The benchmark.
        rows: Number of questions; all of them are written.
        videos: Number of their videos.
        paths: The written files.
        complaints: Line and reason for every row that contradicts itself or cannot be used.
    """

    benchmark: Benchmark
    rows: int
    videos: int
    paths: tuple[Path, ...]
    complaints: tuple[str, ...]


def prepare(
    name: str, qa_file: str | Path, *, out: str | Path = GT_QA_DIR, encoding: str | None = None
) -> list[Prepared]:
    """Write the question files of a benchmark in the common layout.

    Args:
        name: A benchmark as in `dyto.benchmarks.get`, or "vcgbench" for its three question files.
        qa_file: The public file as downloaded; for MVBench and VCGBench a folder.
        out: Folder of all prepared files.
        encoding: Encoding of the file, if it is neither UTF-8 nor has a byte-order mark.

    Returns:
        One entry per question file. No row is dropped.

    Raises:
        ConfigError: The name is unknown.
        DatasetError: The file is missing, empty, damaged or of another benchmark, or a single file for a group.
    """
    done = []
    for part in expand(name, qa_file):
        benchmark = get(part)
        samples = read_questions(benchmark, qa_file, encoding=encoding).samples
        paths = tuple(Path(out) / prepared for prepared in benchmark.prepared)
        for path, records in zip(paths, to_records(benchmark, samples), strict=True):
            write_atomic(path, dump_json(records))
        done.append(Prepared(benchmark, len(samples), _videos(samples), paths, complaints(samples)))
        logger.info("%s: %d questions prepared", benchmark.title, len(samples))
    return done


def _videos(samples: Sequence[Sample]) -> int:
    return len({sample.video for sample in samples if sample.video})  # an unreadable row names none


def complaints(samples: Sequence[Sample]) -> tuple[str, ...]:
    """Return a line of text for every row that contradicts itself (kept) or cannot be used (kept, never asked).

    Example:
        >>> complaints([Sample("v", ("",), "q7", "no", line=3, broken="the question is empty")])
        ('line 3 (id q7): the question is empty; kept, but it will not be asked',)
        >>> complaints([Sample("", ("",), "", "", line=4, broken="unreadable row: no object")])
        ('line 4: unreadable row: no object; kept, but it will not be asked',)
    """
    texts = []
    for sample in samples:
        where = f"line {sample.line}" + (f" (id {sample.question_id})" if sample.question_id else "")
        texts += [f"{where}: {problem}; kept" for problem in sample.problems]
        if sample.broken:
            texts.append(f"{where}: {sample.broken}; kept, but it will not be asked")
    return tuple(texts)
