"""The errors of this package, as one tree of exceptions.

    DytoError
    ├── VideoError          a video cannot be read, or not completely
    ├── ModelError          a checkpoint cannot be loaded or used
    │   ├── DoesNotFitError     prompt, video and answer are longer than the model's context
    │   └── BadFeaturesError    a model gave NaN, infinity or wrong shapes
    ├── StrategyError       a strategy raised an unexpected error, or returned unusable tokens
    ├── DatasetError        a question file or a results folder is wrong
    │   ├── UnsafeNameError     a video's name leads out of its folder
    │   ├── AmbiguousNameError  several files match a video's name
    │   └── TooManyErrorsError  a run reached the number of errors at which it should stop
    ├── JudgeError          the judge of open-ended answers cannot be reached or understood
    ├── ConfigError         wrong usage: an unknown name, key or value
    │   └── BadQuestionError    a question that no model can answer
    └── MissingExtraError   an optional dependency is not installed

Every message says what was found, what was expected, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DytoError(Exception):
    """Base class of every error that this package raises on purpose."""


class VideoError(DytoError):
    """Error for a video that cannot be read, or not completely."""


class ModelError(DytoError):
    """Error for a checkpoint that cannot be loaded or used."""


class DoesNotFitError(ModelError):
    """Error for prompt, video and answer that exceed the model's context."""


class BadFeaturesError(ModelError):
    """Error for a model that gave NaN, infinity or wrong shapes."""


class StrategyError(DytoError):
    """Error for a strategy that raised an unexpected error or returned unusable tokens."""


class DatasetError(DytoError):
    """Error for a wrong question file or results folder."""


class UnsafeNameError(DatasetError):
    """Error for a video's name that leads out of its folder or is not a file name."""


class AmbiguousNameError(DatasetError):
    """Error for a video's name that matches several files."""


class TooManyErrorsError(DatasetError):
    """Error for a run that reached the number of errors at which it should stop."""


class JudgeError(DytoError):
    """Error for a judge of open-ended answers that cannot be reached or understood."""


class ConfigError(DytoError, ValueError):
    """Error for wrong usage: an unknown name, key or value."""


class BadQuestionError(ConfigError):
    """Error for a question that no model can answer: it is empty, or not text."""


class MissingExtraError(DytoError, ImportError):
    """Error for an optional dependency that is not installed.

    Args:
        what: The feature that needs it.
        package: The dependency.
        extra: The extra of `dyto` that installs it.
        source: Its folder in a clone of the repository, if it is part of this project.
    """

    def __init__(self, what: str, package: str, extra: str, source: str | None = None) -> None:
        install = f"pip install {source}" if source else f"pip install '.[{extra}]'"
        super().__init__(
            f"{what} needs {package}, which is not installed: run {install} in a clone of dyto's repository"
        )
        self._parts = what, package, extra, source

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str, str | None], dict[str, object]]:
        """Return what pickle needs to rebuild the error in another process."""
        return type(self), self._parts, vars(self)


def unknown(kind: str, name: object, known: Iterable[str]) -> ConfigError:
    """Return the error for an unknown name, which suggests the nearest known name and lists all of them.

    Example:
        >>> print(unknown("preset", "relaese", ["release", "finest"]))
        unknown preset 'relaese': did you mean 'release'? Known: finest, release
    """
    names = sorted(known)
    folded = {known_name.lower(): known_name for known_name in names}
    asked = str(name).lower()
    near = difflib.get_close_matches(asked, folded, n=1, cutoff=0.5) or [n for n in folded if asked and asked in n]
    hint = f"did you mean {folded[near[0]]!r}? Known:" if near else "known are"
    if not names:
        return ConfigError(f"unknown {kind} {name!r}: none is known")
    return ConfigError(f"unknown {kind} {name!r}: {hint} {', '.join(names)}")
