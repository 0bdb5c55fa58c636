"""The grammar of questions: what is asked, and what is known to be beyond a classifier of nouns."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyto.choices import format_choices
from dyto.nouns.questions import UNSEEN, split_options, understand
from dyto.nouns.table import nouns


@pytest.mark.parametrize(
    ("question", "form", "place", "words"),
    [
        ("What is shown in the video?", "what", "", []),
        ("Describe the clip.", "what", "", []),
        ("Which animals appear?", "what", "", ["animal"]),
        ("What animals are there?", "what", "", ["animal"]),
        ("What kind of dog is it?", "what", "", ["dog"]),
        ("What is the first thing shown?", "what", "first", []),
        ("What is in the last scene?", "what", "last", []),
        ("What does the film start with?", "what", "first", []),
        ("What is the third thing?", "what", "nth", []),
        ("What follows the macaw?", "what", "after", ["macaw"]),
        ("Which animal appears before the palace?", "what", "before", ["animal", "palace"]),
        ("What comes between the dog and the car?", "what", "between", ["dog", "car"]),
        ("What is shown at 12.5 seconds?", "what", "at", []),
        ("Is there a bird?", "is there", "", ["bird"]),
        ("Can you see any vehicles?", "is there", "", ["vehicle"]),
        ("Isn't there a fox?", "is there", "", ["fox"]),
        ("Is the panda the first animal?", "is there", "first", ["panda", "animal"]),
        ("Is it a dog or a cat?", "either", "", ["dog", "cat"]),
        ("Is the dog before the bear?", "order", "before", ["dog", "bear"]),
        ("Does the dog come before or after the bear?", "before or after", "after", ["dog", "bear"]),
        ("When is the giant panda seen?", "when", "", ["giant panda"]),
        ("At what time does a wolf appear?", "when", "", ["wolf"]),
        ("How many different animals are there?", "count", "", ["animal"]),
        ("How many things are shown?", "count", "", []),
    ],
)
def test_what_can_be_answered_is_understood(question, form, place, words):
    asked = understand(question)
    assert (asked.form, asked.place, [concept.word for concept in asked.concepts]) == (form, place, words)


@pytest.mark.parametrize(
    ("question", "about"),
    [
        ("What is the man doing?", "actions"),
        ("What happens at the end?", "actions"),
        ("What is the panda eating?", "actions"),
        ("Is the dog running?", "actions"),
        ("How does she open the box?", "actions"),
        ("What sport is played?", "actions"),
        ("Who is this?", "people"),
        ("Is there a person in the room?", "people"),
        ("Is there a man with a dog?", "people"),
        ("How many people are there?", "people"),
        ("What does the sign say?", "text"),
        ("What is written on the wall?", "text"),
        ("What colour is the car?", "colors"),
        ("How many dogs are there?", "counts"),
        ("Where is the cat?", "places"),
        ("What is on the table?", "places"),
        ("Why is the boy sad?", "reasons"),
        ("How tall is the building?", "size"),
    ],
)
def test_what_cannot_be_seen_is_told_apart(question, about):
    assert about in UNSEEN
    assert (understand(question).form, understand(question).about) == ("unseen", about)


@pytest.mark.parametrize("separator", ["\n", " "])
def test_options_are_found_as_they_are_written(separator):
    options = ["a giant panda", "a dog (brown)", "none of these"]
    written = f"Which is shown?\n{format_choices(options, separator=separator)}"
    assert split_options(written) == ("Which is shown?", tuple(options))
    assert understand(f"Question: Which is shown?\nOptions:\n{format_choices(options)}").options == tuple(options)


@settings(derandomize=True, deadline=None, database=None, max_examples=60)
@given(st.text(max_size=80))
def test_any_text_is_some_question(text):
    asked = understand(text)
    assert asked.form
    assert bool(asked.about) == (asked.form == "unseen")


@settings(derandomize=True, deadline=None, database=None, max_examples=80)
@given(
    st.sampled_from(nouns().names),
    st.sampled_from(["Is there a {}?", "When is the {} seen?", "What comes after the {}?"]),
)
def test_every_noun_is_found_by_its_name(name, question):
    number = nouns().names.index(name)
    asked = understand(question.format(name))
    assert any(number in concept.classes for concept in asked.concepts) or asked.form == "unseen"
