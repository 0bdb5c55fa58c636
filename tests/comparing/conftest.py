"""A small benchmark to compare on: three videos, six questions."""

from __future__ import annotations

import shutil

import pytest

import dyto
from evaluation.world import write_questions


@pytest.fixture
def world(tmp_path, clip, tiny, monkeypatch):
    """A folder of videos and questions; the bundled model is loaded once for all tests."""
    (tmp_path / "videos").mkdir()
    for i in range(3):
        shutil.copy(clip, tmp_path / f"videos/v{i}.mp4")
    write_questions(tmp_path / "val_qa.json", [f"v{i}.mp4" for i in range(3)], 6)
    monkeypatch.setattr(dyto.pipeline, "load_model", lambda name, **options: tiny)
    return tmp_path
