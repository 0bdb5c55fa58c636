"""Answers in words, one for each decision that reading them takes; every line holds a mutant of the code down."""

from __future__ import annotations

import unicodedata
from string import ascii_uppercase

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


TEN = ("a cat", "a dog", "a man", "a car", "a bird", "a fish", "a tree", "a boat", "a ball", "a cup")
TWO, THREE = CHOICES[:2], CHOICES[:3]


@pytest.mark.parametrize(
    ("text", "choices", "right"),
    [
        # what comes later takes back what came before, or does not
        ("The answer is a dog, wait, a cat.", CHOICES, 0), ("The answer is A. Wait, a dog.", CHOICES, 1), ("The answer is A. Wait, a dog runs by.", CHOICES, 0),
        ("The answer is not that, it is B.", CHOICES, 1), ("It is not that, it is B.", CHOICES, 1), ("A is close, but B.", CHOICES, 1), ("(A) is close; rather (B).", CHOICES, 1),
        ("Anything but B.", CHOICES, None), ("Everything but (B).", CHOICES, None), ("All of them but (B).", CHOICES, None), ("It shows nothing but B.", CHOICES, 1),
        ("The answer is A. No, the answer is a dog.", CHOICES, 1), ("No, no dog.", ("no dog", "a dog"), 0), ("Wait, no dog.", CHOICES, None),
        ("Wait, no, a dog.", ("no dog", "a dog"), 1), ("答案是A。这是B。", CHOICES, 0), ("这是B。", CHOICES, 1), ("不是A，是B。", CHOICES, 1),
        ("Yes. Wait, no.", YES_NO, 1), ("Yes. Actually, no.", YES_NO, 1), ("Yes! Sorry, no. Wait, yes.", YES_NO, 0), ("Yes! Sorry, no. Wait, yes.", ("yes, he does", "no, he does not"), 0), ("Wait, it is there.", YES_NO, None),
        ("Yes. Actually, no other ball moves.", YES_NO, 0), ("No, I mean yes.", YES_NO, 0),
        # what is final
        ("Final answer: a dog. The answer is a cat.", CHOICES, 1), ("The answer is a cat. Final answer: a dog.", CHOICES, 1), ("Answer: Final answer: B. The answer is A.", CHOICES, 1),
        # where an announced text ends
        ("The answer is a cat. The dog sleeps.", CHOICES, 0), ("The answer is B, and the cat stays away.", CHOICES, 1), ("Answer: A. Final answer: a dog", CHOICES, 1),
        # the letters of a list, and what ends it
        ("The answer is A, B is not it.", CHOICES, 0), ("The answer is A, and B is not it.", CHOICES, 0), ("The answer is A, B is ruled out.", CHOICES, 0), ("The answer is B\nC shows a man", CHOICES, 1), ("The answer is A\nB", CHOICES, None),
        ("(D). (E)", CHOICES, None), ("Answer: B or a", CHOICES, None), ("A or B walks by, as in option C.", CHOICES, None), ("The answer is A or B, as in option A.", TWO, None),
        ("It is either A or B. Option B fits.", CHOICES, 1), ("The label reads B) no", YES_NO, 1), ("A. B", CHOICES, None),
        ("The answer is A. Option B shows a dog.", CHOICES, 0), ("Answer: A\n\nOption B is a dog.", CHOICES, 0), ("The answer is A, option B shows a dog.", CHOICES, 0),
        ("The answer is A: option B shows a dog.", CHOICES, 0), ("The answer is A. Both A and C are seen.", CHOICES, 0), ("答案是A。选项B是狗。", CHOICES, 0), ("选项A和选项B", CHOICES, None),
        ("The answer is A. Option B.", CHOICES, None), ("Option A, option B and option C", CHOICES, None), ("The answer is A. Maybe B.", CHOICES, None),
        # options that are written out once more
        ("(A) a cat (B) a dog\nB", TWO, 1), ("A. a cat\nB. a dog\nIt barks, so (B).", TWO, 1), ("The answer is (A) a cat, while option B shows a dog.", TWO, 0),
        ("The answer is (A) a cat and (B) a dog, as in option C.", THREE, None),
        # the beginning of a line
        ("B because it barks.", CHOICES, 1), ("C walks past the house.", CHOICES, None), ("B: a dog runs by, as in option A.", CHOICES, 1), ("B. a dog cannot be seen elsewhere.", CHOICES, 1),
        ("B\nThe answer is A. The answer is C.", CHOICES, None), ("The ball moves. B: the dog has it, as in option C.", CHOICES, 1), ("The man walks. C shows it. Option B.", CHOICES, 1),
        ("Options: A:", CHOICES, None), ("b\nIt barks.", CHOICES, 1), ("1\n(B)\n(C) or", CHOICES, None),
        # the pronoun I, and letters past the last option
        ("I also see (C).", CHOICES, 2), ("I would say (C).", TEN, 2), ("I can see it. (C)", TEN, 2), ("The answer is I.", TEN, 8), ("I is right.", TEN, 8), ("The letter (f) is seen. (B)", CHOICES, 1),
        # texts that are denied, or have a word of denial in them
        ("It is never.", ("always", "never"), 1), ("It is not never.", ("always", "never"), None),
    ],
)  # fmt: skip
def test_every_decision_about_letters_is_taken(text, choices, right):
    assert parse_choice(text, choices) == right


def test_a_letter_that_ends_a_tag_is_found_wherever_the_tag_begins():
    texts = [f"So{'!' * number} <answer>It is C</answer>" for number in range(16)]
    assert [parse_choice(text, CHOICES) for text in texts] == [2] * 16


@pytest.mark.parametrize("kind", ["PARENTHESIZED", "SQUARED", "CIRCLED", "NEGATIVE CIRCLED", "NEGATIVE SQUARED"])
def test_a_letter_of_one_character_with_its_frame_is_that_letter(kind):
    letters = [unicodedata.lookup(f"{kind} LATIN CAPITAL LETTER {letter}") for letter in ascii_uppercase]
    if kind in ("PARENTHESIZED", "CIRCLED"):
        letters += [unicodedata.lookup(f"{kind} LATIN SMALL LETTER {letter}") for letter in ascii_uppercase]
    choices = [f"number {number}" for number in range(26)]
    assert [parse_choice(f"The answer is {letter}.", choices) for letter in letters] == [
        ascii_uppercase.index(unicodedata.name(letter)[-1]) for letter in letters
    ]


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("The answer is A. <think>But B?</think>", 0), ("I choose A. <think>Hm.</think> Or so.</think> B", 1), ("[THINK]A or B[/THINK]C", 2), ("It is A.[/THINK]B", 1),
        (r"\boxed{\mathrm{\mathbf{\text{B}}}}", 1), (r"The answer is $\mathbf{\text{B}}$. See (A).", 1), ("<b><i>B</i></b>", 1), ("The answer is <em><b>B</b></em>.", 1),
        ("B\n" + "." * 9_998, 1), ("B\n" + "." * 9_999, None),
    ],
)  # fmt: skip
def test_what_is_around_an_answer_does_not_count(text, right):
    assert parse_choice(text, CHOICES) == right
