"""Plans, against runs that are drawn by chance, and against the textbook's formulas."""

from __future__ import annotations

import json

import numpy as np
import pytest

from dyto.cli.app import run
from dyto.comparing.power import (
    Variation,
    fewest_videos,
    least_p,
    plan,
    plan_of,
    videos_for_width,
    videos_to_tell,
)
from dyto.comparing.statistics import paired_difference
from dyto.errors import ConfigError


def draw(rng, videos, per_video, mean, between, within):
    """Differences at questions, video by video, with these variances."""
    base = rng.normal(mean, np.sqrt(between), videos)
    return [(b + rng.normal(0, np.sqrt(within), per_video)).tolist() for b in base]


def test_variances_are_found_again():
    rng = np.random.default_rng(0)
    found = Variation.of(draw(rng, 3000, 6, 0.1, 0.02, 0.3))
    assert found.between == pytest.approx(0.02, abs=0.006)
    assert found.within == pytest.approx(0.3, rel=0.05)
    one = Variation.of([[x] for x in (0.0, 1.0, 1.0, -1.0)])
    assert (one.between, one.within) == (pytest.approx(np.var([0, 1, 1, -1], ddof=1)), 0.0)
    assert Variation.of([[1.0, 0.0]]) is None


def test_the_variances_are_those_of_the_analysis_of_variance():
    rng = np.random.default_rng(1)
    values = rng.normal(0, 1, (12, 5)) + rng.normal(0, 0.7, (12, 1))
    found = Variation.of(values.tolist())
    among, within = 5 * values.mean(1).var(ddof=1), values.var(1, ddof=1).mean()
    assert 11 * among + 48 * within == pytest.approx(59 * values.var(ddof=1)), "all squares, split in two"
    assert (found.within, found.between) == pytest.approx((within, max(0, (among - within) / 5)))


def test_so_many_videos_tell_two_strategies_apart_four_times_in_five():
    rng = np.random.default_rng(2)
    per_video, chances = 5, (0.62, 0.5)
    pilot = rng.binomial(1, chances[0], (4000, per_video)) - rng.binomial(1, chances[1], (4000, per_video))
    spread = Variation.of(pilot.tolist()).spread(per_video)
    videos = videos_to_tell(chances[0] - chances[1], spread)
    found = 0
    for _ in range(300):
        sums = rng.binomial(per_video, chances[0], videos) - rng.binomial(per_video, chances[1], videos)
        found += paired_difference(sums.tolist(), [per_video] * videos, 1).p <= 0.05
    assert 0.72 <= found / 300 <= 0.88


def test_so_many_videos_give_an_interval_of_that_width():
    rng = np.random.default_rng(3)
    videos = videos_for_width(0.04, 0.25)
    sums = np.round(rng.normal(0.1, 0.25, videos) * 1000).astype(int)
    found = paired_difference(sums.tolist(), [1] * videos, 1000)
    assert (found.high - found.low) / 2 == pytest.approx(0.04, rel=0.15)


def test_what_so_many_videos_can_show_at_all():
    assert least_p(7) == 2 / 2**7
    assert least_p(7, 95) == 1.0
    for tests in (1, 3, 95, 1000):
        videos = fewest_videos(tests)
        assert least_p(videos, tests) < 0.05 <= least_p(videos - 1, tests)


def test_a_plan_has_fewer_videos_where_each_has_more_questions():
    found = plan(Variation(0.005, 0.15), 0.02, tests=10)
    assert [one.per_video for one in found] == [1, 2, 5, 10, 20]
    for aim in ("width", "tell", "margin"):
        counts = [getattr(one, aim) for one in found]
        assert counts == sorted(counts, reverse=True)
    assert found[0].width == int(np.ceil((1.959964**2) * 0.155 / 0.02**2))
    for precision in (0.0, 1.0, -0.1):
        with pytest.raises(ConfigError, match="expected more than 0"):
            plan(Variation(0, 1), precision)


def test_a_comparison_of_one_video_is_no_pilot():
    line = {"against": "uniform", "between": None, "within": None, "tests": 1}
    with pytest.raises(ConfigError, match="expected a pilot"):
        plan_of({"cells": [{"strategy": "a", "budget": 3, "vs": {"rival": line}}], "questions": 3, "videos": 1}, 0.02)


def test_the_command_plans_from_a_folder_or_from_assumptions(tmp_path, capsys):
    line = {"against": "uniform", "between": 0.01, "within": 0.1, "tests": 4}
    wide = line | {"between": 0.3}
    cells = [{"strategy": name, "budget": 36, "vs": {"baseline": vs}} for name, vs in (("dyto", line), ("evs", wide))]
    (tmp_path / "compare.json").write_text(json.dumps({"cells": cells, "questions": 120, "videos": 40}))
    assert run(["plan", str(tmp_path), "--precision", "3", "--json"], debug=False) == 0
    planned = json.loads(capsys.readouterr().out)
    assert [pair["pair"] for pair in planned["pairs"]] == ["evs minus uniform at 36", "dyto minus uniform at 36"]
    assert planned["questions_per_video"] == 3
    assert planned["tests"] == 4
    assert run(["plan", "--differ", "0.1"], debug=False) == 0
    assert "10 % differ" in capsys.readouterr().out
    for words in (["plan"], ["plan", str(tmp_path), "--differ", "0.1"], ["plan", "--differ", "1.5"]):
        assert run(words, debug=False) == 2
    assert run(["plan", "--differ", "0.1", "--precision", "0"], debug=False) == 2
    assert "--precision 0, expected points" in " ".join(capsys.readouterr().err.split())
