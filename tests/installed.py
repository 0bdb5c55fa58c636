"""Distributions that are not installed, and look as if they were: what an installer writes down, in a folder."""

from __future__ import annotations

import re
from pathlib import Path

BENCH = Path(__file__).resolve().parents[1] / "tools" / "bench"


def write_down(folder: Path, name: str, commands: dict[str, str], version: str = "1.0", summary: str = "") -> None:
    """Let a folder of `sys.path` say that a distribution is installed which adds commands to `dyto`.

    Args:
        folder: The folder.
        name: The distribution.
        commands: The function of each command, as "module:name".
        version: The distribution's.
        summary: What it says of itself in a line.
    """
    place = folder / f"{name.replace('-', '_')}-{version}.dist-info"
    place.mkdir(parents=True)
    told = f"Summary: {summary}\n" if summary else ""
    (place / "METADATA").write_text(f"Metadata-Version: 2.4\nName: {name}\nVersion: {version}\n{told}")
    lines = "".join(f"{command} = {function}\n" for command, function in commands.items())
    (place / "entry_points.txt").write_text(f"[dyto.commands]\n{lines}")


def write_down_bench(folder: Path) -> None:
    """Let a folder of `sys.path` say that dyto-bench is installed."""
    text = (BENCH / "pyproject.toml").read_text("utf-8")
    told = dict(re.findall(r'^(\w+) = "(.*)"$', text, re.MULTILINE))
    write_down(folder, "dyto-bench", {"bench": told["bench"]}, told["version"], told["description"])
