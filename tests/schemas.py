"""The keys of the JSON that others read, from the tables of the pages: the one place where tests look them up."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).resolve().parents[1] / "docs"

SOMETIMES = {"evidence", "confidence", "reason", "things", "pictures", "sent", "saved", "spent"}
"""Keys of `ask` that are there if they are asked for (`--evidence`), with the model `nouns` (the next three), or with a
model behind an endpoint (the last two)."""


def keys_of_table(page):
    """The keys that the table of a page describes, under the heading `key`."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| key \| what it holds \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    cells = [line.split(" | ")[0] for line in table.splitlines()]
    found = [key for cell in cells for key in re.findall(r"`(\w+)`", cell)]
    assert len(found) == len(set(found))
    return set(found)
