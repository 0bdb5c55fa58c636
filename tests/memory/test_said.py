"""What is said in a video is kept in its memory, and read if one asks for it."""

import copy

import pytest
import torch

import dyto
from dyto.cli.app import run
from dyto.errors import BadMemoryError
from dyto.memory import said
from dyto.subtitles.finding import Subtitles
from dyto.subtitles.parsing import Subtitle

SAYS = Subtitles((Subtitle(0.5, 1.0, "red star"), Subtitle(4.0, 5.0, "blue ring")), "film.srt", True)


@pytest.fixture
def reader(tiny):
    """The bundled model, as one that reads any words."""
    model = copy.copy(tiny)
    model.knows = None
    return dyto.VideoQA(model, prompt="image_seq_v3")


def test_an_answer_from_a_memory_reads_what_the_answer_from_the_video_reads(reader, film, tmp_path):
    path = reader.remember(film, subtitles=SAYS).save(tmp_path / "film.dyto")
    options = {"max_new_tokens": 3}
    expected = reader.ask(film, "what is it ?", subtitles=SAYS, **options)
    for memory in (path, dyto.Memory.open(path)):
        answer = reader.ask(memory, "what is it ?", subtitles="auto", **options)
        assert (answer.text, answer.to_dict()["subtitles"]) == (expected.text, expected.to_dict()["subtitles"])
        assert reader.ask(memory, "what is it ?", **options).to_dict()["subtitles"] is None
    assert dyto.Memory.open(path, segments=3).said == dyto.Memory.open(path).said == SAYS
    other = reader.ask(path, "what is it ?", subtitles=Subtitles(SAYS.lines[:1], "other.srt"), **options)
    assert other.to_dict()["subtitles"]["source"] == "other.srt"
    assert reader.encode(path, subtitles="auto") is reader.encode(path, subtitles="auto"), "kept for more questions"


def test_a_model_that_reads_no_words_goes_without(qa, film):
    answer = qa.ask(qa.remember(film, subtitles=SAYS), "what is shown ?", subtitles="auto", max_new_tokens=3)
    assert answer.text == qa.ask(film, "what is shown ?", max_new_tokens=3).text


def test_the_command_keeps_the_subtitles_beside_a_video(clip, tmp_path, capsys):
    video, path = tmp_path / "clip.mp4", tmp_path / "clip.dyto"
    video.write_bytes(clip.read_bytes())
    (tmp_path / "clip.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nred star\n")
    words = ["remember", str(video), "--model", "tiny", "--num-frames", "4", "--out", str(path)]
    assert run(words, debug=False) == 0
    assert [line.text for line in dyto.Memory.open(path).said.lines] == ["red star"]
    assert run([*words, "--subtitles", "none"], debug=False) == 0
    assert dyto.Memory.open(path).said is None
    capsys.readouterr()


@pytest.mark.parametrize(
    "data",
    [torch.zeros(9, dtype=torch.uint8), torch.zeros(0, dtype=torch.uint8), torch.zeros(4), said.written(SAYS)[:9]],
)
def test_what_is_said_may_be_damaged(qa, film, tmp_path, monkeypatch, data):
    monkeypatch.setattr(said, "written", lambda _: data)
    path = qa.remember(film, subtitles=SAYS).save(tmp_path / "film.dyto")
    with pytest.raises(BadMemoryError, match="what is said"):
        dyto.Memory.open(path)
