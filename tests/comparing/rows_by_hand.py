"""Rows of a comparison, written by hand."""

from __future__ import annotations

from dyto.comparing.cells import Cell
from dyto.strategies import Uniform


def cell(name: str, budget: int | None = 40) -> Cell:
    return Cell(name, budget, "", None if budget is None else Uniform(token_budget=budget))


def rows(cell: Cell, rights: dict[str, str], *, rotations: int = 1, **more) -> list[dict]:
    """For each video one letter per question and rotation: 1 right, 0 wrong, x not answered."""
    found, place = [], 0
    for video, letters in rights.items():
        for start in range(0, len(letters), rotations):
            sample = f"{place:06d}-{'ab' * 8}"
            for number, letter in enumerate(letters[start : start + rotations]):
                found.append(
                    {
                        "key": f"{sample}-{number}-{cell.key}",
                        "sample": sample,
                        "place": place,
                        "rotation": number,
                        "video_name": video,
                        "groups": {"regime": "still" if video < "c" else "moving"},
                        "strategy": cell.strategy,
                        "budget": cell.budget,
                        "status": "failed" if letter == "x" else "answered",
                        "reason": "it broke" if letter == "x" else "",
                        "pred": f"({'A' if letter == '1' else 'B'})",
                        "choice": 0 if letter == "1" else 1,
                        "answer_number": 0,
                        "visual_tokens": 36,
                        "uncompressed_tokens": 360,
                        "frames": 1,
                        "tokens_sha256": cell.strategy,
                        **more,
                    }
                )
            place += 1
    return found
