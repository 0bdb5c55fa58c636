"""Preparation: public question files into this field's shared layout."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dyto.benchmarks import BENCHMARKS, Benchmark, Sample, expand
from dyto.evaluation.files import dump_json, write_atomic
from dyto.evaluation.layout import to_records
from dyto.evaluation.questions import read_questions

GT_QA_DIR = Path("playground/gt_qa_files")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Prepared:
    """What preparation did with one question file.

    Args:
        benchmark: The benchmark.
        rows: Number of questions, all of them written.
        videos: Number of videos they are about.
        paths: The files written.
        complaints: For every row that contradicts itself or cannot be used: its line and why.
    """

    benchmark: Benchmark
    rows: int
    videos: int
    paths: tuple[Path, ...]
    complaints: tuple[str, ...]


def prepare(
    name: str, qa_file: str | Path, *, out: str | Path = GT_QA_DIR, encoding: str | None = None
) -> list[Prepared]:
    """Write the question files of a benchmark in the shared layout.

    Args:
        name: A benchmark, or "vcgbench" for its three question files.
        qa_file: The public file as downloaded; for MVBench and VCGBench a folder of them.
        out: Folder that holds all prepared files.
        encoding: Of the file, if it is neither UTF-8 nor marked.

    Returns:
        What was written, one entry for every question file. No row is dropped.

    Raises:
        ConfigError: An unknown name.
        DatasetError: The file is missing, empty, damaged, or another benchmark's; or one file for a group of them.
    """
    done = []
    for part in expand(name, qa_file):
        benchmark = BENCHMARKS[part]
        samples = read_questions(benchmark, qa_file, encoding=encoding).samples
        paths = tuple(Path(out) / prepared for prepared in benchmark.prepared)
        for path, records in zip(paths, to_records(benchmark, samples), strict=True):
            write_atomic(path, dump_json(records))
        done.append(Prepared(benchmark, len(samples), _videos(samples), paths, complaints(samples)))
        logger.info("%s: %d questions prepared", benchmark.title, len(samples))
    return done


def _videos(samples: Sequence[Sample]) -> int:
    return len({sample.video for sample in samples})


def complaints(samples: Sequence[Sample]) -> tuple[str, ...]:
    """One line of text for every row that contradicts itself (kept) or cannot be used (kept, never asked).

    Example:
        >>> complaints([Sample("v", ("",), "q7", "no", line=3, broken="the question is empty")])
        ('line 3 (id q7): the question is empty; kept, but it will not be asked',)
    """
    texts = []
    for sample in samples:
        where = f"line {sample.line} (id {sample.question_id})"
        texts += [f"{where}: {problem}; kept" for problem in sample.problems]
        if sample.broken:
            texts.append(f"{where}: {sample.broken}; kept, but it will not be asked")
    return tuple(texts)
