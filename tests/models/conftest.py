"""A checkpoint on disk that a test may spoil."""

from __future__ import annotations

import shutil

import pytest

from dyto_tiny.model import build_model, save_tiny


@pytest.fixture(scope="session")
def untrained(tmp_path_factory):
    """The folder of the tiny model with random weights."""
    folder = tmp_path_factory.mktemp("untrained")
    save_tiny(build_model(0), folder)
    return folder


@pytest.fixture
def folder(untrained, tmp_path):
    """A copy of it for one test."""
    return shutil.copytree(untrained, tmp_path / "m")


@pytest.fixture(autouse=True)
def records(tmp_path, monkeypatch):
    """The folder of what came of trials, for one test."""
    monkeypatch.setattr("dyto.models.loading.records.folder", lambda: tmp_path / "records")
    return tmp_path / "records"
