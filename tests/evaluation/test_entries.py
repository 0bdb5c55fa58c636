"""Encoded videos as tensors and a header, and back: nothing is lost, and nothing wrong is taken."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
import torch

from dyto.evaluation.entries import read_entry, to_entry
from dyto.features import KeyFrames, Sources, VisualTokens

TOKENS = VisualTokens(
    data=torch.arange(12.0).reshape(3, 4),
    keyframes=KeyFrames(np.array([2, 7]), np.array([0.5, 1.75]), np.array([0, 3])),
    keyframe=np.array([0, 0, 1]),
    sources=Sources(np.array([0, 0, 1, 2]), np.array([0, 0, 0, 1]), np.array([0, 1, 5, 5])),
    grid=(2, 3),
    budget=3,
    uncompressed=24,
    summary_source="CLS",
    warnings=("the file is incomplete",),
    deep=torch.arange(24.0).reshape(2, 3, 4),
)


def changed(**given):
    """The entry with other tensors or other fields of the header."""
    tensors, header = to_entry(TOKENS)
    return (
        tensors | {name: value for name, value in given.items() if name in tensors},
        header | {name: value for name, value in given.items() if name in header},
    )


@pytest.mark.parametrize(
    "tokens",
    [
        TOKENS,
        dataclasses.replace(TOKENS, budget=None, summary_source=None, warnings=(), deep=None),
        dataclasses.replace(TOKENS, places=np.array([1, 5, 0], np.int16)),
        dataclasses.replace(TOKENS, data=TOKENS.data.bfloat16(), deep=TOKENS.deep[:0]),
        dataclasses.replace(TOKENS, keyframe=TOKENS.keyframe.astype(np.int16), warnings=("one", "two")),
        dataclasses.replace(TOKENS, sources=Sources(*[np.zeros(300, np.int64)] * 3)),
        dataclasses.replace(TOKENS, sources=Sources(*[np.zeros(0, np.int64)] * 3)),
        dataclasses.replace(TOKENS, data=torch.rand(4, 3).T.requires_grad_(), deep=torch.rand(2, 1, 4).requires_grad_().expand(2, 3, 4)),
    ],
)  # fmt: skip
def test_what_comes_back_is_what_went_in(tokens):
    tensors, header = to_entry(tokens)
    assert all(tensor.is_contiguous() and not tensor.requires_grad for tensor in tensors.values())
    again = read_entry(tensors, header)
    for name in ("data", "deep"):
        before, after = getattr(tokens, name), getattr(again, name)
        assert (before is None) == (after is None)
        assert before is None or (torch.equal(before, after) and before.dtype == after.dtype)
    pairs = [
        (tokens.keyframe, again.keyframe),
        *zip(vars(tokens.keyframes).values(), vars(again.keyframes).values(), strict=True),
        *zip(vars(tokens.sources).values(), vars(again.sources).values(), strict=True),
    ]
    for before, after in pairs:
        np.testing.assert_array_equal(before, after)
        assert after.dtype == (np.float64 if before.dtype == np.float64 else np.int64)
    assert (again.places is None) == (tokens.places is None)
    if tokens.places is not None:
        np.testing.assert_array_equal(again.places, tokens.places)
    for name in ("grid", "budget", "uncompressed", "summary_source", "warnings"):
        assert getattr(again, name) == getattr(tokens, name)
        assert type(getattr(again, name)) is type(getattr(tokens, name))


def test_the_width_is_asked_for_or_any():
    entry = to_entry(TOKENS)
    assert read_entry(*entry, 4).data.shape == (3, 4)
    for width in (3, 5):
        with pytest.raises(ValueError, match=re.escape(f"data has shape (3, 4), expected (None, {width})")):
            read_entry(*entry, width)


LONG = torch.tensor
NUMBERS = {
    "data": [TOKENS.data[0], TOKENS.data[None], TOKENS.data.long(), TOKENS.data / 0, TOKENS.data.log() - torch.inf],
    "deep": [TOKENS.deep[:, 1:], TOKENS.deep[0], TOKENS.deep.long(), TOKENS.deep / 0],
    "seconds": [LONG([0.5, 1.75]), LONG([0.5, torch.nan]).double(), LONG([0.5]).double(), LONG([[0.5], [1.75]]).double()],
    "indices": [LONG(2), LONG([2]), LONG([2, 7, 9]), LONG([2.0, 7.0]), LONG([-1, 7]), LONG([[2], [7]])],
    "positions": [LONG([0]), LONG([0, 3, 4]), LONG([0.0, 3.0]), LONG([0, -1])],
    "keyframe": [LONG([0, 0]), LONG([0, 0, 1, 1]), LONG([0, 0, 2]), LONG([-1, 0, 1]), LONG([0, 0, 1], dtype=torch.int32)],
    "source_token": [LONG([0, 0, 1]), LONG([0, 0, 1, 3]), LONG([-1, 0, 1, 2]), LONG([0, 1, 0, 2]), LONG([[0, 0, 1, 2]])],
    "source_keyframe": [LONG([0, 0, 0]), LONG([0, 0, 0, 2]), LONG([0, 0, 0, -1])],
    "source_patch": [LONG([0, 1, 5]), LONG([0, 1, 5, 5, 5]), LONG([0, 1, 5, -1])],
}  # fmt: skip


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in NUMBERS.items() for value in values])
def test_a_tensor_that_is_not_what_it_should_be_is_refused(name, value):
    with pytest.raises(ValueError, match=r"shape|dtype|is of|are of|points to|of one length|in the order"):
        read_entry(*changed(**{name: value}))


@pytest.mark.parametrize("more", [0, 5])
@pytest.mark.parametrize(("name", "beyond"), [("keyframe", 2), ("source_token", 3), ("source_keyframe", 2)])
def test_what_points_behind_the_last_is_refused_and_the_last_is_not(name, beyond, more):
    tensors, header = to_entry(TOKENS)
    assert tensors[name][-1] == beyond - 1
    tensors[name] = tensors[name].clone()
    tensors[name][-1] = beyond + more
    with pytest.raises(ValueError, match=f"{name} points to {beyond + more} of {beyond}"):
        read_entry(tensors, header)


@pytest.mark.parametrize(
    ("name", "value"),
    [("grid", [2]), ("grid", [2, 3, 4]), ("grid", [2.0, 3]), ("grid", [2, True]), ("grid", 2), ("budget", 3.0), ("budget", "3"), ("uncompressed", None), ("uncompressed", 2.5),
     ("summary_source", 1), ("warnings", [1]), ("warnings", ["one", 2]), ("warnings", None), ("warnings", 5)],
)  # fmt: skip
def test_a_field_of_another_type_is_refused(name, value):
    with pytest.raises(TypeError):
        read_entry(*changed(**{name: value}))


def test_what_is_missing_is_a_lookup_error():
    tensors, header = to_entry(TOKENS)
    for name in tensors.keys() - {"deep"}:
        with pytest.raises(LookupError):
            read_entry({other: tensor for other, tensor in tensors.items() if other != name}, header)
    for name in header:
        with pytest.raises(LookupError):
            read_entry(tensors, {other: value for other, value in header.items() if other != name})
