"""Words that the grammar does not know never hide behind a bare yes, and never behind a guess."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyto.nouns.answers import reply
from dyto.nouns.questions import UNSEEN, understand
from dyto.nouns.seeing import Timeline
from dyto.nouns.table import nouns
from dyto.nouns.wording import BEYOND, UNDERSTOOD


def timeline(*shown):
    """Three key frames of each thing, one a second, in which its noun has nearly all of the share."""
    features, logits = [], []
    for number, name in enumerate(shown):
        for _ in range(3):
            features.append(np.eye(8)[number])
            logits.append(np.where(np.array(nouns().names) == name, 14.0, 0.0))
    return Timeline.of(np.array(features), np.array(logits), np.arange(len(features), dtype=float))


FILM = timeline("giant panda", "palace", "German shepherd")


def answer(question):
    return reply(FILM, understand(question))


@pytest.mark.parametrize(
    ("question", "about"),
    [
        ("Is the dog brown?", "colors"),
        ("Is the panda black and white?", "colors"),
        ("Are there two pandas?", "counts"),
        ("Is there more than one dog?", "counts"),
        ("Is there only a panda?", "counts"),
        ("Is the panda on the left?", "places"),
        ("Is the panda in the middle?", "places"),
        ("Is the dog bigger than the panda?", "size"),
        ("Is the panda dead?", "reasons"),
        ("What else is shown besides the panda?", "absent"),
        ("Which animal is not shown?", "absent"),
        ("What vehicles are not there?", "absent"),
    ],
)
def test_what_a_word_asks_about_is_not_answered_by_the_noun_beside_it(question, about):
    asked = understand(question)
    assert (asked.form, asked.about) == ("unseen", about)
    assert (
        answer(question).text
        == f"not sure: I cannot see {UNSEEN[about]}. I name kinds of things and say when they are seen"
    )


@pytest.mark.parametrize(
    ("question", "strange"),
    [
        ("Is there a flibber?", "flibber"),
        ("Is there a giraffe or a panda?", "giraffe"),
        ("Does the panda eat bamboo?", "eat"),
        ("Did the dog bite the panda?", "bite"),
        ("Is the palace in China?", "china"),
        ("Is there a toy panda?", "toy panda"),
        ("Is there a dog house?", "dog house"),
        ("Is there a police dog?", "police"),
        ("When does the giraffe appear?", "giraffe"),
        ("What comes before the giraffe?", "giraffe"),
        ("What's the weather?", "weather"),
        ("Was ist zu sehen?", "ist"),
    ],
)
def test_a_word_that_is_not_known_is_named_and_what_is_seen_is_told(question, strange):
    told = answer(question)
    assert told.text.startswith(f'not sure: I do not know what "{strange}"')
    assert "looks like" in told.text
    assert told.reason
    assert told.yes is None


@pytest.mark.parametrize("options", ["(A) yes (B) no", "(A) a panda (B) a dog"])
def test_of_options_none_is_chosen_where_the_question_was_not_understood(options):
    assert answer(f"Is the panda frobnicated? {options}").choice is None
    assert answer(f"Which animal gallivants? {options}").choice is None


def test_nouns_between_commas_are_several_things_not_one():
    assert understand("panda, dog or palace?").form == "what"
    assert understand("Is there a dog-house?").form == "unclear"


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("Is there a panda?", "yes: it looks like a panda, 0.0 to 2.0 s"),
        ("Is there no panda?", "it looks like a panda, 0.0 to 2.0 s"),
        ("Isn't there a bus?", "I do not see a bus in the 9 frames that I looked at"),
        ("Is there a dog and a panda?", "yes: it looks like a dog, 6.0 to 8.0 s; a panda, 0.0 to 2.0 s"),
        ("Are a dog and a cat shown?", "no: I do not see a cat in the 9 frames that I looked at"),
        ("Does it look like a palace?", "yes: it looks like a palace, 3.0 to 5.0 s"),
        ("What comes right after the panda?", "looks like a palace, 3.0 to 5.0 s"),
        ("How long is the panda visible?", "0.0 to 2.0 s"),
        ("How many different animals are there?", "2, as far as I can name them: a giant panda, a German shepherd"),
        ("What is the seventh thing?", "not sure: I could name only 3"),
        ("What is shown in the middle?", "looks like a palace, 3.0 to 5.0 s"),
        ("What is shown at 4 s?", "looks like a palace, 3.0 to 5.0 s"),
    ],
)
def test_what_is_understood_is_answered(question, said):
    assert answer(question).text == said


@settings(derandomize=True, deadline=None, database=None, max_examples=60)
@given(
    st.from_regex(r"[a-z]{3,9}", fullmatch=True).filter(
        lambda word: word not in UNDERSTOOD and not nouns().concepts(word) and not word.endswith("ing")
    ),
    st.sampled_from(
        ["Is the panda {}?", "Is there a {} panda?", "Does the dog {}?", "Is there a {}?", "Are {} dogs seen?"]
    ),
)
def test_no_unknown_word_is_answered_with_yes_or_no(word, question):
    assert answer(question.format(word)).text.startswith("not sure")


@pytest.mark.parametrize("question", ["", " ", "?", "...", "42", "\n", "视频里有什么？", "why " * 3000, "dog " * 3000])
def test_odd_texts_get_an_answer_and_none_is_a_bare_guess(question):
    told = answer(question)
    assert told.text.startswith("not sure") or "looks like" in told.text
    assert told.choice is None


def test_topics_of_words_are_topics_of_the_grammar():
    assert BEYOND.keys() <= UNSEEN.keys()
    assert not any(words & UNDERSTOOD for words in BEYOND.values())
