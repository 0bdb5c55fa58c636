"""The table from errors to row statuses, shared by all commands that record rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from dyto.errors import (
    AmbiguousNameError,
    BadQuestionError,
    ConfigError,
    DoesNotFitError,
    DytoError,
    TooManyErrorsError,
    UnsafeNameError,
    VideoError,
)

STATUS_OF: tuple[tuple[type[Exception], str], ...] = (
    (DoesNotFitError, "does_not_fit"),
    (BadQuestionError, "bad_row"),
    (ConfigError, "does_not_fit"),  # this clip cannot meet a setting, such as a budget below one of its frames
    (UnsafeNameError, "unsafe_name"),
    (AmbiguousNameError, "missing_video"),
    (VideoError, "undecodable"),
    (Exception, "failed"),  # errors of a model, a strategy or the machine
)
"""Row status by class of error; the first matching class counts."""

LEAST_ROWS = 20
"""Number of rows before which a share of errors is not checked."""


def status_of(err: Exception) -> str:
    """Return the status of a row that met an error.

    Example:
        >>> from dyto.errors import BadFeaturesError
        >>> status_of(DoesNotFitError("4148 tokens")), status_of(BadFeaturesError("NaN"))
        ('does_not_fit', 'failed')
    """
    return next(status for kind, status in STATUS_OF if isinstance(err, kind))


def reason_of(err: Exception) -> str:
    """Return an error in one line; errors that are not ours include their class.

    Example:
        >>> reason_of(ZeroDivisionError("division by zero"))
        'ZeroDivisionError: division by zero'
    """
    torch = sys.modules.get("torch")  # whoever met such an error has imported it
    if torch is not None and isinstance(err, torch.OutOfMemoryError):
        return (
            "out of memory on the accelerator: lower the token budget (--budget) or the number of frames (--num-frames)"
        )
    text = " ".join(str(err).split())
    if not isinstance(err, DytoError):
        text = f"{type(err).__name__}: {text}"
    return text


@dataclass(frozen=True)
class ErrorLimit:
    """The limit on unanswered questions at which a run ends.

    Attributes:
        count: Number that ends the run; None for no limit.
        share: Share of the recorded rows that ends the run, checked from 20 rows on; None for no limit.
    """

    count: int | None = None
    share: float | None = None

    @classmethod
    def parse(cls, text: str | None) -> ErrorLimit:
        """Parse a limit from the command line: a whole number is a count, a number with a point a share.

        Raises:
            ConfigError: The text is neither.

        Example:
            >>> ErrorLimit.parse("1"), ErrorLimit.parse("0.25")
            (ErrorLimit(count=1, share=None), ErrorLimit(count=None, share=0.25))
        """
        if text is None:
            return cls()
        try:
            if text.strip().isascii() and text.strip().isdecimal() and int(text) >= 1:
                return cls(count=int(text))
            if "." in text and 0 < float(text) <= 1:
                return cls(share=float(text))
        except ValueError:
            pass
        raise ConfigError(
            f"--fail-on-error {text!r}, expected a number of questions such as 10, or a share above 0 and up to 1, "
            "such as 0.25"
        )

    def check(self, statuses: Callable[[], Iterable[bool]]) -> None:
        """Raise an error if too many rows have no answer.

        Args:
            statuses: Returns for every recorded row whether it was answered; called only if there is a limit.

        Raises:
            TooManyErrorsError: Too many rows have no answer.
        """
        if self.count is None and self.share is None:
            return
        answered = list(statuses())
        missing = len(answered) - sum(answered)
        too_many = self.count is not None and missing >= self.count
        if self.share is not None:
            too_many = len(answered) >= LEAST_ROWS and missing >= self.share * len(answered)
        if too_many:
            raise TooManyErrorsError(
                f"{missing} of {len(answered)} recorded rows have no answer, and --fail-on-error is "
                f"{self.share if self.count is None else self.count}: the run was ended. Everything recorded is kept: "
                "look at the reasons, then run the same command with --retry-failed, or without --fail-on-error"
            )
