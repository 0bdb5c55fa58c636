"""A small world for the runner: videos, questions, settings, and what a run left behind."""

from __future__ import annotations

import json
from pathlib import Path

from dyto.evaluation.settings import Settings
from dyto.models.loading.options import Loading

COLORS = ["red", "green", "blue", "white"]


def write_questions(path: Path, videos: list[str], count: int) -> list[dict]:
    """`count` questions of NExT-QA's prepared form, the videos in turn; ids repeat on purpose."""
    records = [
        {
            "task_name": "NExTQA",
            "video_name": videos[i % len(videos)],
            "question_id": str(i // 3),
            "question": f"what color is shape {i} ?",
            "answer_number": i % 4,
            "candidates": COLORS,
            "answer": COLORS[i % 4],
            "type": ["CW", "TN", "DO"][i % 3],
        }
        for i in range(count)
    ]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(records))
    return records


def settings(world: Path, out: str = "out", **more) -> Settings:
    """A quick run over the world's videos into a folder of its own."""
    base = {
        "benchmark": "nextqa",
        "qa_file": world / "val_qa.json",
        "video_dir": world / "videos",
        "loading": Loading("tiny", device="cpu"),
        "sampling": {"num_frames": 6},
        "max_new_tokens": 3,
        "folders": {"out": world / out},
        "name": "run",
    }
    return Settings(**(base | more))


def predictions(world: Path, out: str = "out", benchmark: str = "nextqa") -> bytes:
    """The final file."""
    return (world / out / "artifacts" / benchmark / "run" / "predictions.jsonl").read_bytes()


def rows(world: Path, out: str = "out", benchmark: str = "nextqa") -> list[dict]:
    """The rows in it."""
    return [json.loads(line) for line in predictions(world, out, benchmark).splitlines()]
