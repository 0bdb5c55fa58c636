"""The command `dyto serve` as a process: how it starts, refuses to start, and ends."""

import contextlib
import json
import os
import signal
import threading
import time
from pathlib import Path

import httpx
import pytest

from dyto.cli.app import run
from dyto.errors import MissingExtraError
from dyto.serving import server

from serving_client import ask, chat, start_process

pytestmark = pytest.mark.skipif(os.name == "nt", reason="signals of POSIX")


@pytest.fixture
def started(tmp_path):
    with start_process(tmp_path) as found:
        yield found


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGTERM, 143), pytest.param(signal.SIGINT, 130, marks=pytest.mark.soak)]
)
def test_sigterm_answers_what_is_there_and_ctrl_c_ends_now(started, number, status, inline, tmp_path):
    process, running = started
    replies: list = []

    def stream():
        body = chat(inline, temperature=2.0, seed=1, max_tokens=400, stream=True)
        with (
            contextlib.suppress(httpx.HTTPError),  # after ctrl-c
            running.client() as client,
            client.stream("POST", "/v1/chat/completions", json=body) as response,
        ):
            for line in response.iter_lines():
                replies.append(line)

    with running.client() as client:
        assert ask(client, inline).status_code == 200  # the video is known from now on
        thread = threading.Thread(target=stream)
        thread.start()
        while not replies:
            time.sleep(0.01)
    begin = time.monotonic()
    process.send_signal(number)
    _, err = process.communicate(timeout=180)
    thread.join(60)
    assert process.returncode == status
    assert "Traceback" not in err
    if number == signal.SIGTERM:
        assert "data: [DONE]" in replies
    else:
        assert time.monotonic() - begin < 60
    assert not list(Path(tmp_path).glob("dyto-serve-*"))


def test_without_a_key_it_listens_to_this_machine_alone(capsys):
    assert run(["serve", "--model", "tiny", "--host", "0.0.0.0"], debug=False) == 2
    assert "--api-key-env" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--api-key-env", "NO_SUCH_VARIABLE"], "NO_SUCH_VARIABLE is not set"),
        (["--media-root", "no/such/folder"], "is no folder"),
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
