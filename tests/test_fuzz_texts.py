"""Whatever texts hold that come from elsewhere: a result, none, or an error of ours, and that soon."""

from __future__ import annotations

import asyncio
import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import fuzzing
from dyto.benchmarks import BENCHMARKS
from dyto.choices import parse_choice
from dyto.cli.legacy_eval import config_settings, read_config
from dyto.errors import DytoError
from dyto.evaluation.journal import Journal
from dyto.evaluation.questions import read_questions
from dyto.evaluation.rows import rank
from dyto.evaluation.verdicts import parse_verdict
from dyto.strategies import build_strategy
from dyto.subtitles.reading import read_lines

SECONDS = 5
"""What any of it may take; all of them take milliseconds, but the machine may be busy."""

OFTEN = [pytest.param(100, id="a few"), pytest.param(5000, id="many", marks=pytest.mark.soak)]

ROWS = [{"video": f"v{n}.mp4", "question": "what ?", "candidates": ["a", "b"], "answer": "a"} for n in range(3)]
JSON = json.dumps(ROWS).encode()
CSV = b'video_name,question_id,question,answer\nv0.mp4,1,"what, then ?",red\nv1.mp4,2,which ?,"a ""b"""\n'
SRT = b"1\n00:00:01,000 --> 00:00:02,500\nHello <i>there</i>\n\n2\n00:00:03,000 --> 00:00:04,000\n- Yes.\n"
VTT = b"WEBVTT\n\nNOTE a\n\n00:01.000 --> 00:02.500 align:start\n<v Ann>Hello</v>\n"
LINES = b'{"key": "a", "pred": "red", "status": "ok"}\n{"key": "b", "pred": "x", "question": "what ?"}\n'
YAML = b"SCRIPT: [bash scripts/run_eval_generativebench.sh]\nMODEL_PATH: tiny\nNUM_FRAMES: 50\nTOKEN_BUDGET: 3680\n"
STRATEGY = b"uniform-pool:pool=3,num_frames=57"
PUBLISHED = b"slowfast-slow_10frms_spatial_1d_max_pool-fast_4x4"
VERDICT = b"Sure! ```json\n{'pred': 'yes', 'score': 4, 'reason': \"it's {so}\"}\n```"
REPLY = b"The best answer is (B), since A) the dog and not C."
FORM = (
    b'--xx\r\nContent-Disposition: form-data; name="files"; filename="a.mp4"\r\nContent-Type: video/mp4\r\n\r\n'
    b"0123456789\r\n--xx--\r\n"
)


def near(*samples: bytes) -> st.SearchStrategy[bytes]:
    """Good bytes, damaged; or any at all."""
    seeds = st.tuples(st.sampled_from(samples), st.integers(0, 2**32))
    return seeds.map(lambda pair: fuzzing.damaged(pair[0], random.Random(pair[1]))) | st.binary(max_size=200)


def written(*samples: bytes) -> st.SearchStrategy[str]:
    """The same as text, or a text of any characters, half of a pair among them."""
    text = st.text(st.characters(codec=None), max_size=80)
    return near(*samples).map(lambda data: data.decode("utf-8", "surrogateescape")) | text


def try_out(count: int, strategy: st.SearchStrategy[Any], use: Callable[[Any], object]) -> None:
    """Use examples, and see that nothing but errors of ours come of it, in time."""

    def one(example: Any) -> None:
        begun = time.process_time()
        try:
            use(example)
        except DytoError as err:
            assert str(err)
        assert time.process_time() - begun < SECONDS

    unhurried = settings(
        max_examples=count, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
    )
    unhurried(given(strategy)(one))()


def try_files(count: int, path: Path, use: Callable[[Path], object], *samples: bytes) -> None:
    """The same with a file: as it should be, which is no error, and damaged."""

    def written_and_used(data: bytes) -> None:
        path.write_bytes(data)
        use(path)

    for sample in samples:
        written_and_used(sample)
    try_out(count, near(*samples), written_and_used)


@pytest.mark.parametrize("count", OFTEN)
@pytest.mark.parametrize(
    ("name", "ending", "sample"),
    [("mvbench", "json", JSON), ("mvbench", "jsonl", JSON[1:-1].replace(b"}, ", b"}\n")), ("generic", "csv", CSV)],
    ids=["json", "jsonl", "csv"],
)
def test_question_files(tmp_path, count, name, ending, sample):
    def use(path: Path) -> None:
        assert read_questions(BENCHMARKS[name], path).samples

    try_files(count, tmp_path / f"questions.{ending}", use, sample)


@pytest.mark.parametrize("count", OFTEN)
def test_subtitles(tmp_path, count):
    def use(path: Path) -> None:
        for cue in read_lines(path):
            assert cue.start <= cue.end
            assert isinstance(cue.text, str)

    try_files(count, tmp_path / "a.srt", use, SRT, VTT, SRT.decode().encode("utf-16"))


@pytest.mark.parametrize("count", OFTEN)
def test_replies_of_judges(count):
    def use(reply: str) -> None:
        verdict = parse_verdict(reply, "match")
        assert verdict is None or verdict.score is None or 0 <= verdict.score <= 5

    assert parse_verdict(VERDICT.decode(), "match")
    try_out(count, written(VERDICT), use)


@pytest.mark.parametrize("count", OFTEN)
def test_answers(count):
    def use(drawn: tuple[str, list[str]]) -> None:
        assert parse_choice(*drawn) in (None, *range(len(drawn[1])))

    choices = st.just(["the dog", "the cat", "B"]) | st.lists(written(REPLY), min_size=1, max_size=6)
    try_out(count, st.tuples(written(REPLY), choices), use)


@pytest.mark.parametrize("count", OFTEN)
@pytest.mark.filterwarnings("ignore")
def test_journals(tmp_path, count, caplog):
    caplog.set_level("ERROR")

    def use(path: Path) -> None:
        for kept in (Journal(tmp_path), Journal(tmp_path, rank=rank)):
            kept.refresh()
            assert all(row["key"] == key for key, row in kept.rows().items())

    try_files(count, tmp_path / "a.jsonl", use, LINES)


@pytest.mark.parametrize("count", OFTEN)
def test_configs(tmp_path, count):
    def use(path: Path) -> None:
        for config in read_config(path):
            config_settings(config, "a", video_dir=Path("videos"))

    try_files(count, tmp_path / "a.yaml", use, YAML)


@pytest.mark.parametrize("count", OFTEN)
def test_options_of_strategies(count):
    try_out(count, written(STRATEGY, PUBLISHED), lambda text: build_strategy(text))


@pytest.mark.parametrize("count", OFTEN)
def test_uploads(tmp_path, count):
    pytest.importorskip("python_multipart")
    from dyto.demo.limits import DemoLimits
    from dyto.demo.receiving import receive_upload
    from dyto.demo.uploads import RefusedError, Uploads

    (tmp_path / "up").mkdir()
    uploads = Uploads(tmp_path / "up", DemoLimits())

    async def arriving(data: bytes, piece: int):
        for at in range(0, len(data), piece):
            yield data[at : at + piece]

    def use(drawn: tuple[bytes, int, str]) -> None:
        body, piece, kind = drawn
        headers = {"content-type": kind, "content-length": str(len(body))}
        try:
            clip = asyncio.run(receive_upload(headers, arriving(body, piece), uploads, DemoLimits(), "me"))
        except RefusedError as err:
            assert 400 <= err.status < 500
        else:
            uploads.remove(clip)
        left = [path for path in (tmp_path / "up").rglob("*") if path.is_file()]
        assert not left

    whole = "multipart/form-data; boundary=xx"
    use((FORM, 7, whole))
    kinds = st.just(whole) | near(whole.encode()).map(lambda data: data.decode("latin-1"))  # as headers are
    try_out(count, st.tuples(near(FORM), st.integers(1, 200), kinds), use)


@pytest.mark.soak
@pytest.mark.skipif(sys.platform != "linux", reason="atheris is made for Linux")
@pytest.mark.parametrize("kind", ["answers", "verdicts", "subtitles", "strategies", "published"])
def test_texts_that_look_for_branches_not_taken_yet(kind, tmp_path):
    here = Path(__file__).parent
    words = [sys.executable, here / "guided.py", kind, "20000", "1"]
    paths = os.pathsep.join([str(here.parent / "src"), os.environ.get("PYTHONPATH", "")])
    ended = subprocess.run(words, capture_output=True, text=True, cwd=tmp_path, env=os.environ | {"PYTHONPATH": paths})
    assert ended.returncode == 0, f"{ended.stdout[-2000:]}\n{ended.stderr[-4000:]}"
