"""One row is one row: whatever a question file holds, the other rows are answered and the bad one is recorded."""

from __future__ import annotations

import contextlib
import csv
import datetime
import io
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as budget
from hypothesis import strategies as st

from dyto.answer import Answer
from dyto.benchmarks import BENCHMARKS
from dyto.comparing.rotation import variants
from dyto.errors import DatasetError, UnsafeNameError
from dyto.evaluation.evaluate import Judging, evaluate
from dyto.evaluation.files import dump_lines, encoded
from dyto.evaluation.folders import RunFolders
from dyto.evaluation.layout import to_records
from dyto.evaluation.prepare import prepare
from dyto.evaluation.questions import read_questions
from dyto.evaluation.report import to_csv, to_markdown
from dyto.evaluation.rows import answered, rank_of_row, unanswered
from dyto.evaluation.scoring import cases, results
from dyto.evaluation.verdicts import exact_match
from dyto.evaluation.videos import VideoIndex
from dyto.features import KeyFrames
from evaluation.world import rows, settings

PREPARED = {"video_name": "v0.mp4", "question_id": "1", "question": "what ?", "answer": "red"}
OPTIONS = {"candidates": ["red", "blue"], "answer_number": 0}
GOOD = {
    "nextqa": PREPARED | OPTIONS | {"type": "CW"},
    "synthetic": PREPARED | OPTIONS | {"type": "exist", "regime": "mixed"},
    "mvbench": {"video": "v0.mp4", "question": "what ?", "candidates": ["red", "blue"], "answer": "red"},
    "videomme": {"videoID": "v0", "question_id": "1", "duration": "short", "domain": "x", "task_type": "y"}
    | {"question": "what ?", "options": ["A. red", "B. blue"], "answer": "A"},
    "generic": PREPARED,
    "consistency": PREPARED | {"question": ["what ?", "which ?"]},
}
"""A good row of each benchmark, in the shared layout or the public one."""

TEXTS = st.text(st.characters(codec=None), max_size=12) | st.sampled_from(
    ["\ud800", "a\0b", "x" * 5000, "<image>", "../v0"]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXTS | st.sampled_from([10**90, -1, 1e308, 5e-324]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged(draw, good):
    """A good row in which some cells are gone, or hold anything; or anything at all."""
    if draw(st.integers(0, 5)) == 0:
        return draw(VALUES)
    row = dict(good)
    for column in draw(st.lists(st.sampled_from([*good, "start", "end"]), min_size=1, max_size=3)):
        if draw(st.booleans()):
            row.pop(column, None)
        else:
            row[column] = draw(VALUES)
    return row


def answer_of(sample):
    nowhere = KeyFrames(np.zeros(1, np.int64), np.zeros(1), np.zeros(1, np.int64))
    choice = 0 if sample.candidates else None
    return Answer("red", choice, nowhere, num_visual_tokens=1, token_budget=1, uncompressed_tokens=1, seconds={})


def through(benchmark, samples):
    """What becomes of samples after they are read, without a model: rows, figures, report, rotations, preparation."""
    index = VideoIndex([])
    recorded = []
    for sample in samples:
        hash(sample.clip)
        if sample.broken:
            recorded.append(unanswered(benchmark, sample, "bad_row", sample.broken))
        else:
            with contextlib.suppress(UnsafeNameError):
                index.find(benchmark, sample)
            recorded.append(answered(benchmark, sample, [answer_of(sample)] * len(sample.questions)))
    again = [json.loads(line) for line in encoded(dump_lines(recorded)).split(b"\n")[:-1]]
    assert len({row["key"] for row in again}) == len(samples)
    for row in again:
        rank_of_row(row)
    verdicts = {(case.sample, case.aspect): exact_match(case) for case in cases(benchmark, again)}
    found = results(benchmark, again, len(again), verdicts=verdicts, judge="j")
    found |= {"config": "c", "setting": None, "complete": True}
    for text in (to_markdown([found]), to_csv([found])):
        encoded(text)
    variants(samples, rotate=benchmark.kind == "choice")
    encoded(json.dumps(to_records(benchmark, samples)))
    return again


@pytest.mark.parametrize("name", GOOD)
@budget(max_examples=60, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_rows_of_arbitrary_json_among_good_ones(tmp_path_factory, name, data):
    good = GOOD[name]
    bad = data.draw(st.lists(damaged(good), min_size=1, max_size=4))
    where = data.draw(st.lists(st.booleans(), min_size=len(bad), max_size=len(bad)))
    mixed = [
        good,
        *(row for one, first in zip(bad, where, strict=True) for row in ([one, good] if first else [good, one])),
    ]
    as_lines = data.draw(st.booleans())
    path = tmp_path_factory.mktemp("rows") / ("q.jsonl" if as_lines else "q.json")
    path.write_text("\n".join(map(json.dumps, mixed)) if as_lines else json.dumps(mixed))
    samples = read_questions(BENCHMARKS[name], path).samples
    assert [sample.place for sample in samples] == list(range(len(mixed)))
    for row, sample in zip(mixed, samples, strict=True):
        assert not (row is good and sample.broken), sample.broken
    through(BENCHMARKS[name], samples)


@budget(max_examples=60, deadline=None, derandomize=True, database=None)
@given(cells=st.lists(st.text(st.characters(codec="utf-8"), max_size=8), min_size=0, max_size=9))
def test_rows_of_arbitrary_cells_in_csv(tmp_path_factory, cells):
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["video_name", "question", "question_id", "answer", "a0", "a1"])
    good = ["v0", "what ?", "1", "red", "red", "blue"]
    writer.writerows([good, [*cells, "not empty"], good])
    path = tmp_path_factory.mktemp("rows") / "q.csv"
    path.write_text(text.getvalue(), newline="")
    samples = read_questions(BENCHMARKS["synthetic"], path).samples
    assert [bool(samples[0].broken), bool(samples[-1].broken), len(samples)] == [False, False, 3]
    through(BENCHMARKS["synthetic"], samples)


def test_rows_of_any_type_in_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="parquet needs the extra 'parquet'")
    import pyarrow.parquet

    good = GOOD["videomme"]
    columns = {name: [value, None, value] for name, value in good.items()}  # type: ignore[attr-defined]
    columns["domain"] = [datetime.date(2026, 1, 1), None, datetime.date(2026, 1, 2)]
    columns["question_id"] = [b"1", b"2", b"3"]
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "q.parquet")
    samples = read_questions(BENCHMARKS["videomme"], tmp_path / "q.parquet").samples
    assert ["'question_id' is bytes" in sample.broken or "is null" in sample.broken for sample in samples] == [True] * 3
    columns["question_id"] = [1, None, 3]
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "q.parquet")
    samples = read_questions(BENCHMARKS["videomme"], tmp_path / "q.parquet").samples
    assert [bool(sample.broken) for sample in samples] == [False, True, False]
    prepare("videomme", tmp_path / "q.parquet", out=tmp_path / "gt")
    again = read_questions(BENCHMARKS["videomme"], tmp_path / "gt/VideoMME/val_qa.json").samples
    assert [sample.key for sample in again] == [sample.key for sample in samples]


def test_a_line_that_is_no_json_no_csv_or_too_deep_costs_itself(tmp_path):
    good = json.dumps(GOOD["nextqa"])
    deep = "[" * 200_000 + "]" * 200_000
    lines = [good, "{", good, deep, '"\u2028"', '{"a": ' + "9" * 6000 + "}", good, good[:20]]
    (tmp_path / "q.jsonl").write_text("\n".join(lines))
    (tmp_path / "q.json").write_text(f"[{good}, {deep}, " + '{"[": "]\\"", "x": ' + deep + f"}}, {good}]")
    (tmp_path / "q.csv").write_text(
        'video_name,question,question_id,answer,a0,a1\nv0,"wh"at ?,1,red,red,blue\nv0,'
        + "w" * 200_000
        + ",1,red,red,blue\n"
    )
    lines_read = read_questions(BENCHMARKS["nextqa"], tmp_path / "q.jsonl").samples
    assert [bool(sample.broken) for sample in lines_read] == [False, True, False, True, True, True, False, True]
    assert [sample.line for sample in lines_read] == list(range(1, 9))
    whole = read_questions(BENCHMARKS["nextqa"], tmp_path / "q.json").samples
    assert [bool(sample.broken) for sample in whole] == [False, True, True, False]
    assert "too deep" in whole[1].broken
    table = read_questions(BENCHMARKS["synthetic"], tmp_path / "q.csv").samples
    assert [bool(sample.broken) for sample in table] == [True, False]


@pytest.mark.parametrize("content", ["[5, null]", '["x"]', "[[]]"])
def test_a_file_without_a_single_object_is_an_error_of_the_file(tmp_path, content):
    (tmp_path / "q.json").write_text(content)
    with pytest.raises(DatasetError, match=r"holds no question: .*expected an object"):
        read_questions(BENCHMARKS["nextqa"], tmp_path / "q.json")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"candidates": 5}, "'candidates' is a number, expected a list of texts"),
        ({"candidates": "red"}, "'candidates' is a text, expected a list of texts"),
        ({"candidates": {"a": "red"}}, "'candidates' is an object"),
        ({"candidates": [None, "red"]}, "is null, expected text"),
        ({"start": [1], "end": [2]}, "are not seconds"),
        ({"start": -1}, "begins before the video"),
        ({"start": 3, "end": 2}, "before it begins"),
        ({"start": float("nan")}, "are not seconds"),
        ({"start": 10**400}, "'start'|too large|not seconds"),
        ({"start": True}, "are not seconds"),
        ({"question": "half \ud83d of it"}, "half a character"),
        ({"question": {"text": "what ?"}}, "'question' is an object, expected text"),
        ({"question": ["one ?", "two ?"]}, "2 questions, expected 1"),
        ({"question": []}, "0 questions"),
        ({"video_name": ["v0.mp4"]}, "'video_name' is a list"),
        ({"question_id": None}, "'question_id' is null"),
    ],
)
def test_what_is_wrong_with_a_row_is_said(tmp_path, change, reason):
    (tmp_path / "q.json").write_text(json.dumps([GOOD["nextqa"] | change, GOOD["nextqa"]]))
    bad, good = read_questions(BENCHMARKS["nextqa"], tmp_path / "q.json").samples
    assert any(part in bad.broken for part in reason.split("|")), bad.broken
    assert not good.broken


@pytest.mark.parametrize("name", ["bignum", "cand_int", "missingkey", "start_list_first", "surrogate_q", "toolong"])
def test_the_cases_end_as_one_row_each_and_the_others_are_answered(world, shared, name):
    path = shared / f"cases/questions/{name}.json"
    (world / "videos/v0.mp4").rename(world / "videos/dev_mixed_0000.mp4")
    found = evaluate(settings(world, benchmark="synthetic", qa_file=path))
    recorded = rows(world, benchmark="synthetic")
    bad = [row for row in recorded if row["status"] != "answered"]
    assert len(bad) == 1
    assert bad[0]["reason"]
    assert len(recorded) == found["questions"] == found["answered"] + 1


ODD = [
    5,
    [],
    {},
    PREPARED | OPTIONS | {"question": "half \ud800"},
    PREPARED | OPTIONS | {"candidates": [str(i) for i in range(100)], "answer": "3", "answer_number": 3},
    PREPARED | OPTIONS | {"question": "why " * 3000},
    PREPARED | OPTIONS | {"question": "what is <image> ?"},
    PREPARED | OPTIONS | {"question": "a\0b ?"},
    PREPARED | OPTIONS | {"video_name": "x" * 4000},
    PREPARED | OPTIONS | {"start": 1e300, "end": 1e301},  # a file shorter than the clip counts as cut already
    PREPARED | OPTIONS | {"start": 5e-324, "end": 1e-323},
    PREPARED | OPTIONS | {"type": "\x1b[31m"},
    PREPARED | {"answer_number": True, "candidates": [1, 2.5, True], "answer": 2.5},
]


def test_a_run_over_odd_rows_answers_all_the_others_and_ends_the_same_again(world):
    good = PREPARED | OPTIONS
    mixed = [row for odd in ODD for row in (odd, good)]
    (world / "odd.json").write_text(json.dumps(mixed))
    found = evaluate(settings(world, qa_file=world / "odd.json"))
    recorded = rows(world)
    assert [row["place"] for row in recorded] == list(range(len(mixed)))
    assert {row["status"] for row in recorded[1::2]} == {"answered"}
    status = [row["status"] for row in recorded[0::2]]
    assert status[:7] == ["bad_row"] * 5 + ["does_not_fit", "bad_row"]
    assert status[8] == "missing_video"
    assert status[10:] == ["undecodable", "answered", "answered"]
    assert evaluate(settings(world, qa_file=world / "odd.json")) == found


def test_an_open_benchmark_with_odd_rows_is_judged(world, monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("OPENAI_BASE_URL", raising=False)
    good = {"video_name": "v0.mp4", "question_id": "1", "question": "what ?"}
    asked = [good, 5, good | {"question": ["a ?", "b ?"]}, good | {"question": "half \udfff"}, good]
    truth = [
        {"question_id": "1", "answer": "red"},
        None,
        {"question_id": "1", "answer": "red"},
        {},
        {"answer": 7, "question_id": 1},
    ]
    (world / "val_q.json").write_text(json.dumps(asked))
    (world / "val_a.json").write_text(json.dumps(truth))
    found = evaluate(settings(world, benchmark="msvd", qa_file=world / "val_q.json"), Judging("offline"))
    assert found["unanswered"] == {"bad_row": 3}
    assert found["measures"]["accuracy"]["questions"] == 2
    assert RunFolders.under(world / "out", "msvd", "run").predictions.exists()


@pytest.mark.parametrize("nothing", [float("nan"), float("inf")])
@pytest.mark.parametrize("column", ["question", "answer", "video_name"])
def test_a_number_that_is_none_is_no_text(tmp_path, column, nothing):
    path = tmp_path / "val_qa.json"
    path.write_text(json.dumps([GOOD["nextqa"], GOOD["nextqa"] | {column: nothing}]))  # type: ignore[operator]
    good, bad = read_questions(BENCHMARKS["nextqa"], path).samples
    assert good.broken == ""
    expected = "no true answer" if column == "answer" else f"{column!r} is NaN or infinity, expected text"
    assert expected in bad.broken
