"""The questions of a benchmark, from the public file as downloaded or from a prepared file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

from dyto.benchmarks import BENCHMARKS, Benchmark, Sample
from dyto.benchmarks.base import kind_of
from dyto.errors import DatasetError
from dyto.evaluation.layout import PREPARED, read_prepared, unreadable
from dyto.evaluation.tables import NO_OBJECT, TOO_MANY_CELLS, Rows, read_rows, require_columns


@dataclass(frozen=True)
class Questions:
    """The samples of one question file.

    Args:
        benchmark: The benchmark.
        samples: One sample per row, in the file's order.
        path: The file, or the folder of files.
        file_sha256: Hash of the file's bytes.
    """

    benchmark: Benchmark
    samples: tuple[Sample, ...]
    path: Path
    file_sha256: str

    @property
    def digest(self) -> str:
        """Hash of all rows' identities; the same for the public file and the file prepared from it."""
        return sha256("\n".join(sample.key for sample in self.samples).encode()).hexdigest()[:16]

    def chosen(self, limit: int | None = None, seed: int | None = None) -> tuple[Sample, ...]:
        """Return the questions to ask, in the file's order.

        Args:
            limit: How many; None for all.
            seed: Of a sample spread over the videos: none gives a second question before all gave one. A larger sample
                of the same seed holds the smaller. None for the first questions of the file.
        """
        if seed is None or limit is None:
            return self.samples[:limit]
        import numpy as np  # only here, so that reports need none

        rank = np.random.default_rng(seed).permutation(len(self.samples)).tolist()
        turn: Counter[str] = Counter()
        order: list[tuple[int, int, int]] = []
        for draw, place in sorted((draw, place) for place, draw in enumerate(rank)):
            video = self.samples[place].video
            order.append((turn[video], draw, place))
            turn[video] += 1
        return tuple(self.samples[place] for place in sorted(place for _, _, place in sorted(order)[:limit]))


def read_questions(benchmark: Benchmark, path: str | Path, *, encoding: str | None = None) -> Questions:
    """Read a question file.

    Args:
        benchmark: The benchmark of the questions.
        path: The public file as downloaded (for MVBench and VCGBench the folder), or a prepared file.
        encoding: Encoding of a text file, if it is neither UTF-8 nor has a byte-order mark.

    Returns:
        One sample per row. A row that contradicts itself has `problems`; a row that cannot be asked or scored has
        the reason in `broken`.

    Raises:
        DatasetError: The file is missing, empty, damaged, differently encoded, or another benchmark's.
    """
    path = Path(path)
    files = _files(benchmark, path)
    samples: list[Sample]
    if files[0].suffix.lower() in (".json", ".jsonl") and _is_prepared(benchmark, files[0], encoding):
        samples = read_prepared(benchmark, files[0], encoding)
    elif len(benchmark.files) == 2:
        samples = _convert(benchmark, _paired(benchmark, files, encoding))
    else:
        samples = _convert(benchmark, _tagged(benchmark, files, encoding))
    samples = [check(benchmark, sample) for sample in samples]
    digest = sha256()
    for file in files:
        digest.update(file.read_bytes())
    return Questions(benchmark, tuple(samples), path, digest.hexdigest())


def _files(benchmark: Benchmark, path: Path) -> list[Path]:
    """Return the files at a path: one, a pair, or a folder of files."""
    if path.is_dir():
        prepared = path / Path(benchmark.prepared[0]).name
        if prepared.is_file():
            path = prepared
        elif files := [file for pattern in benchmark.files for file in sorted(path.glob(pattern))]:
            if len(files) >= len(benchmark.files):
                return files
            path = next(path / name for name in benchmark.files if not (path / name).is_file())
        else:
            wanted = " or ".join([prepared.name, " and ".join(benchmark.files)] if benchmark.files else [prepared.name])
            raise DatasetError(
                f"{path} is a folder without {wanted}: give the question file of {benchmark.title} ({benchmark.source})"
            )
    if not path.is_file():
        in_place = path.parts[-2:] == Path(benchmark.prepared[0]).parts[-2:]  # where it is looked for if none is given
        or_prepare = f", or prepare it once: dyto prepare {benchmark.name} --qa-file F" if in_place else ""
        raise DatasetError(
            f"no question file of {benchmark.title} at {path}: get {benchmark.source}, then name it with --qa-file"
            f"{or_prepare}"
        )
    if benchmark.files and path.suffix == ".csv":
        return _one_of_several(benchmark, path)
    if benchmark.kind == "open" and path.name == Path(benchmark.prepared[0]).name:
        return [path, path.with_name(Path(benchmark.prepared[1]).name)]
    return [path]


def _one_of_several(benchmark: Benchmark, path: Path) -> list[Path]:
    """Return the public file, or the pair that it belongs to; files of one group have the same columns."""
    if len(benchmark.files) == 2 and path.name not in benchmark.files:
        raise DatasetError(
            f"{path} is one file, and {benchmark.title} has two: give {' and '.join(benchmark.files)} as a folder"
        )
    for other in BENCHMARKS.values():
        if path.name in other.files and other.name != benchmark.name:
            needed = " and ".join(benchmark.files)
            raise DatasetError(f"{path} is the question file of {other.name}: {benchmark.name} needs {needed}")
    return [path.with_name(name) for name in benchmark.files] if len(benchmark.files) == 2 else [path]


def _is_prepared(benchmark: Benchmark, path: Path, encoding: str | None) -> bool:
    """Return whether more records fit the common layout than the benchmark's own; a record may fit both."""
    rows = [row for _, row in read_rows(path, encoding=encoding)]
    prepared, own = (sum(row.keys() >= set(columns) for row in rows) for columns in (PREPARED, benchmark.columns))
    return prepared >= own if prepared or own else any("video_name" in row for row in rows)


def _tagged(benchmark: Benchmark, files: list[Path], encoding: str | None) -> Rows:
    """Return all rows of all files, with the name of the file (MVBench's task), and nested rows one by one."""
    rows: Rows = []
    for file in files:
        nested = bool(benchmark.nested) and file.suffix == ".json"
        found = read_rows(file, columns=() if nested else benchmark.columns, encoding=encoding)
        if nested:
            found = list(_flat(benchmark, found))
            require_columns(file, {column: "" for _, row in found for column in row}, benchmark.columns)
        rows += [(line, {"task": file.stem, "index": line - 1} | row) for line, row in found]
    return rows


def _flat(benchmark: Benchmark, rows: Rows) -> Iterator[tuple[int, dict[str, Any]]]:
    """Flatten rows that are nested in a record, such as the questions of a video, to one row each."""
    for line, row in rows:
        if NO_OBJECT in row:
            yield line, row
            continue
        shared = {key: value for key, value in row.items() if key != benchmark.nested}
        for former, column in benchmark.renamed.items():
            shared.setdefault(column, shared.get(former, ""))
        inner = row.get(benchmark.nested, [{}])
        for one in inner if isinstance(inner, list) else [inner]:
            found = one if isinstance(one, dict) else {NO_OBJECT: f"one of {benchmark.nested} is {kind_of(one)}"}
            yield line, shared | found


def _paired(benchmark: Benchmark, files: list[Path], encoding: str | None) -> Rows:
    """Pair the i-th rows of two files, which ask the same in two ways; a lone row keeps its place."""
    first, second = (read_rows(file, columns=benchmark.columns, encoding=encoding) for file in files)
    rows: Rows = []
    for i in range(max(len(first), len(second))):
        line, row = first[i] if i < len(first) else second[i]
        other = second[i][1] if i < len(second) else {}
        row = row if i < len(first) else row | {"question": ""}
        same = all(row.get(key) == other.get(key) for key in ("video_name", "question_id"))
        if other and not same:
            row = row | {TOO_MANY_CELLS: f"the second file has {other.get('question_id')!r} in this place"}
        rows.append((line, row | {"second_question": other.get("question", "")}))
    return rows


def _convert(benchmark: Benchmark, rows: Rows) -> list[Sample]:
    """Convert rows to samples; a row that the benchmark cannot read keeps its place and gets the reason."""
    samples = []
    for place, (line, row) in enumerate(rows):
        try:
            if NO_OBJECT in row:
                raise ValueError(row[NO_OBJECT])
            sample = benchmark.sample(row)
            sample = replace(sample, question_id=str(sample.question_id), questions=tuple(map(str, sample.questions)))
        except Exception as err:  # noqa: BLE001 - a bad row must cost only itself
            sample = unreadable(row, place, line, err)
        problem = (str(row[TOO_MANY_CELLS]),) if TOO_MANY_CELLS in row else ()
        samples.append(replace(sample, place=place, line=line, problems=sample.problems + problem))
    return samples


def check(benchmark: Benchmark, sample: Sample) -> Sample:
    """Find contradictions in a sample (`problems`), and reasons why it cannot be used (`broken`)."""
    try:
        broken = sample.broken or _broken(benchmark, sample)
        if benchmark.kind == "choice" and not broken:
            return _check_options(sample)
    except Exception as err:  # noqa: BLE001 - a custom benchmark may return anything for a row
        broken = f"unreadable row: {type(err).__name__}: {err}"
    return replace(sample, broken=broken)


def _broken(benchmark: Benchmark, sample: Sample) -> str:
    """Return why a sample cannot be asked or scored; "" if it can."""
    wanted = 2 if len(benchmark.files) == 2 else 1
    if len(sample.questions) != wanted:
        return f"{len(sample.questions)} questions, expected {wanted}"
    if not all(question.strip() for question in sample.questions):
        return "the question is empty"
    if not sample.video.strip():
        return "no video is named"
    if not sample.answer.strip():
        return "there is no true answer"
    ends = [end for end in (sample.start, sample.end) if end is not None]
    if not all(type(end) in (int, float) and math.isfinite(end) for end in ends):
        return f"start {sample.start!r} and end {sample.end!r} are not seconds"
    if min(ends, default=0) < 0:
        return f"the clip from {sample.start} s to {sample.end} s begins before the video"
    if len(ends) == 2 and ends[0] >= ends[1]:
        return f"the clip ends at {sample.end} s, before it begins at {sample.start} s"
    groups = [group(sample) for group in benchmark.groupings.values()]
    texts = (sample.video, *sample.questions, sample.question_id, sample.answer, *sample.candidates, sample.type)
    for one in (*texts, *groups):
        if any("\ud800" <= letter <= "\udfff" for letter in one):
            return f"{one!r} holds half a character, expected text"
    return ""


def _check_options(sample: Sample) -> Sample:
    """Add to a multiple choice sample the number of its right option and its contradictions, or why it is broken."""
    problems, broken = list(sample.problems), ""
    number, options = sample.answer_number, sample.candidates
    problems += [f"candidate {text!r} occurs {n} times" for text, n in Counter(options).items() if n > 1]
    if len(options) < 2 or not all(option.strip() for option in options):
        broken = f"{len(options)} candidates, {sum(not o.strip() for o in options)} of them empty"
    elif number is not None and 0 <= number < len(options):
        if options[number] != sample.answer:
            problems.append(f"answer {sample.answer!r}, but candidate {number} is {options[number]!r}")
    elif sample.answer in options:
        if number is not None:
            problems.append(f"answer number {number} of {len(options)} candidates; the text decides")
        number = options.index(sample.answer)
    else:
        broken = f"the answer {sample.answer!r} is not one of the candidates; its number is {number}"
    return replace(sample, problems=tuple(problems), broken=broken, answer_number=number)
