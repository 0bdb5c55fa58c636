"""The yardstick of long films: what is called kept is kept, a run goes on, the oracles know the truth."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from dyto import FrameFeatures
from dyto.strategies import Plus, Uniform

ABLATION = Path(__file__).parents[3] / "tools" / "bench" / "scripts" / "ablation"


@pytest.fixture(scope="module")
def long_run():
    sys.path.insert(0, str(ABLATION))
    try:
        import long_run

        yield long_run
    finally:
        sys.path.remove(str(ABLATION))


def test_an_event_is_kept_if_half_of_a_tokens_patches_lie_in_it(long_run):
    x = np.random.default_rng(0).normal(size=(1, 10, 32)).repeat(40, 0)
    x[20] = np.random.default_rng(1).normal(size=(10, 32))
    features = FrameFeatures.from_projected(x.astype(np.float32))
    events = {3: np.array([20]), 4: np.array([21, 22])}
    assert long_run.kept(Plus(token_budget=18).compress(features), events)[0]
    four = long_run.run(Uniform(token_budget=36), features)
    at = four.keyframes.positions.tolist()
    assert long_run.kept(four, {1: np.array(at[:1]), 2: np.array([i for i in range(40) if i not in at])}) == [
        True,
        False,
    ]


def test_every_length_meets_every_number_of_frames(long_run):
    import long_watch

    cells = long_watch.cells("dev", 36)
    assert {(cell.seconds, cell.num_frames) for cell in cells} == {
        (seconds, frames) for seconds in long_watch.LENGTHS for frames in (100, 300, 1000)
    }
    assert len({cell.name for cell in cells}) == 360
    assert {cell.event is None for cell in cells} == {True, False}


@pytest.mark.soak
def test_a_run_goes_on_where_it_was_stopped_and_its_tables_name_all(long_run, tmp_path):
    names = ["plus", "told every shot", "told every sampled shot", "evs"]
    file = tmp_path / "rows.jsonl"
    rows = long_run.measure("dev", 1, names, (9, 58), file, tmp_path / "films")
    assert len(rows) == 10 * 2 * 4 - 10  # evs cannot do with 9 tokens
    kept = file.read_text().splitlines()
    file.write_text("\n".join(kept[: len(kept) // 2]) + "\n")
    again = long_run.measure("dev", 1, names, (9, 58), file, tmp_path / "films")
    assert sorted(map(str, again)) == sorted(map(str, rows))
    report = long_run.report(again)
    assert all(f"| {name} |" in report for name in names)
    assert "10 films" in report


def test_the_oracle_has_a_frame_of_every_scene(long_run, tmp_path):
    import long_watch
    from films import load_model

    film = long_watch.watch(load_model(), tmp_path, long_watch.FilmCell("dev", "cutting", 0))
    assert set(film.scene[film.middles()]) == set(film.scene) - {-1}
    assert len(film.runs()) == 1 + int((np.diff(film.scene) != 0).sum())
    assert isinstance(long_run.oracle(film, 36), torch.Tensor)
    assert len(long_run.told(film, 36)) == 36
