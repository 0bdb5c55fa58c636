"""Subtitles of any making: the cues that were written are the cues that are read."""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dyto.evaluation.subtitles import spoken_at, with_subtitles
from dyto.subtitles.parsing import Subtitle, parse_srt
from dyto.subtitles.reading import read_lines

QUICK = settings(max_examples=150, derandomize=True, deadline=None, database=None)

WORDS = st.sampled_from(
    [
        "the",
        "red",
        "ball",
        "3",
        "<",
        "5",
        "and",
        "7",
        ">",
        "2",
        "Tom",
        "&",
        "Ann",
        "42",
        "100%",
        "--",
        "->",
        "...",
        "we're",
        "Straße",
        "你好",
        "a<b",
        "{x}",
        "[music]",
        "i>0",
        "<3",
        "&",
        "1:30",
    ]
)
SENTENCES = st.lists(WORDS, min_size=1, max_size=5).map(" ".join)
SPEECH = st.lists(SENTENCES, min_size=1, max_size=3).filter(
    lambda lines: not lines[0].isdigit() and not lines[-1].isdigit()
)


def stamp(ms: int, comma: str, hours: bool) -> str:
    minutes, rest = divmod(ms, 60_000)
    clock = f"{minutes:02}" if not hours else f"{minutes // 60:02}:{minutes % 60:02}"
    return f"{clock}:{rest // 1000:02}{comma}{rest % 1000:03}"


MARKUP = [
    lambda text: text,
    lambda text: f"<i>{text}</i>",
    lambda text: f'<font color="white" size=".72c">{text}</font>',
    lambda text: r"{\an8}" + text,
    lambda text: f"<c.colorE5E5E5>{text}</c>",
    lambda text: f"<v Roger Bingham>{text}",
    lambda text: f"<00:00:01.000>{text}",
    lambda text: f"<b><u>{text}</u></b>",
]
STYLE = st.fixed_dictionaries(
    {
        "end": st.sampled_from(["\n", "\r\n", "\r", "\r\r\n"]),
        "gap": st.integers(0, 3),
        "numbers": st.booleans(),
        "comma": st.sampled_from([",", "."]),
        "hours": st.booleans(),
        "settings": st.sampled_from(["", " align:start position:0%", " X1:100 X2:200 Y1:1 Y2:2"]),
        "escape": st.booleans(),
        "start": st.sampled_from(["", "\ufeff", "\n\n"]),
    }
)


@QUICK
@given(st.lists(st.tuples(SPEECH, st.integers(0, 7)), min_size=1, max_size=6), STYLE)
def test_the_cues_that_were_written_are_read(cues, style):
    written, expected = [], []
    for number, (speech, markup) in enumerate(cues):
        first, last = number * 2_345 + 1_007, number * 2_345 + 2_500
        times = f"{stamp(first, style['comma'], style['hours'])} --> {stamp(last, style['comma'], style['hours'])}"
        escaped = [s.replace("&", "&amp;").replace("<", "&lt;") if style["escape"] else s for s in speech]
        lines = [str(number + 1)] if style["numbers"] else []
        lines += [times + style["settings"], *MARKUP[markup]("\n".join(escaped)).split("\n")]
        written += lines + [""] * style["gap"]
        expected.append(Subtitle(pytest.approx(first / 1000), pytest.approx(last / 1000), " ".join(speech)))
    assert parse_srt(style["start"] + style["end"].join(written)) == expected


@QUICK
@given(st.text(alphabet="0123456789:,.-> <i/b>{\\}&;\r\n\u2028aWEBVT", max_size=200))
def test_any_text_at_all_is_read(text):
    for cue in parse_srt(text):
        assert cue.text
        assert cue.start <= cue.end


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "cp1252", "latin-1"])
def test_any_usual_encoding_is_read(tmp_path, encoding):
    path = tmp_path / "film.srt"
    path.write_bytes("1\r\n00:00:01,000 --> 00:00:02,000\r\nschön ist Málaga\r\n".encode(encoding))
    assert read_lines(path) == [Subtitle(1, 2, "schön ist Málaga")]


def test_web_subtitles_are_read_without_notes_styles_and_names():
    text = (
        "WEBVTT - some title\nKind: captions\n\nSTYLE\n::cue { color: red }\n\nNOTE a remark\nof two lines\n\n"
        "intro\n00:01.000 --> 00:02.500 line:0 align:start\n<v Ann>Good <b>day</b> &amp; more\n- yes\n\nNOTE 00:09\n\n"
        "2\n01:00:03.000 --> 01:00:04.000\n<00:00:03.200><c>to</c><c.x> you</c>\n"
    )
    assert parse_srt(text) == [Subtitle(1, 2.5, "Good day & more - yes"), Subtitle(3603, 3604, "to you")]


@pytest.mark.parametrize(
    ("text", "spoken"),
    [
        ("1\n00:00:01,000 --> 00:00:02,000\n7\n\n2\n00:00:03,000 --> 00:00:04,000\n8\n", ["7", "8"]),  # numbers as words
        ("1\n00:00:01,000 --> 00:00:02,000\n7\n2\n00:00:03,000 --> 00:00:04,000\n8", ["7", "8"]),
        ("00:00:01,000 --> 00:00:02,000\n7\n00:00:03,000 --> 00:00:04,000\n8", ["7", "8"]),
        ("1\n00:00:01,000 --> 00:00:02,000\n\n2\n00:00:03,000 --> 00:00:04,000\nb", ["b"]),  # no words
        ("1\n00:00:05,000 --> 00:00:02,000\na\n\n2\n00:00:03,000 --> 00:00:04,000\nb", ["b"]),  # ends before it begins
        ("1\n00:00:01,000 --> 00:00:02,000\n\na\n\nc\n\n2\n00:00:03,000 --> 00:00:04,000\nb", ["a c", "b"]),
        ("1\n00:00:01,000 --> 00:00:02,000\na\n\n2\nno --> times\nx\n\n3\n00:00:03,000 --> 00:00:04,000\nb", ["a", "b"]),
        ("1\n00:00:01,000 --> 00:00:09,000\na\n\n2\n00:00:03,000 --> 00:00:04,000\nb", ["a", "b"]),  # both at a time
        ("1\n0:0:1,5-->0:0:2\nx &lt;i&gt; y<br/>z", ["x <i> y z"]),
    ],
)  # fmt: skip
def test_odd_cues(text, spoken):
    assert [cue.text for cue in parse_srt(text)] == spoken


def test_a_hostile_file_is_read_in_no_time(tmp_path):
    path, start = tmp_path / "film.srt", time.perf_counter()
    for text in ("1:" * 300_000, "<" * 600_000, "&" * 600_000, "{\\" * 300_000, "9" * 600_000, "<v " + "a" * 600_000):
        path.write_text("00:00:01,000 --> 00:00:02,000\n" + text)
        read_lines(path)
    with path.open("wb") as file:
        file.truncate(1 << 31)
    assert "no readable cues" in with_subtitles("q?", path, [1.0])[1]
    assert time.perf_counter() - start < 5


def test_the_cases(shared):
    media = shared / "cases" / "media"
    for name in ("tight.srt", "cr.srt"):
        lines = read_lines(media / name)
        assert [spoken_at(lines, [second]) for second in (1.5, 3.0, 5.5)] == [
            ["the red ball falls"],
            [],
            ["the dog runs"],
        ]
    assert [line.text for line in read_lines(media / "lessthan.srt")] == [
        "so 3 < 5 and 7 > 2 here",
        "hello",
        "Tom & Ann",
    ]
