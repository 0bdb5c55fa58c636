"""Fixtures of the evaluation's tests: other processes, and a judge on loopback that fails in every way."""

from __future__ import annotations

import multiprocessing
import shutil

import pytest

import dyto
from evaluation.world import write_questions

from endpoints import StubEndpoint, fail, say


@pytest.fixture(scope="session")
def forks():
    """A context whose processes start at once: a server that has imported everything forks them."""
    context = multiprocessing.get_context("forkserver")
    models = (f"transformers.models.{name}.modeling_{name}" for name in ("llava_next", "clip", "llama"))
    context.set_forkserver_preload(
        ["evaluation.work", "dyto.cli.legacy_eval", "dyto.evaluation.evaluate", "dyto.models.adapters.tiny", *models]
    )
    return context


@pytest.fixture
def crew(forks):
    """Start a function in a process of its own; all are gone after the test."""
    started = []

    def start(target, *args):
        process = forks.Process(target=target, args=args, daemon=True)
        process.start()
        started.append(process)
        return process

    yield start
    for process in started:
        if process.is_alive():
            process.kill()
        process.join()


@pytest.fixture
def world(tmp_path, clip, loaded_once):
    """A folder of six videos, and 24 questions about them."""
    (tmp_path / "videos").mkdir()
    for i in range(6):
        shutil.copy(clip, tmp_path / f"videos/v{i}.mp4")
    write_questions(tmp_path / "val_qa.json", [f"v{i}.mp4" for i in range(6)], 24)
    return tmp_path


@pytest.fixture
def real_world(world, shared):
    """The same with real clips under the names of the first three videos."""
    for i, path in enumerate(sorted((shared / "videos").glob("*.mp4"))):
        shutil.copy(path, world / f"videos/v{i}.mp4")
    return world


@pytest.fixture
def loaded_once(tiny, monkeypatch):
    """In this process the bundled model is loaded once for all tests; other processes load it themselves."""
    real = dyto.pipeline.load_model

    def load(name, **options):
        return tiny if name == "tiny" else real(name, **options)

    monkeypatch.setattr(dyto.pipeline, "load_model", load)


@pytest.fixture
def stub(monkeypatch):
    pytest.importorskip("openai", reason="the judge needs the extra 'judge'")
    judge = StubEndpoint()
    judge.say, judge.fail = say, fail  # type: ignore[attr-defined]
    monkeypatch.setenv("OPENAI_BASE_URL", judge.url)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    yield judge
    judge.close()
