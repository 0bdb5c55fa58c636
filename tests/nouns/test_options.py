"""Options of which one names a part of another, the thing itself beside which is asked, and things that are hardly seen."""

import numpy as np
import pytest

from dyto.nouns.answers import reply
from dyto.nouns.questions import understand
from dyto.nouns.seeing import Timeline

from .test_answers import film

HEN_AFTER_DIPPER = film({"dipper": 0.7}, {"hammer": 0.8}, {"hen": 0.9})


def chosen(timeline, question, *options):
    written = "\n".join([question, *(f"({chr(65 + place)}) {option}" for place, option in enumerate(options))])
    return reply(timeline, understand(written)).choice


@pytest.mark.parametrize(
    ("question", "choice"),
    [
        ("Which of these is seen first?", 0),
        ("Which of these is seen last?", 2),
        ("What comes before the hammer?", 0),
        ("What comes after the hammer?", 2),
        ("What comes after the bird?", 1),
        ("What comes before the hen?", 1),
    ],
)
def test_a_bird_beside_a_hen_is_another_bird(question, choice):
    assert chosen(HEN_AFTER_DIPPER, question, "a bird", "a hammer", "a hen") == choice


def test_a_hen_is_a_bird_all_the_same_if_it_is_asked_what_is_not_shown():
    assert chosen(film({"hen": 0.9}), "Which of these is not shown?", "a bird", "a hammer", "a hen") == 1


def test_what_comes_after_a_thing_is_not_that_thing():
    timeline = film({"hammer": 0.8}, {"hen": 0.9}, {"hammer": 0.5}, {"beagle": 0.7})
    assert chosen(timeline, "What comes before the hen?", "a hammer", "a beagle") == 0
    assert chosen(timeline, "What comes after the hen?", "a hen", "a hammer", "a beagle") == 1
    assert chosen(timeline, "What comes before the beagle?", "a beagle", "a hammer") == 1


def test_a_thing_that_is_hardly_seen_is_not_passed_over():
    timeline = film({"hammer": 0.8}, {"goose": 0.04}, {"dam": 0.8})
    assert chosen(timeline, "What comes after the hammer?", "a hammer", "a goose", "a dam") is None
    assert chosen(timeline, "What comes after the hammer?", "a hammer", "a dam") == 1


@pytest.mark.parametrize("question", ["What comes after the hen?", "Which of these is seen last?", "What is shown?"])
def test_where_nothing_was_seen_no_option_is_chosen(question):
    nothing = Timeline(np.zeros(0), np.zeros((0, 1000)), np.zeros(0), np.zeros(0, np.int64))
    assert chosen(nothing, question, "a hen", "a beagle") is None
