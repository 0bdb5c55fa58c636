"""The instrument behind `docs/plus.md`: its answers are the model's own, its tables add up, it goes on where it stopped."""

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest

from dyto import DyTo, VideoQA
from dyto.synthetic.videos import is_right

FOLDER = Path(__file__).resolve().parents[3] / "tools" / "bench" / "scripts" / "ablation"


@pytest.fixture
def bench(monkeypatch):
    """Loads a module of the ablation, and forgets it afterwards."""
    monkeypatch.syspath_prepend(str(FOLDER))
    before = set(sys.modules)
    yield importlib.import_module
    for name in set(sys.modules) - before:
        if getattr(sys.modules[name], "__file__", None) and str(FOLDER) in str(sys.modules[name].__file__):
            del sys.modules[name]


def test_one_pass_finds_right_what_greedy_answers_get_right(bench, tiny, tmp_path):
    films, scoring = bench("films"), bench("scoring")
    (film,) = films.watch(tiny, tmp_path, "dev", 1, regimes=("needles",))
    tokens = DyTo(token_budget=150).compress(film.features)
    qa = VideoQA(tiny)
    answers = qa.ask_many(
        tokens, [a.question for a in film.asked], choices=[a.choices for a in film.asked], max_new_tokens=24
    )
    expected = [is_right(a, answer.text) for a, answer in zip(film.asked, answers, strict=True)]
    assert scoring.exactly_right(tiny, tokens.data, film.asked).tolist() == expected
    assert 0 < sum(expected) < len(expected)


def test_a_film_is_kept_and_its_scenes_are_those_of_its_frames(bench, tiny, tmp_path):
    films = bench("films")
    (first,) = films.watch(tiny, tmp_path, "dev", 1, regimes=("needles",))
    made = sorted(path.name for path in tmp_path.iterdir())
    (again,) = films.watch(tiny, tmp_path, "dev", 1, regimes=("needles",))
    assert made == sorted(path.name for path in tmp_path.iterdir())
    assert (first.scenes, first.asked) == (again.scenes, again.asked)
    bounds = [scene.start for scene in first.scenes] + [first.scenes[-1].end]
    assert bounds[0] == 0
    assert bounds[-1] == 100
    assert all(a.end == b.start for a, b in zip(first.scenes, first.scenes[1:], strict=False))
    assert sum(scene.needle for scene in first.scenes) == 2
    assert len(first.oracle()) == len(first.scenes)


def test_a_run_goes_on_where_it_stopped_and_every_variant_keeps_to_the_budget(bench, tiny, tmp_path, monkeypatch):
    accuracy = bench("accuracy")
    monkeypatch.setattr(accuracy, "load_model", lambda name: tiny)
    monkeypatch.setattr(accuracy, "watch", lambda *args: bench("films").watch(*args, regimes=("static",)), raising=True)
    path = tmp_path / "rows.jsonl"
    names = list(accuracy.VARIANTS)
    rows = accuracy.measure(tmp_path, "dev", 1, names, (58,), path=path)
    assert {row[0] for row in rows} == set(names)
    assert all(row[4] <= 58 for row in rows)
    text = path.read_text()
    monkeypatch.setattr(accuracy, "_answer", None)  # would fail if anything were asked again
    assert accuracy.measure(tmp_path, "dev", 1, names, (58,), path=path) == rows
    assert path.read_text() == text
    assert "| plus |" in accuracy.table(rows)
    assert "| static |" in accuracy.by_regime(rows)


def test_the_difference_is_paired_and_its_interval_goes_by_film(bench):
    accuracy = bench("accuracy")
    rows = [
        ["a", 9, "x", "mixed", 9, {"exist": [True, True]}],
        ["b", 9, "x", "mixed", 9, {"exist": [True, False]}],
        ["a", 9, "y", "mixed", 9, {"exist": [False, True]}],
        ["b", 9, "y", "mixed", 9, {"exist": [False, True]}],
        ["a", 5, "y", "mixed", 5, {"exist": [True]}],  # b cannot do with this budget
    ]
    value, spread = accuracy.difference(rows, "a", "b")
    assert value == pytest.approx(25.0)
    assert spread == pytest.approx(196 * np.sqrt(2 * (0.5**2 + 0.5**2)) / 4)


def test_the_made_up_features_keep_what_they_promise(bench):
    coverage = bench("covering")
    found = coverage.measure("dev", 1, counts=(10,))
    assert set(coverage.KINDS) == {kind for _, kind in found}
    assert found["plus-2025, 12.8 frames", "still"][0] == 100
    assert found["release", "still"][0] < 80
    assert found["ward, middle, 10", "still"][3] == 10
    assert "| release |" in coverage.report(found)
