"""Every family in somebody else's code: uncompressed it is the stock model, compressed it is `VideoQA`."""

import numpy as np
import pytest
import torch

import dyto
from dropin.reading import check_uncompressed
from dyto.dropin import compressing
from dyto.models import VideoModel, families
from dyto.prompts import PROMPT_PAIRS, PROMPTS

from forge_families import FAMILIES

QUESTIONS = ["what color is the star", "is there a red circle at the end of the video"]
GREEDY = {"max_new_tokens": 8, "do_sample": False}


@pytest.fixture(scope="module", params=FAMILIES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def model(name, tmp_path_factory):
    """The adapter, of whose stock model and tokenizer the tests make use as other people would."""
    return dyto.load_model(FAMILIES[name].forge(tmp_path_factory.mktemp(name)), device="cpu")


def video(frames=6, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (frames, 56, 56, 3), dtype=np.uint8)


def prepare(name, model, frames, question=QUESTIONS[0]):
    before, after = PROMPTS[PROMPT_PAIRS[model.chat][0]].fill(question)
    images = FAMILIES[name].images()
    inputs = FAMILIES[name].inputs(model.tokenizer, images, frames, np.arange(len(frames), dtype=float), before, after)
    return inputs, images


def test_uncompressed_logits_and_answers_are_those_of_the_stock_model(name, model):
    inputs, images = prepare(name, model, video())
    check_uncompressed(model.model, inputs, images, 1e-4)


def test_the_usual_normalization_need_not_be_given(name, model):
    stock = model.model
    inputs, _ = prepare(name, model, video())
    with torch.no_grad():
        expected = stock(**inputs).logits
        with compressing(stock, "concat"):
            found = stock(**inputs).logits
    torch.testing.assert_close(found, expected, rtol=0.1, atol=0.1)


# The prompts of the others number and count frames: VideoQA the key frames, somebody's own prompt all of them.
ALIKE = [name for name in FAMILIES if name not in ("internvl", "smolvlm")]


@pytest.mark.parametrize("name", ALIKE, indirect=True, scope="module")
@pytest.mark.parametrize("strategy", [dyto.DyTo(token_budget=70), dyto.SlowFast()])
def test_compressed_answers_are_those_of_video_qa(name, model, strategy):
    frames = video(14, seed=2)
    question = QUESTIONS[1]
    inputs, images = prepare(name, model, frames, question)
    with compressing(model.model, strategy, processor=images) as compression:
        ids = model.model.generate(**inputs, **GREEDY)
    new = ids[0, inputs["input_ids"].shape[1] :]
    expected = dyto.VideoQA(model, strategy).ask(frames, question, max_new_tokens=8)
    assert len(compression.tokens) == 1, "the frames are not read as one video: see `marks` in the family's row"
    assert model.tokenizer.decode(new, skip_special_tokens=True).strip() == expected.text
    assert len(compression.tokens[0]) == expected.num_visual_tokens


def test_the_budget_holds_and_a_batch_gives_the_answers_of_one_by_one(name, model):
    stock = model.model
    made = [prepare(name, model, video(frames, seed=frames), q)[0] for frames, q in zip((8, 8), QUESTIONS, strict=True)]
    longest = max(inputs["input_ids"].shape[1] for inputs in made)
    batch = {key: torch.cat([pad(inputs[key], longest, key) for inputs in made]) for key in made[0]}
    with compressing(stock, token_budget=40) as compression:
        together = stock.generate(**batch, **GREEDY)[:, longest:]
        assert all(0 < len(tokens) <= 40 for tokens in compression.tokens)
        for row, inputs in enumerate(made):
            alone = stock.generate(**inputs, **GREEDY)[0, inputs["input_ids"].shape[1] :]
            assert together[row, : len(alone)].tolist() == alone.tolist()


def pad(values, longest, key):
    return torch.nn.functional.pad(values, (longest - values.shape[1], 0)) if values.ndim == 2 else values


def test_the_model_is_the_same_afterwards(name, model):
    stock = model.model
    inputs, _ = prepare(name, model, video())
    with torch.no_grad():
        before, state = stock(**inputs).logits, {key: value.clone() for key, value in stock.state_dict().items()}
        attributes = [{key: id(value) for key, value in vars(part).items()} for part in stock.modules()]
        with compressing(stock, token_budget=40):
            stock.generate(**inputs, **GREEDY)
        assert [{key: id(value) for key, value in vars(part).items()} for part in stock.modules()] == attributes
        assert all(torch.equal(value, state[key]) for key, value in stock.state_dict().items())
        assert torch.equal(stock(**inputs).logits, before)


@pytest.mark.parametrize("family", families.FAMILIES)
def test_every_family_has_a_reader_an_adapter_and_a_stock_class(family):
    row = families.FAMILIES[family]
    assert callable(row.read_call)
    assert issubclass(row.adapter_class, VideoModel)
    assert row.stock_class.config_class.model_type == family
