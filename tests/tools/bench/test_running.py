"""A measurement: the same work on all sides, figures that follow from the raw runs."""

import dataclasses
import json
import math
import re
import statistics
import time
from pathlib import Path

import pytest

from dyto.errors import ConfigError, ModelError
from dyto.savings import Savings
from dyto_bench import report, setup, tally
from dyto_bench.plan import FORMAT, Plan
from dyto_bench.running import bench
from dyto_bench.sides import STAGES, Ours
from dyto_bench.stock import Stock

pytestmark = pytest.mark.soak  # every side is measured

NAMES = ["dyto", "dyto, no savings", "without keep_prefix", "with overlap", "stock", "published"]
"""On a CPU the default is without overlap: that is no side of its own."""


def firsts(document):
    return [(side["name"], run) for side in document["sides"] for run in side["first"]]


def test_all_sides_are_measured_as_often(document):
    assert [side["name"] for side in document["sides"]] == NAMES
    assert {len(side["first"]) for side in document["sides"]} == {2}


def test_no_stage_is_negative_and_together_they_are_the_total(document):
    for name, run in firsts(document):
        assert list(run["stages"]) == list(STAGES)
        assert all(seconds >= 0 for seconds in run["stages"].values()), name
        together = sum(run["stages"].values()) - run["overlapped"]
        assert together == pytest.approx(run["total"], rel=1e-6), name
        assert run["stages"]["other"] < 0.5 * run["total"], name
        assert 0 < run["to_first_token"] < run["total"]


def test_without_overlap_no_stage_runs_beside_another(document):
    for name in set(NAMES) - {"with overlap"}:
        for run in tally.side_of(document, name)["first"]:
            assert run["overlapped"] < 0.05 * run["total"], name


def test_all_sides_write_as_many_tokens(document):
    assert {len(run["ids"]) for _, run in firsts(document)} == {4}
    for side in document["sides"]:
        for cell in side["further"]:
            for run in cell["runs"]:
                assert [len(ids) for ids in run["ids"]] == [4] * cell["questions"]
                assert run["new_tokens"] == 4 * cell["questions"]


def test_the_same_method_gives_the_same_tokens_and_every_run_does(document):
    ours = tally.side_of(document, "dyto")["first"][0]["ids"]
    for name, run in firsts(document):
        if name != "stock":
            assert run["ids"] == ours, name
    assert [side["same_answer"] for side in document["sides"] if side["name"] != "stock"] == [True] * 5


def test_further_questions_have_the_same_answers_on_all_our_sides(document):
    answers = {
        tuple(map(tuple, tally.cell_of(side, 1, 1)[0]["ids"]))
        for side in document["sides"]
        if side["name"] != "stock"
    }  # fmt: skip
    assert len(answers) == 1


def test_all_sides_see_the_same_frames_but_stock_which_the_budget_limits(document, subject):
    for name, run in firsts(document):
        if name == "stock":
            assert run["frames"] == tuple(subject.uniform(len(run["frames"])))
        else:
            assert run["frames"] == subject.indices, name
        assert run["visual_tokens"] <= subject.budget


def test_ratios_are_those_of_the_raw_runs(document):
    read = json.loads(json.dumps(document))
    sides = {side["name"]: side for side in read["sides"]}
    ours = sides["dyto"]
    for one in read["ratios"]:
        theirs = sides[one["side"]]
        if one["what"] == "first answer":
            pairs = zip(theirs["first"], ours["first"], strict=True)
        elif one["what"] == "further question":
            pairs = zip(theirs["further"][0]["runs"], ours["further"][0]["runs"], strict=True)
        else:
            continue
        assert one["median"] == pytest.approx(statistics.median(a["total"] / b["total"] for a, b in pairs))
    assert {one["side"] for one in read["ratios"]} == set(NAMES)
    assert tally.ratios(read) == read["ratios"]


def test_figures_are_those_of_the_raw_runs(document):
    for side in document["sides"]:
        runs = side["first"]
        assert side["figures"]["total"]["median"] == pytest.approx(statistics.median(run["total"] for run in runs))
        for stage in STAGES:
            median = statistics.median(run["stages"][stage] for run in runs)
            assert side["figures"]["stages"][stage]["median"] == pytest.approx(median)


def test_only_sides_with_axes_have_them(document):
    for side in document["sides"]:
        cells = [(cell["questions"], cell["batch_size"]) for cell in side["further"]]
        assert cells == ([(1, 1), (3, 1), (3, 2)] if side["name"] in ("dyto", "stock") else [(1, 1)])


def test_whoever_keeps_nothing_takes_longer_for_a_further_question(document):
    kept = tally.side_of(document, "dyto")["further"][0]["figures"]["seconds_per_question"]["median"]
    again = tally.side_of(document, "published")["further"][0]["figures"]["seconds_per_question"]["median"]
    assert again > kept


def test_floors_are_below_what_was_measured(document):
    assert {one["stage"] for one in document["floors"]} == set(STAGES) - {"other"}
    for one in document["floors"]:
        assert one["floor"] > 0
        assert one["held_by"]
        assert one["bound"] in ("operations", "bytes")
        if one["seconds"] > 1e-3:
            assert one["times"] > 1, one
        if one["rate_share"] is not None:
            assert 0 < one["rate_share"] < 1


def test_the_model_is_as_it_was(document, tiny):
    assert "generate" not in vars(tiny.model)
    assert "project" not in vars(tiny)


def test_the_cache_of_stock_changes_no_answer(document):
    assert tally.side_of(document, "stock")["warnings"] == []


def test_every_ratio_and_setting_is_in_the_report(document):
    text = report.markdown(document)
    for one in document["ratios"]:
        assert f"| {one['what']} | {one['side']} | {report.spread(one, 1, 2)} |" in text
    for words in ("float32", "sdpa", "4 tokens", "12 frames", "at the tower 84x84", "quartile"):
        assert words in text
    assert "nan" not in text.lower().split()


def test_a_side_that_writes_less_is_refused(subject):
    side = Ours(subject, "dyto", "", Savings())
    side._answering = lambda: {"max_new_tokens": 3, "generation": {"min_new_tokens": 3}}
    with pytest.raises(ModelError, match=r"\[3\] tokens, expected 4 on all sides"):
        bench(subject, [side])


def test_a_side_that_sees_other_frames_is_refused(subject):
    side = Ours(subject, "dyto", "", Savings())
    first = side.first()
    side.first = lambda: dataclasses.replace(first, frames=(0, 1, 2))
    with pytest.raises(ModelError, match="saw frames"):
        bench(subject, [side])


def test_the_projector_counts_for_itself_and_not_for_the_tower(subject, monkeypatch):
    family = type(subject.model)
    project = family.project

    def slow(self, states):
        time.sleep(0.3)
        return project(self, states)

    monkeypatch.setattr(family, "project", slow)
    stages = Ours(subject, "dyto", "", Savings.of(without=["overlap"])).first().stages
    assert stages["project"] >= 0.6  # CLS, and the patches of key frames
    assert stages["encode"] < 0.3


def test_stock_without_a_processor_says_so(subject):
    with pytest.raises(ModelError, match="--rivals none"):
        Stock(dataclasses.replace(subject, processor=None))


def test_versions_of_the_savings_differ_in_one_each():
    default = Savings()
    for name, savings in setup.versions(True, None, "similar=2").items():
        changed = [key for key in vars(savings) if getattr(savings, key) != getattr(default, key)]
        assert len(changed) == 1 or name == "dyto, no savings", name


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"runs": 0}, "runs is 0"),
        ({"new_tokens": 1}, "new_tokens is 1"),
        ({"questions": (2,)}, "hold no 1"),
        ({"batch_sizes": (0, 1)}, "whole numbers from 1 on"),
        ({"questions": ()}, "whole numbers from 1 on"),
    ],
)
def test_a_plan_that_cannot_be_is_refused(wrong, says):
    with pytest.raises(ConfigError, match=says):
        Plan(**wrong)


def test_middle_is_the_median_with_quartiles():
    found = tally.middle([3.0, 1.0, 2.0])
    assert (found["low"], found["median"], found["high"]) == (1.5, 2.0, 2.5)
    assert all(math.isfinite(value) for value in found.values())


def test_the_document_has_the_keys_of_its_page(document):
    page = Path(__file__).resolve().parents[3] / "docs" / "speed.md"
    (table,) = re.findall(r"^\| key \| what it holds \|\n\|---\|---\|\n((?:\|.*\n)+)", page.read_text(), re.MULTILINE)
    described = [key for line in table.splitlines() for key in re.findall(r"`(\w+)`", line.split(" | ")[0])]
    assert sorted(document) == sorted(described)
    assert document["format"] == FORMAT
