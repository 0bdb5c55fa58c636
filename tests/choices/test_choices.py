"""Multiple choice: what counts as naming an option, and what does not."""

import pytest

from dyto import ConfigError
from dyto.choices import format_choices, parse_choice

CHOICES = ["a cat", "a dog", "black cat", "the man is not happy"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("B", 1), ("b", 1), ("(b)", 1), ("b.", 1), ("B.", 1), ("B)", 1), ("B:", 1), ("[C]", 2), ("**B**", 1),
        ("B. a dog", 1), ("B) a dog", 1), ("(B) a dog", 1), ("B: a dog", 1), ("B - a dog", 1), ("C\nbecause", 2),
        ("B, because it barks", 1), ("(B) because (A) is wrong", 1),
        ("The answer is (B).", 1), ("The answer is B", 1), ("Answer: C", 2), ("Best option: (B) a dog", 1),
        ("the correct option is D.", 3), ("Option A", 0), ("The best answer is: B. a dog", 1),
        ("I think (C) is right", 2), ("a dog", 1), ("A dog.", 1), ("answer is a dog", 1), ("It is a dog", 1),
        ("(A) is wrong. The answer is (B).", 1), ("It is a black cat", 2), ("Cat", 0), ("the man is not happy", 3), ("THE MAN IS NOT HAPPY!", 3),
    ],
)  # fmt: skip
def test_an_answer_that_names_one_option_is_read(text, expected):
    assert parse_choice(text, CHOICES) == expected


@pytest.mark.parametrize(
    "text",
    ["", " ", "?", "A man walks", "(A) or (B)", "A or B", "A and B", "A, B", "A) or B)", "(A)(B)", "E", "(F) nothing",
     "The answer is not (A)", "(A) is wrong", "(A) isn't it, (C) neither", "It's not a dog", "a dog and a black cat", "choice A is wrong", "The answer is A man",
     "a bird", "dogma", "42"],
)  # fmt: skip
def test_an_answer_that_names_none_or_several_is_none(text):
    assert parse_choice(text, CHOICES) is None


def test_options_named_alike_are_told_apart_by_letter_only():
    twice = ["run", "sit", "run"]
    assert parse_choice("run", twice) is None
    assert parse_choice("C", twice) == 2


def test_a_letter_before_words_that_sound_like_a_rejection():
    assert parse_choice("(B) is not happy", ["is happy", "is not happy"]) == 1
    assert parse_choice("A) not sitting", ["not sitting", "sitting"]) == 0


def test_letters_go_by_the_number_of_options():
    assert parse_choice("E", ["1", "2", "3", "4", "5"]) == 4
    assert parse_choice("E", ["1", "2", "3", "4"]) is None


def test_an_option_that_is_a_letter_is_named_by_it_unless_it_is_the_letter_of_an_option():
    assert parse_choice("C", ["C", "B", "A"]) == 2
    assert parse_choice("D", ["d", "e", "f"]) == 0
    assert parse_choice("y", ["x", "y", "z"]) == 1


def test_options_are_written_with_their_letters():
    assert format_choices(["a cat ", "a dog"]) == "(A) a cat\n(B) a dog"
    assert format_choices(choices=["x"] * 26, separator=" ").endswith("(Z) x")


@pytest.mark.parametrize("bad", [[], ["one"], ["x"] * 27, ["a", " "]])
def test_options_that_cannot_be_asked_are_errors(bad):
    with pytest.raises(ConfigError, match="choice"):
        format_choices(bad)
