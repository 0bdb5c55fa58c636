"""Answers in words, one for each decision that reading them takes; every line holds a mutant of the code down."""

from __future__ import annotations

import pytest

from dyto.choices import parse_choice

CHOICES = ("a cat", "a dog", "a man walking", "none of the above", "a bird")
YES_NO = ("yes", "no")
LONG = "big brown dog that runs over the wide green field behind the old house near the river"


@pytest.mark.parametrize(
    ("text", "choices", "right"),
    [
        # what is denied, and where the denial ends
        ("No dog", ("cat", "dog"), None), ("dog ohne", ("cat", "dog"), 1), ("A dog, no", ("a cat", "a dog"), 1), ("no cat, a dog", CHOICES, 1),
        ("There is a dog, but it does not move", CHOICES, None), ("A dog does not bark", CHOICES, None), ("A dog. It does not bark", CHOICES, 1),
        ("It is not a cat, and it is not a bird; a dog", CHOICES, 1), ("not a cat, a dog", CHOICES, 1),
        # options that begin with yes or no are named by those words alone
        ("It is a dog", ("yes", "a dog"), 1), ("It is a dog", ("no", "yes", "a dog", "a cat"), 2), ("Yes.", ("yes, red", "yes, blue"), None),
        ("The answer is unclear. (B)", YES_NO, 1), ("I would say yes, or, no.", YES_NO, None), ("It is: yes, well, no.", YES_NO, None),
        # options that are an article, a mark or a letter
        ("(A) the", ("a", "the"), None), ("(B) the", ("a", "the"), 1), ("The answer is (A) the", ("a", "the"), None), ("The missing word is 'the'", ("who", "the"), 1),
        ("a dog", ("!", "a dog"), 1), ("It is a dog", ("?", "a dog"), 1), ("The answer is C.", ("C", "B", "A"), 2), ("The answer is B.", ("x", "c", "b"), 1),
        # an option within another's text
        ("It is black", ("black", "black cat", "a black cat here"), 0), ("It is a black cat", ("black", "black cat", "cat"), 1),
        ("It is a big black cat here now", ("black cat", "cat", "big black cat here", "black"), 2),
        # long options are compared to their end
        (f"(A) the {LONG}", ("a cat", LONG), None), (f"(B) the {LONG}", ("a cat", LONG), 1), (f"(A) {LONG}", ("a cat", LONG), None),
    ],
)  # fmt: skip
def test_an_answer_in_words_is_read_as_a_reader_would(text, choices, right):
    assert parse_choice(text, choices) == right
