"""The language model's word on what was found."""

import math

import numpy as np
import pytest

import dyto
from dyto import ConfigError
from dyto.searching.hits import Hit
from dyto.searching.outlines import Outline
from dyto.searching.reranking import likelihoods, question_for


@pytest.mark.parametrize(
    ("query", "question"),
    [
        ("red car", "Is there a red car?"),
        ("  Eiffel tower ?", "Is there an Eiffel tower?"),
        ("the dog", "Is there the dog?"),
        ("two dogs", "Is there two dogs?"),
    ],
)
def test_a_query_becomes_a_question(query, question):
    assert question_for(query) == question


def test_the_likelier_comes_first(folder):
    qa = dyto.VideoQA.from_pretrained("nouns")
    hits = dyto.search("hen", [folder], top=4, rerank=4, qa=qa)
    chances = [hit.likelihood for hit in hits]
    assert chances == sorted(chances, reverse=True)
    assert chances[0] > 0.5 > chances[-1]
    fewer = dyto.search("hen", [folder], top=4, rerank=2, qa=qa)
    assert [hit.likelihood is None for hit in fewer] == [False, False, True, True]


def test_a_model_that_did_not_make_the_memory_sees_its_pictures(folder, index, tiny, monkeypatch):
    qa = dyto.VideoQA(tiny)
    seen = []
    monkeypatch.setattr(type(qa), "encode", lambda self, video, **options: seen.append(video) or real(self, video))
    hits = index.search("hen", 1)
    (chance,) = likelihoods(qa, hits, "hen")
    assert 0 < chance < 1
    assert isinstance(seen[0], dyto.Frames)
    mine = qa.remember(seen[0])
    likelihoods(qa, [Hit(Outline.of(mine), (0, 0), 0, 0.0)], "hen")
    assert isinstance(seen[1], dyto.Memory)


real = dyto.VideoQA.encode


def test_the_likelihood_is_a_share_of_yes_and_no(tiny):
    qa = dyto.VideoQA(tiny)
    memory = qa.remember(np.random.default_rng(0).integers(0, 255, (3, 48, 48, 3), dtype=np.uint8))
    (chance,) = likelihoods(qa, [Hit(Outline.of(memory), (0, 2), 0, 0.0)], "red ring")
    assert math.isfinite(chance)
    assert 0 <= chance <= 1


def test_reranking_needs_a_model_that_tells_how_likely(folder, index, tiny, monkeypatch):
    with pytest.raises(ConfigError, match="rerank is given without a model"):
        dyto.search("hen", index, rerank=3)
    monkeypatch.setattr(type(tiny), "gives_likelihoods", False)
    with pytest.raises(ConfigError, match="gives no likelihoods, only text: leave out --rerank"):
        dyto.search("hen", index, rerank=3, qa=dyto.VideoQA(tiny))
