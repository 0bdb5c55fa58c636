"""The bundled model that names things of the world: as a model of the house, and in what it says."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import dyto
from dyto.errors import BadFeaturesError
from dyto.models.adapters.nouns import build_tokenizer
from dyto.nouns.table import nouns as the_table
from dyto.strategies.calling import BoundStrategy
from dyto.synthetic.photographs import FPS, filmed, plan
from dyto.video import Frames

ROOT = Path(__file__).resolve().parents[3]
FILM = ROOT / "src" / "dyto" / "demo" / "photographs.mp4"
SHOWN = ["giant panda", "German shepherd", "palace", "macaw", "polar bear", "dam"]


@pytest.fixture(scope="module")
def nouns():
    return dyto.load_model("nouns", device="cpu")


@pytest.fixture(scope="module")
def qa(nouns):
    return dyto.VideoQA(nouns)


@pytest.fixture(scope="module")
def tokens(qa):
    return qa.encode(FILM)


def picture(name):
    return np.asarray(Image.open(ROOT / "tests" / "photographs" / f"{name}.jpg").convert("RGB"))


def still(pixels, frames=8):
    return Frames(np.stack([pixels] * frames), np.arange(frames), np.arange(frames) / 2, source_size=pixels.shape[:2])


def test_what_a_film_of_photographs_shows_is_named_in_its_order(qa, tokens):
    answer = qa.ask(tokens, "What is shown?")
    places = [answer.text.find(name) for name in SHOWN]
    assert answer.text.startswith("looks like a giant panda")
    assert -1 not in places
    assert places == sorted(places)
    assert [thing["name"] for thing in answer.to_dict()["things"]] == SHOWN
    assert 0.5 <= answer.to_dict()["confidence"] <= 1


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Which animal is seen first?", "giant panda"),
        ("What is seen last?", "dam"),
        ("What comes after the panda?", "German shepherd"),
        ("What comes right before the dam?", "polar bear"),
        ("What animal is shown at second 10?", "macaw"),
        ("Is there a dog?", "yes"),
        ("Is there a bird in the video?", "yes"),
        ("Can you see a car?", "no"),
        ("Are there any building?", "yes"),
        ("Does the dog come before the palace?", "yes"),
        ("Is the palace shown before the panda?", "no"),
        ("How many different animals are there?", "4"),
        ("How many dogs are there?", "not sure: I cannot see how many"),
        ("What is the man doing?", "not sure: I cannot see actions"),
        ("Who is in the video?", "not sure: I cannot see people"),
        ("What color is the bird?", "not sure: I cannot see colours"),
        ("What does the sign say?", "not sure: I cannot see text"),
        ("Is there a person?", "not sure: I cannot see people"),
        ("Is there a groom?", "not sure"),
        ("Is there a carburettor?", "not sure"),
    ],
)
def test_it_answers_what_a_classifier_can_see_and_says_what_it_cannot(qa, tokens, question, said):
    assert said in qa.ask(tokens, question).text


def test_the_time_of_a_thing_is_that_of_its_shot(qa, tokens):
    said = [float(number) for number in re.findall(r"[0-9.]+", qa.ask(tokens, "When is the palace seen?").text)]
    assert said
    assert all(6.3 <= second <= 9.2 for second in said)  # it is shown from 6.5 to 9.0 s


def test_options_are_chosen_by_what_they_name_and_when(qa, tokens):
    choose = lambda question, *options: qa.ask(tokens, question, choices=options)  # noqa: E731
    assert choose("Which of these is shown?", "a car", "a giant panda", "a pizza").choice == 1
    assert choose("Which is seen first?", "a macaw", "a dog").choice == 1
    assert choose("What comes after the macaw?", "a palace", "a polar bear", "a dog").choice == 1
    assert choose("Is there a bird?", "yes", "no").choice == 0
    assert choose("Is there a car?", "yes", "no").choice == 1


@pytest.mark.parametrize(
    ("question", "options", "reason"),
    [
        ("What is shown?", ("happiness", "sorrow"), "no option names a noun"),
        ("What is shown?", ("a pizza", "a bicycle"), "no option was seen"),
        ("Which is shown?", ("a macaw", "a polar bear"), "about equally likely"),
        ("What is the man doing?", ("he eats a banana", "he feeds a panda"), "cannot see actions"),
    ],
)
def test_where_no_option_can_be_chosen_none_is_and_the_reason_is_told(qa, tokens, question, options, reason):
    answer = qa.ask(tokens, question, choices=options)
    assert answer.choice is None
    assert reason in answer.to_dict()["reason"]


def drawings():
    rng = np.random.default_rng(0)
    shapes = np.full((240, 320, 3), 220, np.uint8)
    shapes[60:160, 40:140], shapes[90:200, 190:290] = (200, 30, 40), (30, 60, 200)
    lines = np.full((240, 320, 3), 250, np.uint8)
    for top in range(20, 220, 16):
        for left in range(20, 290, 9):
            lines[top : top + 8, left : left + int(rng.integers(2, 7))] = 20
    yield pytest.param(shapes, id="drawn shapes")
    yield pytest.param(lines, id="a page")
    yield pytest.param(rng.integers(0, 256, (240, 320, 3), dtype=np.uint8), id="noise")
    yield pytest.param(np.zeros((240, 320, 3), np.uint8), id="black")


@pytest.mark.parametrize("pixels", list(drawings()))
@pytest.mark.parametrize("strategy", ["dyto", "uniform-pool"])
def test_of_what_is_no_photograph_nothing_is_asserted(nouns, pixels, strategy):
    answer = dyto.VideoQA(nouns, strategy).ask(still(pixels), "What is shown?")
    assert answer.text.startswith("not sure")
    assert answer.to_dict()["things"] == []


def test_people_and_what_they_wear_are_never_asserted():
    table = the_table()
    for name in ("groom", "ballplayer", "scuba diver", "wig", "bikini", "rifle", "mask", "suit"):
        assert table.guarded[table.names.index(name)], name
    assert not table.guarded[table.names.index("giant panda")]


def test_answers_are_the_same_asked_alone_together_and_as_a_stream(qa, tokens):
    questions = ["What is shown?", "Is there a bird?", "When is the dam seen?"]
    alone = [qa.ask(tokens, question).text for question in questions]
    assert [answer.text for answer in qa.ask_many(tokens, questions)] == alone
    assert ["".join(qa.stream(tokens, question)).strip() for question in questions] == alone


def test_an_answer_ends_where_its_tokens_do(qa, tokens):
    whole = qa.ask(tokens, "What is shown?", max_new_tokens=512).text
    short = qa.ask(tokens, "What is shown?", max_new_tokens=5).text
    assert whole.startswith(short)
    assert len(short) < 40


def test_evidence_names_the_moments_of_the_thing(qa, tokens):
    moments = dyto.find_evidence(qa, tokens, "Is there a macaw?")
    assert 9.0 <= moments[0].second <= 11.1  # where it is shown


def test_options_by_likelihood_prefer_what_is_there(nouns, tokens):
    from dyto.models.generation.likelihood import OptionScorer
    from dyto.prompts import get_prompt

    scores = OptionScorer(nouns, get_prompt("nouns")).scores(tokens, "Which is shown?", ["a macaw", "a truck"])
    assert scores[0] > scores[1]


@pytest.mark.parametrize("strategy", ["uniform", "plus", "kmeans", "slowfast", "evs", "uniform-merge", "query"])
def test_strategies_take_its_features(nouns, strategy):
    answer = dyto.VideoQA(nouns, strategy).ask(still(picture("giant_panda")), "What animal is this?")
    assert "giant panda" in answer.text


def test_its_summary_is_the_mean_patch_of_real_features(nouns):
    features = nouns.encode([picture("ox"), picture("hen")])
    assert features.summary.shape == (2, 1280)
    assert features.grid == (7, 7)
    torch.testing.assert_close(features.patches().mean(1), features.summary)


def test_any_text_comes_back_from_its_tokenizer():
    tokenizer = build_tokenizer()
    for text in ("Is there a giant panda?", "naïve façade – 北京 <0x41>\n\ttabs", "(A) a dog\n(B) 12.5 s", ""):
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_tokens_of_another_model_or_none_at_all_are_told(nouns, tiny):
    frames = still(picture("hen"))
    other = dyto.VideoQA(tiny, "uniform").encode(frames)
    with pytest.raises(BadFeaturesError, match="encode the video with this model"):
        dyto.VideoQA(nouns).ask(other, "What is shown?")
    prompt = nouns.tokenize("", "\nWhat is shown?\nAnswer:")
    nothing = nouns.prefill(prompt.before, torch.zeros(0, 1280))
    assert nouns.generate(nothing, [prompt.after], max_new_tokens=64) == ["not sure: there is no video to look at"]


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ({"dtype": "bfloat16"}, "float32"),
        ({"rope_scaling_factor": 2}, "rope_scaling_factor"),
        ({"attn_implementation": "eager"}, "attn_implementation"),
        ({"revision": "main"}, "revision"),
    ],
)
def test_options_that_it_does_not_have_are_refused(option, said):
    with pytest.raises(dyto.ConfigError, match=said):
        dyto.load_model("nouns", device="cpu", **option)


def test_a_brief_event_is_found_where_every_frame_is_looked_at(nouns):
    pictures = [picture("ox"), picture("macaw"), picture("palace")]
    shots = plan(np.random.default_rng(3), 3, seconds=20, needle=True)
    (needle,) = [shot for shot in shots if shot.brief]
    name = ["ox", "macaw", "palace"][needle.picture]
    every = dyto.UniformPool(pool=7, num_frames=100, token_budget=100)
    answer = dyto.VideoQA(nouns, every).ask(filmed(pictures, shots, 100), f"When is the {name} seen?")
    start = float(answer.text.split(" ")[0])
    assert needle.start / FPS - 0.3 <= start <= needle.stop / FPS


def test_it_states_its_strategy_and_itself(qa, tokens):
    document = qa.ask(tokens, "What is shown?").to_dict()
    assert document["model"] == "nouns"
    assert document["strategy"] == json.loads(json.dumps(BoundStrategy(qa.strategy).description))
    assert any("1,000 kinds of things" in warning and "--model" in warning for warning in document["warnings"])


def test_dyto_ask_takes_it_where_its_extra_is_installed(monkeypatch):
    from dyto.models.loading import naming as loading

    assert loading.usual_model(None) == "tiny"  # as the tests' own environment says
    monkeypatch.delenv("DYTO_MODEL")
    assert loading.usual_model(None) == "nouns"
    assert loading.usual_model("tiny") == "tiny"
    monkeypatch.setattr(loading, "can_see", lambda: False)
    assert loading.usual_model(None) == "tiny"


def test_the_command_prints_what_it_knows_and_what_it_does_not(capfd, monkeypatch):
    from dyto.cli.app import run

    monkeypatch.delenv("DYTO_MODEL")
    assert run(["ask", str(FILM), "What comes after the panda?"], debug=False) == 0
    printed = capfd.readouterr()
    assert "looks like a German shepherd" in printed.out
    assert "1,000 kinds of things" in printed.err.replace("\n", " ")
    assert run(["ask", str(FILM), "what is there ?", "--model", "tiny", "--eye", "nouns"], debug=False) == 0
    assert run(["ask", str(FILM), "what is there ?", "--model", "tiny", "--eye", "noun"], debug=False) != 0


@pytest.mark.soak
def test_strategies_are_certified_by_it(nouns):
    assert dyto.certify("uniform-pool", nouns).passed
