"""Tables on a terminal: what does not fit side by side goes below, and every part names its rows."""

from __future__ import annotations

import numpy as np
import pytest
from rich.cells import cell_len

from dyto.cli import comparing
from dyto.cli.comparing import print_table, side_by_side


def table(rng, columns, rows):
    cells = [["x" * int(rng.integers(1, 30)) for _ in range(columns)] for _ in range(rows + 1)]
    return cells[0], cells[1:]


@pytest.mark.parametrize("seed", range(40))
def test_every_column_is_shown_once_and_every_part_fits_or_has_one_column(seed):
    rng = np.random.default_rng(seed)
    head, rows = table(rng, int(rng.integers(1, 20)), int(rng.integers(0, 4)))
    if len(head) > 1 and seed % 2:
        head[1] = "budget"
    named, width = (2 if head[1:2] == ["budget"] else 1), int(rng.integers(5, 120))
    parts = side_by_side((head, rows), width)
    assert [number for part in parts for number in part[named:]] == list(range(named, len(head)))
    for part in parts:
        assert part[:named] == list(range(named))
        wide = [max(cell_len(line[number]) for line in (head, *rows)) for number in part]
        assert sum(wide) + comparing.GAP * (len(wide) - 1) <= width or len(part) <= named + 1


def test_a_narrow_terminal_loses_neither_names_nor_figures(monkeypatch):
    monkeypatch.setattr(comparing.out, "width", 40)
    head = ["difference", "budget", *(f"group {i}" for i in range(7))]
    rows = [[f"plus - {name}", "58", *(f"+{i}.0 [+1.0, +2.0]" for i in range(7))] for name in ("evs", "kmeans")]
    with comparing.out.capture() as seen:
        print_table((head, rows))
    text = seen.get()
    assert max(map(len, text.splitlines())) <= 40
    for name in ("plus - evs", "plus - kmeans"):
        assert text.count(name) == 7
    assert all(f"+{i}.0 [+1.0, +2.0]" in text for i in range(7))
    assert "…" not in text
