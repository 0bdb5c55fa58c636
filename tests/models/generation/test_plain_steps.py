"""Greedy answers without stock `generate`'s preparations: the same tokens, from the same inputs."""

import functools

import numpy as np
import pytest
import torch

import dyto
from dyto.models.generation import generating
from dyto.models.generation.decoding import end_ids
from dyto.models.generation.rows import Row

from forge_families import FAMILIES

PLAIN = ("llava", "llava-siglip", "llava_next_video", "llava_onevision", "vipllava")
QUESTIONS = (
    "is there a red ring ?",
    "what color is the star ?",
    "why",
    "what is the first background , and the last ?",
)


def video(frames, seed):
    return np.random.default_rng(seed).integers(0, 255, (frames, 64, 96, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Each family, loaded when it is asked for."""
    made = {"tiny": dyto.load_model("tiny", device="cpu")}

    def get(family):
        if family not in made:
            made[family] = dyto.load_model(FAMILIES[family].forge(tmp_path_factory.mktemp(family)), device="cpu")
        return made[family]

    return get


@pytest.fixture
def inputs(monkeypatch):
    """Run a function, and return its result and what the stock model was fed with at each step."""

    def recorded(model, call):
        kind, steps = type(model.causal_lm()), []
        forward = kind.forward

        @functools.wraps(forward)  # stock `generate` reads its signature
        def recording(self, *args, **fed):
            steps.append(
                {name: fed.get(name) for name in ("input_ids", "inputs_embeds", "attention_mask", "position_ids")}
            )
            return forward(self, *args, **fed)

        with monkeypatch.context() as patch:
            patch.setattr(kind, "forward", recording)
            return call(), steps

    return recorded


def asked(model, questions, count):
    """Prefixes and token ids of questions, about two videos in turn."""
    qa = dyto.VideoQA(model, "uniform")
    videos = [qa.encode(video(4, 0)), qa.encode(video(9, 1))]
    prompts = [qa.tokenize(question, None, count) for question in questions]
    return [model.prefill(one.before, videos[number % 2]) for number, one in enumerate(prompts)], [
        one.after for one in prompts
    ]


def written(model, prefixes, after, count=12, **sampling):
    """The ids of answers, as one batch writes them."""
    return model._generate(prefixes, after, count, sampling, False, [], None, [])


@pytest.mark.parametrize(("rows", "least"), [(1, None), (2, None), (4, None), (1, 12), (4, 5)])
@pytest.mark.parametrize("family", ["tiny", *PLAIN])
def test_each_step_is_that_of_stock_generate(models, family, rows, least, inputs, monkeypatch):
    model = models(family)
    prefixes, after = asked(model, QUESTIONS[:rows], 12)
    sampling = {} if least is None else {"min_new_tokens": least}
    with torch.inference_mode():
        plain, ours = inputs(model, lambda: written(model, prefixes, after, **sampling))
        monkeypatch.setattr(generating, "can_step", lambda model, batch: False)
        stock, theirs = inputs(model, lambda: written(model, prefixes, after, **sampling))
    assert plain.shape[1] >= (least or 0)
    assert plain.tolist() == stock.tolist()
    assert len(ours) == len(theirs) == plain.shape[1]
    for one, other in zip(ours, theirs, strict=True):
        for name, value in one.items():
            if value is None:  # older versions of transformers pass a mask on that hides nothing
                assert other[name] is None or (name == "attention_mask" and bool(other[name].all())), name
            else:
                assert torch.equal(value, other[name]), name


@pytest.mark.parametrize("family", [name for name in FAMILIES if name not in PLAIN])
def test_other_families_leave_it_to_stock_generate(family, models, monkeypatch):
    def never(*args, **options):
        raise AssertionError("a family with steps of its own kind was written by plain ones")

    monkeypatch.setattr(generating, "write_greedily", never)
    assert isinstance(dyto.VideoQA(models(family), "uniform").ask(video(2, 0), "why", max_new_tokens=3).text, str)


@pytest.mark.parametrize(
    "asking",
    [
        {"generation": {"suppress_tokens": [7]}},
        {"generation": {"do_sample": True, "temperature": 0.5}},
        {"generation": {"eos_token_id": 7}},
    ],
)
def test_an_option_of_generate_is_left_to_it(models, asking, monkeypatch):
    called = []
    plain = generating.write_greedily
    monkeypatch.setattr(
        generating, "write_greedily", lambda *args, **options: called.append(1) or plain(*args, **options)
    )
    qa = dyto.VideoQA(models("tiny"), "uniform")
    qa.ask(video(4, 0), "why", max_new_tokens=3)
    assert called == [1]
    qa.ask(video(4, 0), "why", max_new_tokens=3, **asking)
    assert called == [1]


def test_rows_end_at_their_own_length_and_end_token(models):
    model = models("llava")
    prefixes, after = asked(model, QUESTIONS, 12)
    alone = [written(model, [prefix], [ids])[0].tolist() for prefix, ids in zip(prefixes, after, strict=True)]
    lengths = [1, 3, 12, 5]
    rows = [Row(length) for length in lengths]
    model.write(prefixes, after, rows, compiled=False)
    ends = end_ids(model.model, model.tokenizer)
    for row, expected, length in zip(rows, alone, lengths, strict=True):
        assert row.ids == expected[: len(row.ids)]
        assert row.reason == ("stop" if row.ids[-1] in ends else "length")
        assert len(row.ids) == length or row.reason == "stop"


def test_an_answer_that_is_asked_to_stop_takes_no_further_step(models, inputs):
    model = models("llava")
    prefixes, after = asked(model, QUESTIONS[:1], 12)
    row = Row(12, ended=lambda: len(row.ids) == 2)
    _, steps = inputs(model, lambda: model.write(prefixes, after, [row], compiled=False))
    assert (row.reason, len(row.ids), len(steps)) == ("asked", 2, 2)
