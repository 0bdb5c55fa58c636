"""Several decoders at the same time give what one gives: the same frames, and the same error."""

from __future__ import annotations

import threading
import time
from dataclasses import replace

import av
import numpy as np
import pytest

from dyto.errors import VideoError
from dyto.savings import Savings
from dyto.video import decode as _decode
from dyto.video import sample_frames
from dyto.video import stretches as _stretches
from dyto.video.arrival import Arrival

from video_files import numbers_in, write_video

ALONE = Savings(parallel=False)
QUICK = {"deadline": "realtime", "cpu-used": "8"}


@pytest.fixture
def video(tmp_path):
    """200 frames in 20 groups."""
    return write_video(tmp_path / "groups.mp4", 200, gop=10, options={"bf": "0", "sc_threshold": "0"})


@pytest.fixture(autouse=True)
def four(monkeypatch):
    """Four decoders, however many cores there are."""
    monkeypatch.setattr(_stretches, "decoders_for", lambda stretches, area: (min(4, stretches), 1))


def helpers():
    return [thread for thread in threading.enumerate() if thread.name == "dyto-stretches"]


def slowed(monkeypatch, seconds, of=lambda first: True):
    """Decoding waits before each frame of a stretch, told by its first packet; gives the names of the threads."""
    decoded, names = _stretches.decoded_stretch, set()

    def slow(stream, packets, index, first, last, wanted):
        names.add(threading.current_thread().name)
        for frame in decoded(stream, packets, index, first, last, wanted):
            time.sleep(seconds if of(first) else 0)
            yield frame

    monkeypatch.setattr(_stretches, "decoded_stretch", slow)
    return names


def test_the_stretches_are_shared_out(video, monkeypatch):
    names = slowed(monkeypatch, 0.005)
    assert numbers_in(sample_frames(video, num_frames=20).data) == sample_frames(video, num_frames=20).indices.tolist()
    assert names == {"MainThread", "dyto-stretches"}
    names.clear()
    sample_frames(video, num_frames=20, savings=ALONE)
    assert names == {"MainThread"}
    assert not helpers()


def of_two_sizes(path):
    """A video whose pictures become larger in the middle, which VP8 allows at any key frame."""
    parts = [
        write_video(path.with_name(f"{height}.webm"), 40, codec="libvpx", gop=5, options=QUICK, size=(height, width))
        for height, width in ((64, 80), (96, 120))
    ]
    with av.open(str(path), "w") as copy:
        shift, stream = 0, None
        for part in parts:
            with av.open(str(part)) as source:
                stream = stream or copy.add_stream_from_template(source.streams.video[0])
                packets = [packet for packet in source.demux(video=0) if packet.size]
                for packet in packets:
                    packet.stream, packet.pts = stream, packet.pts + shift
                    packet.dts = packet.pts
                    copy.mux(packet)
                shift += 4000
    return path


@pytest.mark.parametrize("overlap", [False, True])
def test_pictures_of_two_sizes_are_met_in_order(tmp_path, monkeypatch, overlap):
    path = of_two_sizes(tmp_path / "two.webm")
    slowed(monkeypatch, 0.01, of=lambda first: first == 0)  # whoever decodes the larger ones is there first
    savings = Savings(overlap=overlap)
    both = [
        sample_frames(path, size=(64, 80), savings=chosen) for chosen in (savings, replace(savings, parallel=False))
    ]
    np.testing.assert_array_equal(both[0].data, both[1].data)
    assert both[0].source_size == both[1].source_size == (64, 80)
    said = set()
    for chosen in [Savings()] * 5 + [ALONE]:
        with pytest.raises(VideoError, match="frame 40 is 96x120, expected 64x80") as caught:
            sample_frames(path, savings=chosen)
        said.add(str(caught.value))
    assert len(said) == 1


@pytest.mark.parametrize(("opening", "through"), [({1, 2, 3}, False), ({1, 2, 3, 4}, True)])
def test_a_decoder_that_does_not_open_is_no_loss(video, monkeypatch, caplog, opening, through):
    plain, opened, calls = sample_frames(video, savings=ALONE), _stretches.opened, []

    def failing(path, hardware, limits, strict):
        calls.append(path)
        if len(calls) in opening:
            raise av.FFmpegError(24, "too many open files")
        return opened(path, hardware, limits, strict)

    monkeypatch.setattr(_stretches, "opened", failing)
    with caplog.at_level("INFO", "dyto"):
        np.testing.assert_array_equal(sample_frames(video).data, plain.data)
    assert ("decoding every frame" in caplog.text) == through
    assert not helpers()


def test_nothing_goes_on_after_an_interrupt(video, monkeypatch):
    slowed(monkeypatch, 0.05)
    put = _decode.FrameBuffer.put

    def interrupted(buffer, position, picture, *rest):
        if threading.current_thread() is threading.main_thread() and position:
            raise KeyboardInterrupt
        put(buffer, position, picture, *rest)

    monkeypatch.setattr(_decode.FrameBuffer, "put", interrupted)
    with pytest.raises(KeyboardInterrupt):
        sample_frames(video, num_frames=200)
    assert not helpers()


def test_frames_that_nobody_waits_for_are_not_decoded(video, monkeypatch):
    slowed(monkeypatch, 0.05)
    index = _decode.Index.scan(video)
    arrival = Arrival(np.arange(200), _decode.TargetSize(), "groups.mp4", lambda buffer: _read(video, index, buffer))
    arrival.first()
    assert helpers()
    start = time.perf_counter()
    arrival.close()
    assert time.perf_counter() - start < 1  # 200 frames would take 2.5
    assert not helpers()


def _read(path, index, buffer):
    _stretches.read_stretches(path, index, Savings(), buffer)


def test_a_first_stretch_without_frames_keeps_nobody_waiting(video, monkeypatch):
    decoded = _stretches.decoded_stretch

    def without_the_first(stream, packets, index, first, last, wanted):
        return iter(()) if first == 0 else decoded(stream, packets, index, first, last, wanted)

    monkeypatch.setattr(_stretches, "decoded_stretch", without_the_first)
    plain = sample_frames(video, savings=ALONE)
    assert numbers_in(plain.data) == plain.indices.tolist()  # decoded from beginning to end
    np.testing.assert_array_equal(sample_frames(video).data, plain.data)


def test_adjoining_groups_are_stretches_of_their_own(video):
    stretches = _decode.Index.scan(video).stretches(range(200))
    assert [(first, last) for first, last, _ in stretches] == [(first, first + 9) for first in range(0, 200, 10)]


@pytest.mark.parametrize(
    ("cores", "stretches", "area", "expected"),
    [
        (1, 100, 1280 * 720, (1, 0)),
        (2, 100, 1280 * 720, (2, 1)),
        (16, 100, 1280 * 720, (8, 2)),
        (16, 3, 1280 * 720, (3, 5)),
        (16, 1, 1280 * 720, (1, 0)),
        (16, 100, 3840 * 2160, (3, 5)),
        (16, 100, 16384 * 16384, (1, 0)),
    ],
)
def test_decoders_are_limited_by_cores_work_and_memory(monkeypatch, cores, stretches, area, expected):
    monkeypatch.undo()
    monkeypatch.setattr(_stretches, "cores", lambda: cores)
    assert _stretches.decoders_for(stretches, area) == expected


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"x264-params": "open-gop=1:bframes=8:b-pyramid=normal:keyint=20"}),
        ("libx265", {"x265-params": "log-level=none:open-gop=1:keyint=12:pools=none:frame-threads=1"}),
    ],
)
def test_open_groups_are_not_read_through(tmp_path, monkeypatch, codec, options):
    video = write_video(tmp_path / "open.mkv", 60, codec=codec, options=options, noise=20)
    whole = sample_frames(video, num_frames=60)
    monkeypatch.delattr(_decode, "read_through")
    for count in (1, 2, 5, 9):
        frames = sample_frames(video, num_frames=count)
        assert np.array_equal(frames.data, whole.data[frames.indices])
