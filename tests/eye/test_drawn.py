"""Whether a video is of the drawn world: the measured rule on a small sample; `tools/bench/scripts/drawn.py` has more."""

import io
import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import dyto
from dyto.cli import console
from dyto.cli.app import main
from dyto.demo.engine import DemoEngine
from dyto.demo.events import DemoQuestion, SideAnswered, TextWritten
from dyto.eye import drawn
from dyto.synthetic import world
from dyto.synthetic.filming import sample_long_film
from dyto.synthetic.films import FRAMES_PER_TICK, REGIMES, draw_film, draw_frames
from dyto.synthetic.long_films import LONG_REGIMES, draw_long_film
from dyto.tokens import NOT_ITS_WORLD

PHOTOGRAPHS = sorted((Path(__file__).parents[1] / "photographs").glob("*.jpg"))


@pytest.fixture(scope="module")
def panda(tmp_path_factory):
    """A folder of pictures of a panda."""
    folder = tmp_path_factory.mktemp("panda")
    with Image.open(next(path for path in PHOTOGRAPHS if "panda" in path.name)) as picture:
        width, height = picture.size
        for number in range(4):
            picture.crop((number * 9, 0, width - 30 + number * 9, height)).save(folder / f"{number}.jpg")
    return folder


def test_the_palette_is_the_one_of_the_world():
    np.testing.assert_array_equal(drawn.GROUNDS, list(world.BACKGROUNDS.values()))
    np.testing.assert_array_equal(drawn.PAINTS, list(world.COLORS.values()))


@pytest.mark.parametrize("regime", REGIMES)
def test_drawn_films_are_known(regime):
    film = draw_film(np.random.default_rng(3), regime)
    assert drawn.is_drawn(list(draw_frames(film, 0))[:: FRAMES_PER_TICK * 12])


@pytest.mark.parametrize("regime", LONG_REGIMES)
def test_long_films_are_known_with_their_noise_coding_flashes_and_titles(regime):
    film = draw_long_film(np.random.default_rng(4), regime, 60.0)
    assert drawn.is_drawn(sample_long_film(film, num_frames=8, side=84).data)


def test_photographs_plain_fields_and_noise_are_not_known():
    pictures = [np.asarray(Image.open(path).convert("RGB")) for path in PHOTOGRAPHS]
    assert len(pictures) > 15
    assert not [path.name for path, picture in zip(PHOTOGRAPHS, pictures, strict=True) if drawn.is_drawn([picture])]
    for level in (0, 14, 120, 255):
        assert not drawn.is_drawn([np.full((84, 84, 3), level, np.uint8)]), "a black film shows nothing"


def test_real_clips_are_not_known(shared):
    for path in (shared / "videos").glob("*.mp4"):
        assert not drawn.is_drawn(dyto.sample_frames(path, num_frames=8, size=(84, 84)).data), path.name


def test_an_answer_of_tiny_about_a_photograph_is_marked_and_one_about_a_drawing_is_not(tiny, panda):
    outside = dyto.VideoQA(tiny).ask(panda, "what is shown ?", max_new_tokens=3)
    assert not outside.meaningful
    assert outside.to_dict()["meaningful"] is False
    assert outside.warnings.count(NOT_ITS_WORLD) == 1
    film = draw_film(np.random.default_rng(3), "mixed")
    inside = dyto.VideoQA(tiny).ask(np.stack(list(draw_frames(film, 0))[::24]), "what is shown ?", max_new_tokens=3)
    assert inside.meaningful
    assert NOT_ITS_WORLD not in inside.warnings


def test_the_note_comes_before_the_answer_and_evidence_is_not_computed(panda, capfd, monkeypatch):
    monkeypatch.setattr("dyto.inspecting.evidence.find_evidence", lambda *a, **k: pytest.fail("computed"))
    screen = io.StringIO()
    with monkeypatch.context() as both:
        both.setattr(console.out, "_file", screen)
        both.setattr(console.err, "_file", screen)
        words = ["ask", str(panda), "what is shown ?", "--model", "tiny", "--evidence"]
        assert main(words) == 0
    shown = " ".join(screen.getvalue().split())
    assert shown.count(NOT_ITS_WORLD) == 1
    assert shown.index(NOT_ITS_WORLD) < shown.index("key frames")
    assert shown.split("key frames")[0].split(NOT_ITS_WORLD)[1].strip(), "the answer stands after the note"
    assert "none: the answer means nothing" in shown
    assert main([*words, "--json"]) == 0
    document = json.loads(capfd.readouterr().out)
    assert (document["meaningful"], document["evidence"]) == (False, [])


@pytest.mark.parametrize(("drawings", "looked_at", "drawn_world"), [(20, 2, True), (0, 8, False), (3, 8, False)])
def test_no_more_frames_are_looked_at_than_are_needed(monkeypatch, drawings, looked_at, drawn_world):
    seen = []
    monkeypatch.setattr(drawn, "is_drawing", lambda frame: seen.append(frame) or frame < drawings)
    assert drawn.is_drawn(list(range(20))) == drawn_world  # 0, 3, 5, 8, 11, 14, 16 and 19 can be looked at
    assert len(seen) == looked_at


def test_inspect_says_so_before_the_answer(panda, tmp_path, capfd):
    page = tmp_path / "page.html"
    assert main(["inspect", str(panda), "--question", "what ?", "--out", str(page), "--model", "tiny"]) == 0
    shown = page.read_text()
    assert shown.count(NOT_ITS_WORLD) == 1
    assert shown.index(NOT_ITS_WORLD) < shown.index("what ?")
    assert NOT_ITS_WORLD in " ".join(capfd.readouterr().err.split())


def test_the_demo_says_so_before_the_answer(tiny, panda, monkeypatch):
    monkeypatch.setattr("dyto.demo.engine.load_model", lambda name, **options: tiny)
    engine = DemoEngine(("tiny",))
    try:
        events = list(engine.ask(DemoQuestion(str(panda), "what ?", "tiny", (dyto.DyTo(),), max_new_tokens=3)))
    finally:
        engine.close()
    written = [event for event in events if isinstance(event, TextWritten)]
    assert (written[0].text, {event.remark for event in written}) == ("", {NOT_ITS_WORLD})
    (end,) = [event for event in events if isinstance(event, SideAnswered)]
    assert not end.answer.meaningful


def test_the_checkpoint_alone_is_a_model_of_any_world(tmp_path):
    """A folder with other weights may know other things: only the bundled checkpoint is known to know so little."""
    model = dyto.load_model(str(files("dyto") / "checkpoints" / "tiny"), device="cpu")
    assert model.knows is None
