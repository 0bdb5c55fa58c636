"""Times and places after pruning: wrong by the published rules, right here, and the page says what the script prints."""

import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[3]
BENCH = ROOT / "tools" / "bench" / "scripts"


@pytest.fixture(scope="module")
def positions():
    sys.path.insert(0, str(BENCH))
    try:
        import positions

        yield positions
    finally:
        sys.path.remove(str(BENCH))


def test_ours_are_right_theirs_are_not_and_the_page_shows_both(positions, capsys, monkeypatch):
    found = {}

    def compared(once=positions.compared):
        found.update(once())
        return found

    monkeypatch.setattr(positions, "compared", compared)
    positions.main()
    assert capsys.readouterr().out.strip() in (ROOT / "docs" / "positions.md").read_text("utf-8")
    assert set(found["here"].values()) == {0.0}
    assert min(found["vllm#29752"].values()) > 0.3


def test_the_rule_is_right_where_every_frame_keeps_equally_many(positions):
    """So it is the rule that goes wrong, not the way in which it is written here."""
    kept = positions.ROWS * positions.COLS * len(positions.SECONDS)
    whole = np.stack(np.unravel_index(np.arange(kept), (len(positions.SECONDS), positions.ROWS, positions.COLS)), 1)
    assert np.array_equal(positions.vllm_places(kept), whole)


def test_listed_times_are_those_of_the_report(positions):
    assert positions.listed_times(8) == [0.25, 1.25, 2.25, 3.25]  # QwenLM/Qwen3-VL#2117: 0.2 1.2 2.2 3.2
    assert positions.listed_times(3, sample_fps=1.0) == [0.5, 2.0]
