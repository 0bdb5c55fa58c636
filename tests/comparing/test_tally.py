"""From rows to figures, on rows written by hand."""

from __future__ import annotations

import pytest

from comparing.rows_by_hand import cell, rows
from dyto.comparing.compare import power_notes
from dyto.comparing.guard import alarms, told, twins
from dyto.comparing.power import fewest_videos
from dyto.comparing.statistics import holm, sign_flip_p
from dyto.comparing.tally import (
    comparisons,
    costs_of,
    crossed,
    mean_of,
    opponents,
    standings,
    unanswered_of,
    use_of,
)

UNIFORM, DYTO, EVS, BLIND = cell("uniform"), cell("dyto"), cell("evs"), cell("blind", None)


def tallied(*parts):
    """Standings by name, and the questions that count, of pairs of a cell and its rows."""
    found, questions = standings([c for c, _ in parts], [row for _, part in parts for row in part], "choice")
    return {standing.cell.strategy: standing for standing in found}, questions, found


def test_accuracy_and_differences_are_over_the_same_questions():
    by_name, questions, found = tallied(
        (UNIFORM, rows(UNIFORM, {"a": "1100", "b": "10", "c": "0"})),
        (DYTO, rows(DYTO, {"a": "1110", "b": "10", "c": "1"})),
    )
    assert mean_of(by_name["uniform"], questions)["value"] == 3 / 7
    assert mean_of(by_name["dyto"], questions)["value"] == 5 / 7
    line = comparisons(found, questions, ["uniform"])[DYTO.key]["baseline"]
    assert line["value"] == pytest.approx(2 / 7)
    assert line["p"] == sign_flip_p([1, 0, 1]) == line["p_holm"]
    assert (line["questions"], line["videos"], line["tests"]) == (7, 3, 1)


def test_rotations_of_one_question_count_as_one_question():
    by_name, questions, found = tallied(
        (UNIFORM, rows(UNIFORM, {"a": "1000", "b": "1111"}, rotations=4)),
        (DYTO, rows(DYTO, {"a": "1110", "b": "1111"}, rotations=4)),
    )
    assert mean_of(by_name["uniform"], questions) | {"low": 0, "high": 0} == {
        "value": (0.25 + 1) / 2, "low": 0, "high": 0, "questions": 2, "videos": 2,
    }  # fmt: skip
    assert comparisons(found, questions, [])[DYTO.key]["baseline"]["value"] == 0.25


def test_a_liking_for_one_letter_is_no_better_than_chance_once_rotated():
    always_a = rows(DYTO, {"a": "1000", "b": "0001", "c": "0100"}, rotations=4)
    by_name, questions, _ = tallied((DYTO, always_a))
    assert mean_of(by_name["dyto"], questions)["value"] == 0.25


def test_questions_that_a_strategy_leaves_count_as_wrong_and_those_that_all_leave_for_none():
    by_name, questions, _ = tallied(
        (UNIFORM, rows(UNIFORM, {"a": "11", "b": "xx"})),
        (DYTO, rows(DYTO, {"a": "1x", "b": "xx"})),
        (BLIND, rows(BLIND, {"a": "10", "b": "11"})),
    )
    assert set(questions.videos.values()) == {"a"}
    assert mean_of(by_name["uniform"], questions)["value"] == 1
    assert mean_of(by_name["dyto"], questions)["value"] == 0.5
    assert mean_of(by_name["blind"], questions)["value"] == 0.5
    assert unanswered_of(by_name["dyto"]) == ({"failed": 3}, "it broke")


def test_the_best_rival_is_the_most_accurate_other_simple_strategy_at_that_budget():
    small = cell("evs", 20)
    by_name, _, found = tallied(
        (UNIFORM, rows(UNIFORM, {"a": "1000"})),
        (EVS, rows(EVS, {"a": "1100"})),
        (DYTO, rows(DYTO, {"a": "1110"})),
    )
    rivals = ["uniform", "evs"]
    assert {role: o.cell.strategy for role, o in opponents(by_name["dyto"], found, rivals).items()} == {
        "baseline": "uniform",
        "rival": "evs",
    }
    assert {role: o.cell.strategy for role, o in opponents(by_name["uniform"], found, rivals).items()} == {
        "rival": "evs"
    }
    assert list(opponents(by_name["evs"], found, rivals)) == ["baseline"]
    apart, _, others = tallied((UNIFORM, rows(UNIFORM, {"a": "1"})), (small, rows(small, {"a": "1"}, visual_tokens=18)))
    assert opponents(apart["evs"], others, rivals) == {}, "another budget is no opponent"


def test_one_pair_seen_from_both_sides_is_one_test():
    _, questions, found = tallied(
        (UNIFORM, rows(UNIFORM, {"a": "1000", "b": "00", "d": "01"})),
        (EVS, rows(EVS, {"a": "1101", "b": "10", "d": "01"})),
        (DYTO, rows(DYTO, {"a": "1110", "b": "11", "d": "11"})),
    )
    lines = comparisons(found, questions, ["uniform", "evs"])
    p = {
        "uniform-evs": lines[UNIFORM.key]["rival"]["p"],
        "dyto-uniform": lines[DYTO.key]["baseline"]["p"],
        "dyto-evs": lines[DYTO.key]["rival"]["p"],
    }
    assert {line["tests"] for both in lines.values() for line in both.values()} == {3}
    corrected = dict(zip(p, holm(list(p.values())), strict=True))
    assert lines[DYTO.key]["rival"]["p_holm"] == corrected["dyto-evs"]
    assert lines[EVS.key]["baseline"]["p_holm"] == lines[UNIFORM.key]["rival"]["p_holm"] == corrected["uniform-evs"]


def test_a_strategy_that_left_the_tokens_as_they_were_is_named_and_compared_with_nobody():
    lazy = rows(DYTO, {"a": "11", "b": "11"}, visual_tokens=360)
    _, questions, found = tallied((UNIFORM, rows(UNIFORM, {"a": "10", "b": "01"})), (DYTO, lazy))
    (alarm,) = alarms(found)
    assert (alarm.kind, alarm.strategy, alarm.budget) == ("does-nothing", "dyto", 40)
    assert "IT DOES NOTHING" in told([alarm])[0]
    assert comparisons(found, questions, ["uniform", "dyto"]) == {}


def test_a_strategy_over_its_budget_is_named():
    over = rows(DYTO, {"a": "11"}, visual_tokens=41)
    _, _, found = tallied((UNIFORM, rows(UNIFORM, {"a": "10"})), (DYTO, over))
    assert [(a.kind, a.strategy) for a in alarms(found)] == [("over-budget", "dyto")]


def test_answers_that_never_differ_from_those_without_video_are_named():
    parts = (
        (UNIFORM, rows(UNIFORM, {"a": "1001", "b": "00"})),
        (DYTO, rows(DYTO, {"a": "1001", "b": "01"})),
        (BLIND, rows(BLIND, {"a": "1001", "b": "01"}, visual_tokens=0)),
    )
    _, _, found = tallied(*parts)
    assert [(a.kind, a.strategy) for a in alarms(found)] == [("blind", "dyto")]
    assert "all 6 answers" in alarms(found)[0].finding


def test_failures_are_told_once_for_all_budgets():
    cells = [cell("dyto", budget) for budget in (40, 80)]
    _, _, found = tallied(
        (UNIFORM, rows(UNIFORM, {"a": "1", "b": "1"})), *((c, rows(c, {"a": "x", "b": "x"})) for c in cells)
    )
    assert told(alarms(found)) == ["dyto at 40, 80: NO ANSWER AT ALL: it broke"]


def test_strategies_that_read_the_same_tokens_are_called_twins():
    same = rows(DYTO, {"a": "11"}, tokens_sha256="uniform")
    _, _, found = tallied((UNIFORM, rows(UNIFORM, {"a": "11"})), (DYTO, same), (EVS, rows(EVS, {"a": "11"})))
    assert twins(found) == ["uniform and dyto give the same tokens for every video at 40"]


def test_seconds_count_each_question_once_however_often_it_was_rotated():
    stages = dict.fromkeys(("decode", "encode", "select", "merge", "prefill"), 1.0)
    line = {
        "cell": DYTO.key,
        "questions": 2,
        "asked": 8,
        "seconds": stages | {"generate": 4.0},
        "peak_mib": {"encode": 9},
    }
    other = line | {"seconds": dict.fromkeys(line["seconds"], 0.0), "peak_mib": {"encode": 5.0}}  # type: ignore[call-overload]
    found = costs_of(DYTO, [line, other, line | {"cell": "another"}])
    assert found["seconds"]["generate"] == 0.5
    assert found["total_seconds"] == pytest.approx(5 * 0.5 + 0.5)
    assert found["peak_mib"] == {"encode": 9}
    assert found["timed_videos"] == 2


def test_tokens_are_means_over_videos():
    parts = rows(DYTO, {"a": "111"}, visual_tokens=30) + rows(DYTO, {"z": "1"}, visual_tokens=40)
    by_name, _, _ = tallied((DYTO, parts))
    assert use_of(by_name["dyto"]) == {"tokens": 35, "most_tokens": 40, "frames": 1}


def test_outcomes_need_more_than_a_lead():
    videos = {f"v{i:02}": "1100" for i in range(12)}
    alike = rows(UNIFORM, videos)
    better = rows(DYTO, {name: "1111" if i < 9 else "1110" for i, name in enumerate(videos)})
    _, questions, found = tallied((UNIFORM, alike), (DYTO, better), (EVS, rows(EVS, videos)))
    lines = comparisons(found, questions, ["uniform"])
    assert lines[DYTO.key]["baseline"]["outcome"] == "ahead"
    assert lines[DYTO.key]["baseline"]["videos_to_tell"] == fewest_videos(2)
    assert lines[EVS.key]["baseline"]["outcome"] == "not inferior"
    assert lines[EVS.key]["baseline"]["videos_to_tell"] is None, "no number of videos shows a difference of none"
    few = {name: videos[name] for name in list(videos)[:5]}
    _, questions, found = tallied((UNIFORM, rows(UNIFORM, few)), (DYTO, better[:20]))
    lines = comparisons(found, questions, ["uniform"])
    assert lines[DYTO.key]["baseline"]["outcome"] == "open", "five videos show nothing"
    (told, _) = power_notes(lines, 5)
    assert "With 5 videos and 1 tests" in told
    assert "smallest possible is 0.062" in told
    assert "at least 6 videos" in told


def test_groupings_can_be_crossed():
    _, questions, _ = tallied((UNIFORM, rows(UNIFORM, {"a": "1", "d": "0"})))
    both = crossed(questions, ["regime+regime"])
    assert both.breakdowns() == {"regime": ["moving", "still"], "regime+regime": ["moving, moving", "still, still"]}
    assert "regime+regime" not in questions.breakdowns()
