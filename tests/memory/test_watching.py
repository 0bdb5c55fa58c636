"""Watching: what is seen so far can be asked at any time, and depends on the frames alone."""

import dataclasses
import threading

import numpy as np
import pytest
import torch
from PIL import Image

import dyto
from dyto.errors import BadFeaturesError, ConfigError, VideoError
from dyto.memory.growing import BLOCK


def fed(qa, film, steps=None, **options):
    """A watch that was fed a film, so many frames at a time."""
    watch, start = qa.watch(fps=None, **options), 0
    for step in steps or [len(film)]:
        rows = slice(start, start + step)
        watch.feed(film.data[rows], film.seconds[rows])
        start += step
    return watch


@pytest.mark.parametrize("segments", [6, 64])
def test_how_frames_are_batched_does_not_matter(qa, film, segments):
    made = [fed(qa, film, steps, segments=segments) for steps in (None, [1] * 40, [7, 20, 13])]
    for watch in made[1:]:
        assert torch.equal(watch.tokens().data, made[0].tokens().data)
        assert watch.memory.thumbnails == made[0].memory.thumbnails
        assert (watch.seen, watch.taken, watch.dropped) == (40, 40, 0)


def test_an_answer_depends_on_what_came_before_it_alone(qa, film):
    watch, other = fed(qa, film[:25], segments=8), fed(qa, film[:25], segments=8)
    before, answer = other.tokens(), other.ask("what is shown ?", max_new_tokens=4).text
    assert torch.equal(watch.tokens().data, before.data)
    other.feed(film.data[25:], film.seconds[25:])
    assert fed(qa, film[:25], segments=8).ask("what is shown ?", max_new_tokens=4).text == answer
    asked_between = fed(qa, film[:25], segments=8)
    asked_between.tokens()
    asked_between.feed(film.data[25:], film.seconds[25:])
    assert torch.equal(asked_between.tokens().data, other.tokens().data), "asking changes nothing"


def test_a_watch_of_all_frames_sees_what_the_video_shows(qa, film):
    """But for rounding: here frames pass the tower one at a time."""
    watch = fed(qa, film)
    video, seen = qa.encode(film), watch.tokens()
    assert seen.keyframes.seconds.tolist() == video.keyframes.seconds.tolist()
    torch.testing.assert_close(seen.data, video.data, rtol=1e-4, atol=1e-4)
    assert watch.ask("what is shown ?", max_new_tokens=8).text == qa.ask(film, "what is shown ?", max_new_tokens=8).text


@pytest.mark.parametrize(
    ("times", "taken"),
    [
        (np.arange(20) / 10, [0, 1.0]),
        (np.arange(8) * 0.7, [0, 1.4, 2.1, 3.5, 4.2]),
        ([0.0, 5.0, 5.5, 6.0], [0, 5.0, 6.0]),
        ([3.4, 3.9, 4.0], [3.4, 4.0]),
    ],
)
def test_frames_that_come_too_fast_are_dropped_and_counted(qa, times, taken):
    watch = qa.watch(fps=1)
    pictures = np.random.default_rng(0).integers(0, 255, (len(times), 48, 48, 3), dtype=np.uint8)
    assert watch.feed(pictures, times) == len(taken)
    np.testing.assert_allclose(watch.memory.seconds, taken)
    assert (watch.seen, watch.taken, watch.dropped) == (len(times), len(taken), len(times) - len(taken))
    watch.drop(3)
    assert (watch.seen, watch.dropped) == (len(times) + 3, len(times) - len(taken) + 3)


def test_frames_are_those_of_the_same_rate_in_a_file(qa, clip):
    whole = dyto.sample_frames(clip)
    watch = qa.watch(fps=2)
    watch.feed(whole.data, whole.seconds)
    sampled = dyto.sample_frames(clip, fps=2)
    np.testing.assert_allclose(watch.memory.seconds, sampled.seconds)


def test_pictures_of_every_kind(qa):
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    watch = qa.watch(segments=3)
    for second, still in enumerate([pixels, Image.fromarray(pixels), [pixels], pixels[None]]):
        assert watch.feed(still, second) == 1
    assert watch.feed(pixels) == 1, "without a time it comes at the rate that is looked at"
    assert watch.latest == 4


@pytest.mark.parametrize(
    ("picture", "seconds", "said"),
    [
        (np.zeros((48, 48), np.uint8), 9, "expected \\(H, W, 3\\) of uint8"),
        (np.zeros((48, 48, 3), np.float32), 9, "expected \\(H, W, 3\\) of uint8"),
        (np.zeros((48, 48, 4), np.uint8), 9, "expected \\(H, W, 3\\) of uint8"),
        (np.zeros((48, 48, 3), np.uint8), 0, "expected a later time"),
        (np.zeros((48, 48, 3), np.uint8), np.nan, "expected a later time"),
        (np.zeros((48, 48, 3), np.uint8), np.inf, "expected a later time"),
        (np.zeros((48, 48, 3), np.uint8), [8, 9], "found 1 pictures and 2 times"),
    ],
)
def test_what_is_no_next_picture_is_refused(qa, picture, seconds, said):
    watch = qa.watch()
    watch.feed(np.zeros((48, 48, 3), np.uint8), 0.5)
    with pytest.raises(VideoError, match=said):
        watch.feed(picture, seconds)
    assert watch.feed(np.zeros((48, 48, 3), np.uint8), 10) == 1, "what was refused changes nothing"
    assert watch.taken == 2


@pytest.mark.parametrize(
    "options", [{"fps": 0}, {"fps": -1}, {"fps": "1"}, {"fps": np.inf}, {"seal_seconds": 0}, {"segments": 1}]
)
def test_impossible_numbers_are_refused(qa, options):
    with pytest.raises(ConfigError, match="expected a"):
        qa.watch(**options)


def test_nothing_seen_can_neither_be_asked_nor_saved(qa, tmp_path):
    with qa.watch(save=tmp_path / "stream.dyto") as watch:
        for use in (watch.tokens, lambda: watch.ask("what ?"), watch.save, lambda: watch.memory):
            with pytest.raises(ConfigError, match="nothing was seen yet"):
                use()
    with pytest.raises(ConfigError, match="no file to save to"):
        fed(qa, dyto.sample_frames(np.zeros((2, 48, 48, 3), np.uint8))).save()


def test_a_stretch_of_time_and_a_budget(qa, film):
    watch = fed(qa, film, segments=20)
    part = watch.tokens(since=20, until=40, token_budget=18)
    assert len(part) <= part.budget == 18
    assert ((part.keyframes.seconds >= 15) & (part.keyframes.seconds < 45)).all()
    answer = watch.ask("what is shown ?", since=20, until=40, token_budget=18, max_new_tokens=4)
    assert answer.num_visual_tokens == len(part)
    assert answer.strategy["token_budget"] == 18
    assert qa.strategy.token_budget is None
    with pytest.raises(ConfigError, match="nothing is remembered"):
        watch.tokens(since=1000)


def test_what_is_asked_again_before_a_new_frame_is_not_computed_again(qa, film):
    watch = fed(qa, film[:20], segments=8)
    assert watch.tokens() is watch.tokens()
    assert watch.tokens() is not watch.tokens(token_budget=9)
    before = watch.tokens()
    watch.feed(film.data[20], film.seconds[20])
    assert watch.tokens() is not before


def test_a_memory_that_was_taken_does_not_change(qa, film):
    watch = fed(qa, film[:20], segments=6)
    taken = watch.memory
    before = qa.encode(taken).data
    watch.feed(film.data[20:], film.seconds[20:])
    assert torch.equal(qa.encode(taken).data, before)
    assert taken.num_frames == 20


def test_saving_in_between_and_going_on(qa, film, tmp_path):
    path = tmp_path / "stream.dyto"
    watch = qa.watch(segments=8, fps=None, save=path, seal_seconds=5)
    watch.feed(film.data[:20], film.seconds[:20])
    watch.save()
    assert path.read_bytes()[8:9] == b"{"
    assert torch.equal(qa.encode(path).data, watch.tokens().data)
    watch.feed(film.data[20:], film.seconds[20:])
    watch.close()
    assert torch.equal(qa.encode(path).data, watch.tokens().data)
    assert watch.save(tmp_path / "other.dyto").exists()
    assert torch.equal(qa.encode(tmp_path / "other.dyto").data, watch.tokens().data)


def test_a_question_does_not_stop_the_watching(qa, film):
    """While an answer is written, frames are taken; and while frames are taken, an answer is written."""
    watch, asked, fed_meanwhile = fed(qa, film[:10], segments=8), threading.Event(), threading.Event()
    generate = qa.model.generate

    def slow(*args, **options):
        asked.set()
        assert fed_meanwhile.wait(60), "the frames wait for the answer"
        return generate(*args, **options)

    answers = []
    model = qa.model.seeing_by(qa.model.encode)
    model.generate = slow
    watch._qa = dyto.VideoQA(model)
    asking = threading.Thread(target=lambda: answers.append(watch.ask("what is shown ?", max_new_tokens=4)))
    asking.start()
    assert asked.wait(60)
    watch.feed(film.data[10:], film.seconds[10:])
    fed_meanwhile.set()
    asking.join(60)
    assert watch.taken == 40
    assert answers[0].keyframes.seconds.max() <= film.seconds[9]


def test_frames_and_questions_from_many_threads(qa, film):
    watch, failed = qa.watch(segments=8, fps=None), []

    def feed():
        for picture, second in zip(film.data, film.seconds, strict=True):
            watch.feed(picture, second)

    def ask():
        try:
            for budget in range(9, 19):
                if watch.taken:
                    watch.ask("what ?", token_budget=budget, max_new_tokens=1)
                watch.drop()
        except Exception as err:  # noqa: BLE001
            failed.append(err)

    threads = [threading.Thread(target=work) for work in (feed, ask, ask)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not failed
    assert watch.seen == 40 + 20
    assert torch.equal(watch.tokens().data, fed(qa, film, segments=8).tokens().data)


def test_what_is_held_does_not_grow(qa):
    """After the first frames nothing is held for those that follow."""
    watch, sizes, waiting = qa.watch(segments=4), [], []
    still = np.random.default_rng(0).integers(0, 255, (3, 84, 84, 3), dtype=np.uint8)
    growing = watch._growing
    for second in range(200):
        watch.feed(still[second // 7 % 3], second)
        waiting.append(len(growing._waiting) + len(growing._fresh))
        if second % 50 == 49:
            frames = set(growing.snapshot().segments.frames.tolist())
            assert set(growing._fresh) | set(growing._packs) == frames
            sizes.append(len(growing._fresh) + len(growing._packs))
    assert sizes == [4] * 4
    assert max(waiting) <= 2 * BLOCK


def test_a_tower_that_gives_nan_is_an_error_and_changes_nothing(qa, film):
    watch = fed(qa, film[:5], segments=4)
    encode, model = qa.model.encode, qa.model

    def broken(images, **options):
        seen = encode(images, **options)
        return dataclasses.replace(seen, summary=seen.summary * torch.nan)

    watch._qa = dyto.VideoQA(model.seeing_by(broken))
    with pytest.raises(BadFeaturesError, match="NaN"):
        watch.feed(film.data[5], film.seconds[5])
    assert watch.memory.num_frames == watch.taken == 5


def test_a_model_that_knows_drawings_alone_says_so(qa, film):
    photo = np.random.default_rng(0).integers(0, 255, (3, 84, 84, 3), dtype=np.uint8)
    watch = qa.watch()
    watch.feed(photo)
    assert not watch.tokens().meaningful
    assert fed(qa, film).tokens().meaningful
    assert not qa.encode(qa.remember(photo)).meaningful
