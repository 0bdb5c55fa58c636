"""Models from a hub: a real server on loopback, real downloads."""

import json
import os
import re
import subprocess
import sys

import pytest

from dyto.models.loading.downloads import download_of, on_disk
from hub import serve_hub

from forge import forge_model, save_stock

WEIGHTS = "model.safetensors"


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_stock(forge_model(), tmp_path_factory.mktemp("checkpoint"))


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """Where a snapshot of somebody/small would lie."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    folder = tmp_path / "models--somebody--small" / "snapshots" / "c0ffee"
    folder.mkdir(parents=True)
    return folder


def test_a_model_is_on_the_disk_once_all_of_its_weights_are(cache, monkeypatch):
    assert download_of("somebody/small") == "somebody/small"
    index = {"weight_map": {"a": "model-1-of-2.safetensors", "b": "model-2-of-2.safetensors"}}
    (cache / "model.safetensors.index.json").write_text(json.dumps(index))
    (cache / "model-1-of-2.safetensors").touch()
    assert not on_disk("somebody/small")
    (cache / "model-2-of-2.safetensors").touch()
    assert on_disk("somebody/small")
    assert download_of("somebody/small") == ""
    (cache / "model.safetensors.index.json").write_text("{}")
    assert not on_disk("somebody/small")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    assert download_of("somebody/small") == ""


@pytest.mark.parametrize("name", ["tiny", "nouns", "endpoint:anything"])
def test_what_needs_no_download_says_nothing(name):
    assert download_of(name) == ""


def test_the_size_of_a_download_is_told_where_it_is_known(cache):
    assert download_of("smolvlm2-500m").startswith("HuggingFaceTB/SmolVLM2-500M-Video-Instruct, ")


def ask(clip, address, home, **more):
    """Ask in a process of its own, since the hub's address and cache are read when huggingface_hub is imported."""
    words = ["ask", str(clip), "what is there ?", "--model", "somebody/small", "--num-frames", "2", "--json"]
    env = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(home), "DO_NOT_TRACK": "1"}
    return subprocess.run(
        [sys.executable, "-m", "dyto", *words], capture_output=True, text=True, env=env | more, check=False
    )


@pytest.mark.soak
def test_a_download_that_breaks_off_is_told_and_goes_on_and_is_done_once(clip, checkpoint, tmp_path):
    with serve_hub({"somebody/small": checkpoint}, cut=WEIGHTS) as (address, _):
        broken = ask(clip, address, tmp_path)
    assert broken.returncode == 1
    assert re.fullmatch(
        r"downloading the model: somebody/small\n"
        r"dyto: model somebody/small cannot be downloaded \(.*\), expected all of its files: check the network .*\n",
        broken.stderr,
    )
    offline = ask(clip, address, tmp_path, HF_HUB_OFFLINE="1")
    assert (offline.returncode, offline.stderr.count("\n")) == (1, 1)
    assert "its weights are not on this disk, and the hub cannot be reached" in offline.stderr
    with serve_hub({"somebody/small": checkpoint}) as (address, asked):
        whole = ask(clip, address, tmp_path)
        assert whole.returncode == 0, whole.stderr
        assert "downloading the model: somebody/small\n" in whole.stderr
        assert f"GET /somebody/small/resolve/main/{WEIGHTS}" in asked
    again = ask(clip, address, tmp_path, HF_HUB_OFFLINE="1")
    assert again.returncode == 0, again.stderr
    assert "downloading" not in again.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="a terminal of POSIX")
@pytest.mark.soak
def test_a_terminal_shows_how_far_a_download_is(clip, checkpoint, tmp_path):
    import fcntl
    import pty
    import struct
    import termios

    parent, child = pty.openpty()
    fcntl.ioctl(child, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
    words = ["ask", str(clip), "what is there ?", "--model", "somebody/small", "--num-frames", "2"]
    with serve_hub({"somebody/small": checkpoint}) as (address, _):
        env = os.environ | {"HF_ENDPOINT": address, "HF_HOME": str(tmp_path), "DO_NOT_TRACK": "1", "TERM": "xterm"}
        process = subprocess.Popen(
            [sys.executable, "-m", "dyto", *words], stdin=child, stdout=subprocess.DEVNULL, stderr=child, env=env
        )
        os.close(child)
        seen = b""
        while True:
            try:
                piece = os.read(parent, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            seen += piece
    os.close(parent)
    assert process.wait(20) == 0
    assert re.search(rb"model\.safetensors: 100%.*15\.\dM/15\.\dM", seen), seen
