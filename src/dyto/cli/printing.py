"""Printing of answers for people."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dyto.cli.console import err, out

if TYPE_CHECKING:
    from dyto.answer import Answer
    from dyto.inspecting.evidence import Moment
    from dyto.pipeline import VideoQA

MOST_MOMENTS = 5
"""Number of moments to print as evidence."""


def print_stream(pieces: Generator[str, None, Answer], status: Any) -> Answer:
    """Print an answer while the model writes it, and return it."""
    while True:
        try:
            piece = next(pieces)
        except StopIteration as done:
            out.print()
            answer: Answer = done.value
            return answer
        status.stop()
        out.print(piece, end="", style="bold")


def print_answer(
    answer: Answer, qa: VideoQA, choices: Sequence[str] | None, before: Mapping[str, float] | None = None
) -> None:
    """Print an answer's key frames, tokens, seconds and notes for people.

    Args:
        answer: The answer.
        qa: What answered.
        choices: The options of the question.
        before: Seconds before the video was read, by what they were spent on; the total counts them.
    """
    if choices is not None:
        named = f"({chr(65 + answer.choice)}) {choices[answer.choice]}" if answer.choice is not None else "none"
        out.print(f"choice      {named}")
    times = "  ".join(f"{second:.1f}s" for second in answer.keyframes.seconds)
    out.print(f"key frames  {len(answer.keyframes)}: {times}")
    budget = "no budget" if answer.token_budget is None else f"budget {answer.token_budget}"
    out.print(f"tokens      {answer.uncompressed_tokens} -> {answer.num_visual_tokens} ({budget})")
    seconds = {**(before or {}), **answer.to_dict()["seconds"]}
    seconds["total"] += sum((before or {}).values())
    out.print("seconds     " + "  ".join(f"{stage} {s:.2f}" for stage, s in seconds.items()))
    out.print(f"model       {qa.model.name} on {qa.model.device}, {str(qa.model.dtype).removeprefix('torch.')}")
    for warning in answer.warnings:
        err.print(f"note: {warning}", style="yellow")


def print_evidence(moments: Sequence[Moment]) -> None:
    """Print the moments that an answer rests on, largest weight first."""
    for number, moment in enumerate(moments[:MOST_MOMENTS]):
        without = "" if moment.without is None else f", without it {moment.without:.2f}"
        head = "evidence    " if not number else " " * 12
        out.print(f"{head}{moment.second:.1f}s  weight {moment.weight:+.2f}  (alone {moment.alone:.2f}{without})")
    if not moments:
        out.print("evidence    none: the answer is empty")
