"""The world's answers against the pixels: a reader that knows nothing of the generator answers the questions."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest

from dyto.synthetic.films import FRAMES_PER_TICK, REGIMES, TICKS, draw_film, draw_frames, scene_at
from dyto.synthetic.questions import ASKERS, TYPES, Question
from dyto.synthetic.render import Accidents, draw_accidents, render
from dyto.synthetic.videos import make_video, sample_video
from dyto.synthetic.world import draw_scene
from synthetic.pixels import Seen, read_picture, solve


def clean(things: int) -> Accidents:
    return Accidents(1.0, 0.0, np.zeros((1 + things, 3), np.float32), 0.0, 0)


@pytest.fixture(scope="module")
def scenes_read():
    """Scenes and what the reader saw of them."""
    rng = np.random.default_rng(0)
    result = []
    for number in range(60):
        scene = draw_scene(rng, things=1 + number % 4)
        result.append((scene, read_picture(render(scene, clean(len(scene.things)))[0])))
    return result


def test_what_is_drawn_is_what_the_scene_says(scenes_read):
    for scene, (background, things) in scenes_read:
        assert background == scene.background_name
        assert sorted(t.name for t in things) == sorted(t.name for t in scene.things)


@pytest.mark.parametrize("kind", TYPES)
def test_answers_about_images_agree_with_the_pixels(kind, scenes_read):
    rng = np.random.default_rng(1)
    checked = 0
    single = [([scene], [picture]) for scene, picture in scenes_read]
    ones = [(scene, picture) for scene, picture in scenes_read if len(scene.things) == 1]
    several = []
    for size in (2, 3, 5):
        for start in range(0, len(ones) - size, size):
            part = ones[start : start + size]
            if len({scene.things[0].kind for scene, _ in part}) == size:
                several.append(([scene for scene, _ in part], [picture for _, picture in part]))
    for scenes, pictures in single + several:
        for _ in range(3):
            question = ASKERS[kind](rng, scenes)
            if question is not None:
                assert solve(question, pictures) == question.right, question
                assert question.right not in question.wrong
                checked += 1
    assert checked >= 8


def test_the_truth_would_be_missed_if_the_picture_were_another(scenes_read):
    """The reader can tell: shown another picture, it disagrees with most answers."""
    rng = np.random.default_rng(2)
    wrong = asked = 0
    for (scene, _), (_, other) in zip(scenes_read, scenes_read[4:], strict=False):
        question = ASKERS["description"](rng, [scene])
        if question is not None:
            asked += 1
            wrong += solve(question, [other]) != question.right
    assert wrong >= 0.95 * asked > 20


def test_options_hold_the_truth_once_and_every_place_is_used():
    rng = np.random.default_rng(4)
    places = []
    for _ in range(300):
        question = ASKERS["color"](rng, [draw_scene(rng)])
        options, place = question.options(rng)
        assert options[place] == question.right
        assert len(set(options)) == len(options) == 4
        places.append(place)
    assert min(np.bincount(places, minlength=4)) > 45


@pytest.mark.parametrize("regime", REGIMES)
def test_films_are_what_their_regime_says(regime):
    for seed in range(8):
        film = draw_film(np.random.default_rng(seed), regime)
        lengths = [(shot.end - shot.start) / FRAMES_PER_TICK for shot in film.shots]
        kinds = [kind for scene in film.scenes for kind in scene.kinds]
        assert sum(lengths) == TICKS
        assert len(kinds) == len(set(kinds))
        assert all(a.background != b.background for a, b in zip(film.scenes, film.scenes[1:], strict=False))
        needles = [length for length, shot in zip(lengths, film.shots, strict=True) if shot.needle]
        assert len(needles) == (2 if regime == "needles" else 0)
        assert all(2 <= length <= 10 for length in needles)
        assert [film.shots[0].needle, film.shots[-1].needle] == [False, False]
        if regime == "many":
            assert len(lengths) >= 10
        if regime == "dominated":
            assert sorted(lengths)[-2] <= 8 < max(lengths)
        if regime == "detail":
            assert all(len(scene.things) >= 3 for scene in film.scenes)


def test_slides_stand_still_and_the_others_move():
    for regime, still in (("static", True), ("moving", False)):
        film = draw_film(np.random.default_rng(5), regime)
        frames = list(draw_frames(film, 0))
        shot = film.shots[0]
        same = [np.array_equal(frames[i], frames[i + 1]) for i in range(shot.start, shot.end - 1)]
        assert all(same) == still
        assert any(same) == still


def test_objects_stay_in_the_picture_and_in_their_corner():
    for regime in ("moving", "detail"):
        film = draw_film(np.random.default_rng(6), regime)
        for shot in film.shots:
            for frame in range(shot.start, shot.end):
                for thing, first in zip(scene_at(shot, frame).things, shot.scene.things, strict=True):
                    assert thing.radius - 1e-9 <= min(thing.x, thing.y)
                    assert max(thing.x, thing.y) <= 1 - thing.radius + 1e-9
                    if len(shot.scene.things) > 1:
                        assert thing.corner == first.corner is not None


@pytest.mark.parametrize("regime", ["mixed", "needles", "static"])
def test_the_decoded_file_shows_what_the_answers_say(regime, tmp_path: Path):
    path = tmp_path / "clip.mp4"
    film, asked = make_video(path, (9,), regime)
    with av.open(str(path)) as container:
        assert container.streams.video[0].codec_context.name == "h264"
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert len(frames) == film.num_frames
    pictures = [read_video_frame(frames[shot.middle], shot) for shot in film.shots]
    for a in asked:
        question = Question(a.type, a.question, a.answer, a.answer, tuple(c for c in a.choices or () if c != a.answer))
        assert solve(question, pictures) == a.answer, a
    assert len(asked) > 15


def read_video_frame(image: np.ndarray, shot) -> tuple[str, list[Seen]]:
    """Noise and brightness are taken off first, by what the file's own background shows; then as `read_picture`."""
    accidents = shot.accidents
    side = len(image)
    shade = np.linspace(accidents.light - accidents.slope, accidents.light + accidents.slope, side)
    calm = image.astype(float) / shade[:, None, None]
    for axis in (0, 1):
        calm = (np.roll(calm, 1, axis) + calm + np.roll(calm, -1, axis)) / 3
    background, things = read_picture(np.clip(calm, 0, 255))
    return background, [t for t in things if t.color != background]


def test_a_video_is_a_function_of_its_seed(tmp_path: Path):
    files = [tmp_path / f"{n}.mp4" for n in range(3)]
    asked = [make_video(path, seed, "mixed")[1] for path, seed in zip(files, [(1,), (1,), (2,)], strict=True)]
    assert files[0].read_bytes() == files[1].read_bytes() != files[2].read_bytes()
    assert asked[0] == asked[1] != asked[2]


def test_the_sample_video_is_short_and_asks_both_ways(tmp_path: Path):
    asked = sample_video(tmp_path / "sample.mp4")
    assert (tmp_path / "sample.mp4").stat().st_size < 2_000_000
    assert {choices is None for _, choices, _ in asked} == {True, False}
    assert len(asked) >= 6
    for _, choices, answer in asked:
        assert choices is None or answer in choices


def test_noise_changes_the_pixels_and_not_the_objects():
    rng = np.random.default_rng(7)
    scene = draw_scene(rng, things=2)
    first, second = (render(scene, draw_accidents(rng, 2))[0] for _ in range(2))
    assert not np.array_equal(first, second)
    assert np.array_equal(*(render(scene, clean(2))[1] for _ in range(2)))
