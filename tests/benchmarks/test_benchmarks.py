"""The declarations of the datasets, and their row-to-sample functions."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

import dyto.benchmarks
from dyto.benchmarks import BENCHMARKS, expand, get
from dyto.errors import ConfigError

FOLDER = Path(dyto.benchmarks.__file__).parent


def row(**more):
    return {"video_name": "v_1", "question": "who?", "question_id": "7", "answer": "b"} | more


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.stem)
def test_a_dataset_is_one_short_file(path):
    if path.stem not in ("__init__", "base"):
        assert len(path.read_text().splitlines()) < 40


def test_an_unknown_benchmark_names_the_nearest():
    with pytest.raises(ConfigError, match="did you mean 'nextqa'"):
        get("nexqa")
    with pytest.raises(ConfigError, match="did you mean 'vcgbench'"):
        expand("vcgbanch")


OWN = """
from dyto.benchmarks import BENCHMARKS, Benchmark
from dyto.benchmarks.base import choice_sample

NUMBER = 7
def declared(name="mine", kind="choice", prepared=("Mine/qa.json",), **more):
    return Benchmark(name, "Mine", kind, prepared, "videos", ("question",), choice_sample, "by hand", **more)

MINE = declared()
NEXTQA = declared("nextqa")
GROUP = declared("vcgbench")
HALF = declared(kind="open", aspects=("match",))
UNJUDGED = declared(kind="open", prepared=("q.json", "a.json"))
"""


def test_a_benchmark_of_a_file_is_found_and_run_once(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    assert get(f"{path}:MINE").title == "Mine"
    assert get(f"{path}:MINE") is get(f"{path}:MINE")
    assert expand(f"{path}:MINE") == (f"{path}:MINE",)
    path.write_text(OWN.replace('"Mine"', '"Edited"'))
    assert get(f"{path}:MINE").title == "Edited"
    assert "mine" not in BENCHMARKS


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("MIEN", "unknown name in .*own.py 'MIEN': did you mean 'MINE'\\? Known: GROUP, HALF, MINE, NEXTQA, UNJUDGED$"),
        ("NUMBER", "own.py:NUMBER is of type int, expected a dyto.benchmarks.Benchmark"),
        ("NEXTQA", "is called 'nextqa', but that is another benchmark"),
        ("GROUP", "is called 'vcgbench', but that is another benchmark"),
        ("HALF", "of kind 'open' has 1 prepared files, expected 2"),
        ("UNJUDGED", "of kind 'open' has aspects: none; expected .'match',. for 'open'"),
        ("declared", "is of type function, expected"),
    ],
)
def test_what_is_no_benchmark_is_an_error(tmp_path, name, message):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    with pytest.raises(ConfigError, match=message):
        get(f"{path}:{name}")


@pytest.mark.parametrize(
    ("field", "message"), [({"name": "../up"}, "it names folders"), ({"kind": "chioce"}, "'choice'")]
)
def test_a_declaration_with_an_impossible_field_is_an_error(field, message):
    with pytest.raises(ConfigError, match=message):
        dataclasses.replace(BENCHMARKS["nextqa"], **field)


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=lambda benchmark: benchmark.name)
def test_declarations_hold_together(benchmark):
    benchmark.check()
    assert benchmark.videos.split("/")[0] in ("video_qa", "multiple_choice_qa")
    assert benchmark.source


@pytest.mark.parametrize("benchmark", BENCHMARKS.values(), ids=lambda benchmark: benchmark.name)
def test_a_row_that_cannot_be_read_has_a_name_in_every_breakdown(benchmark):
    unreadable = dyto.benchmarks.Sample("", ("",), "", "", broken="unreadable row: no object")
    assert all(grouping(unreadable) for grouping in benchmark.groupings.values())


def test_no_two_benchmarks_write_the_same_file():
    paths = [path for name, b in BENCHMARKS.items() if name != "videomme-subtitles" for path in b.prepared]
    assert len(paths) == len(set(paths))


def test_activitynet_and_vcgbench_lose_their_prefix_and_nothing_else():
    assert get("activitynet").sample(row(video_name="v_v_x")).video == "v_x"
    assert get("generic").sample(row()).video == "1"
    assert get("msvd").sample(row()).video == "v_1"


def test_star_reads_the_clip_out_of_the_name():
    options = dict(zip(("a0", "a1", "a2", "a3"), "xbyz", strict=True))
    found = get("star").sample(row(video_name="6H_78_11.1_19.6", answer_number="1", **options))
    assert (found.video, found.start, found.end) == ("6H_78_11.1_19.6.mp4", 11.1, 19.6)
    assert get("star").sample(row(video_name="cut", answer_number="1", **options)).start is None


def test_videomme_strips_letters_from_options_and_reads_the_answer_letter():
    source = row(
        videoID="abc",
        options=["A. one", "B. two. three", "C. four", "D. five"],
        answer="B",
        task_type="Counting",
    ) | {"duration": "short", "domain": "Sports", "sub_category": "Ball"}
    found = get("videomme").sample(source)
    assert found.candidates == ("one", "two. three", "four", "five")
    assert (found.answer, found.answer_number, found.video) == ("two. three", 1, "abc.mp4")
    assert {name: group(found) for name, group in get("videomme").groupings.items()} == {
        "duration": "short",
        "domain": "Sports",
        "type": "Counting",
    }


def test_mvbench_keeps_the_clip_and_names_records_by_task_and_place():
    record = {
        "video": "a.mp4",
        "question": "q?",
        "candidates": ["x", "y"],
        "answer": "y",
        "start": 1.5,
        "end": 4,
    }
    found = get("mvbench").sample(record | {"task": "action_sequence", "index": 3})
    assert (found.question_id, found.start, found.end) == ("action_sequence_3", 1.5, 4)
    assert get("mvbench").groupings["task"](found) == "action_sequence"


@pytest.mark.parametrize(
    ("name", "label", "group"),
    [
        ("nextqa", "CH", "causal"),
        ("nextqa", "TP", "temporal"),
        ("nextqa", "DO", "descriptive"),
        ("star", "Feasibility_T3", "Feasibility"),
        ("tgif", "2", "color"),
        ("activitynet", "7", "number"),
        ("intentqa", "TN", "temporal"),
    ],
)
def test_types_have_readable_groups(name, label, group):
    sample = dyto.benchmarks.Sample("v", ("q?",), "1", "a", type=label)
    assert get(name).groupings["type"](sample) == group


def test_a_sample_is_known_by_its_place_and_its_content():
    first = dyto.benchmarks.Sample("v", ("q?",), "1", "a", place=1)
    keys = {first.key}
    for change in ({"place": 2}, {"questions": ("r?",)}, {"answer": "b"}, {"video": "w"}, {"start": 1.0}):
        keys.add(
            dyto.benchmarks.Sample(
                **({"video": "v", "questions": ("q?",), "question_id": "1", "answer": "a", "place": 1} | change)
            ).key
        )
    assert len(keys) == 6
