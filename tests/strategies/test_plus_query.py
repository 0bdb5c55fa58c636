"""Plus that looks at the question: what matches takes more, nothing is dropped, questions about the whole change nothing."""

import numpy as np
import pytest
import torch

from dyto import ConfigError, FrameFeatures
from dyto.strategies import Plus, PlusQuery
from dyto.strategies.plus_query import about_the_whole

DIM = 64


def film(seed=0):
    """Four scenes of ten frames; some patches of the third are along the word."""
    rng = np.random.default_rng(seed)
    views = rng.normal(size=(4, 1 + 36, DIM))
    word = rng.normal(size=DIM)
    views[2, 1 + np.array([3, 20])] = 3 * word
    x = np.repeat(views, 10, axis=0)
    features = FrameFeatures.from_projected((x + 0.1 * rng.normal(size=x.shape)).astype(np.float32))
    return features, torch.from_numpy(word[None].astype(np.float32))


class Model:
    name = "made up"

    def __init__(self, features, words):
        self.features, self.words = features, words

    def __call__(self, images, *, attention_layer=None):
        return self.features

    def embed_text(self, text):
        return self.words


def ask(question, **fields):
    return PlusQuery(**fields)(None, Model(*film()), question)


@pytest.mark.parametrize("budget", [4, 9, 40, 100])
def test_the_frame_that_matches_takes_most_and_no_other_is_dropped(budget):
    tokens = ask("Is there a ring?", token_budget=budget)
    sizes = np.bincount(tokens.keyframe)
    assert len(tokens) == budget
    assert len(sizes) == 4
    assert sizes[2] == sizes.max()
    if budget > 8:
        assert sizes[2] > sizes[[0, 1, 3]].max()


@pytest.mark.parametrize("budget", [5, 60, 144])
def test_every_patch_of_a_key_frame_is_in_one_token_and_tokens_are_in_order(budget):
    tokens = ask("Is there a ring?", token_budget=budget)
    pairs = [tokens.patches_of(i) for i in range(len(tokens))]
    assert sorted(pair for held in pairs for pair in held) == [(k, p) for k in range(4) for p in range(36)]
    firsts = [min(held) for held in pairs]
    assert firsts == sorted(firsts)
    features, _ = film()
    for i, held in enumerate(pairs):
        patches = features.patches([tokens.keyframes.positions[held[0][0]]])[0, [p for _, p in held]]
        assert torch.equal(tokens.data[i], patches.amax(0))


def test_the_patches_that_match_stay_as_they_are():
    tokens = ask("Is there a ring?", token_budget=60, exact=0.5)
    alone = {tokens.patches_of(i)[0] for i in range(len(tokens)) if len(tokens.patches_of(i)) == 1}
    assert {(2, 3), (2, 20)} <= alone


def test_questions_about_the_whole_get_what_plus_gives():
    features, _ = film()
    plain = Plus(token_budget=60).compress(features)
    for question in ("How many scenes are there?", "Describe the video.", "What is the last object?"):
        assert about_the_whole(question)
        assert torch.equal(ask(question, token_budget=60).data, plain.data)
    assert not torch.equal(ask("Is there a ring?", token_budget=60).data, plain.data)


def test_without_a_question_it_says_what_to_do():
    for question in (None, " "):
        with pytest.raises(ConfigError, match="or use 'plus'"):
            ask(question)


@pytest.mark.parametrize("fields", [{"boost": -1}, {"exact": 1.5}, {"exact": "some"}])
def test_fields_that_make_no_sense_are_refused(fields):
    with pytest.raises(ConfigError, match=next(iter(fields))):
        PlusQuery(**fields)
