"""Everything that can go wrong, as one tree of exceptions.

    DytoError
    ├── VideoError          a video cannot be read, or not completely
    ├── ModelError          a checkpoint cannot be loaded or used
    │   ├── DoesNotFitError     prompt, video and answer are longer than the model's context
    │   └── BadFeaturesError    a model gave NaN, infinity or other shapes than it should
    ├── StrategyError       a strategy raised an error of its own, or gave what no model can take
    ├── DatasetError        a question file or a results folder is not what it should be
    │   ├── UnsafeNameError     a video's name leads out of its folder
    │   ├── AmbiguousNameError  several files could be the video that is meant
    │   └── TooManyErrorsError  a run was told to stop after so many errors
    ├── JudgeError          the judge of open-ended answers cannot be reached or understood
    ├── ConfigError         an unknown name, key or value: a mistake of usage
    │   └── BadQuestionError    a question that no model can be asked
    └── MissingExtraError   an optional dependency is needed and not installed

Every message says what was found, what was expected, and what to do next.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DytoError(Exception):
    """Base of every error this package raises on purpose."""


class VideoError(DytoError):
    """A video cannot be read, or not completely."""


class ModelError(DytoError):
    """A checkpoint cannot be loaded or used."""


class DoesNotFitError(ModelError):
    """Prompt, video and answer are longer than the model's context."""


class BadFeaturesError(ModelError):
    """A model gave NaN, infinity or other shapes than it should."""


class StrategyError(DytoError):
    """A strategy raised an error of its own, or gave what no model can take."""


class DatasetError(DytoError):
    """A question file or a results folder is not what it should be."""


class UnsafeNameError(DatasetError):
    """A video's name leads out of its folder, or is no name at all."""


class AmbiguousNameError(DatasetError):
    """Several files could be the video that is meant."""


class TooManyErrorsError(DatasetError):
    """A run was told to stop after so many errors, and met as many."""


class JudgeError(DytoError):
    """The judge of open-ended answers cannot be reached or understood."""


class ConfigError(DytoError, ValueError):
    """An unknown name, key or value: a mistake of usage."""


class BadQuestionError(ConfigError):
    """A question that no model can be asked: it is empty, or holds what is no text."""


class MissingExtraError(DytoError, ImportError):
    """An optional dependency is needed and not installed.

    Args:
        what: What needs it.
        package: The dependency.
        extra: The extra of `dyto` that names it.
        source: Where it lies in a copy of the repository, for what this project keeps there itself.
    """

    def __init__(self, what: str, package: str, extra: str, source: str | None = None) -> None:
        install = f"pip install {source}" if source else f"pip install '.[{extra}]'"
        super().__init__(f"{what} needs {package}, which is not installed: {install} in a copy of dyto's repository")
        self._parts = what, package, extra, source

    def __reduce__(self) -> tuple[type[MissingExtraError], tuple[str, str, str, str | None], dict[str, object]]:
        """Rebuild it from its parts, so that it crosses from one process to another."""
        return type(self), self._parts, vars(self)


def unknown(kind: str, name: object, known: Iterable[str]) -> ConfigError:
    """The error for an unknown name: it names the nearest known one and lists them all.

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
