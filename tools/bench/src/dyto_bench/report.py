"""The measurement as tables, as Markdown and as files."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dyto.errors import ConfigError
from dyto.evaluation.files import write_atomic
from dyto_bench.plan import FORMAT
from dyto_bench.sides import STAGES
from dyto_bench.tally import OURS, side_of

Document = Mapping[str, Any]
Table = tuple[list[str], list[list[str]]]
"""Headings, and rows of cells."""

JSON_FILE, MARKDOWN_FILE, PICTURE_FILE = "bench.json", "bench.md", "stages.png"


def check_folder(folder: Path) -> None:
    """Check that writing into a folder would overwrite nothing but an earlier measurement.

    Raises:
        ConfigError: It is a file, or holds a file of one of our names that is not ours.
    """
    if folder.exists() and not folder.is_dir():
        raise ConfigError(f"--out {folder} is a file, expected a folder: give another")
    there = [name for name in (JSON_FILE, MARKDOWN_FILE, PICTURE_FILE) if (folder / name).exists()]
    if not there:
        return
    try:
        document = json.loads((folder / JSON_FILE).read_text(encoding="utf-8"))
        is_ours = isinstance(document, dict) and document.get("format") == FORMAT
    except (OSError, ValueError):
        is_ours = False
    if not is_ours:
        raise ConfigError(f"{folder} holds {', '.join(there)} that dyto bench did not write: give another --out")


def write(document: Document, folder: Path) -> list[Path]:
    """Write the document as JSON, raw runs included, and as Markdown."""
    paths = [folder / JSON_FILE, folder / MARKDOWN_FILE]
    write_atomic(paths[0], json.dumps(document, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
    write_atomic(paths[1], markdown(document))
    return paths


def headline(document: Document) -> list[str]:
    """Return the settings common to all sides, one line each."""
    plan, machine = document["settings"], document["machine"]
    return [
        f"{plan['model']}, {plan['dtype']}, attention {plan['attention']}; {plan['strategy']['name']}, at "
        f"most {plan['budget']} visual tokens",
        f"{plan['video']} ({plan['resolution']}), {plan['num_frames']} frames; answers of {plan['new_tokens']} tokens, "
        f"their end suppressed on all sides; batch of 1 unless said otherwise",
        f"{machine['name']} ({machine['device']}, {machine['cores']} cores, {machine['threads']} threads), torch "
        f"{machine['torch']}, transformers {machine['transformers']}",
        f"medians of {plan['runs']} runs after one to warm up, the sides interleaved run by run; spread: "
        f"{document['spread']}",
    ]


def spread(figure: Mapping[str, float] | None, scale: float = 1.0, digits: int = 3) -> str:
    """Format a median with its quartiles.

    Example:
        >>> spread({"median": 1.25, "low": 1.2, "high": 1.31}, digits=2)
        '1.25 [1.20, 1.31]'
    """
    if figure is None:
        return "–"
    median, low, high = (f"{figure[key] * scale:.{digits}f}" for key in ("median", "low", "high"))
    return f"{median} [{low}, {high}]"


def stage_table(document: Document, whole: bool = True) -> Table:
    """Return the milliseconds of every stage of a first answer for every side; with quartiles if `whole`."""
    rows = []
    for side in document["sides"]:
        stages = side["figures"]["stages"]
        figures = [*(stages[stage] for stage in STAGES), *(side["figures"][name] for name in ("overlapped", "total"))]
        rows.append(
            [side["name"], *(spread(one, 1e3, 1) if whole else f"{1e3 * one['median']:.1f}" for one in figures)]
        )
    return ["first answer, ms", *STAGES, "overlapped", "total"], rows


def answer_table(document: Document) -> Table:
    """Return the costs of a first answer and of a further question for each side."""
    rows = []
    for side in document["sides"]:
        figures, first = side["figures"], side["first"][0]
        further = next((c["figures"] for c in side["further"] if (c["questions"], c["batch_size"]) == (1, 1)), None)
        rows.append(
            [
                side["name"],
                str(len(first["frames"])),
                str(first["visual_tokens"]),
                spread(figures["to_first_token"], 1e3, 1),
                spread(figures["total"], 1e3, 1),
                spread(further and further["seconds_per_question"], 1e3, 1),
                spread(figures["tokens_per_second"], 1, 1),
                spread(figures["peak_mib"], 1, 0),
            ]
        )
    heads = "side,frames,visual tokens,first token ms,first answer ms,further question ms,tokens/s,peak MiB"
    return heads.split(","), rows


def axes_table(document: Document) -> Table:
    """Tabulate further questions by number and batch size."""
    rows = []
    for side in document["sides"]:
        for cell in side["further"] if len(side["further"]) > 1 else []:
            figures = cell["figures"]
            each = spread(figures["seconds_per_question"], 1e3, 1)
            size = [str(cell["questions"]), str(cell["batch_size"])]
            rows.append([side["name"], *size, each, spread(figures["tokens_per_second"], 1, 1)])
    return ["side", "further questions", "at a time", "ms a question", "tokens/s, all together"], rows


def ratio_table(document: Document) -> Table:
    """Return the ratios: the other sides' times divided by ours."""
    rows = [[one["what"], one["side"], spread(one, 1, 2)] for one in document["ratios"]]
    return ["how many times as long as dyto", "side", "ratio"], rows


def floor_table(document: Document) -> Table:
    """Return the distance of each stage from its floor."""
    rows = []
    for one in document["floors"]:
        times = "–" if one["times"] is None or not one["seconds"] else f"{one['times']:.1f}"
        share = "–" if one["rate_share"] is None else f"{100 * one['rate_share']:.1f} %"
        milliseconds = [f"{1e3 * one['seconds']:.2f}", f"{1e3 * one['floor']:.3f}"]
        rows.append([one["stage"], *milliseconds, one["bound"], times, share, one["held_by"]])
    return [
        f"stage ({document['floors'][0]['side']})",
        "ms",
        "floor ms",
        "bound by",
        "times its floor",
        "of the matrix rate",
        "what holds it",
    ], rows


def reading_table(document: Document) -> Table:
    """Return what reading the frames costs each library."""
    rows = [
        [
            one["name"],
            *(spread(one["figures"][what], 1e3, 0) for what in ("cpu", "seconds")),
            *(spread(one["ratios"][what], 1, 2) for what in ("cpu", "seconds")),
        ]
        for one in document["reading"]
        if "missing" not in one
    ]
    return ["reading the frames", "CPU ms", "ms", "CPU, by that of dyto", "time, by that of dyto"], rows


def remarks(document: Document) -> list[str]:
    """Return the notes for a reader, one line each."""
    rates, small = document["rates"], document["select_and_merge"]
    dtype = document["settings"]["dtype"]
    tower = next(one for one in document["floors"] if one["stage"] == "encode")
    lines = [
        f"measured rates of the machine: {rates['operations'] / 1e9:.1f} GFLOP/s in a large product of {dtype} "
        f"matrices, {rates['bytes'] / 1e9:.1f} GB/s in a copy, read and written",
    ]
    if tower["rate_share"] is not None:
        lines.append(f"the tower runs at {100 * tower['rate_share']:.1f} % of the measured {dtype} matrix rate")
    lines += [
        f"select and merge take {1e3 * small['seconds']:.2f} ms, {100 * small['share']:.2f} % of the first answer",
        f"peak memory: {document['memory']}",
        "prefill ends with the first token; other is what belongs to no stage; overlapped is by how much the stages, "
        "added up, exceed the total, since some ran at the same time",
        "a further question is about a video already kept; whoever keeps nothing begins again",
        *document["settings"]["notes"],
    ]
    same = [side["name"] for side in document["sides"][1:] if side["same_answer"]]
    names = [side["name"] for side in document["sides"]]
    if same:
        lines.append(f"token for token the first answer of dyto: {', '.join(same)}")
    if "stock" in names:
        stock = side_of(document, "stock")["first"][0]
        ours = side_of(document, OURS)["first"][0]
        lines.append(
            f"stock sees {len(stock['frames'])} of the frames, {stock['visual_tokens']} visual tokens as its own "
            f"processor makes them, and dyto all {len(ours['frames'])}, {ours['visual_tokens']} tokens after merging; "
            "stock decodes with this library"
        )
    lines += [f"{one['name']} was not measured: {one['missing']}" for one in document["reading"] if "missing" in one]
    lines += [f"{side['name']}: {warning}" for side in document["sides"] for warning in side["warnings"]]
    return lines


def tables(document: Document, whole: bool = True) -> list[Table]:
    """Return all tables with rows, in order of display; stages with quartiles if `whole`."""
    stages = stage_table(document, whole)
    found = [answer_table(document), stages, axes_table(document), ratio_table(document), floor_table(document)]
    found.append(reading_table(document))
    return [table for table in found if table[1]]


def markdown(document: Document) -> str:
    """Return the whole report."""
    parts = ["# Where the time goes", "  \n".join(headline(document))]
    parts += [_grid(table) for table in tables(document)]
    parts.append("\n".join(f"- {side['name']}: {side['about']}" for side in document["sides"]))
    parts.append("\n".join(f"- {line}" for line in remarks(document)))
    return "\n\n".join(parts) + "\n"


def _grid(table: Table) -> str:
    head, rows = table
    lines: Sequence[Sequence[str]] = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
