"""A service over a long time: many requests about many videos, by clients of all kinds; and random requests."""

import base64
import logging
import os
import random
import re
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest

from dyto.synthetic.videos import write_video

from serving_client import KEYS, ask, start_process

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="looks into /proc"),
]

REQUESTS = int(os.environ.get("DYTO_SERVE_REQUESTS", "10000"))
VIDEOS = int(os.environ.get("DYTO_SERVE_VIDEOS", "500"))
KEEP_GB = 0.2
QUESTIONS = ["what is shown ?", "is there a star ?", "what color is the ring ?"]


def resident(pid):
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def counts(pid):
    return len(os.listdir(f"/proc/{pid}/fd")), len(os.listdir(f"/proc/{pid}/task"))


def inline(number, folder):
    """A small video like no other, as an address that holds it."""
    rng = np.random.default_rng(number)
    colors = rng.integers(0, 255, (4, 3))
    path = folder / f"{number}.mp4"
    write_video(path, (np.full((48, 48, 3), colors[step // 5], np.uint8) for step in range(20)), 10)
    address = "data:video/mp4;base64," + base64.b64encode(path.read_bytes()).decode()
    path.unlink()
    return address


def test_many_requests_about_many_videos_leave_nothing_behind(tmp_path):
    addresses = [inline(number, tmp_path) for number in range(VIDEOS)]
    with start_process(tmp_path, "--keep-gb", str(KEEP_GB)) as (process, running), running.client() as client:
        first = {(0, question): text(ask(client, addresses[0], question)) for question in QUESTIONS}
        time.sleep(1)
        begin, before = resident(process.pid), counts(process.pid)
        most = 0

        def one(number):
            nonlocal most
            rng = random.Random(number)
            place = rng.randrange(VIDEOS) if rng.random() < 0.5 else rng.randrange(10)
            question = rng.choice(QUESTIONS)
            if number % 200 == 0:
                most = max(most, resident(process.pid))
            if rng.random() < 0.05:  # leaves
                with running.client() as leaving, pytest.raises(httpx.TimeoutException):
                    leaving.timeout = 0.02
                    ask(leaving, addresses[place], question, max_tokens=50, temperature=2.0)
                    raise httpx.ReadTimeout("it was fast enough")
                return
            if rng.random() < 0.03:
                poison = "data:video/mp4;base64," + addresses[place][-400:]
                assert ask(client, poison, question).status_code == 400
                return
            response = ask(client, addresses[place], question)
            assert response.status_code == 200, response.text
            assert first.setdefault((place, question), text(response)) == text(response)

        with ThreadPoolExecutor(16) as pool:
            list(pool.map(one, range(REQUESTS)))
        time.sleep(11)  # AnyIO, which receives uploads, ends a thread at the first call after 10 s without work
        most = max(most, resident(process.pid))
        assert ask(client, addresses[0], QUESTIONS[0]).status_code == 200
        client.close()
        time.sleep(1)
        files, threads = counts(process.pid)
    told = f"{begin / 1e6:.0f} MB, {most / 1e6:.0f} at most; descriptors and threads {before}, then {(files, threads)}"
    logging.getLogger(__name__).warning("%d requests, %d videos: %s", REQUESTS, VIDEOS, told)
    assert most - begin <= KEEP_GB * 1.1e9 + 100e6
    assert files <= before[0] + 3 * 4  # the socket, the lifeline and the end of a reader of each of four children
    assert threads <= before[1] + 3 + 1  # three more readers, and a thread of the server


def text(response):
    return response.json()["choices"][0]["message"]["content"]


HOOKS = """
import schemathesis

CLIP = {clip!r}

@schemathesis.hook
def map_body(context, body):
    if not (isinstance(body, dict) and context.operation.path == "/v1/chat/completions"):
        return body
    fresh = {{**body, "model": "tiny"}}  # so that more than the name is looked at
    if len(repr(body)) % 2:
        part = {{"type": "video_url", "video_url": {{"url": CLIP}}}}
        fresh["messages"] = [{{"role": "user", "content": [part, {{"type": "text", "text": "what is shown ?"}}]}}]
    return fresh
"""

LEFT_OUT = "positive_data_acceptance,negative_data_rejection"
"""Checks: a description cannot say which videos can be read; and every value of a form is text, whatever it says."""


@pytest.mark.skipif(shutil.which("schemathesis") is None, reason="schemathesis is not installed")
def test_random_requests_by_the_description_get_what_it_says(tmp_path):
    (tmp_path / "hooks.py").write_text(HOOKS.format(clip=inline(0, tmp_path)))
    with start_process(tmp_path) as (process, running), running.client() as client:
        done = subprocess.run(
            ["schemathesis", "run", f"{running.address}openapi.json", "--header", f"Authorization: Bearer {KEYS[0]}",
             "--checks", "all", "--exclude-checks", LEFT_OUT,
             "--max-time", os.environ.get("DYTO_SERVE_SECONDS", "300")],
            cwd=tmp_path, env={**os.environ, "SCHEMATHESIS_HOOKS": "hooks"}, capture_output=True, text=True, timeout=1800,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout[-4000:]
        assert process.poll() is None
        counted = client.get("/metrics").text
    assert re.search(r'dyto_requests_total{route="/v1/chat/completions",status="200"} [1-9]', counted), counted
