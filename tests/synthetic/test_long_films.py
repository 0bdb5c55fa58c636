"""Long films: what is in them is true of their frames, whatever is sampled, and dev tells nothing of test."""

import dataclasses

import numpy as np
import pytest

from dyto.errors import ConfigError
from dyto.synthetic.benchmark import synth_video
from dyto.synthetic.filming import frame_of, sample_long_film, write_long_film
from dyto.synthetic.long_films import LONG_REGIMES, RANGES, draw_long_film
from dyto.synthetic.long_questions import ask_about
from dyto.video import sample_frames


def drawn(regime, seconds=600.0, split="dev", seed=0, event=None):
    return draw_long_film(np.random.default_rng(seed), regime, seconds, split, event)


@pytest.mark.parametrize("regime", LONG_REGIMES)
@pytest.mark.parametrize("seconds", [20, 600, 3600])
@pytest.mark.parametrize("split", ["dev", "test"])
def test_shots_fill_the_film_and_a_kind_belongs_to_one_scene(regime, seconds, split):
    for seed in range(5):
        film = drawn(regime, seconds, split, seed)
        assert film.num_frames == 10 * seconds
        assert [shot.start for shot in film.shots] == [0, *(shot.end for shot in film.shots[:-1])]
        assert all(shot.start < shot.end for shot in film.shots)
        kinds = [kind for scene in film.scenes for kind in scene.kinds]
        assert len(kinds) == len(set(kinds))
        for number, shot in zip(film.numbers, film.shots, strict=True):
            assert shot.scene == film.shots[film.numbers.index(number)].scene


@pytest.mark.parametrize("event", [0.2, 3.0, 36.0])
def test_events_are_as_long_as_is_asked(event):
    for regime in ("brief", "watching", "returning"):
        film = drawn(regime, 3600, event=event)
        assert {shot.end - shot.start for shot in film.shots if shot.needle} == {round(10 * event)}


def test_dev_and_test_are_drawn_from_ranges_apart():
    dev, test = (dataclasses.asdict(RANGES[split]) for split in ("dev", "test"))
    for name in ("tail", "noise", "quality", "swing", "fade", "flashes"):
        low, high = sorted((dev[name], test[name]))
        assert low[1] < high[0]


@pytest.mark.parametrize("regime", LONG_REGIMES)
def test_a_frame_is_the_same_whichever_others_are_drawn(regime):
    film = drawn(regime, 3600)
    few = sample_long_film(film, num_frames=4, side=84)
    for number, picture in zip(few.indices, few.data, strict=True):
        np.testing.assert_array_equal(picture, frame_of(film, int(number), side=84))


@pytest.mark.parametrize("regime", ["cutting", "flashes"])
def test_what_is_sampled_is_what_sampling_the_file_gives(tmp_path, regime):
    film = drawn(regime, 20, "test")
    write_long_film(tmp_path / "film.mp4", film)
    for asked in ({"num_frames": 30}, {"fps": 2}):
        ours, read = sample_long_film(film, **asked), sample_frames(tmp_path / "film.mp4", **asked)
        np.testing.assert_array_equal(ours.indices, read.indices)
        np.testing.assert_allclose(ours.seconds, read.seconds, atol=1e-3)
        assert np.abs(ours.data.astype(int) - read.data).mean() < 8


def test_an_hour_costs_what_is_sampled(monkeypatch):
    drawn_frames = []
    monkeypatch.setattr(
        "dyto.synthetic.filming.render",
        lambda *args: drawn_frames.append(1) or (np.zeros((84, 84, 3), np.uint8), np.zeros((84, 84), np.uint8)),
    )
    sample_long_film(drawn("watching", 3600), num_frames=50, side=84)
    assert len(drawn_frames) == 50


@pytest.mark.parametrize("regime", LONG_REGIMES)
def test_questions_have_one_answer_and_events_are_asked_about(regime):
    film = drawn(regime, 600, seed=3)
    asked = ask_about(np.random.default_rng(0), film)
    assert len(asked) >= 7
    for a in asked:
        assert a.choices is None or a.choices.count(a.answer) == 1
    if film.returns:
        assert not {"after", "before", "scenes"} & {a.type for a in asked}
    events = sum(shot.needle for shot in film.shots)
    assert len([a for a in asked if a.type == "needle"]) >= 2 * min(events, 1)
    first = [a for a in asked if a.type == "first"]
    shown = film.shots[0].scene
    assert all(a.answer in (shown.background_name, *(thing.name for thing in shown.things)) for a in first)


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"regime": "cuting"}, "cutting"), ({"seconds": 19}, "20 to 3600"), ({"seconds": 4000}, "20 to 3600"),
     ({"split": "train"}, "dev")],
)  # fmt: skip
def test_films_that_cannot_be_are_refused(wrong, named):
    asked = {"regime": "plain", "seconds": 60.0, **wrong}
    with pytest.raises(ConfigError, match=named):
        drawn(**asked)


def test_a_long_film_is_written_with_its_questions_and_short_ones_have_their_length(tmp_path):
    records = synth_video(1, tmp_path / "film.mp4", regime="watching", event=0.5)
    assert len(records) > 5
    assert (tmp_path / "film.mp4").stat().st_size > 1000
    with pytest.raises(ConfigError, match="whose films have 20 seconds"):
        synth_video(1, tmp_path / "film.mp4", regime="mixed", seconds=60)
