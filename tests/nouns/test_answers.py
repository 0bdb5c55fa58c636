"""What is said from shares that are known."""

import numpy as np
import pytest

from dyto.nouns.answers import reply
from dyto.nouns.questions import understand
from dyto.nouns.seeing import Timeline
from dyto.nouns.table import nouns


def film(*scenes):
    """A film whose scenes show nouns, each with its share; what is left is spread over all nouns evenly."""
    names = {name: number for number, name in enumerate(nouns().names)}
    shares = np.zeros((len(scenes), len(names)))
    for row, scene in zip(shares, scenes, strict=True):
        for name, share in scene.items():
            row[names[name]] = share
        row += (1 - row.sum()) / len(row)
    number = np.arange(len(scenes))
    return Timeline(number.astype(float), shares, np.full(len(scenes), 9.0), number)


def said(timeline, question):
    return reply(timeline, understand(question)).text


@pytest.mark.parametrize(
    ("question", "begins"),
    [
        ("Is there a giant panda?", "yes: it looks like a giant panda"),
        ("Is there a beagle?", "no: I do not see a beagle"),
        ("Is there a dog?", "no: I do not see a dog"),
        ("Is there a vehicle?", "no"),
        ("Is there an animal?", "yes: it looks like an animal"),
        ("Is there a giant panda and a dog?", "no: I do not see a dog"),
        ("Which vehicles appear?", "nothing of that kind"),
    ],
)
def test_what_every_scene_has_a_little_of_is_not_there(question, begins):
    # 0.3 are spread over a thousand nouns, 118 of which are dogs
    assert said(film({"giant panda": 0.7}), question).startswith(begins)


def test_a_little_of_a_single_noun_is_perhaps_there():
    timeline = film({"giant panda": 0.7}, {"volcano": 0.6, "beagle": 0.08})
    assert said(timeline, "Is there a beagle?").startswith("yes, perhaps: a beagle, 1.0 s")
