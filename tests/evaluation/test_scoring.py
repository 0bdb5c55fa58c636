"""Known predictions give known figures, worked out by hand."""

from __future__ import annotations

import csv
import io
import json

import pytest

from dyto.benchmarks import get
from dyto.errors import DatasetError
from dyto.evaluation.evaluate import OFFLINE
from dyto.evaluation.paper import paper_figure, paper_numbers, setting_of
from dyto.evaluation.report import find_results, notes_of, table, to_csv, to_markdown, write_report
from dyto.evaluation.scoring import cases, results
from dyto.evaluation.verdicts import Verdict


def row(i, video, *, choice=0, right=0, status="answered", group="causal"):
    return {
        "key": f"{i:06d}",
        "place": i,
        "video_name": video,
        "question": f"q{i}?",
        "answer": "a",
        "status": status,
        "pred": "x" if status == "answered" else None,
        "choice": choice if status == "answered" else None,
        "answer_number": right,
        "groups": {"type": group},
    }


# 10 questions: 5 right, 2 wrong, 1 names no option, 1 missing video, 1 not reached
ROWS = [
    *(row(i, "a", choice=1, right=1) for i in range(4)),
    row(4, "b", choice=2, right=2, group="temporal"),
    row(5, "b", choice=0, right=2, group="temporal"),
    row(6, "c", choice=3, right=2, group="temporal"),
    row(7, "c", choice=None, right=2),
    row(8, "d", status="missing_video"),
]


@pytest.fixture
def choice():
    return results(get("nextqa"), ROWS, 10) | {"config": "c1", "setting": None, "complete": True}


def test_multiple_choice_by_hand(choice):
    accuracy = choice["measures"]["accuracy"]
    assert choice["answered"] == 8
    assert choice["coverage"] == 0.8
    assert choice["unanswered"] == {"missing_video": 1, "not_reached": 1}
    assert choice["unparsed"] == ["000007"]
    assert accuracy["value"] == 5 / 8
    assert accuracy["counting_unanswered_as_wrong"] == 0.5
    assert (accuracy["questions"], accuracy["videos"]) == (8, 3)
    by_type = accuracy["groups"]["type"]
    assert by_type["causal"]["value"] == 4 / 5
    assert by_type["causal"]["counting_unanswered_as_wrong"] == 4 / 6
    assert by_type["temporal"]["value"] == 1 / 3


def test_an_answer_that_names_no_option_is_wrong_and_never_a_letter():
    (only,) = [row(0, "a", choice=None, right=0)]
    assert results(get("nextqa"), [only], 1)["measures"]["accuracy"]["value"] == 0


def test_open_answers_by_hand():
    rows = [row(i, "ab"[i % 2]) for i in range(4)] + [row(4, "c", status="undecodable")]
    verdicts = {
        ("000000", "match"): Verdict("yes", 5),
        ("000001", "match"): Verdict("yes", 4),
        ("000002", "match"): Verdict("no", 0),
        ("000003", "match"): Verdict(reason="no verdict in 3 replies"),
    }
    found = results(get("msvd"), rows, 5, verdicts=verdicts, judge="j")
    assert found["measures"]["accuracy"]["value"] == 2 / 3
    assert found["measures"]["accuracy"]["counting_unanswered_as_wrong"] == 2 / 5
    assert found["measures"]["score"]["value"] == 3
    assert found["unscored"] == {"000003 match": "no verdict in 3 replies"}
    assert found["unanswered"] == {"undecodable": 1}


def test_vcgbench_has_one_figure_for_each_aspect():
    rows = [row(0, "a"), row(1, "b")]
    asked = cases(get("generic"), rows)
    assert len(asked) == 6
    verdicts = {(c.sample, c.aspect): Verdict(score=i) for i, c in enumerate(asked)}
    found = results(get("generic"), rows, 2, verdicts=verdicts)["measures"]
    assert {name: figure["value"] for name, figure in found.items()} == {
        "correctness": 1.5,
        "detail": 2.5,
        "context": 3.5,
    }


def test_consistency_shows_the_judge_both_answers():
    pair = row(0, "a") | {"question": ["one?", "two?"], "pred": ["x", "y"]}
    (case,) = cases(get("consistency"), [pair])
    assert case.values["question2"] == "two?"
    assert (case.values["prediction"], case.values["prediction2"]) == ("x", "y")


def test_an_unjudged_run_claims_nothing(choice):
    found = results(get("msvd"), [row(0, "a")], 1) | {"config": "c", "setting": None, "complete": True}
    assert found["measures"] == {}
    assert any("not judged yet" in note for note in notes_of(found))


def test_the_report_says_what_a_reader_must_know(choice):
    text = to_markdown([choice])
    assert "| nextqa | c1 | all | accuracy | 62.5 [" in text
    assert "| 80 % | 50 |" in text
    assert "10 of the public file's 4996 questions" in text
    assert "1 missing video, 1 not reached" in text
    assert "1 of the answers named no option and counts as wrong" in text
    assert "validation split" in text


def test_a_run_of_a_benchmark_that_only_its_own_program_knows_is_reported(choice):
    text = to_markdown([choice | {"benchmark": "mine", "title": "My questions"}])
    assert "| mine | c1 | all | accuracy | 62.5 [" in text
    assert "of the public file" not in text


def test_csv_and_json_hold_the_same_figures(choice, tmp_path):
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "manifest.json").write_text("{}")
    (tmp_path / "x" / "results.json").write_text(json.dumps(choice))
    found = find_results([tmp_path])
    paths = write_report(found, tmp_path)
    assert [path.name for path in paths] == ["report.md", "report.csv", "report.json"]
    rows = list(csv.DictReader(io.StringIO(to_csv(found))))
    lines = json.loads(paths[2].read_text())["table"]
    assert [float(r["value"]) for r in rows] == [line["value"] for line in lines]
    assert rows[0]["value"] == "62.5"
    assert [r["group"] for r in rows] == ["all", "type: causal", "type: temporal"]


def test_a_folder_without_results_is_an_error(tmp_path):
    with pytest.raises(DatasetError, match="no run below"):
        find_results([tmp_path])


# --- beside the paper -------------------------------------------------------------------------------------


def config(**more):
    from dyto.strategies import DyTo
    from dyto.strategies.targets import describe_strategy

    base = {"model": "liuhaotian/llava-v1.6-vicuna-7b", "strategy": describe_strategy(DyTo.preset("release"))}
    return base | {"num_frames": 100, "scoring": "letter"} | more


def test_the_papers_numbers_are_those_of_its_tables():
    assert paper_figure("DyTo 7B", "star", "accuracy") == 50.7
    assert paper_figure("DyTo 34B", "mvbench", "accuracy") == 52.9
    assert paper_figure("DyTo 34B", "vcgbench", "score", "gpt-3.5-turbo-0125") == 3.32
    assert paper_figure("SF-LLaVA 34B", "nextqa", "accuracy") == 71.9
    assert sum(len(v) for v in paper_numbers()["accuracy"].values()) == 45


def test_only_the_papers_own_setting_gets_the_papers_number():
    assert setting_of(config()) == "DyTo 7B"
    assert setting_of(config(model="llava-next-34b")) == "DyTo 34B"
    assert setting_of(config(model="tiny")) is None
    assert setting_of(config(num_frames=50)) is None
    assert setting_of(config(scoring="likelihood")) is None
    assert setting_of(config(strategy=config()["strategy"] | {"token_budget": 100})) is None


@pytest.mark.parametrize("value", ["slowfast", "slowfast-slow_10frms_spatial_1d_max_pool-fast_4x4"])
def test_slowfast_by_either_name_is_the_papers_rival(value):
    from dyto.strategies import build_strategy
    from dyto.strategies.published import aggregation_strategy
    from dyto.strategies.targets import describe_strategy

    name, fields = aggregation_strategy(value)
    described = describe_strategy(build_strategy(name, **fields))
    assert setting_of(config(strategy=described, num_frames=50)) == "SF-LLaVA 7B"


def test_a_part_of_the_file_or_another_judge_is_not_the_papers_setting(choice):
    whole = choice | {"setting": "DyTo 7B", "questions": 4996}
    assert table([whole])[0]["paper"] == 65.7
    assert table([whole])[1]["paper"] is None, "the paper gives no figure for a type"
    assert table([choice | {"setting": "DyTo 7B"}])[0]["paper"] is None
    assert paper_figure("DyTo 7B", "msvd", "accuracy", OFFLINE) is None


def test_vcgbench_mean_needs_all_three_files():
    def part(name, scores):
        figure = {"top": 5.0, "groups": {}, "questions": 1, "videos": 1, "counting_unanswered_as_wrong": 1.0}
        measures = {aspect: figure | {"value": score} for aspect, score in scores.items()}
        return {
            **{"benchmark": name, "title": name, "config": "c", "setting": None, "judge": "j", "coverage": 1.0},
            **{"questions": get(name).rows, "measures": measures},
        }

    generic = part("generic", {"correctness": 3.0, "detail": 3.0, "context": 4.0})
    rest = [part("temporal", {"temporal": 2.0}), part("consistency", {"consistency": 3.0})]
    assert [line["value"] for line in table([generic, *rest]) if line["benchmark"] == "vcgbench"] == [3.0]
    assert not [line for line in table([generic, rest[0]]) if line["benchmark"] == "vcgbench"]
