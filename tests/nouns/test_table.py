"""The table of nouns: names, kinds, and the words of a question that stand for them."""

import pytest

from dyto.nouns.kinds import FLAT, HELD, KINDS
from dyto.nouns.table import CLASSES, nouns, singulars, with_article


def words(text):
    return {concept.word: {nouns().names[index] for index in concept.classes} for concept in nouns().concepts(text)}


def test_there_is_a_name_of_its_own_for_every_class():
    assert len(set(nouns().names)) == CLASSES
    assert all(name == name.strip() for name in nouns().names)


def test_every_kind_covers_classes_and_the_wider_follow_the_narrower():
    assert all(kind.classes for kind in nouns().kinds)
    order = {kind.word: place for place, kind in enumerate(nouns().kinds)}
    assert len(order) == len(KINDS)
    for kind in nouns().kinds:
        for other in nouns().kinds:
            if kind.classes < other.classes:
                assert order[kind.word] < order[other.word], (kind.word, other.word)


def test_kinds_are_those_of_the_world():
    assert len(words("dog")["dog"]) == 118
    assert words("cat")["cat"] >= {"tabby cat", "Persian cat"}
    assert words("vehicle")["vehicle"] >= {"taxi", "canoe", "airliner", "steam locomotive"}
    assert words("food")["food"] >= {"pizza", "banana", "broccoli", "bagel"}
    assert not words("animal")["animal"] & {"taxi", "pizza", "teddy bear"}


def test_plurals_and_longer_names_are_found_first():
    assert words("wolves, mice and foxes").keys() == {"wolf", "mouse", "fox"}
    assert words("a red panda on a park bench").keys() == {"red panda", "park bench"}
    assert words("a kitten and a puppy")["kitten"] == words("cat")["cat"]
    assert "bus" in singulars("buses")


def test_words_of_questions_are_no_nouns():
    assert words("what is the first thing that can be seen in this scene of the video?") == {}


@pytest.mark.parametrize(
    "name", ["groom", "ballplayer", "scuba diver", "wig", "bikini", "mask", "website", "comic book"]
)
def test_people_what_they_wear_and_what_drawings_look_like_are_guarded(name):
    assert nouns().guarded[nouns().names.index(name)]


def test_what_is_guarded_is_a_class_and_most_are_not():
    assert set(nouns().names) >= HELD | FLAT
    assert nouns().guarded.sum() < 300
    assert (
        not nouns()
        .guarded[[nouns().names.index(n) for n in ("giant panda", "pizza", "taxi", "tabby cat", "plate")]]
        .any()
    )


def test_names_stand_in_sentences():
    assert with_article("hourglass") == "an hourglass"
    assert with_article("European gallinule") == "a European gallinule"
    assert with_article("binoculars") == "binoculars"
