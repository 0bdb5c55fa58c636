"""Every strategy in every family: what `VideoQA` offers is offered here, and gives the same tokens."""

import numpy as np
import pytest
import torch

import dyto
from dropin.test_dropin_families import prepare as prepare_family
from dropin.test_dropin_qwen import Both, film, processor  # noqa: F401
from dropin.test_dropin_qwen import prepare as prepare_qwen
from dyto.dropin import compressing
from dyto.strategies import STRATEGIES
from dyto.video import Frames

from forge_families import FAMILIES
from forge_qwen import FAMILIES as QWENS
from forge_qwen import qwen_adapter

QUESTION = "what color is the star"


@pytest.fixture(scope="module", params=FAMILIES)
def family(request, tmp_path_factory):
    adapter = dyto.load_model(FAMILIES[request.param].forge(tmp_path_factory.mktemp("family")), device="cpu")
    return request.param, adapter


@pytest.fixture(scope="module", params=QWENS)
def qwen(request):
    return qwen_adapter(request.param)


def pictures(frames, size):
    """Frames of the size that the tower takes: nobody need resize them."""
    return np.random.default_rng(4).integers(0, 255, (frames, *size, 3), dtype=np.uint8)


def check(adapter, inputs, frames, images, name, times):
    """The tokens, or the refusal, of `VideoQA` and of the block."""
    strategy = STRATEGIES[name]() if name in ("concat", "slowfast") else STRATEGIES[name](token_budget=60)
    seen = Frames(frames, np.arange(len(frames)), times, source_size=frames.shape[1:3])
    try:
        expected = dyto.VideoQA(adapter, strategy).encode(seen, question=QUESTION)
    except dyto.errors.DytoError as err:
        with pytest.raises(type(err)), compressing(adapter.model, strategy, processor=images):
            adapter.model(**inputs)
        return
    with compressing(adapter.model, strategy, processor=images) as compression, torch.no_grad():
        adapter.model(**inputs)
    (tokens,) = compression.tokens
    assert tokens.data.shape == expected.data.shape
    assert tokens.keyframes.positions.tolist() == expected.keyframes.positions.tolist()
    if not strategy.uses_question:
        torch.testing.assert_close(tokens.data, expected.data, rtol=1e-4, atol=1e-4)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", [name for name, kind in STRATEGIES.items() if not kind.uses_question])
def test_families(family, name):
    which, adapter = family
    side = 63 if which == "llava_onevision" else 56
    frames = pictures(8, (side, side))
    inputs, images = prepare_family(which, adapter, frames)
    check(adapter, inputs, frames, images, name, np.arange(8.0))


@pytest.mark.sampled(4)
@pytest.mark.parametrize("name", [name for name, kind in STRATEGIES.items() if not kind.uses_question])
def test_qwen(qwen, processor, name):  # noqa: F811
    frames = film(8, size=(32, 40))
    inputs = prepare_qwen(qwen, processor, frames, QUESTION)
    check(qwen, inputs, frames, processor, name, np.arange(8.0))


def test_attention_of_a_video_is_that_of_its_own_patches(qwen, processor):  # noqa: F811
    frames = film(6, size=(32, 40))
    inputs = prepare_qwen(qwen, processor, frames, QUESTION)
    strategy = dyto.VisionZip(token_budget=40)
    expected = dyto.VideoQA(qwen, strategy).encode(Frames(frames, np.arange(6), np.arange(6.0), source_size=(32, 40)))
    with compressing(qwen.model, strategy, processor=processor) as compression, torch.no_grad():
        qwen.model(**inputs)
    torch.testing.assert_close(compression.tokens[0].data, expected.data, rtol=1e-4, atol=1e-4)
    assert (compression.tokens[0].sources.patch == expected.sources.patch).all()


def test_a_strategy_that_reads_the_question(qwen, processor):  # noqa: F811
    inputs = prepare_qwen(qwen, processor, film(6), QUESTION)
    with compressing(qwen.model, "query", token_budget=60, processor=Both(processor, qwen.tokenizer)) as compression:
        qwen.model(**inputs)
    assert 0 < len(compression.tokens[0]) <= 60
