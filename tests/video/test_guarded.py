"""Reading where it can be stopped: the same frames as without, and a poison file costs its own request only."""

import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

import dyto
from dyto import VideoError, sample_frames
from dyto.video import allowance, channel, guarded


def wide(height, width):  # as families of native resolution decide it: by a function
    return height // 2, width // 4 + 2


pytestmark = pytest.mark.skipif(not channel.AVAILABLE, reason="needs shared memory with seals, as Linux has it")


@pytest.fixture
def poison(monkeypatch, clip, tmp_path):
    """Makes a file that is poison, for readers of which none is warm yet."""
    monkeypatch.setattr(guarded, "_pool", guarded._Pool())
    monkeypatch.setattr(guarded._Child, "reader", "poison_reader")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]))

    def make(name):
        return shutil.copy(clip, tmp_path / f"{name}.mp4")

    yield make
    guarded.end_readers()


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"size": 32},
        {"size": (24, 40), "num_frames": 7},
        {"size": wide},
        {"max_side": 20, "fps": 3, "start": 1, "end": 4},
        {"sampling": "iframes", "preview": 40},
    ],
)
def test_frames_are_those_of_reading_without_it(clip, options):
    plain, there = sample_frames(clip, **options), sample_frames(clip, guarded=True, **options)
    assert np.array_equal(plain.data, there.data)
    assert plain.preview is None or np.array_equal(plain.preview, there.preview)
    for name in ("indices", "seconds"):
        assert getattr(plain, name).tolist() == getattr(there, name).tolist()
    for name in ("source_size", "total", "source", "warnings"):
        assert getattr(plain, name) == getattr(there, name)


def test_a_folder_is_read_too(tmp_path, clip):
    from PIL import Image

    for number, picture in enumerate(sample_frames(clip, num_frames=3).data):
        Image.fromarray(picture).save(tmp_path / f"{number}.png")
    assert np.array_equal(sample_frames(tmp_path, guarded=True).data, sample_frames(tmp_path).data)


def test_errors_are_the_same(tmp_path, clip):
    (tmp_path / "noise.mp4").write_bytes(os.urandom(4096))
    for source, options in ((tmp_path / "noise.mp4", {}), (clip, {"start": 99})):
        with pytest.raises(VideoError) as plain:
            sample_frames(source, **options)
        with pytest.raises(VideoError) as there:
            sample_frames(source, guarded=True, **options)
        assert str(there.value) == str(plain.value)


def test_what_is_written_to_frames_stays_with_their_reader(clip):
    frames = sample_frames(clip, num_frames=2, guarded=True)
    before = sample_frames(clip, num_frames=2, guarded=True)
    frames.data[:] = 0
    assert np.array_equal(sample_frames(clip, num_frames=2, guarded=True).data, before.data)


def test_the_reader_loads_neither_torch_nor_transformers():
    code = "import sys, dyto.video.reader; print([m for m in ('torch', 'transformers', 'gradio') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


def test_a_relative_path_is_one_of_the_folder_at_that_time(clip, tmp_path, monkeypatch):
    sample_frames(clip, num_frames=1, guarded=True)
    monkeypatch.chdir(clip.parent)
    assert sample_frames(clip.name, num_frames=1, guarded=True).source == clip.name
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(VideoError, match="^here has 0 files and no image"):
        sample_frames("here", guarded=True)


def test_a_warm_reader_serves_the_next_video(clip):
    sample_frames(clip, num_frames=2, guarded=True)
    (child,) = guarded._pool._idle[-1:]
    sample_frames(clip, num_frames=2, guarded=True)
    assert guarded._pool._idle[-1] is child


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("hang", r"hang.mp4 takes more than 1 s to read, expected 1 s and 2 s for each minute"),
        ("hoard", r"hoard.mp4 (cannot be read: MemoryError|takes more than 0.9 GiB of memory)"),
        ("swell", r"swell.mp4 takes more than 0.4 GiB of memory to read"),
        ("crash", r"crash.mp4 broke the process that decodes it \(signal SIGSEGV\)"),
        ("leave", r"leave.mp4 broke the process that decodes it \(status 3\)"),
        ("babble", r"babble.mp4 broke the process that decodes it .it says what cannot"),
        ("lie", r"lie.mp4 broke the process that decodes it .it says what cannot"),
    ],
)
def test_poison_costs_its_own_request_only(poison, monkeypatch, name, said):
    monkeypatch.setattr(allowance, "FIRST_SECONDS", 1.0 if name == "hang" else 30.0)
    monkeypatch.setattr(guarded, "MEMORY", 900 << 20)
    if name == "swell":  # the address space may grow, what is held may not
        monkeypatch.setattr(
            allowance.Allowance,
            "__init__",
            lambda *words, real=allowance.Allowance.__init__: real(*words[:3], 400 << 20, *words[4:]),
        )
    before = time.monotonic()
    with pytest.raises(VideoError, match=said):
        sample_frames(poison(name), num_frames=2, guarded=True)
    assert time.monotonic() - before < 20
    assert len(sample_frames(poison("fine"), num_frames=2, guarded=True)) == 2


@pytest.mark.parametrize("name", ["stall", "forever", "chatter", "deaf"])
def test_a_reader_that_holds_the_line_is_stopped(poison, monkeypatch, name):
    monkeypatch.setattr(allowance, "FIRST_SECONDS", 2.0)
    file, before = poison(name), time.monotonic()
    with pytest.raises(VideoError, match=f"{name}.mp4 (takes more than [23] s|broke the process)"):
        sample_frames(file, num_frames=2, guarded=True, size=wide, limits={"hours": 0.01})
    assert time.monotonic() - before < 20


@pytest.mark.sampled(3)
@pytest.mark.parametrize("name", ["holes", *(f"nonsense{number}" for number in range(18))])
def test_a_reader_that_lies_is_not_believed(poison, name):
    before = time.monotonic()
    with pytest.raises(VideoError, match=f"{name}.mp4 broke the process that decodes it .it says what cannot"):
        sample_frames(poison(name), num_frames=2, guarded=True, size=wide)
    assert time.monotonic() - before < 20
    assert not guarded._children


@pytest.mark.parametrize("kind", ["MissingExtraError", "unknown", "difflib", "annotations", "SystemExit", "DytoError"])
def test_an_error_that_a_reader_tells_of_is_one_of_ours(kind):
    error = guarded._error_said({"error": kind, "message": "/a/b.mp4 is odd"}, "/a/b.mp4", "b.mp4")
    assert isinstance(error, dyto.DytoError)
    assert str(error) == "b.mp4 is odd"


def test_a_reader_is_gone_with_its_parent_even_while_it_hangs(poison, monkeypatch, tmp_path):
    program = (
        "from dyto import sample_frames; from dyto.video import channel, guarded; guarded._Child.reader = 'poison_reader'\n"
        f"import threading; threading.Thread(target=sample_frames, args=({str(poison('hang'))!r},), kwargs={{'guarded': True}}, daemon=True).start()\n"
        "import time\n"
        "while not guarded._children: time.sleep(0.01)\n"
        "print([c._process.pid for c in guarded._children][0], flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    time.sleep(0.5)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    parent.stdout.close()
    for _ in range(100):
        stat = Path(f"/proc/{child}/stat")
        if not stat.exists() or stat.read_text().rsplit(")", 1)[1].split()[0] == "Z":
            return
        time.sleep(0.05)
    pytest.fail("the reader is still there")


def test_several_read_at_the_same_time(clip):
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: sample_frames(clip, num_frames=5, size=16, guarded=True).data, range(3)))
    assert all(np.array_equal(found[0], other) for other in found)


def test_answers_are_the_same(qa, clip):
    assert qa.ask(clip, "what is there ?", guarded=True).text == qa.ask(clip, "what is there ?").text
    assert isinstance(dyto.sample_frames(clip, guarded=True), dyto.Frames)


def test_a_reader_that_several_threads_end_at_once_is_ended_once(monkeypatch):
    """A descriptor that is closed twice may by then be another thread's file."""
    child, close, closed = guarded._Child(guarded.MEMORY), os.close, []

    def slowly(file):
        closed.append(file)
        time.sleep(0.2)
        close(file)

    lifeline = child._lifeline
    monkeypatch.setattr(os, "close", slowly)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: child.end(), range(4)))
    assert closed.count(lifeline) == 1
    assert not child.alive
