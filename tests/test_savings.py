"""Each saving on against off: those on by default change nothing, the others lose what they say and no more."""

import copy
import dataclasses
import gc
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import dyto
from dyto import Savings
from dyto.errors import ConfigError, VideoError
from dyto.evaluation.settings import Settings
from dyto.strategies import videos
from dyto.strategies.sparing import alike
from dyto.video import ArrivingFrames, Frames, sample_frames
from dyto.video import planes as _planes
from dyto.video import rgb as _rgb
from dyto.video.arrival import Arrival, FramesChanged
from dyto.video.decode import Index
from dyto.video.sampling import FrameBuffer, TargetSize
from dyto.video.still import quiet_groups

from video_files import numbers_in, remux, write_video

OFF = Savings.none()
QUICK = replace(OFF, quick_resize=True)
"""All savings off that change no frame."""
OVERLAP = Savings(overlap=True)
QUESTIONS = ["what color is the star ?", "is there a red circle at the end of the video ?", "how many objects ?"]
STRATEGIES = ["dyto", "plus", "uniform-pool", "image_grid", "visionzip", "query"]
DEFAULT = [field.name for field in dataclasses.fields(Savings) if field.default is True]


def chosen(name):
    return dyto.DyTo.preset("plus") if name == "plus" else dyto.build_strategy(name)


def decoding():
    return [thread for thread in threading.enumerate() if thread.name == "dyto-decode"]


@pytest.fixture(autouse=True)
def no_thread_is_left():
    yield
    if decoding():  # frames that nobody holds, but that were not yet collected
        gc.collect()
    assert not decoding()


@pytest.fixture(scope="module")
def long(tmp_path_factory):
    return write_video(tmp_path_factory.mktemp("long") / "long.mp4", 200, size=(120, 160), noise=40)


# --- what can be asked for ---------------------------------------------------------------------------------


def test_none_has_all_of_them_off():
    assert not any(vars(Savings.none()).values())


def test_decoding_overlaps_where_the_tower_leaves_the_processor_alone():
    assert Savings().on("cuda").overlap
    assert Savings().on("mps").overlap
    assert not Savings().on("cpu").overlap
    assert OVERLAP.on("cpu").overlap
    assert not OFF.on("cuda").overlap


def test_on_a_cpu_nothing_arrives_unless_it_is_asked_for(tiny, clip, monkeypatch):
    seen = []
    original = videos.sample_frames
    monkeypatch.setattr(videos, "sample_frames", lambda *a, **k: seen.append(original(*a, **k)) or seen[-1])
    for savings in (None, OVERLAP):
        dyto.VideoQA(tiny, savings=savings).encode(clip)
    assert [isinstance(frames, ArrivingFrames) for frames in seen] == [False, True]


def test_a_command_line_sets_them_by_name():
    assert Savings.of(["overlap"], ["still", "similar=2.5"]) == Savings(overlap=False, still=True, similar=2.5)
    assert Savings.of(["all"]) == OFF
    assert Savings.of(["all"], ["overlap=on"]) == replace(OFF, overlap=True)
    assert Savings.of(["similar"], []).similar is False
    assert Savings.of([], ["similar=off", "overlap=off"]) == Savings(overlap=False, similar=False)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: Savings.of(["overlp"]), "did you mean 'overlap'"),
        (lambda: Savings.of([], ["simlar=2"]), "did you mean 'similar'"),
        (lambda: Savings.of([], ["similar=much"]), "gray levels"),
        (lambda: Savings.of([], ["similar=nan"]), "0 to 255"),
        (lambda: Savings.of([], ["similar=-1"]), "0 to 255"),
        (lambda: Savings.of([], ["overlap=2"]), "expected one of true"),
        (lambda: Savings(overlap=1), "expected true or false"),
        (lambda: Savings(similar=True), "gray levels"),
    ],
)
def test_what_makes_no_sense_is_refused(call, told):
    with pytest.raises(ConfigError, match=told):
        call()


# --- the same answers --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "strategy",
    [pytest.param(name, marks=[pytest.mark.soak] * (name not in ("plus", "dyto", "query"))) for name in STRATEGIES],
)
def test_no_saving_that_is_on_by_default_changes_a_token_or_an_answer(tiny, clip, strategy):
    sides = []
    same = [name for name in DEFAULT if name != "quick_resize"]
    for savings in (QUICK, Savings(), OVERLAP, *(replace(Savings(), **{name: False}) for name in same)):
        qa = dyto.VideoQA(tiny, chosen(strategy), savings=savings)
        asked = QUESTIONS[0] if qa.uses_question else None
        tokens = qa.encode(clip, question=asked, num_frames=24)
        answers = qa.ask_many(tokens, QUESTIONS[:2], max_new_tokens=3)
        sides.append((tokens, [answer.text for answer in answers]))
    (plain, texts), *others = sides
    for tokens, found in others:
        assert found == texts
        assert torch.allclose(tokens.data, plain.data, rtol=0, atol=2e-5)
        assert np.array_equal(tokens.keyframes.indices, plain.keyframes.indices)
        assert np.array_equal(tokens.frames, plain.frames)


class Counting:
    """Counts the frames that are converted."""

    made = 0

    def __init__(self, real=_rgb.VideoReformatter):
        self.real = real()

    def reformat(self, *args, **options):
        Counting.made += 1
        return self.real.reformat(*args, **options)


@pytest.mark.parametrize(
    ("shown", "made"), [([3] * 40, 1), ([1, 2] * 20, 2), ([n // 10 for n in range(40)], 4), (list(range(40)), 40)]
)
@pytest.mark.parametrize(
    ("codec", "pix_fmt"), [("libx264", "yuv420p"), ("libx264", "yuv444p"), ("ffv1", "yuv420p10le")]
)
def test_repeated_frames_are_made_once_and_are_what_they_are(tmp_path, monkeypatch, shown, made, codec, pix_fmt):
    for module in (_rgb, _planes):
        monkeypatch.setattr(module, "VideoReformatter", Counting)
    # No loss, and no odd sizes, at whose edges a converter invents samples: what is the same comes out the same.
    options = {"qp": "0"} if codec == "libx264" else {}
    video = write_video(
        tmp_path / "v.mkv", 40, size=(64, 80), shown=shown, codec=codec, pix_fmt=pix_fmt, gop=40, options=options
    )
    asked = {"num_frames": 40, "size": (25, 30)}
    Counting.made = 0
    plain = sample_frames(video, savings=QUICK, **asked).data
    assert Counting.made % 40 == 0
    assert Counting.made > 0
    for savings in (replace(QUICK, repeats=True), Savings(), replace(OVERLAP, repeats=True)):
        Counting.made = 0
        assert np.array_equal(sample_frames(video, savings=savings, **asked).data, plain)
        assert Counting.made % made == 0
        assert Counting.made < 40 or made == 40
    assert numbers_in(sample_frames(video, num_frames=40).data) == shown


def test_frames_that_differ_in_a_single_sample_are_no_repeats():
    def shown(pixels, **options):
        return _rgb.FrameContent.of(av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(**options))

    plain = np.zeros((40, 70, 3), np.uint8)
    known = shown(plain, format="yuv444p")
    assert known.equals(shown(plain, format="yuv444p"))
    for row, column in ((0, 0), (7, 3), (39, 69)):
        other = plain.copy()
        other[row, column] = 255
        assert not known.equals(shown(other, format="yuv444p"))
    assert not known.equals(shown(plain, format="yuv420p"))
    assert not known.equals(shown(plain[:, :60], format="yuv444p"))
    assert shown(plain, format="rgb24") is None, "its padding is not known"


def test_overlap_gives_the_tokens_bit_for_bit(tiny, long):
    found = [
        dyto.VideoQA(tiny, savings=replace(OFF, overlap=overlap)).encode(long, num_frames=n).data
        for n in (100, 1, 2, 100)
        for overlap in (True, False)
    ]
    for one, other in zip(found[::2], found[1::2], strict=True):
        assert torch.equal(one, other)


def test_stages_add_up_with_overlap(tiny, long):
    start = time.perf_counter()
    answer = dyto.VideoQA(tiny, savings=OVERLAP).ask(long, "what is shown ?", max_new_tokens=2)
    wall = time.perf_counter() - start
    assert min(answer.seconds.values()) >= 0
    assert answer.seconds["decode"] > 0
    assert answer.seconds["total"] <= wall


def test_two_videos_interleaved_and_asked_again(tiny, clip, long):
    qa, plain = dyto.VideoQA(tiny, savings=OVERLAP), dyto.VideoQA(tiny, savings=OFF)
    for video in (clip, long, clip):
        assert (
            qa.ask(video, QUESTIONS[0], max_new_tokens=4).text == plain.ask(video, QUESTIONS[0], max_new_tokens=4).text
        )
    requests = [(video, question) for question in QUESTIONS for video in (clip, long)]
    both = [[a.text for a in side.ask_batch(requests, max_new_tokens=4, num_frames=20)] for side in (qa, plain)]
    assert both[0] == both[1]
    opened = [sample_frames(video, num_frames=30, savings=OVERLAP) for video in (clip, long)]
    pixels = [frames.rows(slice(k, k + 5)) for k in range(0, 30, 5) for frames in opened]  # type: ignore[attr-defined]
    for at, video in enumerate((clip, long)):
        assert np.array_equal(np.concatenate(pixels[at::2]), sample_frames(video, num_frames=30).data)


def test_a_stream_and_a_question_of_its_own_take_the_same_path(tiny, clip):
    for strategy in ("dyto", "query"):
        qa, plain = (dyto.VideoQA(tiny, strategy, savings=one) for one in (Savings(), OFF))
        assert "".join(qa.stream(clip, QUESTIONS[0], max_new_tokens=4)) == "".join(
            plain.stream(clip, QUESTIONS[0], max_new_tokens=4)
        )


def test_the_prefix_is_read_again_for_each_question_only_where_that_saving_is_off(tiny, clip, monkeypatch):
    counted = []
    prefill = type(tiny).prefill
    monkeypatch.setattr(type(tiny), "prefill", lambda *args, **more: counted.append(1) or prefill(*args, **more))
    for keep, batch, times in ((True, True, 1), (False, True, 3), (True, False, 1), (False, False, 3)):
        counted.clear()
        qa = dyto.VideoQA(tiny, savings=Savings(keep_prefix=keep, batch_questions=batch))
        qa.ask_many(qa.encode(clip), QUESTIONS, max_new_tokens=2)
        assert len(counted) == times


def test_questions_are_answered_one_at_a_time_where_batches_are_off(tiny, clip, monkeypatch):
    sizes = []
    generate = type(tiny).generate
    monkeypatch.setattr(
        type(tiny), "generate", lambda self, prefix, after, **more: sizes.append(len(after)) or generate(self, prefix, after, **more)
    )  # fmt: skip
    dyto.VideoQA(tiny, savings=Savings(batch_questions=False)).ask_many(clip, QUESTIONS, batch_size=3, max_new_tokens=2)
    dyto.VideoQA(tiny).ask_many(clip, QUESTIONS, max_new_tokens=2)
    assert sizes == [1, 1, 1, 3]


def test_a_strategy_that_looks_at_the_question_lets_the_tower_see_a_video_once(tiny, clip, monkeypatch):
    seen = []
    states = type(tiny).tower_states
    monkeypatch.setattr(type(tiny), "tower_states", lambda self, x: seen.append(len(x)) or states(self, x))
    sides = []
    for keep in (False, True):
        qa = dyto.VideoQA(tiny, "query", savings=Savings(keep_features=keep))
        seen.clear()
        sides.append([a.text for a in qa.ask_many(clip, QUESTIONS, max_new_tokens=4, num_frames=24)])
        assert sum(seen) == (24 if keep else 72)
    assert sides[0] == sides[1]
    seen.clear()
    frames = sample_frames(clip, num_frames=24, size=tiny.image_size)
    first = qa.encode(frames, question=QUESTIONS[0])
    other = qa.encode(sample_frames(clip, num_frames=12, size=tiny.image_size), question=QUESTIONS[0])
    again = qa.encode(frames, question=QUESTIONS[0])
    assert sum(seen) == 24 + 12 + 24  # those of one video are kept
    assert torch.equal(first.data, again.data)
    assert not np.array_equal(first.keyframes.indices, other.keyframes.indices)
    qa.forget()
    qa.encode(frames, question=QUESTIONS[0])
    assert sum(seen) == 24 + 12 + 24 + 24


# --- frames that arrive ------------------------------------------------------------------------------------


def test_arriving_frames_are_frames(long):
    plain = sample_frames(long, num_frames=50, size=32)
    frames = sample_frames(long, num_frames=50, size=32, savings=OVERLAP)
    assert isinstance(frames, ArrivingFrames)
    assert len(frames) == 50
    assert np.array_equal(frames.rows(slice(3, 5)), plain.data[3:5])
    assert np.array_equal(frames[[1, 7]].data, plain.data[[1, 7]])
    assert repr(frames) == repr(plain)
    changed = replace(frames, data=255 - frames.data)
    assert np.array_equal(changed.data, 255 - plain.data)
    assert np.array_equal(changed.rows(slice(2)), changed.data[:2])
    for copied in (copy.copy(frames), copy.deepcopy(frames)):
        assert type(copied) is Frames
        assert np.array_equal(copied.data, plain.data)
        assert np.array_equal(copied.seconds, plain.seconds)
    with pytest.raises(AttributeError):
        _ = frames.nothing


def test_frames_that_nobody_waits_for_end_their_thread(long):
    for end in (lambda frames: frames.close(), lambda frames: None):
        frames = sample_frames(long, num_frames=200, savings=OVERLAP)
        end(frames)
        del frames
        gc.collect()
        assert not decoding()


def test_a_strategy_that_fails_or_is_interrupted_leaves_no_thread(tiny, long):
    held = []  # as a traceback holds them, which a debugger or a notebook keeps
    for error, told in ((RuntimeError, dyto.StrategyError), (KeyboardInterrupt, KeyboardInterrupt)):

        def failing(frames, encode, question=None, error=error):
            held.append(frames)
            frames.rows(slice(1))
            raise error("stop")

        with pytest.raises(told):
            dyto.VideoQA(tiny, failing, savings=OVERLAP).encode(long)
        assert not decoding()


def broken_later(path):
    """A whole file whose second half decodes otherwise than its index says: packets there are cut short."""

    def edit(packets):
        keep = len(packets) * 2 // 3
        return [p if number < keep else (p[0][: max(8, len(p[0]) // 3)], *p[1:]) for number, p in enumerate(packets)]

    source = write_video(path.with_name("whole.mp4"), 120, noise=60, options={"bf": "0"})
    return remux(source, path, edit)


@pytest.mark.parametrize("partial", [False, True])
def test_a_file_that_breaks_later_ends_as_without_the_saving(tiny, tmp_path, partial):
    video = broken_later(tmp_path / "broken.mp4")
    sides = []
    for savings in (OVERLAP, QUICK):
        try:
            tokens = dyto.VideoQA(tiny, savings=savings).encode(video, num_frames=60, allow_partial=partial)
            sides.append((tokens.data.tolist(), tokens.warnings, tokens.keyframes.indices.tolist()))
        except VideoError as err:
            assert not isinstance(err, FramesChanged)
            sides.append(str(err))
    assert sides[0] == sides[1]
    assert partial or "is broken" in sides[0]


def test_a_strategy_that_looks_at_the_first_frames_alone_still_hears_of_the_break(tiny, tmp_path):
    video = broken_later(tmp_path / "broken.mp4")

    def first(frames, encode, question=None):
        two = Frames(frames.rows(slice(2)), frames.indices[:2], frames.seconds[:2], frames.source_size)
        return dyto.DyTo().compress(encode(two))

    with pytest.raises(VideoError, match="is broken"):
        dyto.VideoQA(tiny, first, savings=OVERLAP).encode(video, num_frames=60)


@pytest.mark.parametrize("name", ["cut.mp4", "empty.mp4", "missing.mp4", "text.mp4"])
def test_what_cannot_be_read_is_told_alike(tiny, tmp_path, name):
    path = tmp_path / name
    if name == "cut.mp4":
        write_video(path, 60, noise=60, container_options={"movflags": "faststart"}, options={"bf": "0"})
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif name != "missing.mp4":
        path.write_bytes(b"" if name == "empty.mp4" else b"no video")
    told = []
    for savings in (Savings(still=True, overlap=True), OFF):
        with pytest.raises(VideoError) as caught:
            dyto.VideoQA(tiny, savings=savings).encode(path)
        told.append(str(caught.value))
    assert told[0] == told[1]


def test_a_reader_of_rows_that_never_come_is_told():
    def read(buffer):
        buffer.put(0, np.zeros((4, 4, 3), np.uint8))
        raise OSError("the disk is gone")

    arrival = Arrival(np.arange(3), TargetSize(), "film.mp4", read)
    arrival.first()
    assert arrival.take(slice(0, 1)).shape == (1, 4, 4, 3)
    with pytest.raises(FramesChanged, match="the disk is gone"):
        arrival.take(slice(0, 2))
    arrival.close()


# --- frames that are alike ---------------------------------------------------------------------------------


def film(pixels):
    return Frames(pixels, np.arange(len(pixels)), np.arange(len(pixels)) / 10, source_size=pixels.shape[1:3])


def test_repeated_frames_are_encoded_once_and_give_the_same_tokens(tiny, monkeypatch):
    pixels = np.random.default_rng(0).integers(0, 255, (6, 84, 84, 3), dtype=np.uint8).repeat(5, 0)
    seen = []
    states = type(tiny).tower_states
    monkeypatch.setattr(type(tiny), "tower_states", lambda self, x: seen.append(len(x)) or states(self, x))
    for name in STRATEGIES[:3]:
        data = []
        for similar in (None, 0):
            seen.clear()
            qa = dyto.VideoQA(tiny, chosen(name), savings=Savings(similar=similar))
            data.append(qa.encode(film(pixels), question="what is shown ?"))
        assert torch.allclose(data[0].data, data[1].data, rtol=0, atol=2e-5), name
        assert np.array_equal(data[0].keyframes.indices, data[1].keyframes.indices)
        assert data[0].uncompressed == data[1].uncompressed
        if name == "dyto":
            assert sum(seen) == 6


@pytest.mark.parametrize(
    ("similar", "fps", "encoded"), [(None, "auto", 4), (False, "auto", 120), (None, 1, 120), (0, 1, 4)]
)
def test_at_the_rate_auto_the_tower_is_paid_for_frames_that_differ(tiny, monkeypatch, similar, fps, encoded):
    pixels = np.random.default_rng(0).integers(0, 255, (4, 84, 84, 3), dtype=np.uint8).repeat(30, 0)  # two minutes
    seen = []
    states = type(tiny).tower_states
    monkeypatch.setattr(type(tiny), "tower_states", lambda self, x: seen.append(len(x)) or states(self, x))
    for name in ("plus", "query"):
        seen.clear()
        qa = dyto.VideoQA(tiny, name, savings=Savings(similar=similar))
        answers = qa.ask_many(pixels, ["what is shown ?", "is there a ring ?"], max_new_tokens=2, fps=fps)
        assert sum(seen) == encoded, name
        assert answers[0].uncompressed_tokens == 120 * 36
        assert qa.savings == Savings(similar=similar)


def test_an_evaluation_records_what_the_rate_auto_turns_on():
    auto = Settings("synthetic", sampling={"num_frames": None, "fps": "auto"})
    assert auto.savings.changing == {"similar": 1.0}
    assert Settings("synthetic", savings=Savings(quick_resize=False)).savings.changing == {"quick_resize": False}
    assert Settings("synthetic", sampling={"fps": "auto"}, savings=Savings(similar=False)).savings.changing == {}
    assert Settings("synthetic").savings == Savings()


def test_slow_change_adds_up():
    pixels = np.arange(100, 160, dtype=np.uint8)[:, None, None, None].repeat(40, 1).repeat(40, 2).repeat(3, 3)
    kept, stands = alike(film(pixels), 4)
    assert kept.tolist() == list(range(0, 60, 5))
    assert np.abs(pixels[kept[stands], 0, 0, 0].astype(int) - pixels[:, 0, 0, 0]).max() <= 4


def test_a_small_thing_that_moves_is_another_picture():
    pixels = np.full((20, 84, 84, 3), 90, np.uint8)
    for number, picture in enumerate(pixels):
        picture[40:43, 3 * number + 2 : 3 * number + 5] = (250, 40, 40)
    assert len(alike(film(pixels), 8)[0]) == 20


def test_color_alone_is_a_change():
    pixels = np.zeros((2, 84, 84, 3), np.uint8)
    pixels[0, 20:26, 20:26], pixels[1, 20:26, 20:26] = (120, 0, 0), (0, 61, 0)  # alike in gray
    assert len(alike(film(pixels), 8)[0]) == 2


# --- still stretches ---------------------------------------------------------------------------------------


def write_scene(path, paint, count=200, gop=50, preset="veryfast"):
    """A static page of 480 x 640 at 25 frames a second, painted on by `paint(picture, number)`."""
    rng = np.random.default_rng(4)
    page = np.full((480, 640, 3), 220, np.uint8)
    for _ in range(25):
        y, x = rng.integers(0, 440), rng.integers(0, 560)
        page[y : y + rng.integers(4, 40), x : x + rng.integers(10, 80)] = rng.integers(0, 255, 3)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": preset, "threads": "1"})
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 640, 480, "yuv420p", gop
        for number in range(count):
            picture = page.copy()
            paint(picture, number)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return path


def read_both(path, **options):
    both = [sample_frames(path, savings=replace(OFF, still=still), **options) for still in (False, True)]
    assert np.array_equal(both[0].indices, both[1].indices)
    assert np.array_equal(both[0].seconds, both[1].seconds)
    assert both[0].source_size == both[1].source_size
    return both[0].data, both[1].data


def apart(plain, still):
    """How far frames are apart: (T,) on the average of their pixels, (T,) at most."""
    both = [np.maximum(a, b) - np.minimum(a, b) for a, b in zip(plain, still, strict=True)]
    return np.array([one.mean() for one in both]), np.array([one.max() for one in both])


@pytest.mark.sampled(2)
@pytest.mark.parametrize("preset", ["ultrafast", "medium"])
def test_a_still_page_is_decoded_at_its_intra_frames(tmp_path, preset):
    path = write_scene(tmp_path / "page.mp4", lambda picture, number: None, preset=preset)
    mean, _ = apart(*read_both(path, num_frames=200))
    assert mean.mean() < 1
    assert mean.max() < 2
    index = Index.scan(path)
    spared = sum(group.rows.stop - group.rows.start for group in quiet_groups(index, np.arange(200)))
    assert spared >= 90  # in three groups of the four: what follows the last is not known


def test_groups_in_which_nothing_happens_are_one_stretch(tmp_path, monkeypatch):
    path = write_scene(tmp_path / "page.mp4", lambda picture, number: None, count=240, gop=20)
    decoded = []
    put = FrameBuffer.put
    monkeypatch.setattr(
        FrameBuffer, "put", lambda buffer, number, *rest: (decoded.append(number), put(buffer, number, *rest))
    )
    sample_frames(path, num_frames=240, savings=replace(OFF, still=True), size=(60, 80))
    assert len(set(decoded[:-240])) < 60  # the last group whole, and some of the intra frames


@pytest.mark.sampled(2)
@pytest.mark.parametrize("side", [8, 16])
def test_a_thing_that_is_there_from_one_intra_frame_to_another_is_not_lost(tmp_path, side):
    def paint(picture, number):
        if 80 <= number < 120:
            picture[240 : 240 + side, 300 : 300 + side] = (220, 0, 0)

    path = write_scene(tmp_path / "between.mp4", paint, gop=20)
    assert apart(*read_both(path, num_frames=200))[1].max() <= 60


@pytest.mark.parametrize(("preset", "side"), [("ultrafast", 10), ("veryfast", 6), ("veryfast", 24)])
def test_a_small_thing_that_moves_in_a_still_scene_is_not_lost(tmp_path, preset, side):
    def paint(picture, number):
        x = 40 + number
        picture[240 : 240 + side, x : x + side] = (220, 0, 0)

    both = read_both(write_scene(tmp_path / "moving.mp4", paint, preset=preset), num_frames=100)
    assert apart(*both)[1].max() <= 60  # noise of the coding, and no thing of another color


def test_a_thing_that_comes_and_goes_between_intra_frames_is_not_lost_unless_it_is_tiny(tmp_path):
    def paint(picture, number, side):
        if 70 <= number < 90:
            picture[240 : 240 + side, 300 : 300 + side] = (220, 0, 0)

    for side in (8, 16):
        path = write_scene(tmp_path / f"comes{side}.mp4", lambda picture, number, s=side: paint(picture, number, s))
        assert apart(*read_both(path, num_frames=200))[1].max() <= 60, side


def test_a_new_page_is_seen_from_its_first_frame_on(tmp_path):
    def paint(picture, number):
        if number >= 115:
            picture[100:300, 100:400] = (30, 60, 200)

    mean, _ = apart(*read_both(write_scene(tmp_path / "pages.mp4", paint), num_frames=200))
    assert mean.max() < 2


@pytest.mark.parametrize("name", ["noisy.mp4", "b.mkv", "vp9.webm", "one.mp4", "old.avi"])
def test_where_nothing_is_still_nothing_changes(tmp_path, name):
    codec = {"vp9.webm": "libvpx-vp9", "old.avi": "mpeg4"}.get(name, "libx264")
    path = write_video(tmp_path / name, 1 if name == "one.mp4" else 60, codec=codec, noise=40)
    plain, still = read_both(path, num_frames=30)
    assert np.array_equal(plain, still)
    assert numbers_in(still) == numbers_in(plain)


def test_a_card_that_is_not_there_is_done_without(tiny, clip):
    frames = sample_frames(clip, savings=Savings(hardware=True))
    assert np.abs(frames.data.astype(int) - sample_frames(clip).data).max() <= 3


# --- long videos -------------------------------------------------------------------------------------------

PEAK = """
import resource, sys, dyto
qa = dyto.VideoQA.from_pretrained("tiny", device="cpu")
qa.ask(sys.argv[1], "what is shown ?", max_new_tokens=2)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.soak
def test_memory_hardly_grows_with_the_length_of_a_video(tmp_path):
    bench = Path(__file__).resolve().parents[1] / "tools" / "bench" / "scripts"
    peaks = []
    for minutes in (10, 60):
        video = tmp_path / f"{minutes}.mp4"
        make = f"from hour import write_hour; write_hour({str(video)!r}, {minutes})"
        subprocess.run([sys.executable, "-c", make], cwd=bench, check=True)
        found = subprocess.run([sys.executable, "-c", PEAK, str(video)], check=True, capture_output=True, text=True)
        peaks.append(int(found.stdout))
    assert peaks[1] - peaks[0] < 24, peaks  # MB; the packets of fifty more minutes are 3 MB here and more in FFmpeg
