"""What is known of each model, as the table and the sources of docs/models.md.

python tools/bench/scripts/catalogue.py                  prints them
python tools/bench/scripts/catalogue.py docs/models.md   writes them between the marks of that page
"""

from __future__ import annotations

import sys
from pathlib import Path

from dyto.models.catalog import CATALOG
from dyto.models.facts import FACTS, LARGE

RATES = {"s at 0.2": 0.2, "s at 100": 100.0}
"""Tera-operations a second that are taken for computed seconds: a CPU of a laptop, and a large GPU."""

BEGIN, END = (
    "<!-- catalogue: python tools/bench/scripts/catalogue.py docs/models.md -->",
    "<!-- end of the catalogue -->",
)


def row(name: str) -> list[str]:
    """What is known of one model."""
    facts, licence = FACTS[name], CATALOG[name].licence
    bits = 32 if 4 * facts.weights * 1e9 <= LARGE else 16
    context = f"{facts.context // 1024}k" + (f" ({facts.stated // 1000}k in its config)" if facts.stated else "")
    seconds = [facts.operations / rate for rate in RATES.values()]
    return [
        f"`{name}`",
        facts.published,
        context,
        f"{facts.memory(bits):.1f}, {'float32' if bits == 32 else 'bfloat16'}",
        f"{facts.memory(16):.1f}",
        f"{facts.operations:.1f}",
        *(f"{one:.2g}" if one < 10 else f"{one:.0f}" for one in seconds),
        licence + (" *" if facts.terms else ""),
    ]


def text() -> str:
    """The table and the sources."""
    titles = ["model", "published", "context", "GB, CPU", "GB, GPU", "10^12 operations", *RATES, "licence"]
    lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
    known = [name for name in CATALOG if name in FACTS]
    lines += ["| " + " | ".join(row(name)) + " |" for name in known]
    lines += ["", "Sources:", ""]
    for source in dict.fromkeys(FACTS[name].source for name in known):
        names = ", ".join(f"`{name}`" for name in known if FACTS[name].source == source)
        lines.append(f"- {names}: {source}")
    return "\n".join(lines)


def main() -> None:
    if len(sys.argv) < 2:
        print(text())
        return
    page = Path(sys.argv[1])
    before, rest = page.read_text("utf-8").split(BEGIN)
    page.write_text(f"{before}{BEGIN}\n{text()}\n{END}{rest.split(END)[1]}", "utf-8")


if __name__ == "__main__":
    main()
