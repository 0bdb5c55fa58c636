"""Transcripts by a real `faster-whisper`, with weights that know two words; run by `make test-speech`."""

import json
import os
import subprocess
import sys
from fractions import Fraction

import av
import numpy as np
import pytest

import dyto
from dyto.errors import ModelError, VideoError
from dyto.subtitles import speech
from dyto.subtitles.finding import find_subtitles

from forge import forge_model, save_stock
from forge_speech import RATE, VOICES, make_whisper, voice
from video_files import write_video

pytestmark = pytest.mark.soak
pytest.importorskip("faster_whisper", reason="make test-speech installs it")


def film(path, word):
    """A video of ten seconds in which a voice is heard from second 3 to 7."""
    silence = np.zeros(3 * RATE, np.float32)
    heard = np.concatenate([silence, voice(VOICES[word]), silence])
    write_video(mute := path.with_name("mute.mp4"), count=100)
    with av.open(str(mute)) as pictures, av.open(str(path), "w") as out:
        shown = out.add_stream_from_template(pictures.streams.video[0])
        sound = out.add_stream("aac", rate=RATE, layout="mono")
        for packet in pictures.demux(video=0):
            if packet.dts is not None:
                packet.stream = shown
                out.mux(packet)
        frame = av.AudioFrame.from_ndarray(heard[None], format="fltp", layout="mono")
        frame.sample_rate, frame.time_base, frame.pts = RATE, Fraction(1, RATE), 0
        out.mux([*sound.encode(frame), *sound.encode(None)])
    mute.unlink()
    return path


@pytest.fixture(scope="module")
def whisper(tmp_path_factory):
    """A folder with the model, as CTranslate2 takes it."""
    from ctranslate2.converters import TransformersConverter

    folder = tmp_path_factory.mktemp("whisper")
    make_whisper(folder / "stock")
    files = ["tokenizer.json", "preprocessor_config.json"]
    return TransformersConverter(str(folder / "stock"), copy_files=files).convert(str(folder / "two-words"))


def ask(folder, *words):
    """What `dyto ask --json` prints, and what it says on standard error."""
    environment = {**os.environ, "HF_HUB_OFFLINE": "1", "HF_HOME": str(folder / "hub"), "XDG_CACHE_HOME": str(folder)}
    command = [sys.executable, "-m", "dyto", "ask", *map(str, words), "--max-new-tokens", "2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    return done.returncode, json.loads(done.stdout) if done.stdout else None, done.stderr


@pytest.mark.parametrize("word", VOICES)
def test_a_video_is_written_down_read_and_kept_beside_it(whisper, tmp_path, word):
    path = film(tmp_path / "film.mp4", word)
    model = save_stock(forge_model(prompt="vicuna"), tmp_path / "model")
    words = (path, "who speaks ?", "--model", model, "--speech", whisper)
    code, told, said = ask(tmp_path, *words)
    assert code == 0, said
    assert told["subtitles"]["source"] == "the transcript of film.mp4 by two-words"
    kept = find_subtitles(path)
    assert kept.source == "film.whisper-two-words.srt"
    (line,) = kept.lines
    assert line.text == word
    assert line.start == pytest.approx(3, abs=0.6)
    assert line.end == pytest.approx(7, abs=0.6)
    tokens = dyto.VideoQA.from_pretrained(str(model)).encode(path, subtitles="auto")
    assert tokens.subtitles.lines == kept.lines

    os.rename(whisper, f"{whisper}-away")  # it is read again, and not heard again
    try:
        (tmp_path / "two-words").mkdir()
        again = ask(tmp_path, *words[:-1], tmp_path / "two-words")
        assert again[1]["subtitles"] == told["subtitles"]
    finally:
        os.rename(f"{whisper}-away", whisper)


def test_a_folder_that_cannot_be_written_sends_the_transcript_to_the_cache(whisper, tmp_path, monkeypatch):
    path = film(tmp_path / "film.mp4", "high")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "film.whisper-two-words.srt").mkdir()  # even root cannot write a file there
    assert [line.text for line in speech.transcribe(path, whisper).lines] == ["high"]
    assert len(list((tmp_path / "cache").rglob("*.srt"))) == 1


def test_silence_and_a_folder_without_a_model_are_errors_in_words(whisper, tmp_path):
    path = write_video(tmp_path / "hum.mp4", sound_seconds=2)
    with pytest.raises(VideoError, match="hears no words"):
        speech.transcribe(path, whisper)
    assert not list(tmp_path.glob("*.srt"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="give a folder for CTranslate2"):
        speech.transcribe(path, str(tmp_path / "empty"))


def test_a_download_is_told_before_it_begins(tmp_path):
    path = film(tmp_path / "film.mp4", "low")
    code, told, said = ask(tmp_path, path, "what ?", "--model", save_stock(forge_model(), tmp_path / "model"), "--speech",
                           "small")  # fmt: skip
    assert (code, told) == (1, None)
    assert said.index("downloading the model small of speech, about 484 MB") < said.index("check the network")
