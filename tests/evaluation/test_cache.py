"""Encoded videos on disk: equal, bounded, keyed by everything that matters, safe against damage."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from dyto.errors import ConfigError
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


def test_columns_that_are_one_array_survive(cache, tokens):
    whole = dataclasses.replace(tokens.sources, token=np.arange(len(tokens)), keyframe=tokens.keyframe)
    whole = dataclasses.replace(whole, patch=np.zeros(len(tokens), np.int64))
    cache.save("k", dataclasses.replace(tokens, sources=whole))
    np.testing.assert_array_equal(cache.load("k").sources.keyframe, tokens.keyframe)


def test_bfloat16_tokens_survive(cache, tokens, clip):
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
    assert "is not cached" in caplog.text
    assert cache.load("a") is None


def test_a_folder_of_frames_has_a_key_of_its_contents(cache, tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    (frames / "1.png").write_bytes(b"1")
    before = cache.key(frames, None, None, SAMPLING)
    (frames / "2.png").write_bytes(b"2")
    assert cache.key(frames, None, None, SAMPLING) != before


def altered(path, change=lambda tensors: None, header=lambda header: None, metadata=True):
    """Write an entry again, with its tensors or its header changed."""
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        told = json.loads(file.metadata()["dyto"])
    change(tensors)
    header(told)
    save_file(tensors, path, metadata={"dyto": json.dumps(told)} if metadata else None)


def put(name, value):
    return lambda tensors: tensors.__setitem__(name, value(tensors[name]) if callable(value) else value)


DAMAGED = {
    "no metadata": {"metadata": False},
    **{
        f"no {name}": {"change": lambda tensors, name=name: tensors.pop(name)}
        for name in ("data", "indices", "seconds", "positions", "keyframe", "source_token", "source_patch")
    },
    **{
        f"{name} of one row less": {"change": put(name, lambda t: t[1:].clone())}
        for name in ("data", "indices", "seconds", "positions", "keyframe", "source_token", "source_keyframe")
    },
    "NaN": {"change": put("data", lambda t: torch.full_like(t, torch.nan))},
    "infinity": {"change": put("data", lambda t: torch.full_like(t, torch.inf))},
    "whole numbers": {"change": put("data", lambda t: t.to(torch.int64))},
    "another width": {"change": put("data", lambda t: t[:, 1:].clone())},
    "one axis": {"change": put("data", lambda t: t[:, 0].clone())},
    "no token": {"change": put("data", lambda t: t[:0].clone())},
    "a frame that is not there": {"change": put("keyframe", lambda t: t + 1000)},
    "a negative frame": {"change": put("keyframe", lambda t: t - 1000)},
    "a token that is not there": {"change": put("source_token", lambda t: t + 1000)},
    "tokens in another order": {"change": put("source_token", lambda t: t.flip(0).clone())},
    "times of another dtype": {"change": put("seconds", lambda t: t.float())},
    "times of NaN": {"change": put("seconds", lambda t: torch.full_like(t, torch.nan))},
    "indices of another dtype": {"change": put("indices", lambda t: t.float())},
    "deep of another length": {"change": put("deep", torch.zeros(2, 1, 8))},
    **{f"no {name}": {"header": lambda h, name=name: h.pop(name)} for name in ("grid", "budget", "warnings")},
    **{
        f"{name} {value!r}": {"header": lambda h, name=name, value=value: h.__setitem__(name, value)}
        for name, value in (("grid", 3), ("grid", [1]), ("grid", ["a", "b"]), ("budget", "x"), ("budget", 1))
    },
    "warnings of numbers": {"header": lambda h: h.__setitem__("warnings", [1])},
}


@pytest.mark.parametrize("damage", DAMAGED)
def test_an_entry_that_is_not_what_it_should_be_is_passed_over_and_made_again(cache, tokens, caplog, damage):
    wide = TokenCache(cache.folder, max_bytes=1 << 30, identity={}, width=tokens.data.shape[1])
    wide.save("k", tokens)
    assert wide.load("k") is not None
    altered(cache.folder / "k.safetensors", **DAMAGED[damage])
    mixed = TokenCache(cache.folder, max_bytes=1 << 30, identity={}, width=tokens.data.shape[1], mixed=True)
    assert mixed.load("k") is None
    assert "encoded again" in caplog.text
    mixed.save("k", tokens)
    assert mixed.load("k") is not None


@pytest.mark.parametrize("junk", [b"", b"x" * 100, b"\xff" * 9, b"\x02\0\0\0\0\0\0\0{}", b"[" * 5000])
def test_a_file_that_is_no_entry_at_all_is_passed_over(cache, tokens, junk):
    cache.folder.mkdir()
    (cache.folder / "k.safetensors").write_bytes(junk)
    assert cache.load("k") is None
    (cache.folder / "d.safetensors").mkdir()
    assert cache.load("d") is None


def test_nothing_is_deleted_but_what_the_cache_wrote(tmp_path, tokens):
    folder = tmp_path / "mine"
    folder.mkdir()
    theirs = [
        "holiday.mp4",
        "model.safetensors",
        "adapter.safetensors",
        ".hidden",
        ".model.safetensors.index.json",
        "x.tmp",
    ]
    for name in theirs:
        (folder / name).write_bytes(b"precious")
    save_file({"weight": torch.ones(1000)}, folder / "adapter.safetensors", metadata={"format": "pt"})
    (folder / "sub").mkdir()
    (folder / "sub/a.safetensors").write_bytes(b"precious")
    (folder / "linked.safetensors").symlink_to(folder / "adapter.safetensors")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    for path in before:
        os.utime(path, (0, 0))
    cache = TokenCache(folder, max_bytes=0, identity={}, mixed=True)
    for key in "abc":
        cache.save(key * 64, tokens)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("other", ["notes.txt", "model.safetensors", "sub/a", ".hidden", "a" * 64 + ".bin"])
def test_a_folder_that_holds_anything_else_is_refused_unless_told(tmp_path, tokens, other):
    (tmp_path / other).parent.mkdir(exist_ok=True)
    (tmp_path / other).write_bytes(b"mine")
    with pytest.raises(ConfigError, match=r"holds '.*', expected encoded videos and nothing else.*--cache-mixed"):
        TokenCache(tmp_path, max_bytes=1, identity={})
    TokenCache(tmp_path, max_bytes=1 << 30, identity={}, mixed=True).save("k", tokens)


def test_a_folder_of_its_own_is_taken_again_with_what_a_crash_left_in_it(cache, tokens):
    cache.save("a" * 64, tokens)
    (cache.folder / f".{'b' * 64}.safetensors.0123456789abcdef").write_bytes(b"half")
    (cache.folder / f"{'c' * 64}.safetensors").write_bytes(b"torn")
    assert TokenCache(cache.folder, max_bytes=1, identity={"model": "tiny"}).load("a" * 64) is not None


def test_a_link_to_nothing_in_a_folder_of_frames_does_not_hinder_the_key(cache, tmp_path):
    frames = tmp_path / "frames"
    frames.mkdir()
    (frames / "1.png").write_bytes(b"1")
    (frames / "2.png").symlink_to(tmp_path / "gone.png")
    before = cache.key(frames, None, None, SAMPLING)
    assert cache.key(frames, None, None, SAMPLING) == before
    (tmp_path / "gone.png").write_bytes(b"2")
    assert cache.key(frames, None, None, SAMPLING) != before


def test_arrays_of_other_whole_numbers_come_back_as_they_should_be(cache, tokens):
    narrow = dataclasses.replace(tokens, keyframe=tokens.keyframe.astype(np.int32))
    cache.save("k", narrow)
    assert cache.load("k").keyframe.dtype == np.int64
