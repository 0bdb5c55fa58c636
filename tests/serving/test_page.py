"""The page about the service: its clients run beside a service, its container's steps in a fresh environment."""

import json
import re
import shlex
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

from dyto.cli.app import run

from serving_client import start

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "serve.md").read_text("utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
CONTAINER = next(text for language, text in BLOCKS if language == "dockerfile")


@pytest.fixture(scope="module")
def local(tiny):
    """A service without keys, as the page starts it."""
    running = start(tiny, keys=None)
    yield running.address.rstrip("/")
    running.stop()


@pytest.fixture
def sample(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(["synth", "video", "--out", "sample.mp4"], debug=True) == 0


def block(language, mark):
    (text,) = [text for found, text in BLOCKS if found == language and mark in text]
    return text


@pytest.mark.parametrize("mark", ["openai", "dyto.Engine"])
def test_the_python_of_the_page_runs(local, sample, mark, capsys):
    exec(compile(block("python", mark).replace("http://127.0.0.1:8000", local), "page", "exec"), {})  # noqa: S102
    assert "yes" in capsys.readouterr().out


@pytest.mark.skipif(shutil.which("curl") is None or shutil.which("bash") is None, reason="needs bash and curl")
def test_the_curl_of_the_page_runs(local, sample, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    script = block("bash", "curl").replace("http://127.0.0.1:8000", local)
    done = subprocess.run(["bash", "-euc", script], capture_output=True, text=True, timeout=180)
    assert json.loads(done.stdout)["choices"][0]["message"]["content"] == "yes", done


def test_the_health_check_of_the_container_works(local):
    words = json.loads(re.search(r"HEALTHCHECK .*? CMD (\[.*\])", CONTAINER)[1])
    code = words[-1].replace("http://127.0.0.1:8000", local)
    assert subprocess.run([sys.executable, "-c", code], timeout=180).returncode == 0
    nowhere = words[-1].replace("127.0.0.1:8000", "127.0.0.1:9")
    assert subprocess.run([sys.executable, "-c", nowhere], timeout=180, capture_output=True).returncode != 0


@pytest.mark.soak
def test_the_command_of_the_container_is_one_of_ours_and_it_is_nobodys_root():
    words = json.loads(re.search(r"^CMD (\[.*\])", CONTAINER, re.MULTILINE)[1])
    assert words[:2] == ["dyto", "serve"]
    assert int(re.search(r"^USER (\d+)", CONTAINER, re.MULTILINE)[1]) > 0


@pytest.mark.soak
def test_the_steps_of_the_container_install_a_service(tmp_path):
    place = tmp_path / "fresh"
    venv.create(place, with_pip=True)
    root = Path(__file__).resolve().parents[2]
    for step in re.findall(r"^RUN (pip .*)", CONTAINER, re.MULTILINE):
        words = shlex.split(step.replace("/src[", f"{root}["))
        if "torch" in words:  # the index for CPUs is not reachable everywhere
            words = [word for word in words if not word.startswith(("--index-url", "https://"))]
        subprocess.run([place / "bin" / "python", "-m", *words], check=True, cwd=tmp_path)
    done = subprocess.run([place / "bin" / "dyto", "serve", "--help"], capture_output=True, text=True, check=True)
    assert "--api-key-env" in done.stdout
    checked = "from dyto.serving.server import check_extra; check_extra()"
    subprocess.run([place / "bin" / "python", "-c", checked], check=True)
