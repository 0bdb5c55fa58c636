"""The public question files, prepared and counted."""

from __future__ import annotations

import csv
import json
from collections import Counter

import pytest

from dyto.benchmarks import get
from dyto.errors import DatasetError
from dyto.evaluation.prepare import prepare
from dyto.evaluation.questions import read_questions

FILES = {
    "msvd": ("MSVD_QA.csv", 6415),
    "msrvtt": ("MSRVTT_QA.csv", 12278),
    "tgif": ("TGIF_FrameQA.csv", 13691),
    "activitynet": ("ActivityNet_QA.csv", 8000),
    "nextqa": ("NExT_QA.csv", 4996),
    "egoschema": ("EgoSchema.csv", 500),
    "intentqa": ("IntentQA.csv", 2044),
    "star": ("STAR.csv", 7098),
    "generic": ("Generic_QA.csv", 1996),
    "temporal": ("Temporal_QA.csv", 499),
    "consistency": ("Consistency_QA1.csv", 499),
}


@pytest.fixture(scope="module")
def prepared(shared, tmp_path_factory):
    """name -> (what preparation said, the lists in the files it wrote)."""
    out = tmp_path_factory.mktemp("gt_qa_files")
    found = {}
    for name, (file, _) in FILES.items():
        (done,) = prepare(name, shared / "qa" / file, out=out)
        found[name] = done, [json.loads(path.read_text(encoding="utf-8")) for path in done.paths]
    return found


@pytest.fixture(scope="module")
def source(shared):
    def rows(name):
        with (shared / "qa" / FILES[name][0]).open(encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))

    return rows


@pytest.mark.parametrize("name", FILES)
def test_no_row_is_lost(prepared, name):
    done, lists = prepared[name]
    assert done.rows == FILES[name][1] == get(name).rows
    assert [len(records) for records in lists] == [done.rows] * len(lists)


@pytest.mark.parametrize("name", ["msvd", "msrvtt", "tgif", "activitynet"])
def test_the_ith_answer_belongs_to_the_ith_question(prepared, source, name):
    _, (questions, answers) = prepared[name]
    assert all(set(record) == {"video_name", "question_id", "question"} for record in questions)
    assert all(set(record) == {"answer", "type", "question_id"} for record in answers)
    for row, question, answer in zip(source(name), questions, answers, strict=True):
        name_there = row["video_name"].removeprefix("v_") if name == "activitynet" else row["video_name"]
        assert question == {
            "video_name": name_there,
            "question_id": row["question_id"],
            "question": row["question"],
        }
        assert answer["answer"] == row["answer"]
        assert answer["question_id"] == row["question_id"]
        assert answer["type"] == int(row["question_type"])


def test_repeated_ids_of_tgif_lose_nothing(prepared):
    _, (questions, _) = prepared["tgif"]
    ids = Counter(record["question_id"] for record in questions)
    assert sum(count > 1 for count in ids.values()) == 3757
    samples = read_questions(get("tgif"), prepared["tgif"][0].paths[0]).samples
    assert len({sample.key for sample in samples}) == 13691


@pytest.mark.parametrize("name", ["nextqa", "egoschema", "intentqa", "star"])
def test_multiple_choice_records_carry_the_right_answer(prepared, source, name):
    done, (records,) = prepared[name]
    keys = {"task_name", "video_name", "question_id", "question", "answer_number", "candidates", "answer"}
    for row, record in zip(source(name), records, strict=True):
        assert keys <= set(record)
        assert record["task_name"] == done.paths[0].parent.name
        assert record["video_name"] == row["video_name"] + ".mp4"
        assert record["candidates"][record["answer_number"]] == record["answer"] == row["answer"]
        assert len(record["candidates"]) == (4 if name == "star" else 5)


def test_star_records_carry_start_and_end(prepared):
    _, (records,) = prepared["star"]
    for record in records:
        _, start, end = record["video_name"].removesuffix(".mp4").rsplit("_", 2)
        assert (float(start), float(end)) == (record["start"], record["end"])


def test_vcgbench_goes_into_three_files_and_consistency_asks_twice(shared, tmp_path):
    done = prepare("vcgbench", shared / "qa", out=tmp_path)
    assert [part.rows for part in done] == [1996, 499, 499]
    names = ["generic_val_qa", "temporal_understanding_val_qa", "consistency_val_qa"]
    assert [path.name for part in done for path in part.paths] == [f"Video-ChatGPT-{n}.json" for n in names]
    pairs = json.loads(done[2].paths[0].read_text(encoding="utf-8"))
    assert all(len(record["question"]) == 2 and all(record["question"]) for record in pairs)


@pytest.mark.parametrize(
    ("name", "file", "message"),
    [
        (
            "vcgbench",
            "Generic_QA.csv",
            "is one file, and vcgbench has 3 .generic, temporal, consistency.: give the folder",
        ),
        ("temporal", "Generic_QA.csv", "is the question file of generic: temporal needs Temporal_QA.csv"),
        ("generic", "Consistency_QA1.csv", "is the question file of consistency: generic needs Generic_QA.csv"),
        ("consistency", "Generic_QA.csv", "has two: give Consistency_QA1.csv and Consistency_QA2.csv as a folder"),
        ("consistency", "Consistency_QA2.csv", "Consistency_QA1.csv"),
    ],
)
def test_a_file_of_vcgbench_is_not_taken_for_another(tmp_path, name, file, message):
    (tmp_path / file).write_text("video_name,question_id,question,answer\nv_a,1,what ?,that\n")
    with pytest.raises(DatasetError, match=message):
        prepare(name, tmp_path / file, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_either_file_of_the_pair_names_consistency(tmp_path):
    for number in (1, 2):
        text = f"video_name,question_id,question,answer\nv_a,1,what {number} ?,that\n"
        (tmp_path / f"Consistency_QA{number}.csv").write_text(text)
    for number in (1, 2):
        (done,) = prepare("consistency", tmp_path / f"Consistency_QA{number}.csv", out=tmp_path / str(number))
        assert json.loads(done.paths[0].read_text())[0]["question"] == ["what 1 ?", "what 2 ?"]


def test_videomme_and_mvbench_keep_what_the_source_has_besides(tmp_path):
    row = {"videoID": "abc", "question_id": "1-1", "duration": "long", "domain": "Sports", "sub_category": "Ball"}
    row |= {"task_type": "Counting", "question": "How many?", "options": ["A. one", "B. two"], "answer": "B"}  # type: ignore[dict-item]
    (tmp_path / "videomme.json").write_text(json.dumps([row]))
    (tmp_path / "tasks").mkdir()
    record = {"video": "a.mp4", "question": "q?", "candidates": ["x", "y"], "answer": "y", "start": 0.5, "end": 2.0}
    (tmp_path / "tasks" / "action_sequence.json").write_text(json.dumps([record]))
    (first,) = prepare("videomme", tmp_path / "videomme.json", out=tmp_path)
    (second,) = prepare("mvbench", tmp_path / "tasks", out=tmp_path)
    assert first.paths == (tmp_path / "VideoMME/val_qa.json",)
    assert json.loads(first.paths[0].read_text()) == [
        {
            **{"task_name": "VideoMME", "video_name": "abc.mp4", "question_id": "1-1", "question": "How many?"},
            **{"answer_number": 1, "candidates": ["one", "two"], "answer": "two", "type": "Counting"},
            **{"duration": "long", "domain": "Sports", "sub_category": "Ball"},
        }
    ]
    assert json.loads(second.paths[0].read_text()) == [
        {
            **{"task_name": "MVBench", "video_name": "a.mp4", "question_id": "action_sequence_0", "question": "q?"},
            **{"answer_number": 1, "candidates": ["x", "y"], "answer": "y", "type": "action_sequence"},
            **{"start": 0.5, "end": 2.0},
        }
    ]
    for name, done in (("videomme", first), ("mvbench", second)):
        (again,) = read_questions(get(name), done.paths[0]).samples
        assert [group(again) for group in get(name).groupings.values()]


def test_rows_that_repeat_a_candidate_are_reported_with_their_line_and_kept(prepared):
    complaints = [text for name in FILES for text in prepared[name][0].complaints]
    assert len(complaints) == 5
    assert complaints[0].startswith("line 626 (id 52569282107): candidate 'scarf' occurs 2 times")


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", FILES)
def test_the_prepared_file_is_read_as_the_same_samples(shared, prepared, name):
    original = read_questions(get(name), shared / "qa" / FILES[name][0])
    again = read_questions(get(name), prepared[name][0].paths[0])
    assert again.digest == original.digest
    assert again.file_sha256 != original.file_sha256
    groupings = get(name).groupings.values()
    for one, other in zip(original.samples, again.samples, strict=True):
        assert [group(one) for group in groupings] == [group(other) for group in groupings]
