"""Printing of answers for people."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dyto.cli.console import err, out
from dyto.inspecting.harmless import harmless

if TYPE_CHECKING:
    from dyto.answer import Answer
    from dyto.inspecting.evidence import Moment
    from dyto.pipeline import VideoQA

MOST_MOMENTS = 5
"""Number of moments to print as evidence."""


def print_stream(pieces: Generator[str, None, Answer], status: Any, note: str | None = None) -> Answer:
    """Print an answer while the model writes it, and return it; a note stands before its first word."""
    begun = False
    while True:
        answer: Answer | None = None
        try:
            piece = next(pieces)
        except StopIteration as done:
            piece, answer = "", done.value
        except BaseException:
            if begun:  # what is told of it stands on a line of its own
                out.print()
            raise
        status.stop()
        if note is not None:
            print_note(note)
            note = None
        if answer is not None:
            out.print()
            return answer
        begun = True
        out.print(harmless(piece.replace("\r", "")), end="", style="bold")


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
    from dyto.tokens import NOT_ITS_WORLD

    if choices is not None:
        named = "none" if answer.choice is None else named_option(choices, answer.choice)
        out.print(f"choice      {named}")
    times = "  ".join(f"{second:.1f}s" for second in answer.keyframes.seconds)
    out.print(f"key frames  {len(answer.keyframes)}: {times}")
    budget = "no budget" if answer.token_budget is None else f"budget {answer.token_budget}"
    out.print(f"tokens      {answer.uncompressed_tokens} -> {answer.num_visual_tokens} ({budget})")
    if answer.spoken is not None:
        out.print(f"subtitles   {answer.spoken.told}", markup=False)
    seconds = {**(before or {}), **answer.to_dict()["seconds"]}
    seconds["total"] += sum((before or {}).values())
    out.print("seconds     " + "  ".join(f"{stage} {s:.2f}" for stage, s in seconds.items()))
    out.print(f"model       {qa.model.name} on {qa.model.where}")
    if "spent" in answer.details:
        out.print("spent       {requests} requests, {tokens} tokens".format(**answer.details["spent"]))
    for warning in answer.warnings:
        if answer.meaningful or warning != NOT_ITS_WORLD:  # that was said before the answer
            print_note(warning)


def named_option(choices: Sequence[str], choice: int) -> str:
    """Return an option with its letter.

    Example:
        >>> named_option(["a cat", "a dog"], 1)
        '(B) a dog'
    """
    return f"({chr(65 + choice)}) {choices[choice]}"


def print_note(words: str) -> None:
    """Print a note for people."""
    err.print(f"note: {harmless(words)}", style="yellow")


def one_line(text: str) -> str:
    r"""Return a text as one line that commands a terminal nothing: a file name, an answer.

    Example:
        >>> one_line("two\nlines\tof \x1b[31mred")
        'two lines of �[31mred'
    """
    return " ".join(harmless(text.replace("\r", "").replace("\t", " ")).splitlines())


def print_evidence(moments: Sequence[Moment], answer: Answer) -> None:
    """Print the moments that an answer rests on, largest weight first."""
    for number, moment in enumerate(moments[:MOST_MOMENTS]):
        without = "" if moment.without is None else f", without it {moment.without:.2f}"
        head = "evidence    " if not number else " " * 12
        out.print(f"{head}{moment.second:.1f}s  weight {moment.weight:+.2f}  (alone {moment.alone:.2f}{without})")
    if not moments:
        out.print(f"evidence    none: the answer {'is empty' if answer.meaningful else 'means nothing'}")
