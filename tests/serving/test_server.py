"""The command `dyto serve` as a process: how it starts, refuses to start, and ends."""

import gc
import json
import os
import re
import signal
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from dyto.cli.app import run
from dyto.errors import MissingExtraError
from dyto.serving import server

from serving_client import ask, start, start_process

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


@pytest.fixture
def started(tmp_path):
    with start_process(tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    ("signals", "status"),
    [
        ([signal.SIGTERM], 143),
        pytest.param([signal.SIGTERM, signal.SIGTERM], 143, marks=pytest.mark.soak),
        pytest.param([signal.SIGINT], 130, marks=pytest.mark.soak),
    ],
)
def test_sigterm_answers_what_is_there_and_a_second_signal_or_ctrl_c_ends_now(
    started, signals, status, inline, tmp_path
):
    process, running = started

    def one(number):
        with running.client() as client:
            options = {"stream": number % 2 == 0, "temperature": 2.0, "max_tokens": 400}
            return ask(client, inline, dyto={"num_frames": 20 + number}, **options)  # all videos are new

    with running.client() as client, ThreadPoolExecutor(8) as pool:
        replies = [pool.submit(one, number) for number in range(8)]
        until = time.monotonic() + 60
        while open_requests(client) + sum(map(Future.done, replies)) < 8 and time.monotonic() < until:
            time.sleep(0.01)
        for number in signals:
            process.send_signal(number)
            time.sleep(0.2)
        _, err = process.communicate(timeout=60)
        ended = [reply.result() for reply in replies if reply.exception() is None]
    assert process.returncode == status
    assert "Traceback" not in err
    whole = [reply for reply in ended if reply.status_code == 200 and re.search(r'"finish_reason": ?"', reply.text)]
    if signals == [signal.SIGTERM]:
        assert len(whole) == 8
    else:
        stopped = [reply for reply in ended if "server_stopping" in reply.text]
        assert len(whole) + len(stopped) == len(ended)
        assert {reply.status_code for reply in stopped} <= {200, 503}  # a stream that has begun ends with the error
    assert not list(Path(tmp_path).glob("dyto-serve-*"))


def open_requests(client):
    """The number of questions that wait or are being answered."""
    found = re.findall(r"^dyto_(?:waiting|answering) (\S+)", client.get("/metrics").text, re.MULTILINE)
    return sum(map(float, found))


def test_without_a_key_it_listens_to_this_machine_alone(capsys):
    assert run(["serve", "--model", "tiny", "--host", "0.0.0.0"], debug=False) == 2
    assert "--api-key-env" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--api-key-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE is not set"),
        (["--media-root", "no/such/folder"], "is no folder"),
        (["--allow-host", "https://media.example.org"], "expected a name alone"),
        (["--strategy", "dyot"], "did you mean 'dyto'"),
        (["--public-url", "video.example"], "is not a public address"),
        (["--prompt", "tyni"], "did you mean 'tiny'"),
    ],
)
def test_wrong_options_end_the_command_with_one_line(capsys, words, told):
    assert run(["serve", "--model", "tiny", "--port", "0", *words], debug=False) in (1, 2)
    err = capsys.readouterr().err
    assert told in " ".join(err.split())


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    inner = server.import_module

    def missing(name):
        if name == "prometheus_client":
            raise ImportError(name)
        return inner(name)

    monkeypatch.setattr(server, "import_module", missing)
    with pytest.raises(MissingExtraError, match=r"needs prometheus_client.*\[serve\]"):
        server.check_extra()


def test_the_description_is_json_that_names_our_own_options(client):
    schema = json.dumps(client.get("/openapi.json").json())
    for name in ("token_budget", "media_io_kwargs", "video_url", "evidence"):
        assert name in schema


def test_the_collector_spares_what_the_start_has_made(tiny):
    running = start(tiny)
    until = time.monotonic() + 60
    while not gc.get_freeze_count() and time.monotonic() < until:
        time.sleep(0.01)
    assert gc.get_freeze_count()
    running.stop()
    assert not gc.get_freeze_count()
