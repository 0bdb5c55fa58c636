"""A file is opened as what it may be: nothing that names other files, addresses or devices, whatever it is called."""

from __future__ import annotations

import ast
import os
import resource
import time
from pathlib import Path

import pytest

import dyto
from dyto.errors import VideoError
from dyto.video import sample_frames

from video_files import write_video

LISTS = {
    "hls": "#EXTM3U\n#EXT-X-TARGETDURATION:3\n#EXTINF:3,\n{0}\n#EXT-X-ENDLIST\n",
    "hls of lists": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{self}\n",
    "concat": "ffconcat version 1.0\nfile {0}\nfile {self}\n",
    "concat by itself": "ffconcat version 1.0\nfile {self}\n",
    "dash": '<?xml version="1.0"?>\n<MPD type="static" mediaPresentationDuration="PT3S"><Period><AdaptationSet '
    'contentType="video"><Representation id="1" bandwidth="1"><BaseURL>{0}</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n",
    "pls": "[playlist]\nFile1={0}\n",
    "address": "http://127.0.0.1:9/{0}",
    "smooth": '<SmoothStreamingMedia MajorVersion="2"></SmoothStreamingMedia>',
    "captions": '{{"captions":[{{"duration":1000,"content":"x","startOfParagraph":true,"startTime":0}}]}}',
    "subtitles": "WEBVTT\n\n00:00.000 --> 00:01.000\nhello\n",
    "lavfi": "testsrc=size=64x48:duration=3",
}


def refused(path, **options) -> str:
    start, begun, memory = time.perf_counter(), time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(VideoError) as caught:
        sample_frames(path, **options)
    assert time.process_time() - begun < 1
    assert time.perf_counter() - start < 30, "it waited for another file"
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory < 50_000
    assert "expected" in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("kind", LISTS)
@pytest.mark.parametrize("ending", [".m3u8", ".mp4", ".mpd", ".ffconcat", ".txt", ".sdp", ".mkv", ""])
def test_what_names_other_files_is_refused_before_they_are_opened(tmp_path, kind, ending):
    other = write_video(tmp_path / "v.mp4", 3)
    trap = tmp_path / "trap.ts"
    os.mkfifo(trap)  # whoever opens it waits for ever
    for named in (
        other.name,
        str(other),
        trap.name,
        f"file:{other}",
        f"concat:{other}|{other}",
        f"subfile,,start,0,,:{other}",
    ):
        path = tmp_path / f"list{ending}"
        path.write_text(LISTS[kind].format(named, self=path.name))
        refused(path)
        refused(path, allow_partial=True)


@pytest.mark.parametrize(
    "text",
    [
        "concat:{0}|{0}", "subfile,,start,0,end,99,,:{0}", "file:{0}", "data:video/mp4;base64,AAAA", "pipe:0", "-",
        "crypto:{0}", "cache:{0}", "async:{0}", "fd:0", "lavfi:testsrc", "http://127.0.0.1:9/v.mp4", "rtsp://127.0.0.1:9/v",
        "tcp://127.0.0.1:9", "ftp://127.0.0.1/v.mp4", "HTTPS://127.0.0.1:9/v", "/dev/zero", "/dev/video0", "%03d.png",
        "*.png", "frame%d.jpg", "v4l2:/dev/video0",
    ],
)  # fmt: skip
def test_a_text_is_a_path_and_nothing_else(tmp_path, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    refused(text.format(write_video(tmp_path / "v.mp4", 3)))


def test_an_address_says_how_to_fetch_it():
    for address in ("https://example.com/clip.mp4", Path("https://example.com/clip.mp4"), "s3://bucket/clip.mp4"):
        assert "download it first" in refused(address)


def test_odd_names_are_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    video = write_video(tmp_path / "v.mp4", 3).read_bytes()
    for name in (
        "concat:v.mp4|v.mp4",
        "%03d.mp4",
        "a b,c.mp4",
        "-i.mp4",
        "http:x.mp4",
        "*.mp4",
        "v.mp4?x=1",
        "[v].mp4",
    ):
        Path(name).write_bytes(video)
        assert sample_frames(name).total == 3


@pytest.mark.parametrize(
    "make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), lambda path: path.symlink_to("x")]
)
def test_what_is_no_file_is_an_error_at_once(tmp_path, make):
    make(tmp_path / "odd.mp4")
    refused(tmp_path / "odd.mp4")


def test_containers_are_opened_in_one_place():
    calls = []
    for path in Path(dyto.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "av.open":
                writes = len(node.args) > 1 and ast.unparse(node.args[1]) == "'w'"
                calls.append((path.name, writes))
    assert {name for name, writes in calls if not writes} == {"container.py"}


def test_the_cases(shared):
    for name in ("self.m3u8", "ffconcat-itself.mp4"):
        assert "names other files" in refused(shared / "cases" / "media" / name)
