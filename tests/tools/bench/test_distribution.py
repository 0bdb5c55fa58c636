"""The second distribution: of the same version and licence as the first, and named by its extra."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
BENCH = ROOT / "tools" / "bench"


def told(folder: Path, key: str) -> str:
    """What a pyproject.toml says of a key that stands at the beginning of a line."""
    (value,) = re.findall(rf"^{key} = (.*)$", (folder / "pyproject.toml").read_text("utf-8"), re.MULTILINE)
    return value


def test_both_distributions_have_one_version_and_the_second_wants_that_of_the_first():
    version = told(ROOT, "version").strip('"')
    assert told(BENCH, "version").strip('"') == version
    assert f'"dyto=={version}"' in told(BENCH, "dependencies")
    assert told(BENCH, "requires-python") == told(ROOT, "requires-python")


def test_the_extra_names_the_distribution():
    assert told(ROOT, "bench") == f"[{told(BENCH, 'name')}]"


@pytest.mark.parametrize("name", ["LICENSE", "NOTICE"])
def test_the_licence_is_the_same(name):
    assert (BENCH / name).read_bytes() == (ROOT / name).read_bytes()


def test_the_entry_point_is_a_function():
    module, _, name = told(BENCH, "bench").strip('"').partition(":")
    assert callable(getattr(import_module(module), name))
