"""The program of a child process that renders a checkpoint's chat template; it imports nothing but jinja2.

A template is a program that a stranger wrote. jinja2's sandbox keeps it from files and from Python, but not from
looping or growing without end. So it runs in a process of its own, with limits on memory and time.
"""

from __future__ import annotations

import sys
from typing import Any

MEMORY = 1 << 30
"""Memory limit of the child, in bytes; not every system has one."""

SECONDS = 10
"""Seconds of computation that the child may take."""

SAFE = (3, 1, 6)
"""The first version of jinja2 without known ways out of its sandbox."""

MOST_LETTERS = 1 << 16
"""Largest length of a rendered conversation."""


def render(template: str, conversations: list[Any], names: dict[str, Any]) -> list[str]:
    """Render conversations as stock transformers renders them.

    Args:
        template: The template.
        conversations: Lists of messages.
        names: Names that the template may use, such as `bos_token`.

    Returns:
        One text per conversation.

    Example:
        >>> render("{{ bos }}{{ messages[0].content }}", [[{"content": "hello"}]], {"bos": "-"})
        ['-hello']
    """
    import json
    from datetime import datetime

    import jinja2
    from jinja2.ext import Extension
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    if tuple(map(int, jinja2.__version__.split(".")[:3])) < SAFE:
        raise jinja2.TemplateError(f"jinja2 {jinja2.__version__} is too old: pip install -U jinja2")

    class Generation(Extension):
        """The block `generation`, which marks answers in training data."""

        tags = {"generation"}  # noqa: RUF012 - as in its base class

        def parse(self, parser: Any) -> Any:
            next(parser.stream)
            return parser.parse_statements(("name:endgeneration",), drop_needle=True)

    def refuse(message: str) -> None:
        raise jinja2.TemplateError(message)

    def to_json(value: Any, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent)

    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
    )
    environment.filters["tojson"] = to_json
    environment.globals["raise_exception"] = refuse
    environment.globals["strftime_now"] = lambda form: datetime.now().strftime(form)
    compiled = environment.from_string(template)
    texts = [compiled.render(messages=messages, add_generation_prompt=True, **names) for messages in conversations]
    if max(map(len, texts)) > MOST_LETTERS:
        raise jinja2.TemplateError(f"it writes {max(map(len, texts))} letters for one question")
    return texts


def _limit() -> None:
    try:
        import resource
    except ImportError:  # on Windows
        return
    for what, most in ((resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, SECONDS)):
        try:
            resource.setrlimit(what, (most, most))
        except (OSError, ValueError):  # this system has no such limit, or a lower one
            continue


def main() -> None:
    """Read a job from standard input as JSON, and write the texts, or the reason for none, to standard output."""
    import json

    _limit()
    job = json.load(sys.stdin)
    said: dict[str, Any] = {}
    try:
        said = {"texts": render(job["template"], job["conversations"], job["names"])}
    except Exception as err:  # noqa: BLE001 - whatever a stranger's program raises
        said = {"error": f"{type(err).__name__}: {err}"[:200].rstrip(": ")}
    json.dump(said, sys.stdout)


if __name__ == "__main__":
    del sys.path[0]  # the folder of this file
    main()
