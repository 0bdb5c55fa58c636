"""SmolVLM: what it says about a video, in words and times."""

import numpy as np
import pytest

import dyto
from dyto.models.adapters.smolvlm import in_words

from forge_families import FAMILIES, WORDS


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return dyto.load_model(FAMILIES["smolvlm"].forge(tmp_path_factory.mktemp("smolvlm")), device="cpu")


def test_numbers_are_written_as_they_are_spoken():
    assert [in_words(number) for number in range(9)] == list(WORDS)
    assert [in_words(number) for number in (13, 20, 21, 64, 100, 101, 999)] == [
        "thirteen", "twenty", "twenty-one", "sixty-four", "one hundred", "one hundred and one",
        "nine hundred and ninety-nine",
    ]  # fmt: skip
    assert in_words(1000) == "one thousand"
    assert in_words(12_050) == "twelve thousand and fifty"
    assert in_words(100_100) == "one hundred thousand, one hundred"
    assert len({in_words(number) for number in range(3000)}) == 3000


def test_the_text_tells_how_many_frames_how_long_and_when(model):
    texts = model.frame_texts(np.array([0.0, 61.9, 3725.2]))
    mark = "<fake_token_around_image>"
    assert texts == [
        " You are provided the following series of three frames from a 1:02:05 [H:MM:SS] video.\n"
        f"\nFrame from 00:00:{mark}<global-img>",
        f"{mark}\nFrame from 01:01:{mark}<global-img>",
        f"{mark}\nFrame from 62:05:{mark}<global-img>",
        mark,
    ]


def test_frames_that_come_twice_are_announced_twice(model):
    frames = np.random.default_rng(0).integers(0, 255, (20, 70, 96, 3), dtype=np.uint8)
    tokens = dyto.VideoQA(model, dyto.SlowFast(token_budget=60)).encode(frames)
    runs = 1 + np.count_nonzero(np.diff(tokens.keyframe))
    assert runs > len(tokens.keyframes)  # slow first, then fast
    layout = model.lay_out(tokens)
    assert int(layout.visual.sum()) == len(tokens)
    assert len(layout) == len(tokens) + model.count_text(tokens)
    assert model.tokenizer.decode(np.concatenate([run.text for run in model._runs(tokens)])).count("Frame from") == runs


def test_times_can_be_left_out(model):
    silent = type(model)(
        "silent", model.model, model.tokenizer, normalization=model.normalization, chat="smolvlm", time_text=""
    )
    assert (
        silent.frame_texts(np.array([0.0, 61.9]))[1]
        == "<fake_token_around_image>\n<fake_token_around_image><global-img>"
    )
