"""The bundled model behind transformers' own server: `transformers serve`."""

import os
import socket
import subprocess
import sys
import time
from importlib.resources import files
from typing import Any

import pytest
from PIL import Image

import dyto
from dyto.prompts import Prompt

from conftest import scenes

pytestmark = pytest.mark.soak

FOLDER = str(files("dyto") / "checkpoints" / "tiny")
START = "import sys; from transformers.cli.transformers import main; sys.argv = ['transformers', *sys.argv[1:]]; main()"


@pytest.fixture
def address(tmp_path):
    """The address of `transformers serve` on a free port."""
    for package in ("openai", "fastapi", "uvicorn"):
        pytest.importorskip(package)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-c", START, "serve", "--host", "127.0.0.1", "--port", str(port), "--device", "cpu"]
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(command, env={**os.environ, "HF_HUB_OFFLINE": "1"}, stdout=log, stderr=log)
    try:
        for _ in range(240):
            if server.poll() is not None:
                pytest.skip(f"transformers serve does not start: {(tmp_path / 'log').read_text()[-500:]}")
            try:
                with socket.create_connection(("127.0.0.1", port), timeout=1):
                    break
            except OSError:
                time.sleep(0.5)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        server.wait(30)


def test_transformers_own_server_answers_as_stock_generate_does(address, stock):
    model = dyto.load_model(f"endpoint:{FOLDER}", base_url=address, eye="pixels", tokens_per_image=40)
    strategy = dyto.build_strategy("plus", token_budget=200)
    qa = dyto.VideoQA(model, strategy, prompt=Prompt("plain", "<image>\n{question}"))
    frames = dyto.sample_frames(scenes(size=(72, 84)), num_frames=40)
    for question in ("what is shown ?", "how many scenes are there ?"):
        answer = qa.ask(frames, question, max_new_tokens=6)
        content: list[dict[str, Any]] = []
        for position, second in zip(answer.keyframes.positions, answer.keyframes.seconds, strict=True):
            content.append({"type": "text", "text": f"{second:.1f} s:\n"})
            content.append({"type": "image", "image": Image.fromarray(frames.data[position])})
        expected, _ = stock.answer([*content, {"type": "text", "text": f"\n{question}"}], 6)
        assert answer.text == expected != ""
        assert len(answer.keyframes) > 1
