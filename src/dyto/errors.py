"""The errors of this package, as one tree of exceptions.

    DytoError
    ├── VideoError          a video cannot be read, or not completely
    ├── ModelError          a checkpoint cannot be loaded or used
    │   ├── DoesNotFitError     prompt, video and answer are longer than the model's context
    │   ├── BadFeaturesError    a model returned NaN, infinity or wrong shapes
    │   ├── OtherModelError     a memory was made by another model
    │   └── EndpointError       a model behind an endpoint cannot be reached, or does not answer
    │       ├── EndpointLateError      it does not answer in time
    │       ├── EndpointBusyError      it takes no more requests now
    │       └── EndpointRefusedError   it refuses this request
    ├── StrategyError       a strategy raised an unexpected error, or returned unusable tokens
    ├── DatasetError        a question file or a results folder is wrong
    │   ├── UnsafeNameError     a video's name leads out of its folder
    │   ├── AmbiguousNameError  several files match a video's name
    │   ├── BadMemoryError      a file is no memory, or a damaged one
    │   └── TooManyErrorsError  a run reached the number of errors at which it should stop
    ├── JudgeError          the judge of open-ended answers cannot be reached or understood
    ├── ConfigError         wrong usage: an unknown name, key or value
    │   └── BadQuestionError    a question that no model can answer
    ├── EngineError         an engine accepts no question
    │   ├── BusyError           its queue is full
    │   └── ClosedError         it is stopping, or has stopped
    └── MissingExtraError   an optional dependency is not installed

Every message says what was found, what was expected, and what to do next. A command that meets a `ConfigError` exits
with status 2, and with status 1 for any other error; `report_errors` in `dyto.cli.process` decides this.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DytoError(Exception):
    """Base of every error this package raises on purpose.

    Example:
        >>> import dyto
        >>> try:
        ...     dyto.sample_frames("gone.mp4")
        ... except dyto.DytoError as err:
        ...     print(err)
        gone.mp4 does not exist, expected a video or a folder of images: check the path
    """


class VideoError(DytoError):
    """A video cannot be read, or not completely.

    Example:
        >>> import dyto
        >>> try:
        ...     dyto.sample_frames("https://example.org/film.mp4")
        ... except dyto.VideoError as err:
        ...     print(err)
        https://example.org/film.mp4 is an address, expected a local file: download it first and give its path, ...
    """


class ModelError(DytoError):
    """A checkpoint cannot be loaded or used.

    Example:
        >>> import dyto
        >>> try:
        ...     dyto.load_model("./no-such-folder")
        ... except dyto.ModelError as err:
        ...     print(err)
        model folder ./no-such-folder does not exist: give a folder, a hub name or a name of `dyto list models`
    """


class DoesNotFitError(ModelError):
    """Prompt, video and answer are longer than the model's context.

    Example:
        >>> import numpy as np, dyto
        >>> qa = dyto.VideoQA.from_pretrained("tiny")
        >>> try:
        ...     qa.ask(np.zeros((1, 48, 48, 3), np.uint8), "what is shown ?", max_new_tokens=100_000)
        ... except dyto.DoesNotFitError as err:
        ...     print(err)
        prompt 9 + video at least 1 + new 100000 = 100010 tokens, but the context is 2048: ...
    """


class BadFeaturesError(ModelError):
    """A model returned NaN, infinity or wrong shapes.

    Example:
        >>> import numpy as np, dyto
        >>> try:
        ...     dyto.FrameFeatures.from_projected(np.ones((4, 64)))
        ... except dyto.BadFeaturesError as err:
        ...     print(err)
        features have shape (4, 64), expected (T, 1 + N, D)
    """


class OtherModelError(ModelError):
    """Error for a memory that another model, revision, dtype or preprocessing made."""


class EndpointError(ModelError):
    """A model behind an endpoint cannot be reached, does not answer, or may not be asked any more.

    Example:
        >>> from dyto.models.endpoint.service import Spending
        >>> spent = Spending(max_requests=1)
        >>> spent.ask_for(300)
        >>> try:
        ...     spent.ask_for(300)
        ... except EndpointError as err:
        ...     print(err)
        1 requests were sent, and max_requests allows no more: raise it, or ask fewer questions
    """


class EndpointLateError(EndpointError):
    """Error for an endpoint that does not answer in time."""


class EndpointBusyError(EndpointError):
    """Error for an endpoint that takes no more requests now.

    Attributes:
        retry_after: Seconds after which it is worth asking again.
    """

    retry_after: float = 1.0


class EndpointRefusedError(EndpointError):
    """Error for a request that an endpoint refuses: it is too long, or has an option that is not offered there."""


class StrategyError(DytoError):
    """A strategy raised an unexpected error, or returned unusable tokens.

    Example:
        >>> import numpy as np, dyto
        >>> qa = dyto.VideoQA.from_pretrained("tiny", lambda frames, encode, question=None: None)
        >>> try:
        ...     qa.encode(np.zeros((1, 48, 48, 3), np.uint8))
        ... except dyto.StrategyError as err:
        ...     print(err)
        strategy <lambda> returned NoneType, expected dyto.VisualTokens
    """


class DatasetError(DytoError):
    """A question file or a results folder is missing or wrong.

    Example:
        >>> from pathlib import Path
        >>> from dyto.evaluation.tables import read_rows
        >>> try:
        ...     read_rows(Path("questions.docx"))
        ... except DatasetError as err:
        ...     print(err)
        no question file at questions.docx: give the path of the file as downloaded, or prepare it
    """


class UnsafeNameError(DatasetError):
    """Error for a video's name that leads out of its folder or is not a file name."""


class AmbiguousNameError(DatasetError):
    """Error for a video's name that matches several files."""


class BadMemoryError(DatasetError):
    """Error for a file that is no memory, is cut or damaged, or is of a newer version."""


class TooManyErrorsError(DatasetError):
    """Error for a run that reached the number of errors at which it should stop."""


class JudgeError(DytoError):
    """The judge of open-ended answers cannot be reached or understood.

    Example:
        >>> verdicts = {"q1": "yes"}
        >>> try:
        ...     raise JudgeError("the judge's quota is used up")
        ... except JudgeError as err:
        ...     print(f"{err}; {len(verdicts)} verdict is kept")
        the judge's quota is used up; 1 verdict is kept
    """


class ConfigError(DytoError, ValueError):
    """Wrong usage: an unknown name, key or value.

    Example:
        >>> import dyto
        >>> try:
        ...     dyto.build_strategy("dyot")
        ... except dyto.ConfigError as err:
        ...     print(err)
        unknown strategy 'dyot': did you mean 'dyto'? Known: aks, ...
    """


class BadQuestionError(ConfigError):
    """Error for a question that no model can answer: it is empty, or not text."""


class EngineError(DytoError):
    """An engine accepts no question.

    Example:
        >>> import dyto
        >>> engine = dyto.Engine("tiny")
        >>> engine.close()
        >>> try:
        ...     engine.ask("clip.mp4", "what is shown ?")
        ... except dyto.EngineError as err:
        ...     print(err)
        the engine has stopped, expected a running one: make a new one
    """


class BusyError(EngineError):
    """Error for a question that comes while the queue is full.

    Attributes:
        retry_after: Seconds after which it is worth asking again.
    """

    retry_after: float = 1.0


class ClosedError(EngineError):
    """Error for a question to an engine that is stopping, or has stopped."""


class MissingExtraError(DytoError, ImportError):
    """Error for an optional dependency that is not installed.

    Args:
        what: The feature that needs it.
        package: The dependency.
        extra: The extra of `dyto` that names it.
        source: Its folder in the repository, for a dependency that this project keeps there itself.

    Example:
        >>> print(MissingExtraError("the web demo", "gradio", "demo"))
        the web demo needs gradio, which is not installed: run pip install '.[demo]' in a clone of dyto's repository
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
