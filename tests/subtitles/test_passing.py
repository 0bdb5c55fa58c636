"""Subtitles that a child process reads: the same as without it, and a hostile file costs its own request only."""

import os
import sys
from pathlib import Path

import pytest

from dyto.errors import ConfigError, VideoError
from dyto.subtitles import passing
from dyto.subtitles.finding import find_subtitles, identity_of
from dyto.video import allowance, channel, guarded
from dyto.video.limits import Limits

from subtitle_files import SRT, with_track

pytestmark = pytest.mark.skipif(not channel.AVAILABLE, reason="needs shared memory with seals, as Linux has it")


@pytest.fixture
def unread(monkeypatch):
    """Nothing is read in this process."""
    for name in ("read_lines", "tracks_of", "read_track"):
        monkeypatch.setattr(f"dyto.subtitles.finding.{name}", lambda *args: pytest.fail("read here"))


def test_what_is_found_is_that_of_reading_without_it(tmp_path):
    video = with_track(tmp_path / "film.mkv")
    (tmp_path / "other.srt").write_text(SRT)
    for which in ("auto", "none", "track:1", tmp_path / "other.srt"):
        assert find_subtitles(video, which, guarded=True) == find_subtitles(video, which)
    (tmp_path / "film.de.srt").write_text(SRT)
    (tmp_path / "film.en.srt").write_text("nothing")
    assert find_subtitles(video, guarded=True) == find_subtitles(video)
    assert find_subtitles(None, tmp_path / "other.srt", guarded=True).source == "other.srt"


def test_nothing_is_read_in_this_process(tmp_path, unread):
    video = with_track(tmp_path / "film.mkv")
    assert len(find_subtitles(video, guarded=True)) == 2


@pytest.mark.parametrize(
    ("which", "error", "message"),
    [
        ("track:9", VideoError, r"film\.mkv has 1 track of subtitles, found the number 9"),
        ("EMPTY", VideoError, r"empty\.srt has no line with times"),
        ("nowhere.srt", ConfigError, "a file that exists"),
    ],
)
def test_errors_are_the_same(tmp_path, which, error, message):
    video = with_track(tmp_path / "film.mkv")
    (tmp_path / "empty.srt").write_text("hello")
    for guard in (False, True):
        with pytest.raises(error, match=message):
            find_subtitles(video, tmp_path / "empty.srt" if which == "EMPTY" else which, guarded=guard)


def test_more_lines_than_a_message_holds_come_in_pieces(tmp_path):
    text = "".join(f"00:{n // 60:02}:{n % 60:02},000 --> 00:{n // 60:02}:{n % 60:02},900\n{n} {'漢' * 400}\n\n" for n in
                   range(3000))  # fmt: skip
    (tmp_path / "long.srt").write_text(text, encoding="utf-8")
    found = find_subtitles(None, tmp_path / "long.srt", guarded=True)
    assert found == find_subtitles(None, tmp_path / "long.srt")
    assert len(found) == 3000
    told = passing.pieces("", video=None, which=str(tmp_path / "long.srt"), limits=Limits())
    assert [len(piece.get("lines", ())) for piece in told] == [0, passing.LINES, 3000 - passing.LINES]


@pytest.mark.parametrize(
    "told",
    [
        [{}],
        [{"source": "a", "optional": True, "notes": 3}],
        [{"source": "a", "optional": True, "notes": []}, {"lines": [[1, 2]]}],
        [{"source": "a", "optional": True, "notes": []}, {"lines": [[1, "x", "y"]]}],
        [{"source": "a", "optional": True, "notes": []}, {"words": []}],
    ],
    ids=range(5),
)
def test_nonsense_of_a_child_is_an_error(tmp_path, monkeypatch, told):
    (tmp_path / "a.srt").write_text(SRT)
    monkeypatch.setattr(passing, "told_guarded", lambda *args, **options: told)
    with pytest.raises(VideoError, match="cannot be understood"):
        find_subtitles(None, tmp_path / "a.srt", guarded=True)


def test_what_a_child_tells_is_cleaned_once_more():
    said = passing.joined([{"source": "a", "optional": 1, "notes": []}, {"lines": [[1, 2, "a\x1b[31m"], [5, 4, "b"]]}])
    assert [line.text for line in said.lines] == ["a [31m"]
    assert said.optional is False


@pytest.fixture
def children(monkeypatch):
    """Children that find the functions below, of which none is warm yet."""
    monkeypatch.setattr(guarded, "_pool", guarded._Pool())
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(Path(__file__).parent), *filter(None, sys.path)]))
    yield
    guarded.end_readers()


@pytest.mark.parametrize(
    ("function", "message"),
    [("hostile:crash", "broke the process"), ("hostile:hang", "takes more than"), ("hostile:endless", "broke the process"),
     ("hostile:fail", "a.srt cannot be read: KeyError")],
)  # fmt: skip
def test_a_file_that_breaks_its_reader_costs_one_request(tmp_path, monkeypatch, children, function, message):
    (tmp_path / "a.srt").write_text(SRT)
    monkeypatch.setattr(allowance, "FIRST_SECONDS", 0.5)
    with pytest.raises(VideoError, match=message):
        guarded.told_guarded(str(tmp_path / "a.srt"), function, Limits())
    monkeypatch.setattr(allowance, "FIRST_SECONDS", 10.0)
    assert len(find_subtitles(None, tmp_path / "a.srt", guarded=True)) == 2


def test_other_files_beside_a_video_are_other_subtitles(tmp_path):
    video = with_track(tmp_path / "film.mkv")
    before = identity_of(video, "auto")
    assert before == identity_of(video, "auto") != identity_of(video, None) == identity_of(video, "none")
    (tmp_path / "film.srt").write_text(SRT)
    beside = identity_of(video, "auto")
    assert beside != before
    (tmp_path / "film.srt").write_text(SRT + SRT)
    assert identity_of(video, "auto") != beside
    assert identity_of(video, tmp_path / "film.srt") != identity_of(video, "track:1")
    with pytest.raises(ConfigError, match="a file that exists"):
        identity_of(video, "nowhere.srt")
