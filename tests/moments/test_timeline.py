"""Segments of a video with their times and lines, and the forms in which they are written."""

import dataclasses
import json
import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import dyto
from dyto.cli.app import run
from dyto.errors import ConfigError
from dyto.eye import PixelEye, can_see
from dyto.models.eyes import seen_by
from dyto.moments.describing import LONGEST
from dyto.moments.writing import FORMS, timeline_webvtt
from dyto.strategies import scenes as runs
from dyto.subtitles.parsing import parse_srt
from dyto.synthetic.videos import sample_video

from video_files import write_video

LENGTHS = (9, 14, 7, 20, 4, 11)
STARTS = np.cumsum([0, *LENGTHS]).tolist()
STILL = np.repeat(np.random.default_rng(1).integers(0, 255, (6, 8, 12, 3), dtype=np.uint8), LENGTHS, axis=0)
"""A film of six pictures, (65, 8, 12, 3)."""
HOSTILE = "</bdi><script>alert(1)</script> & --> \x1b[31m\u202e\udcff\n00:00 --> 00:09"


@pytest.fixture(scope="module")
def found(tiny):
    return dyto.find_timeline(dyto.VideoQA(seen_by(tiny, PixelEye())), STILL, source_fps=10)


def test_the_segments_are_the_scenes_and_follow_each_other(found):
    assert [segment.start for segment in found.segments] == pytest.approx([start / 10 for start in STARTS[:-1]])
    assert [segment.end for segment in found.segments] == [*(s.start for s in found.segments[1:]), 6.5]
    assert [segment.first for segment in found.segments] == STARTS[:-1]
    assert found.segments[0].gain is None
    assert all(segment.gain > 0 for segment in found.segments[1:])


def test_every_key_frame_lies_in_its_segment(found, tiny):
    asked = dyto.VideoQA(seen_by(tiny, PixelEye())).encode(STILL, source_fps=10).keyframes
    assert found.keyframes.indices.tolist() == asked.indices.tolist()
    assert sorted(place for segment in found.segments for place in segment.keyframes) == list(range(len(asked)))
    for place, second in enumerate(found.keyframes.seconds):
        segment = found.segments[found.segment_of(place)]
        assert segment.start <= second < segment.end


@pytest.mark.parametrize("count", [1, 2, 5, 6, 30, 65])
def test_any_number_of_segments_can_be_asked_for(by_pixels, count):
    timeline = dyto.find_timeline(by_pixels, STILL, segments=count, source_fps=10)
    assert len(timeline.segments) == count
    assert timeline.segments[0].start == 0
    assert timeline.segments[-1].end == pytest.approx(6.5)
    assert all(segment.start < segment.end for segment in timeline.segments)


def test_levels_of_detail_are_nested(tiny):
    summary = tiny.encode(dyto.sample_frames(STILL)).summary
    x = runs.directions(summary)
    bounds = [set(runs.runs_of(x, 0.0, count).bounds.tolist()) for count in range(1, len(x) + 1)]
    assert all(coarse < fine for coarse, fine in zip(bounds, bounds[1:], strict=False))


def test_a_least_gain_leaves_boundaries_of_at_least_that(by_pixels):
    counts = []
    for least in (0.05, 0.4, 4.0):
        timeline = dyto.find_timeline(by_pixels, STILL, least_gain=least, source_fps=10)
        counts.append(len(timeline.segments))
        assert all(s.gain >= least for s in timeline.segments[1:] if s.last > s.first)
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"segments": 0}, "at least 1"),
        ({"segments": 66}, "65 frames were sampled"),
        ({"segments": 2, "least_gain": 0.1}, "leave one out"),
        ({"least_gain": -1}, "0 to 4"),
        ({"least_gain": float("nan")}, "0 to 4"),
    ],
)
def test_impossible_levels_of_detail_are_errors(by_pixels, options, message):
    with pytest.raises(ConfigError, match=message):
        dyto.find_timeline(by_pixels, STILL, **options)


def test_a_part_of_a_file_begins_and_ends_where_it_was_asked_to(by_pixels, clip):
    timeline = dyto.find_timeline(by_pixels, clip, start=1.0, end=4.0)
    assert (timeline.segments[0].start, timeline.segments[-1].end) == (1.0, 4.0)
    whole = dyto.find_timeline(by_pixels, clip)
    assert (whole.segments[0].start, whole.segments[-1].end) == (0.0, pytest.approx(6.5))
    beyond = dyto.find_timeline(by_pixels, clip, start=5.0, end=99.0)
    assert beyond.segments[-1].end == pytest.approx(6.5)


def test_real_pixels_are_compared_by_an_eye_where_the_model_knows_only_drawings(qa):
    noise = np.random.default_rng(0).integers(0, 255, (8, 64, 96, 3), dtype=np.uint8)
    timeline = dyto.find_timeline(qa, noise)
    assert any("compared by the eye" in warning for warning in timeline.warnings)


# --- lines ------------------------------------------------------------------------------------------------


def test_tiny_says_nothing_outside_of_its_world(qa, by_pixels):
    noise = np.random.default_rng(0).integers(0, 255, (8, 64, 96, 3), dtype=np.uint8)
    timeline = dyto.describe_timeline(qa, dyto.find_timeline(by_pixels, noise, segments=2))
    assert [segment.text for segment in timeline.segments] == ["", ""]
    assert "model tiny has nothing true to say of these segments, so they have no lines" in timeline.warnings


def test_tiny_names_a_background_only_where_it_does_not_change(qa, tmp_path):
    sample_video(tmp_path / "s.mp4")
    fine = dyto.describe_timeline(qa, dyto.find_timeline(qa, tmp_path / "s.mp4", num_frames=40))
    assert sum(segment.text.startswith("background: ") for segment in fine.segments) >= len(fine.segments) // 2
    coarse = dyto.describe_timeline(qa, dyto.find_timeline(qa, tmp_path / "s.mp4", num_frames=40, segments=1))
    assert [segment.text for segment in coarse.segments] == [""]


@pytest.mark.skipif(not can_see(), reason="the extra see is not installed")
def test_nouns_names_what_it_recognises():
    folder = Path(__file__).parents[1] / "photographs"
    pictures = [np.asarray(Image.open(folder / name).convert("RGB").resize((224, 224))) for name in
                ("giant_panda.jpg", "macaw.jpg")]  # fmt: skip
    film = np.repeat(np.stack(pictures), 6, axis=0)
    qa = dyto.VideoQA.from_pretrained("nouns")
    timeline = dyto.describe_timeline(qa, dyto.find_timeline(qa, film))
    assert [segment.text for segment in timeline.segments] == ["giant panda", "macaw"]


def test_another_model_is_asked_about_each_segment(found, monkeypatch):
    asked, seen = [], []
    told = iter(["A red\n ball.", "  ", "x" * 999, *"abc"])
    tokens = SimpleNamespace(meaningful=True)

    class Pipeline:
        model = SimpleNamespace(account=lambda *_: {}, knows=None, notices=("drawn by lot",))

        def question_for_strategy(self, question):
            return None

        def encode(self, frames, question=None):
            seen.append((float(frames.seconds[0]), len(frames)))
            return tokens

        def ask(self, video, question, max_new_tokens):
            asked.append(question)
            return SimpleNamespace(text=next(told))

    timeline = dyto.describe_timeline(Pipeline(), found, ask="What is this?")
    assert asked == ["What is this?"] * 6
    assert [count for _, count in seen] == list(LENGTHS)
    assert [segment.text for segment in timeline.segments[:2]] == ["A red ball.", ""]
    assert len(timeline.segments[2].text) == LONGEST
    assert timeline.warnings == (*found.warnings, "drawn by lot")


# --- forms ------------------------------------------------------------------------------------------------


def hostile(timeline):
    segments = [dataclasses.replace(segment, text=HOSTILE) for segment in timeline.segments]
    return dataclasses.replace(timeline, segments=tuple(segments), source="/a/<b>&.mp4", warnings=(HOSTILE,))


def test_chapters_can_be_read_and_hold_no_markup(found):
    text = timeline_webvtt(hostile(found))
    assert text.startswith("WEBVTT\n\n")
    cues = parse_srt(text)
    assert [(cue.start, cue.end) for cue in cues] == [
        (pytest.approx(segment.start), pytest.approx(segment.end)) for segment in found.segments
    ]
    assert text.count("-->") == len(found.segments)  # what a line says is no line of times
    assert "<" not in text
    assert "\x1b" not in text


def test_every_form_takes_hostile_lines(found):
    for form, write in FORMS.items():
        text = write(hostile(found))
        assert text.encode("utf-8", "replace")
        assert "<script" not in text or form in ("text", "json")
        if form != "json":
            assert "\x1b" not in text


def test_the_page_holds_all_it_shows(found):
    page = FORMS["html"](found)
    assert page.count("<figure>") >= len(found.segments)
    assert not re.search(r"https?:|url\(|@import|<script|<link", page)
    assert page.count("<h3>") == len(found.segments)


def test_the_json_says_what_the_object_says(found):
    told = json.loads(FORMS["json"](found))
    assert told["format"] == 1
    assert [one["segment"] for one in told["segments"]] == [1, 2, 3, 4, 5, 6]
    frames = [frame for one in told["segments"] for frame in one["keyframes"]]
    assert [frame["index"] for frame in frames] == found.keyframes.indices.tolist()


# --- the command ------------------------------------------------------------------------------------------


def command(capsys, *words):
    code = run([str(word) for word in words], debug=False)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize(
    ("words", "start"),
    [([], "1  0.0 s"), (["--format", "json"], "{"), (["--format", "vtt"], "WEBVTT"), (["--no-lines"], "1  0.0 s")],
)
def test_the_command_prints_one_form(capsys, clip, words, start):
    code, out, _ = command(capsys, "timeline", clip, "--segments", 3, "--num-frames", 20, "--eye", "pixels", *words)
    assert code == 0
    assert out.lstrip().startswith(start)


@pytest.mark.parametrize("name", ["t.html", "t.vtt", "t.json", "t.txt"])
def test_the_ending_of_the_file_says_the_form(capsys, clip, tmp_path, name):
    target = tmp_path / name
    target.write_text("old")
    words = ("--num-frames", 12, "--eye", "pixels", "--no-lines", "--out", target)
    assert command(capsys, "timeline", clip, *words)[0] == 0
    begins = {"html": "<!doctype", "vtt": "WEBVTT", "json": "{", "txt": "1"}[name[2:]]
    assert target.read_text(encoding="utf-8").lstrip().startswith(begins)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["missing.mp4"], 1, "does not exist"),
        (["CLIP", "--format", "pdf"], 2, "unknown format"),
        (["CLIP", "--out", "a.pdf"], 2, "expected one of .txt"),
        (["CLIP", "--out", "nowhere/a.vtt"], 2, "a folder that exists"),
        (["CLIP", "--segments", "0"], 2, "at least 1"),
        (["CLIP", "--segments", "2", "--least-gain", "1"], 2, "leave one out"),
        (["CLIP", "--ask", " "], 2, "question is empty"),
    ],
)
def test_mistakes_are_one_line(capsys, clip, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    found, _, err = command(capsys, "timeline", *[clip if word == "CLIP" else word for word in words])
    assert found == code
    assert message in err.replace("\n", " ")


def test_where_nothing_is_asked_an_eye_needs_no_large_model(capsys, clip, monkeypatch, tmp_path):
    monkeypatch.setenv("DYTO_MODEL", "qwen3-vl-2b")  # which would have to be downloaded
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    few = ("--num-frames", 12, "--eye", "pixels")
    code, out, err = command(capsys, "timeline", clip, *few, "--no-lines")
    assert (code, err) == (0, "")
    assert out.lstrip().startswith("1  0.0 s")
    assert command(capsys, "frames", clip, *few, "--out", tmp_path / "frames")[0] == 0


def test_pixels_find_about_as_many_segments_as_an_eye_does(by_pixels, shared):
    """The bundled eye finds five; by the noise of pixels alone, 13 seconds would fall into 26."""
    timeline = dyto.find_timeline(by_pixels, shared / "videos" / "rlQ2kW-FvMk_66_79.mp4")
    assert len(timeline.segments) == 5


def test_a_boundary_is_the_first_frame_behind_it(by_pixels, tmp_path):
    """Where every frame is sampled, a cut is found to the frame."""
    path = write_video(tmp_path / "cuts.mp4", 30, shown=[0] * 11 + [4095] * 19)
    timeline = dyto.find_timeline(by_pixels, path, segments=2)
    assert timeline.segments[1].start == pytest.approx(1.1)
