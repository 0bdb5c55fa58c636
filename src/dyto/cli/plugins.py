"""Commands of other distributions: entry points in the group `dyto.commands`, each a function that Typer accepts.

Such a distribution is imported only when its command is called. The name and its line in `dyto --help` come from the
metadata that its installer recorded. The commands of `dyto` itself come first, without a search for others.
"""

from __future__ import annotations

import contextlib
from importlib.metadata import EntryPoint, entry_points
from typing import Any, NamedTuple

import typer
from rich.markup import escape
from typer.core import TyperCommand, TyperGroup

from dyto.cli import ending
from dyto.errors import DytoError, MissingExtraError

GROUP = "dyto.commands"


class Known(NamedTuple):
    """A command of this project in a separate distribution.

    Attributes:
        package: The distribution.
        extra: The extra of `dyto` that installs it.
        source: Its folder in a clone of the repository.
    """

    package: str
    extra: str
    source: str


KNOWN = {"bench": Known("dyto-bench", "bench", "./tools/bench")}


class Elsewhere(TyperCommand):
    """Placeholder in a list of commands for a command that is not loaded."""


class Commands(TyperGroup):
    """The commands of `dyto` itself, followed by those of other distributions."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        self._add_others()
        return super().list_commands(ctx)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return the command with a name, or a placeholder if another distribution has it; None if unknown."""
        if cmd_name not in self.commands:
            self._add_others()
        return super().get_command(ctx, cmd_name)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the name of the command to run, the loaded command, and its arguments."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, load(str(command.name)) if isinstance(command, Elsewhere) else command, rest

    def _add_others(self) -> None:
        for name, line in described().items():
            self.commands.setdefault(name, Elsewhere(name, help=escape(line)))


def described() -> dict[str, str]:
    """Return the lines of `dyto --help` about commands of other distributions, without importing them."""
    lines = {name: f"Needs {known.package}, which is not installed." for name, known in KNOWN.items()}
    with contextlib.suppress(Exception):  # damaged metadata must not keep `dyto` from working
        for point in entry_points(group=GROUP):
            lines[point.name] = _summary(point)
    return lines


def _summary(point: EntryPoint) -> str:
    metadata = point.dist.metadata if point.dist else None
    told = metadata.get_all("Summary") if metadata else None
    return told[0] if told else f"Added by {_distribution(point)}."


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else "an unknown distribution"


def load(name: str) -> Any:
    """Import the command of another distribution.

    Args:
        name: Name of the command.

    Returns:
        The command, ready to run.

    Raises:
        MissingExtraError: The distribution with the command is not installed.
        DytoError: The command cannot be loaded, or several distributions have one with this name.
    """
    try:
        found = list(entry_points(group=GROUP, name=name))
    except Exception as error:
        raise DytoError(
            f"{_said(error)} while looking for the distribution that has the command {name!r}: the list of what is "
            "installed is damaged; `pip check` may find where"
        ) from error
    if not found:
        known = KNOWN[name]
        raise MissingExtraError(f"The command {name!r}", known.package, known.extra, known.source)
    if len(found) > 1:
        raise DytoError(
            f"the command {name!r} is in several distributions ({', '.join(map(_distribution, found))}), expected "
            "one: uninstall the others"
        )
    try:
        app = typer.Typer(add_completion=False, rich_markup_mode="rich")
        ending.FOREIGN.append(name)
        app.command(name)(found[0].load())
        return typer.main.get_command(app)
    except (Exception, SystemExit) as error:
        raise DytoError(
            f"the command {name!r} of {_distribution(found[0])} cannot be loaded ({_said(error)}): install a version "
            "of it that fits, or uninstall it"
        ) from error


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".rstrip(": ")
