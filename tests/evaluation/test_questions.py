"""Question files as they come: other encodings, bad rows, cut-off files, and the odd formats."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from dyto.benchmarks import get
from dyto.errors import ConfigError, DatasetError
from dyto.evaluation.prepare import prepare
from dyto.evaluation.questions import read_questions

HEADER = "video_name,question,question_id,answer,answer_number,question_type,a0,a1,a2,a3,a4\n"
ROW = "v1,who runs?,7,dog,1,CW,cat,dog,cow,hen,ant\n"


def nextqa(tmp_path, content, name="q.csv", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_questions(get("nextqa"), path, **options).samples


def test_a_plain_file_is_read(tmp_path):
    (sample,) = nextqa(tmp_path, HEADER + ROW)
    assert (sample.video, sample.line, sample.answer_number, sample.problems) == ("v1.mp4", 2, 1, ())


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_marked_encodings_are_read_alike(tmp_path, encoding):
    (sample,) = nextqa(tmp_path, (HEADER + ROW.replace("dog", "dög")).encode(encoding))
    assert sample.answer == "dög"


def test_another_encoding_is_named_with_its_place_and_can_be_given(tmp_path):
    raw = (HEADER + ROW + ROW.replace("dog", "dög")).encode("latin-1")
    with pytest.raises(DatasetError, match=r"byte 0xf6 in line 3.*--encoding"):
        nextqa(tmp_path, raw)
    assert nextqa(tmp_path, raw, encoding="latin-1")[1].answer == "dög"
    with pytest.raises(ConfigError, match="unknown encoding"):
        nextqa(tmp_path, raw, encoding="latin-99")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "holds no question"),
        (HEADER, "holds no question"),
        (HEADER.replace("answer_number", "number") + ROW, "no column 'answer_number': found 'video_name'"),
        (HEADER + ROW + 'v1,"who', "line 3.*cut off"),
        (HEADER.replace(",", ";") + ROW, "no column"),
    ],
)
def test_a_file_that_cannot_be_one_is_an_error(tmp_path, content, message):
    with pytest.raises(DatasetError, match=message):
        nextqa(tmp_path, content)


def test_a_missing_file_says_how_to_get_it(tmp_path):
    with pytest.raises(DatasetError, match="dyto prepare nextqa --qa-file F"):
        read_questions(get("nextqa"), tmp_path / "gt" / get("nextqa").prepared[0])


@pytest.mark.parametrize("name", ["nextqa", "msvd", "mvbench", "vcgbench"])
def test_who_prepares_a_missing_file_is_not_told_to_prepare_it(tmp_path, name):
    with pytest.raises(DatasetError, match=r"no question file of .* at .*no\.csv: get ") as caught:
        prepare(name, tmp_path / "no.csv")
    assert "dyto prepare" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        ("v1,who?,7,dog,1,CW,cat,dog,cow,cat,ant\n", "candidate 'cat' occurs 2 times"),
        ("v1,who?,7,dog,2,CW,cat,dog,cow,hen,ant\n", "answer 'dog', but candidate 2 is 'cow'"),
        ("v1,who?,7,dog,9,CW,cat,dog,cow,hen,ant\n", "answer number 9 of 5 candidates; the text decides"),
        ("v1,who?,7,dog,one,CW,cat,dog,cow,hen,ant\n", "the text decides"),
        ("v1,who?,7,dog,1,CW,cat,dog,cow,hen,ant,bee\n", "12 cells, expected 11"),
    ],
)
def test_a_row_that_contradicts_itself_is_reported_and_kept(tmp_path, row, problem):
    first, second = nextqa(tmp_path, HEADER + ROW + row)
    assert first.problems == ()
    assert any(problem in text for text in second.problems)
    assert not second.broken
    assert second.line == 3


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ("v1,,7,dog,1,CW,cat,dog,cow,hen,ant\n", "the question is empty"),
        (",who?,7,dog,1,CW,cat,dog,cow,hen,ant\n", ""),
        ("v1,who?,7,,,CW,cat,dog,cow,hen,ant\n", "there is no true answer"),
        ("v1,who?,7,elk,,CW,cat,dog,cow,hen,ant\n", "not one of the candidates"),
        ("v1,who?,7,dog,1,CW,cat,dog\n", "3 of them empty"),
    ],
)
def test_a_row_that_cannot_be_used_keeps_its_place_with_the_reason(tmp_path, row, reason):
    samples = nextqa(tmp_path, HEADER + ROW + row + ROW)
    assert [sample.place for sample in samples] == [0, 1, 2]
    assert [bool(sample.broken) for sample in samples] == [False, bool(reason), False]
    assert reason in samples[1].broken


def test_line_numbers_count_lines_and_not_rows(tmp_path):
    quoted = 'v1,"who\nruns?",7,dog,1,CW,cat,dog,cow,hen,ant\n'
    assert [sample.line for sample in nextqa(tmp_path, HEADER + quoted + "\n" + ROW)] == [2, 5]


def test_json_that_is_cut_off_or_no_list_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="is not valid JSON at line 1"):
        nextqa(tmp_path, '[{"video_name": "a"', name="val_qa.json")
    with pytest.raises(DatasetError, match=r"holds dict, expected a list"):
        nextqa(tmp_path, "{}", name="val_qa.json")
    with pytest.raises(ConfigError, match=r"ends in '.txt'"):
        nextqa(tmp_path, "x", name="q.txt")


def test_more_questions_than_answers_is_an_error(tmp_path):
    question = {"video_name": "a", "question_id": "1", "question": "who?"}
    (tmp_path / "val_q.json").write_text(json.dumps([question, question]))
    (tmp_path / "val_a.json").write_text(json.dumps([{"answer": "x", "question_id": "1"}]))
    with pytest.raises(DatasetError, match="2 questions in .* 1 answers"):
        read_questions(get("msvd"), tmp_path / "val_q.json")


def test_an_answer_of_another_id_is_reported_and_kept(tmp_path):
    (tmp_path / "val_q.json").write_text(json.dumps([{"video_name": "a", "question_id": "1", "question": "who?"}]))
    (tmp_path / "val_a.json").write_text(json.dumps([{"answer": "x", "question_id": "2"}]))
    (sample,) = read_questions(get("msvd"), tmp_path / "val_q.json").samples
    assert sample.problems == ("the question's id is '1', its answer's '2'",)


VIDEOMME = {
    "videoID": "abc",
    "question_id": "001-1",
    "duration": "short",
    "domain": "Sports",
    "sub_category": "Ball",
    "task_type": "Counting",
    "question": "How many?",
    "options": ["A. one", "B. two", "C. three", "D. four"],
    "answer": "C",
}


def test_videomme_is_read_from_flat_and_nested_json(tmp_path):
    nested = {key: VIDEOMME[key] for key in ("videoID", "duration", "domain", "sub_category")}
    nested["questions"] = [{k: v for k, v in VIDEOMME.items() if k not in nested}] * 2  # type: ignore[list-item]
    (tmp_path / "flat.json").write_text(json.dumps([VIDEOMME]))
    (tmp_path / "nested.json").write_text(json.dumps([nested]))
    (flat,) = read_questions(get("videomme"), tmp_path / "flat.json").samples
    both = read_questions(get("videomme"), tmp_path / "nested.json").samples
    assert flat.answer == "three"
    assert [sample.answer for sample in both] == ["three", "three"]
    assert len({sample.key for sample in both}) == 2


def test_videomme_is_read_from_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow", reason="parquet needs the extra 'parquet'")
    import pyarrow.parquet

    pyarrow.parquet.write_table(pa.Table.from_pylist([VIDEOMME, VIDEOMME]), tmp_path / "test.parquet")
    samples = read_questions(get("videomme"), tmp_path / "test.parquet").samples
    assert [(sample.answer_number, sample.extra["domain"]) for sample in samples] == [(2, "Sports")] * 2
    (tmp_path / "bad.parquet").write_bytes(b"PAR1 no")
    with pytest.raises(DatasetError, match="cannot be read as parquet"):
        read_questions(get("videomme"), tmp_path / "bad.parquet")


def test_mvbench_is_read_from_a_folder_of_tasks_in_the_order_of_their_names(tmp_path):
    record = {"video": "a.mp4", "question": "q?", "candidates": ["x", "y"], "answer": "y"}
    for task, count in (("b_task", 1), ("a_task", 2)):
        (tmp_path / f"{task}.json").write_text(json.dumps([record] * count))
    questions = read_questions(get("mvbench"), tmp_path)
    assert [sample.question_id for sample in questions.samples] == ["a_task_0", "a_task_1", "b_task_0"]
    assert [sample.place for sample in questions.samples] == [0, 1, 2]
    assert all(sample.answer_number == 1 and not sample.problems for sample in questions.samples)


def test_of_a_pair_of_files_the_missing_one_is_named(tmp_path):
    (tmp_path / "Consistency_QA1.csv").write_text("video_name,question,question_id,answer,question_type\n")
    with pytest.raises(DatasetError, match="no question file of VCGBench consistency at .*Consistency_QA2.csv"):
        read_questions(get("consistency"), tmp_path)


def test_consistency_rows_that_do_not_belong_together_are_reported(tmp_path):
    header = ",video_name,question,question_id,answer,question_type\n"
    (tmp_path / "Consistency_QA1.csv").write_text(
        header + "0,v_a,one?,a_0,yes,0\n1,v_b,two?,b_0,yes,0\n2,v_c,x?,c_0,y,0\n"
    )
    (tmp_path / "Consistency_QA2.csv").write_text(header + "0,v_a,uno?,a_0,yes,0\n1,v_b,due?,b_9,yes,0\n")
    first, second, third = read_questions(get("consistency"), tmp_path).samples
    assert first.questions == ("one?", "uno?")
    assert not first.problems
    assert second.problems == ("the second file has 'b_9' in this place",)
    assert third.broken == "the question is empty"


def test_a_folder_of_another_benchmark_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match=r"folder without val_qa\.json"):
        read_questions(get("nextqa"), tmp_path)


def test_a_sample_is_spread_over_the_videos_and_holds_smaller_ones(tmp_path):
    rows = [f"v{number // 5},who runs?,{number},dog,1,CW,cat,dog,cow,hen,ant\n" for number in range(40)]
    path = tmp_path / "q.csv"
    path.write_text(HEADER + "".join(rows))
    questions = read_questions(get("nextqa"), path)
    before: set[int] = set()
    for limit in range(1, 41):
        chosen = questions.chosen(limit, 7)
        places = [sample.place for sample in chosen]
        counts = Counter(sample.video for sample in chosen)
        assert places == sorted(places)
        assert len(places) == limit
        assert before < set(places)
        assert len(counts) == min(limit, 8)
        assert max(counts.values()) - min(counts.values()) <= (1 if limit >= 8 else 0)
        before = set(places)
    assert questions.chosen(8, 7) == questions.chosen(8, 7) != questions.chosen(8, 8)
    assert questions.chosen(3) == questions.samples[:3]
    assert questions.chosen(None, 7) == questions.samples
