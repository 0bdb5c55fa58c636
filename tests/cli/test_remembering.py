"""`dyto remember`, `dyto watch`, and `dyto ask` about a memory."""

import io
import json
import sys
import time

import pytest

import dyto
from dyto.cli.app import run
from dyto.cli.feeding import WAITING, Feeding
from dyto.video.live import Source


def command(capsys, *words):
    """Run a command in this process: exit code, stdout, stderr."""
    code = run([str(word) for word in words], debug=False)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def asked(capsys, video, *words):
    code, out, err = command(capsys, "ask", video, "what is there ?", "--json", "--max-new-tokens", 4, *words)
    assert code == 0, err
    told = json.loads(out)
    return {key: value for key, value in told.items() if key != "seconds"}


def test_a_remembered_video_gives_the_answer_of_the_video(capsys, clip, tmp_path):
    path = tmp_path / "clip.dyto"
    code, out, err = command(capsys, "remember", clip, "--out", path)
    assert code == 0, err
    assert out.startswith(f"{path}: 65 segments of 65 frames, ")
    for words in ((), ("--budget", 9), ("--strategy", "uniform", "--budget", 72), ("--start", 1, "--end", 2)):
        video, memory = asked(capsys, clip, *words), asked(capsys, path, *words)
        if "--start" not in words:
            assert memory == video
    assert {frame["second"] for frame in memory["keyframes"]} <= {one / 25 for one in range(25, 50)}


def test_the_key_frames_of_a_memory_as_a_picture(capsys, clip, tmp_path):
    path = tmp_path / "clip.dyto"
    command(capsys, "remember", clip, "--out", path, "--memory", 8, "--numbers", "int8", "--max-mb", 2)
    assert len(dyto.Memory.open(path)) == 8
    asked(capsys, path, "--save-keyframes", tmp_path / "frames.png")
    assert (tmp_path / "frames.png").stat().st_size > 1000
    code, out, _ = command(capsys, "ask", path, "what ?", "--dry-run")
    assert code == 0
    assert "nothing was asked" in out


def test_several_videos_go_into_a_folder_and_a_broken_one_does_not_stop_the_rest(capsys, clip, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(clip.read_bytes()[:-500])
    folder = tmp_path / "memories"
    code, out, err = command(capsys, "remember", broken, clip, "--out", folder, "--num-frames", 8)
    assert code == 1
    assert [path.name for path in folder.iterdir()] == [f"{clip.stem}.dyto"]
    assert "broken.mp4" in err
    assert "1 of 2 videos are not remembered" in err
    assert out.count("segments of") == 1


def test_two_videos_of_one_name_are_refused(capsys, clip, tmp_path):
    (tmp_path / "other").mkdir()
    copy = tmp_path / "other" / clip.name
    copy.write_bytes(clip.read_bytes())
    code, _, err = command(capsys, "remember", clip, copy, "--out", tmp_path / "memories")
    assert code == 2
    assert "expected different names" in err
    code, _, err = command(capsys, "remember", clip, tmp_path / "other", "--out", copy)
    assert code != 0


def test_a_memory_of_another_model_is_asked_with_that_model(capsys, clip, tmp_path, monkeypatch):
    """The memory names the model, where neither the command nor the environment does."""
    path = tmp_path / "clip.dyto"
    command(capsys, "remember", clip, "--out", path, "--num-frames", 4, "--model", "tiny", "--dtype", "bfloat16")
    monkeypatch.delenv("DYTO_MODEL")
    assert asked(capsys, path)["model"] == "tiny"
    code, _, err = command(capsys, "ask", path, "what ?", "--dtype", "float32")
    assert code == 1
    assert "was made in bfloat16, but model tiny is loaded in float32" in err


@pytest.mark.parametrize("cut", [0, 5, 200, -1])
def test_a_cut_memory_is_one_clear_line(capsys, clip, tmp_path, cut):
    path = tmp_path / "clip.dyto"
    command(capsys, "remember", clip, "--out", path, "--num-frames", 4)
    path.write_bytes(path.read_bytes()[:cut])
    code, out, err = command(capsys, "ask", path, "what ?")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
    assert "expected a whole memory" in err


def test_watching_a_file(capsys, clip, tmp_path):
    path = tmp_path / "stream.dyto"
    words = ("watch", clip, "--save", path, "--fps", 5, "--memory", 6, "--max-new-tokens", 4)
    code, out, err = command(capsys, *words, "--ask", "what is there ?", "--ask", "is there a star ?", "--json")
    assert code == 0, err
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["question"] for line in lines] == ["what is there ?", "is there a star ?"]
    assert lines[0]["second"] == pytest.approx(6.4)
    assert "65 frames came, 33 were looked at, 32 were passed over" in err
    assert f"{path} holds 6 segments" in err
    assert asked(capsys, path)["answer"] == lines[0]["answer"]
    code, _, err = command(capsys, *words)
    assert code == 1
    assert "is there already" in err


def test_questions_come_on_standard_input_at_any_time(capsys, clip, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("what is there ?\n\nis there a star ?\n"))
    code, out, err = command(capsys, "watch", clip, "--ask", "-", "--ask", "last ?", "--max-new-tokens", 2)
    assert code == 0, err
    assert len(out.splitlines()) == 3
    assert all("s  " in line for line in out.splitlines())
    code, _, err = command(capsys, "watch", "-", "--ask", "-")
    assert code == 2
    assert "expected standard input once" in err


class Pipe:
    """Standard input that is a pipe: it cannot be rewound."""

    def __init__(self, data):
        self._data = io.BytesIO(data)
        self.buffer = self

    def read(self, size=-1):
        return self._data.read(size)


def test_a_video_comes_on_standard_input(capsys, stream_bytes, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Pipe(stream_bytes))
    code, out, err = command(capsys, "watch", "-", "--fps", 2, "--ask", "what is there ?", "--max-new-tokens", 2)
    assert code == 0, err
    assert "20 frames came" in err
    assert out.startswith("1.5s  ")


@pytest.fixture
def stream_bytes():
    """Two seconds of noise as Matroska, as ffmpeg writes it to a pipe."""
    import av
    import numpy as np

    data = io.BytesIO()
    with av.open(data, "w", format="matroska") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width = stream.height = 64
        for seed in range(20):
            picture = np.random.default_rng(seed // 7).integers(0, 255, (64, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return data.getvalue()


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("missing.mp4", "missing.mp4 does not exist"),
        ("camera:77", "camera:77 cannot be opened"),
        ("https://example.org/a.m3u8", "is an address"),
    ],
)
def test_a_source_that_is_none_is_one_clear_line(capsys, source, said):
    code, out, err = command(capsys, "watch", source, "--ask", "what ?")
    assert (code, out) == (1, "")
    assert said in err


def test_bytes_that_are_no_video(capsys, monkeypatch):
    monkeypatch.setattr(sys, "stdin", Pipe(b"no video at all\n" * 100))
    code, _, err = command(capsys, "watch", "-")
    assert code == 1
    assert "standard input cannot be opened" in err


class Slow:
    """A watch that needs a while for each frame."""

    latest = float("-inf")

    def __init__(self):
        self.fed, self.dropped = [], 0

    def feed(self, pixels, seconds):
        time.sleep(0.02)
        self.fed.append(seconds)

    def drop(self, count=1):
        self.dropped += count


class Fast(list):
    """Frames that come all at once."""

    broken = 0

    def __init__(self, source):
        super().__init__(((None if number % 4 == 3 else number), float(number)) for number in range(40))
        self.source = source


def test_a_camera_does_not_wait_for_the_model_and_a_file_does():
    for live in (True, False):
        watch = Slow()
        feeding = Feeding(watch, Fast(Source("a source", live="camera" if live else None)))
        feeding.start()
        feeding.wait()
        feeding.stop()
        assert len(watch.fed) + watch.dropped == 40
        assert watch.fed == sorted(watch.fed)
        assert (len(watch.fed) <= WAITING + 2) if live else (watch.dropped == 10)
