"""What is kept of videos: within a limit of bytes, the least recently used first."""

import dataclasses
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from transformers import DynamicCache, LlamaConfig

import dyto
from dyto.models.generation.keeping import KeptVideos, bytes_allowed
from dyto.models.generation.states import bytes_of, release_unused

QUESTION = "what is shown ?"


def film(seed, frames=6):
    return np.random.default_rng(seed).integers(0, 255, (frames, 48, 48, 3), dtype=np.uint8)


@pytest.fixture
def calls(tiny, monkeypatch):
    """Counts how often the tower and the language model read a video."""
    counted = {"encode": 0, "prefill": 0}

    def counting(name):
        inner = getattr(type(tiny), name)

        def call(self, *args, **kwargs):
            counted[name] += 1
            return inner(self, *args, **kwargs)

        return call

    for name in counted:
        monkeypatch.setattr(type(tiny), name, counting(name))
    return counted


@pytest.fixture
def clips(clip, tmp_path):
    """Two files with the same pictures and different times."""
    found = [tmp_path / "first.mp4", tmp_path / "second.mp4"]
    for number, path in enumerate(found):
        shutil.copy(clip, path)
        os.utime(path, (1000 + number, 1000 + number))
    return found


def test_two_videos_in_turn_are_encoded_and_read_once_each(qa, clips, calls):
    answers = [qa.ask(path, QUESTION, num_frames=8, max_new_tokens=2) for path in clips * 3]
    assert calls == {"encode": 2, "prefill": 2}
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize("change", ["the file", "its time", "the sampling", "the strategy", "its options"])
def test_tokens_are_used_again_only_if_nothing_that_determines_them_has_changed(qa, clips, calls, change):
    path, sampling = clips[0], {"num_frames": 8}
    qa.encode(path, **sampling)
    assert calls["encode"] == 1
    if change == "the file":
        path.write_bytes(clips[1].read_bytes() + b"\0")
    elif change == "its time":
        os.utime(path, (5, 5))
    elif change == "the sampling":
        sampling = {"num_frames": 9}
    elif change == "the strategy":
        qa.strategy = dyto.Uniform()
    else:
        qa.strategy = dyto.DyTo(token_budget=50)
    qa.encode(path, **sampling)
    assert calls["encode"] > 1


def test_a_strategy_that_may_change_is_asked_each_time(tiny, clips, calls):
    @dataclasses.dataclass
    class Changing:
        budget: int = 20

        def __call__(self, frames, encode, question=None):
            return dyto.DyTo(token_budget=self.budget)(frames, encode)

    changing = Changing()
    qa = dyto.VideoQA(tiny, changing)
    for budget in (20, 30):
        changing.budget = budget
        assert len(qa.encode(clips[0], num_frames=8)) <= budget
    assert calls["encode"] == 2


def test_tokens_for_another_question_are_not_taken_from_a_strategy_that_reads_it(tiny, clips, calls):
    qa = dyto.VideoQA(tiny, dyto.Query(token_budget=60))
    for question in ("is there a star ?", "is there a ring ?", "is there a star ?"):
        qa.ask(clips[0], question, num_frames=8, max_new_tokens=1)
    assert calls["encode"] == 2


def test_the_least_recently_used_video_goes_first(tiny):
    tokens = [dyto.VideoQA(tiny).encode(film(seed)) for seed in range(3)]
    before = tiny.tokenize("USER: ", "").before
    kept = KeptVideos(tiny)
    kept.prefix(tokens[0], before, False)
    kept = KeptVideos(tiny, int(2.5 * kept.nbytes))
    for number, video in enumerate(tokens[:2]):
        kept.keep_tokens(number, video)
        kept.prefix(video, before, False)
    assert kept.tokens(0) is tokens[0]  # used again, so the other one is older
    kept.keep_tokens(2, tokens[2])
    kept.prefix(tokens[2], before, False)
    assert [kept.tokens(number) is not None for number in range(3)] == [True, False, True]
    assert kept.nbytes <= kept.limit


@pytest.mark.parametrize("limit", [0, 1, 100_000, 10_000_000])
def test_the_limit_holds_and_the_last_video_stays_whatever_its_size(tiny, limit):
    kept, before = KeptVideos(tiny, limit), tiny.tokenize("USER: ", "").before
    for seed in range(6):
        video = dyto.VideoQA(tiny).encode(film(seed, frames=2 + 3 * seed))
        kept.keep_tokens(seed, video)
        prefix = kept.prefix(video, before, False)
        assert kept.prefix(video, before, False) is prefix
        assert kept.tokens(seed) is video
        assert kept.nbytes <= max(limit, video.nbytes + prefix.nbytes + prefix.embeds.nbytes)
        assert kept.nbytes == sum(one.nbytes for one in kept._videos.values())
    kept.forget()
    assert kept.nbytes == len(kept) == 0


def test_prompts_before_the_same_video_are_kept_apart_and_limited(tiny):
    video, kept = dyto.VideoQA(tiny).encode(film(0)), KeptVideos(tiny, 0)
    texts = [tiny.tokenize(text, "").before for text in ("USER: ", "what : ", "USER: ")]
    sizes = [len(kept.prefix(video, text, False)) - len(video) for text in texts]
    assert sizes == [len(text) for text in texts]
    assert len(kept._videos[id(video)].prefixes) == 1  # the limit leaves room for one


def test_a_window_is_counted_and_kept_without_the_tensor_it_was_cut_from():
    config = LlamaConfig(num_hidden_layers=2, sliding_window=4, layer_types=["sliding_attention", "full_attention"])
    cache = DynamicCache(config=config)
    for layer in range(2):
        cache.update(torch.ones(1, 2, 50, 8), torch.ones(1, 2, 50, 8), layer)
    held = {part.untyped_storage().data_ptr(): part.untyped_storage().nbytes()
            for layer in cache.layers for part in (layer.keys, layer.values)}  # fmt: skip
    assert sum(held.values()) > bytes_of(cache)
    release_unused(cache)
    for layer in cache.layers:
        assert layer.keys.untyped_storage().nbytes() == layer.keys.nbytes
    assert bytes_of(cache) == 2 * (3 + 50) * 2 * 8 * 4


def test_tensors_in_lists_are_counted():
    cache = DynamicCache()
    cache.update(torch.zeros(1, 2, 5, 4), torch.zeros(1, 2, 5, 4), 0)
    before = bytes_of(cache)
    cache.layers[0].parts = [torch.zeros(10), {"scale": (torch.zeros(3),)}]
    assert bytes_of(cache) == before + 52


@pytest.mark.parametrize("wrong", [-1, float("nan"), float("inf"), "1", True, None])
def test_a_limit_that_is_no_number_of_gigabytes_is_refused(tiny, wrong):
    with pytest.raises(dyto.ConfigError, match="keep_gb is"):
        bytes_allowed(wrong)
    with pytest.raises(dyto.ConfigError, match="keep_gb is"):
        dyto.VideoQA(tiny, keep_gb=wrong)


def test_nothing_is_kept_without_that_saving(tiny, clips, calls):
    qa = dyto.VideoQA(tiny, savings=dyto.Savings(keep_prefix=False))
    for _ in range(2):
        qa.ask(clips[0], QUESTION, num_frames=8, max_new_tokens=1)
    assert calls == {"encode": 2, "prefill": 2}
    assert len(qa.kept) == 0


def test_memory_of_dropped_videos_is_given_back_now_and_then(tiny, monkeypatch):
    given = []
    monkeypatch.setattr("dyto.models.generation.keeping.give_back", lambda: given.append(1))
    before = tiny.tokenize("USER: ", "").before
    kept = KeptVideos(tiny, 0)
    videos = [dyto.VideoQA(tiny).encode(film(seed)) for seed in range(5)]
    for number, video in enumerate(videos):
        kept.keep_tokens(number, video)
        kept.prefix(video, before, False)
        monkeypatch.setattr("dyto.models.generation.keeping.DROPPED_BYTES", int(1.5 * kept.nbytes))
    assert len(given) == 2  # four videos are dropped, two each time


def test_one_video_can_be_dropped(tiny):
    kept = KeptVideos(tiny)
    videos = [dyto.VideoQA(tiny).encode(film(seed)) for seed in range(2)]
    for number, video in enumerate(videos):
        kept.keep_tokens(number, video)
    kept.drop(videos[0])
    kept.drop(videos[0])
    assert [kept.tokens(number) for number in range(2)] == [None, videos[1]]
    assert kept.nbytes == videos[1].nbytes


def test_a_key_goes_to_the_tokens_that_were_kept_last(tiny):
    first, second, third = (dyto.VideoQA(tiny).encode(film(seed)) for seed in range(3))
    kept = KeptVideos(tiny, 2 * third.nbytes)
    kept.keep_tokens("clip", first)
    kept.keep_tokens("clip", second)
    kept.keep_tokens("other", third)  # the first, which nobody can find any more, makes room
    assert kept.tokens("clip") is second


FRAGMENTS = """
import ctypes, sys
import torch
from dyto.system.memory import give_back
def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096
torch.ones(30_000_000, dtype=torch.uint8)  # from now on, the C library takes as much from its heap
tensors = [torch.ones(1_000_000, dtype=torch.uint8) for _ in range(200)]
before, tensors = resident(), tensors[1::2]
after = resident()
if not give_back():
    sys.exit("not here")
print(before - after, after - resident())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc")
def test_memory_between_what_is_kept_can_be_given_back():
    done = subprocess.run([sys.executable, "-c", FRAGMENTS], capture_output=True, text=True, timeout=120)
    if "not here" in done.stderr:
        pytest.skip("another C library than glibc")
    stayed, given = map(int, done.stdout.split())
    assert stayed < 20_000_000 < 80_000_000 < given
