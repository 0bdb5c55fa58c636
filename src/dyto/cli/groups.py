"""Groups of options: one object in the code, separate flags on the command line."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, fields
from functools import wraps
from typing import Annotated, Any, get_args, get_origin, get_type_hints


class Flags:
    """Mark for a command's parameter that stands for the fields of a dataclass.

    Args:
        options: Typer annotation of each field with a flag; other fields keep their defaults. None if the fields
            carry their annotations themselves, and all have flags.
        without: Fields without a flag.
        filled: Let the class fill in what is left open, if it can (`of_flags`).
    """

    def __init__(
        self, options: Mapping[str, Any] | None = None, *, without: Sequence[str] = (), filled: bool = True
    ) -> None:
        self._options, self._without, self._filled = options, without, filled

    def maker(self, kind: type[Any]) -> Callable[..., Any]:
        """Return what makes the object from the flags."""
        return getattr(kind, "of_flags", kind) if self._filled else kind

    def of(self, kind: type[Any]) -> dict[str, Any]:
        """Return the annotation of every flag."""
        options = get_type_hints(kind, include_extras=True) if self._options is None else self._options
        return {name: option for name, option in options.items() if name not in self._without}


def with_flags(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command one flag for every field of its parameters marked with `Flags`."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        hint = hints[parameter.name]
        flags = next((extra for extra in get_args(hint)[1:] if isinstance(extra, Flags)), None)
        if get_origin(hint) is not Annotated or flags is None:
            parameters.append(parameter.replace(annotation=hint, kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        kind = get_args(hint)[0]
        options = flags.of(kind)
        groups[parameter.name] = flags.maker(kind), options
        for field in fields(kind):
            if field.name in options:
                default = field.default if field.default is not MISSING else inspect.Parameter.empty
                parameters.append(
                    inspect.Parameter(
                        field.name,
                        inspect.Parameter.KEYWORD_ONLY,
                        default=default,
                        annotation=options[field.name],
                    )
                )

    @wraps(command)
    def call(**given: Any) -> None:
        for name, (make, options) in groups.items():
            given[name] = make(**{field: given.pop(field) for field in options})
        command(**given)

    del call.__wrapped__  # the signature has changed
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return call
