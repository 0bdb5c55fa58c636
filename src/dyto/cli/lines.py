"""Answers on standard output, one a line, and what has none."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from dyto.cli.console import err, out
from dyto.cli.printing import named_option, one_line, print_note
from dyto.errors import DytoError, VideoError
from dyto.evaluation.outcome import reason_of, status_of

if TYPE_CHECKING:
    from dyto.answer import Answer
    from dyto.inspecting.evidence import Moment


Weigh: TypeAlias = "Callable[[str, str, Answer], list[Moment]]"
"""Function from a video, a question and its answer to the moments that the answer rests on."""


class AnswerLines:
    """Answers on standard output, one a line; without JSON, what has none is told on standard error.

    Args:
        as_json: Whether a line is a JSON document.
        questions: What is asked about every video.
        choices: The options of all questions, if there are any.
        with_question: Whether a line for people names the question, too.
    """

    def __init__(
        self, as_json: bool, questions: Sequence[str], choices: Sequence[str] | None, *, with_question: bool
    ) -> None:
        self._as_json, self._questions, self._choices = as_json, questions, choices
        self._with_question = with_question
        self._missing = self._asked = 0
        self._notices: tuple[str, ...] = ()

    def print(
        self,
        video: str,
        found: Sequence[Answer | Exception],
        notices: Sequence[str] = (),
        weigh: Weigh | None = None,
    ) -> None:
        """Print the lines of one video.

        Args:
            video: The video.
            found: The answer to each question, or the error in its place.
            notices: Notes that every answer has, which are told once, at the end.
            weigh: Returns what an answer rests on; None to leave that out.
        """
        self._notices = tuple(notices) or self._notices
        noted: set[str] = set(notices)
        for question, one in zip(self._questions, found, strict=True):
            self._asked += 1
            self._missing += isinstance(one, Exception)
            if self._as_json:
                self._print_json(video, question, one, weigh)
            elif isinstance(one, VideoError) and str(one) in noted:
                continue  # a file that cannot be read is told once
            elif isinstance(one, Exception):
                self._print_error(video, question, one)
                noted.add(str(one))
            else:
                cells = [video, *([question] if self._with_question else ()), self._told(one)]
                self._write("\t".join(map(one_line, cells)))
                for warning in one.warnings:
                    if warning not in noted:
                        print_note(f"{one_line(video)}: {warning}")
                        noted.add(warning)

    def end(self) -> None:
        """Tell what all answers have in common, and leave with status 1 if one is missing.

        Raises:
            SystemExit: At least one question has no answer.
        """
        if not self._as_json:
            for notice in self._notices:
                print_note(notice)
        if self._missing:
            err.print(f"dyto: {self._missing} of {self._asked} questions got no answer", style="red")
            raise SystemExit(1)

    def _told(self, answer: Answer) -> str:
        """Return an answer as a line for people tells it: the option that it names, or its text."""
        if self._choices is None or answer.choice is None:
            return answer.text
        return named_option(self._choices, answer.choice)

    def _print_json(
        self,
        video: str,
        question: str,
        one: Answer | Exception,
        weigh: Weigh | None,
    ) -> None:
        document: dict[str, Any] = {"video": video, "question": question}
        if isinstance(one, Exception):
            document |= {"status": status_of(one), "error": reason_of(one)}
        else:
            document |= {"status": "answered", **one.to_dict()}
            if weigh is not None:
                try:
                    document["evidence"] = [moment.to_dict() for moment in weigh(video, question, one)]
                except DytoError as error:
                    document["evidence"] = []
                    document["warnings"].append(f"no evidence: {reason_of(error)}")
        try:
            line = json.dumps(document, ensure_ascii=False, allow_nan=False)
            line.encode()
        except UnicodeEncodeError:  # a file name that is no UTF-8
            line = json.dumps(document, allow_nan=False)
        self._write(line)

    def _write(self, line: str) -> None:
        out.file.write(line + "\n")  # as it is: `print` would widen its tabs
        out.file.flush()

    def _print_error(self, video: str, question: str, error: Exception) -> None:
        reason, name = one_line(reason_of(error)), one_line(video)
        parts = [name] if name not in reason else []
        if self._with_question and not isinstance(error, VideoError):
            parts.append(one_line(question))
        err.print(": ".join(["dyto", *parts, reason]), style="red")
