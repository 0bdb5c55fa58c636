"""Tables of questions, and runs over them."""

from __future__ import annotations

import json
from pathlib import Path

from dyto.batch.settings import BatchSettings
from dyto.models.loading.options import Loading

WORDS = ["--model", "tiny", "--num-frames", "6", "--max-new-tokens", "3"]


def write(path: Path, rows: list) -> Path:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


def read(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def settings(table: Path | None, out: str = "out.jsonl", **more) -> BatchSettings:
    base = {"loading": Loading("tiny", device="cpu"), "sampling": {"num_frames": 6}, "max_new_tokens": 3}
    return BatchSettings(**(base | {"qa_file": table, "out": Path(out)} | more))
