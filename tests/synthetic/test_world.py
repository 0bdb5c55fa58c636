"""The world's answers against the pixels: a reader that knows nothing of the generator answers the questions."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
import pytest

from dyto.models.tiny import build_tokenizer
from dyto.synthetic.films import FRAMES_PER_TICK, REGIMES, TICKS, draw_film, draw_frames, scene_at
from dyto.synthetic.pages import token_ids
from dyto.synthetic.pictures import draw_question
from dyto.synthetic.questions import ASKERS, TYPES, Question
from dyto.synthetic.render import Accidents, draw_accidents, render
from dyto.synthetic.videos import make_video, sample_video
from dyto.synthetic.world import draw_scene

PAINT = {
    "red": (215, 35, 35), "green": (40, 175, 50), "blue": (50, 90, 245), "yellow": (240, 220, 40),
    "purple": (185, 60, 215), "white": (245, 245, 245),
}  # fmt: skip
GROUND = {"black": (14, 14, 14), "gray": (120, 120, 120), "brown": (115, 68, 30), "navy": (16, 22, 92),
          "teal": (0, 100, 105)}  # fmt: skip


@dataclass
class Seen:
    """One object as its pixels tell it."""

    color: str
    shape: str
    x: float
    y: float

    @property
    def name(self) -> str:
        return f"{self.color} {self.shape}"


def read_picture(image: np.ndarray) -> tuple[str, list[Seen]]:
    """Background and objects of an image, from nothing but its pixels."""
    names = [*GROUND, *PAINT]
    palette = np.array([*GROUND.values(), *PAINT.values()], float)
    distance = ((image[..., None, :].astype(float) - palette) ** 2).sum(-1)
    label = distance.argmin(-1)
    background = np.bincount(label.ravel(), minlength=len(names))[: len(GROUND)].argmax()
    found = []
    for number, name in enumerate(names):
        if name in PAINT:
            found += [
                Seen(name, shape_of(part), *centre_of(part))
                for part in connected(label == number)
                if part.sum() > 0.004 * part.size
            ]
    return names[background], found


def connected(mask: np.ndarray) -> list[np.ndarray]:
    """Connected parts of a mask, by flooding."""
    parts, left = [], mask.copy()
    while left.any():
        part = np.zeros_like(left)
        part[tuple(np.argwhere(left)[0])] = True
        while True:
            grown = part.copy()
            grown[1:] |= part[:-1]
            grown[:-1] |= part[1:]
            grown[:, 1:] |= part[:, :-1]
            grown[:, :-1] |= part[:, 1:]
            grown &= left
            if (grown == part).all():
                break
            part = grown
        parts.append(part)
        left &= ~part
    return parts


def centre_of(part: np.ndarray) -> tuple[float, float]:
    rows, columns = np.nonzero(part)
    side = len(part)
    return (columns.min() + columns.max() + 1) / 2 / side, (rows.min() + rows.max() + 1) / 2 / side


def shape_of(part: np.ndarray) -> str:
    """By the hole, and by the area against that of the smallest circle about the centre of gravity."""
    rows, columns = np.nonzero(part)
    y, x = rows.mean(), columns.mean()
    if not part[round(y), round(x)]:
        return "ring"
    reach = np.hypot(rows - y, columns - x).max() + 0.5
    fill = part.sum() / (np.pi * reach**2)
    shapes = {"circle": 1.0, "square": 0.64, "triangle": 0.42, "cross": 0.55}
    if 0.38 < fill < 0.62:  # triangle or cross: only the cross looks the same upside down
        around = np.flip(part[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1])
        own = part[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        return "cross" if (around == own).mean() > 0.86 else "triangle"
    return min(shapes, key=lambda name: abs(shapes[name] - fill))


def solve(question: Question, pictures: list[tuple[str, list[Seen]]]) -> str:
    """Answer a question by what was read, in the order of the scenes; parses the question's text only."""
    text = question.text.lower()
    names = [thing.name for _, things in pictures for thing in things]
    asked = re.search(rf"({'|'.join(PAINT)}) (circle|square|triangle|cross|ring)", text)
    name = asked[0] if asked else None
    where = next((i for i, (_, things) in enumerate(pictures) if name in [t.name for t in things]), None)
    if text.startswith(("is there", "do you see a")):
        return "yes" if name in names else "no"
    if "which of these" in text:
        return next(option for option in (question.right, *question.wrong) if option in names)
    if text.startswith(("what color is the ", "what colour is the ")) and "background" not in text:
        return next(n.split()[0] for n in names if n.endswith(text.split()[-1].strip("?")))
    if text.startswith(("what shape is the", "which shape is")):
        color = re.search("|".join(PAINT), text)[0]
        return next(n.split()[1] for n in names if n.startswith(color))
    if "first" in text or "last" in text:
        background, things = pictures[0 if "first" in text else -1]
        return background if "background" in text else things[0].name
    if "right after" in text or "right before" in text:
        return pictures[where + (1 if "after" in text else -1)][1][0].name
    if text.startswith("how many"):
        if "scenes" in text:
            return str(len(pictures))
        color = re.search("|".join(PAINT), text)
        return str(len([n for n in names if color is None or n.startswith(color[0])]))
    if text.startswith(("where is", "in which corner")):
        thing = next(t for t in pictures[0][1] if t.name == name)
        return f"{'bottom' if thing.y > 0.5 else 'top'} {'right' if thing.x > 0.5 else 'left'}"
    if " on the " in text:
        color = re.search(f"on the ({'|'.join(GROUND)})", text)[1]
        return next(things[0].name for background, things in pictures if background == color)
    if "background" in text or "behind" in text:
        return pictures[where or 0][0]
    assert "describe" in text, text
    told = []
    for background, things in pictures:
        order = sorted(things, key=lambda t: (t.y > 0.5, t.x))
        told.append(" and ".join(f"a {t.name}" for t in order) + f" on {background}")
    return " then ".join(told)


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


def test_questions_use_known_words_only_and_tokenize_as_the_tokenizer_does():
    tokenizer = build_tokenizer()
    rng = np.random.default_rng(3)
    texts = set()
    for _ in range(400):
        scenes = [draw_scene(rng, things=int(rng.integers(1, 5)))]
        if rng.random() < 0.5:
            scenes = [draw_scene(rng, not_background=None) for _ in range(4)]
            if len({kind for scene in scenes for kind in scene.kinds}) < 4:
                continue
        question = draw_question(rng, scenes)
        texts |= {question.text, question.right, *question.wrong}
    assert len(texts) > 150
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert list(token_ids(text)) == ids
        assert tokenizer.unk_token_id not in ids


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
