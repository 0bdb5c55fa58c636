"""Encoded videos on disk: equal, bounded, keyed by everything that matters, safe against damage."""

from __future__ import annotations

import os
import shutil

import numpy as np
import pytest
import torch

from dyto.evaluation.cache import TokenCache

SAMPLING = {"num_frames": 6}


@pytest.fixture
def cache(tmp_path):
    return TokenCache(tmp_path / "cache", max_bytes=1 << 30, identity={"model": "tiny"})


@pytest.fixture
def tokens(qa, clip):
    return qa.encode(clip, **SAMPLING)


def test_what_comes_back_is_what_went_in(cache, tokens, clip):
    key = cache.key(clip, None, None, SAMPLING)
    assert cache.load(key) is None
    cache.save(key, tokens)
    again = cache.load(key)
    assert torch.equal(again.data, tokens.data.cpu())
    assert again.data.dtype == tokens.data.dtype
    for name in ("indices", "seconds", "positions"):
        np.testing.assert_array_equal(getattr(again.keyframes, name), getattr(tokens.keyframes, name))
    for name in ("token", "keyframe", "patch"):
        np.testing.assert_array_equal(getattr(again.sources, name), getattr(tokens.sources, name))
    for name in ("grid", "budget", "uncompressed", "summary_source", "warnings"):
        assert getattr(again, name) == getattr(tokens, name)


def test_bfloat16_tokens_survive(cache, tokens, clip):
    import dataclasses

    half = dataclasses.replace(tokens, data=tokens.data.bfloat16())
    cache.save("k", half)
    assert torch.equal(cache.load("k").data, half.data)


def test_another_file_clip_sampling_or_model_is_another_key(cache, clip, tmp_path):
    other = TokenCache(tmp_path / "cache", max_bytes=1, identity={"model": "big"})
    changed = tmp_path / "clip.mp4"
    shutil.copy(clip, changed)
    before = cache.key(changed, None, None, SAMPLING)
    data = bytearray(changed.read_bytes())
    data[-1] ^= 1
    changed.write_bytes(data)
    keys = {
        before,
        cache.key(changed, None, None, SAMPLING),
        cache.key(clip, None, None, SAMPLING),
        cache.key(clip, 1.0, 2.0, SAMPLING),
        cache.key(clip, None, None, {"num_frames": 7}),
        other.key(clip, None, None, SAMPLING),
    }
    assert len(keys) == 6
    assert cache.key(clip, None, None, SAMPLING) in keys


def test_a_damaged_entry_is_reported_and_encoded_again(cache, tokens, caplog):
    cache.save("k", tokens)
    path = cache.folder / "k.safetensors"
    path.write_bytes(path.read_bytes()[:100])
    assert cache.load("k") is None
    assert "encoded again" in caplog.text
    cache.save("k", tokens)
    assert cache.load("k") is not None


def test_it_stays_within_its_bound_and_drops_what_was_not_used_for_longest(tmp_path, tokens):
    probe = TokenCache(tmp_path / "probe", max_bytes=1 << 30, identity={})
    probe.save("a", tokens)
    size = (tmp_path / "probe/a.safetensors").stat().st_size
    cache = TokenCache(tmp_path / "cache", max_bytes=int(size * 3.5), identity={})
    for age, key in enumerate("abc"):
        cache.save(key, tokens)
        os.utime(cache.folder / f"{key}.safetensors", (age, age))
    assert cache.load("a") is not None  # used just now
    cache.save("d", tokens)
    assert sorted(path.stem for path in cache.folder.iterdir()) == ["a", "c", "d"]


def test_what_a_crash_left_is_cleared_away(cache, tokens):
    cache.save("a", tokens)
    old, new = cache.folder / ".b.safetensors.x1", cache.folder / ".c.safetensors.x2"
    old.write_bytes(b"half")
    new.write_bytes(b"half")
    os.utime(old, (0, 0))
    cache.save("d", tokens)
    assert not old.exists()
    assert new.exists(), "another run may be writing it"


def test_a_full_disk_costs_the_entry_and_nothing_else(tmp_path, tokens, caplog):
    (tmp_path / "file").touch()
    cache = TokenCache(tmp_path / "file", max_bytes=1, identity={})
    cache.save("a", tokens)
    assert "is not kept" in caplog.text
    assert cache.load("a") is None


def test_a_folder_of_frames_has_a_key_of_its_contents(cache, tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    (frames / "1.png").write_bytes(b"1")
    before = cache.key(frames, None, None, SAMPLING)
    (frames / "2.png").write_bytes(b"2")
    assert cache.key(frames, None, None, SAMPLING) != before
