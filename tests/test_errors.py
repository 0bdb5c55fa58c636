"""The tree of errors: each crosses from one process to another as it is."""

from __future__ import annotations

import pickle

import pytest

import dyto
from dyto import errors
from dyto.errors import DytoError, MissingExtraError
from dyto.video.arrival import FramesChanged


def tree(kind):
    yield kind
    for below in kind.__subclasses__():
        yield from tree(below)


@pytest.mark.parametrize("kind", sorted(set(tree(DytoError)), key=lambda kind: kind.__name__))  # type: ignore[attr-defined]
def test_every_error_survives_the_way_to_another_process(kind):
    err = kind("The demo", "gradio", "demo") if issubclass(kind, MissingExtraError) else kind("what was found")
    err.add_note("seen in video 3") if hasattr(err, "add_note") else None
    again = pickle.loads(pickle.dumps(err))  # noqa: S301
    assert type(again) is kind
    assert str(again) == str(err)
    assert getattr(again, "__notes__", None) == getattr(err, "__notes__", None)


def test_the_tree_in_words_is_the_tree():
    told = [line.split("──")[1].split()[0] for line in errors.__doc__.splitlines() if "──" in line]
    ours = {kind.__name__ for kind in tree(DytoError) if kind.__module__ == "dyto.errors"} - {"DytoError"}
    assert set(told) == ours
    assert issubclass(FramesChanged, dyto.VideoError)
