"""A watch that goes on from what another left behind."""

import dataclasses

import numpy as np
import pytest
import torch

import dyto
from dyto.cli.app import run
from dyto.errors import ConfigError, DatasetError, OtherModelError


def fed(watch, film, start, end):
    watch.feed(film.data[start:end], film.seconds[start:end])
    return watch


@pytest.mark.parametrize("segments", [8, 64])
def test_what_goes_on_is_what_was_never_interrupted(qa, film, tmp_path, segments):
    path, options = tmp_path / "stream.dyto", {"fps": None, "segments": segments}
    begun = fed(qa.watch(save=path, seal_seconds=1e-3, **options), film, 0, 25)
    begun._journal.close()  # as a crash does
    with qa.watch(save=path, resume=True, seal_seconds=1e-3, **options) as watch:
        assert (watch.seen, watch.taken, watch.latest) == (25, 25, begun.latest)
        assert torch.equal(watch.tokens().data, begun.tokens().data)
        fed(watch, film, 25, 40)
        read = dyto.Memory.open(path)
    whole = fed(qa.watch(**options), film, 0, 40)
    for found in (watch.memory, read):
        for one, other in zip(found.segments, whole.memory.segments, strict=True):
            np.testing.assert_array_equal(one, other)
        assert found.thumbnails == whole.memory.thumbnails
        assert torch.equal(found.vectors, whole.memory.vectors)
        assert torch.equal(found.tensors["patches"], whole.memory.tensors["patches"])
    assert watch.taken == 40


def test_a_saved_memory_grows_on(qa, film, tmp_path):
    path = tmp_path / "film.dyto"
    fed(qa.watch(segments=8, fps=None), film, 0, 25).save(path)
    watch = fed(qa.watch(segments=8, fps=None, save=path, resume=True), film, 25, 40)
    assert watch.save() == path
    whole = fed(qa.watch(segments=8, fps=None), film, 0, 40).memory
    assert dyto.Memory.open(path).segments.frames.tolist() == whole.segments.frames.tolist()
    assert watch.feed(film.data[0]) == 1, "without a time a frame comes after those before"


def test_what_cannot_go_on_says_why(qa, film, whole, tmp_path):
    path = tmp_path / "film.dyto"
    with pytest.raises(ConfigError, match="resume is given without save"):
        qa.watch(resume=True)
    with qa.watch(save=path, resume=True) as watch:  # which is not there yet
        fed(watch, film, 0, 5)
    with pytest.raises(DatasetError, match="is there already"):
        qa.watch(save=path)
    with pytest.raises(ConfigError, match="has 5 segments and numbers 'same', expected 4 at most"):
        qa.watch(save=path, resume=True, segments=4)
    with (
        qa.watch(save=path, resume=True, max_mb=0.5) as tight,
        pytest.raises(ConfigError, match=r"keeps 36 tokens of a frame, but \d+ fit now"),
    ):
        fed(tight, film, 5, 6)
    dataclasses.replace(whole, origin=dataclasses.replace(whole.origin, weights="0")).save(path)
    with pytest.raises(OtherModelError, match="expected the same weights"):
        qa.watch(save=path, resume=True)


def test_the_command_goes_on_where_it_was(clip, tmp_path, capsys):
    path = tmp_path / "clip.dyto"
    words = ["watch", str(clip), "--model", "tiny", "--fps", "2", "--save", str(path), "--resume"]
    assert run(words, debug=False) == 0
    first = dyto.Memory.open(path)
    assert run(words, debug=False) == 0
    again = dyto.Memory.open(path)
    assert again.segments.frames.tolist() == first.segments.frames.tolist(), "a file is not seen twice"
    assert run([*words[:-3], "--resume"], debug=False) == 2
    assert "found --resume without --save" in capsys.readouterr().err
