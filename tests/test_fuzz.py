"""Files damaged by chance: no crash, no hang, no memory beyond bounds, and the same of each however it is read.

`DYTO_FUZZ_CASES` sets how many of each kind `pytest -m soak` reads; what is wrong with which seed is printed, and
`tests/fuzzing.py` reads that one again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fuzzing

HERE = Path(__file__).parent
CASES = int(os.environ.get("DYTO_FUZZ_CASES", "420"))

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="measures the memory of a process as Linux tells it")


def read_damaged(kind: str, first: int, last: int, folder: Path, *source: Path) -> None:
    """Damage and read in a process of its own, which may die of it."""
    paths = os.pathsep.join([str(HERE.parent / "src"), str(HERE), os.environ.get("PYTHONPATH", "")])
    words = [sys.executable, HERE / "fuzzing.py", kind, str(first), str(last), folder, *source]
    ended = subprocess.run(words, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": paths})
    if ended.returncode:
        pytest.fail(f"{kind}: status {ended.returncode}\n{ended.stdout[-4000:]}\n{ended.stderr[-2000:]}")


def test_a_few_of_each_kind(tmp_path):
    read_damaged("everyday", 0, 2, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("kind", fuzzing.KINDS)
def test_many_of_each_kind(tmp_path, kind):
    read_damaged(kind, 1000, 1000 + CASES, tmp_path)


@pytest.mark.soak
@pytest.mark.parametrize("name", ["QzulzuWr0Zw_20_45.mp4", "rlQ2kW-FvMk_66_79.mp4", "ysTmUTQ5wZE_17_45.mp4"])
def test_real_clips(tmp_path, shared, name):
    read_damaged("clip", 1000, 1000 + CASES // 20, tmp_path, shared / "videos" / name)


def test_damage_is_the_same_for_a_seed(tmp_path):
    source = fuzzing.source_of("avi", tmp_path)
    for seed in (5, 6, 5):
        fuzzing.damage(source, tmp_path / f"{seed}.avi", seed)
    first = (tmp_path / "5.avi").read_bytes()
    fuzzing.damage(source, tmp_path / "5.avi", 5)
    assert (tmp_path / "5.avi").read_bytes() == first != (tmp_path / "6.avi").read_bytes()
