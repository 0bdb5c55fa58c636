"""Whatever a strategy of one's own returns, there are tokens that a model can take, or one error that says why."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dyto
from dyto.dropin import compressing
from dyto.features import FrameFeatures, KeyFrames, Sources
from dyto.models.adapters.tiny import build_processor

from forge import forge_model
from forge_qwen import qwen_adapter

JUNK = [
    None, 0, -1, True, 2.5, float("nan"), "x", b"x", (), [], {}, object(), (1,), (0, 3), (3, -1), ("a", "b"), (2.0, 2.0),
    np.float32(3), np.array(5), np.array([]), np.array([-1]), np.array([10**9]), np.array([0.5]), np.array(["a"]),
    np.array([[0, 1]]), np.array([None]), np.array([np.nan]), np.zeros(4), np.zeros(10_000, np.int64), [object()],
    torch.zeros(2), torch.tensor(1.0), torch.zeros(0, 8), torch.zeros(3, 4, 5), {"select": "long"}, {3: 1.0}, (object(),),
]  # fmt: skip
PARTS = {
    "tokens": [field.name for field in dataclasses.fields(dyto.VisualTokens)],
    "keyframes": [field.name for field in dataclasses.fields(KeyFrames)],
    "sources": [field.name for field in dataclasses.fields(Sources)],
    "features": [field.name for field in dataclasses.fields(FrameFeatures)],
}
PLACES = [(part, name) for part, names in PARTS.items() for name in names]


def spoiling(part, name, value, afterwards=False):
    """A strategy that puts a value where it does not belong."""

    def change(whole):
        if not afterwards or part == "features":  # which are the caller's
            return dataclasses.replace(whole, **{name: value})
        object.__setattr__(whole, name, value)
        return whole

    def strategy(frames, encode, question=None):
        if part == "features":
            return dyto.Uniform()(frames, lambda images, **options: change(encode(images, **options)))
        tokens = dyto.Uniform()(frames, encode)
        if part == "tokens":
            return change(tokens)
        return dataclasses.replace(tokens, **{part: change(dataclasses.replace(getattr(tokens, part)))})

    return strategy


def film(count=4, side=56):
    return np.random.default_rng(0).integers(0, 255, (count, side, side, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def small():
    return dyto.load_model("tiny", device="cpu")


@pytest.fixture(scope="module")
def placed():
    return qwen_adapter("qwen3_vl")


@given(place=st.sampled_from(PLACES), value=st.sampled_from(JUNK), afterwards=st.booleans(), deep=st.booleans())
@settings(max_examples=150, derandomize=True, deadline=None, database=None)
def test_whatever_stands_in_a_field_there_are_tokens_or_one_error(small, placed, place, value, afterwards, deep):
    qa = dyto.VideoQA(placed if deep else small, spoiling(*place, value, afterwards))  # type: ignore[call-arg]
    try:
        answer = qa.ask(film(), "why", max_new_tokens=1)
    except dyto.errors.DytoError as error:
        assert str(error)
    else:
        assert answer.num_visual_tokens
        repr(answer)


@pytest.mark.parametrize(
    ("part", "name", "value", "said"),
    [
        ("sources", "patch", np.array([10**6]), "sources of unequal lengths"),
        ("sources", "token", np.array([None]), "sources.token of object"),
        ("keyframes", "seconds", np.array([np.nan]), "keyframes.seconds of float64.*finite numbers"),
        ("keyframes", "indices", [0] * 4, "keyframes.indices of type list, expected a numpy array"),
        ("tokens", "grid", None, "grid = None, expected rows and columns"),
        ("tokens", "budget", 1e6, "budget = 1000000.0"),
        ("tokens", "stages", None, "stages = None, expected seconds by name"),
        ("tokens", "warnings", (object(),), "warnings = .*expected a tuple of texts"),
        ("tokens", "deep", "x", "deep of type str"),
        ("tokens", "uncompressed", "many", "uncompressed = 'many'"),
    ],
)
def test_the_error_names_the_strategy_and_the_field_on_every_road(small, part, name, value, said):
    strategy = spoiling(part, name, value)
    with pytest.raises(dyto.StrategyError, match=said) as error:
        dyto.VideoQA(small, strategy).encode(film())
    assert "strategy" in str(error.value)
    model, processor = forge_model(seed=3, context=8192), build_processor()
    inputs = processor(images=list(film(3, 84)), text="USER: <image><image><image> why", return_tensors="pt")
    with pytest.raises(dyto.StrategyError, match=said), compressing(model, strategy):
        model.generate(**inputs, max_new_tokens=1)


@pytest.mark.parametrize("grid", [None, 3, (3,), (3, 3, 1), (0, 3), (3.0, 3.0), "33", [3, 3]])
def test_a_grid_that_is_none_is_an_error(grid):
    features = FrameFeatures.from_projected(torch.zeros(2, 9, 4), has_cls=False)
    with pytest.raises(dyto.errors.BadFeaturesError, match="expected rows and columns of patches"):
        dataclasses.replace(features, grid=grid)


@pytest.mark.parametrize("name", ["qwen2_5_vl", "qwen3_vl"])
def test_tokens_that_come_from_nowhere_are_an_error_where_places_are_needed(name):
    nothing = np.zeros(0, np.int64)

    def unplaced(frames, encode, question=None):
        return dataclasses.replace(dyto.Uniform()(frames, encode), sources=Sources(nothing, nothing, nothing))

    with pytest.raises(dyto.errors.DytoError, match="but .* of .* tokens"):
        dyto.VideoQA(qwen_adapter(name), unplaced).ask(film(), "why", max_new_tokens=1)
