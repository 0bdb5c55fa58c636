"""Where the tests of a batch run."""

from __future__ import annotations

import shutil

import pytest

import dyto


@pytest.fixture
def world(tmp_path, clip, tiny, monkeypatch):
    """Four videos, and the current folder."""
    for n in range(4):
        shutil.copy(clip, tmp_path / f"v{n}.mp4")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dyto.pipeline, "load_model", lambda name, **options: tiny)
    return tmp_path
