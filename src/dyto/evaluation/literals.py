"""Parser of objects in a model's reply: JSON, Python literals, and models' variants of both."""

from __future__ import annotations

import re
from typing import Any

_DEPTH = 12
_SPACE = re.compile(r"\s*")
_BARE = re.compile(r"[^,:{}\[\]()\"'“”‘’\n]+")
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_QUOTES = {
    **{'"""': '"""', "'''": "'''", "''": "''", '""': '""', "``": "''", '"': '"', "'": "'"},
    **{"“": '[”“"]', "”": "[”“]", "„": "[”“]", "‘": "[’‘']", "’": "’", "«": "»"},
}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_ENDS = r"(?=\s*(?:[,:}\])]|\Z))"


class NoObjectError(ValueError):
    """Error for text without a readable object."""


def read_object(text: str, at: int) -> tuple[dict[str, Any], int]:
    """Parse the object at a position in a text; nothing is evaluated.

    Keys and strings may have any quotes, including typographic or doubled ones; keys and words may have none. A
    quote inside a string ends it only if a value may end there.

    Args:
        text: The text.
        at: Position of the opening brace.

    Returns:
        The object, with its keys in lower case, and the position after it.

    Raises:
        NoObjectError: There is no object, it is nested too deeply, or it has a key twice.

    Example:
        >>> read_object("{'pred': yes, 'score': 4.}", 0)
        ({'pred': 'yes', 'score': 4.0}, 26)
    """
    value, end = _value(text, at, 0)
    if not isinstance(value, dict):
        raise NoObjectError
    return value, end


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    if depth > _DEPTH or at >= len(text):
        raise NoObjectError
    if text[at] == "{":
        return _members(text, at + 1, depth)
    if text[at] in "[(":
        return _items(text, at + 1, "]" if text[at] == "[" else ")", depth)
    for opening, closing in _QUOTES.items():
        if text.startswith(opening, at):
            empty = len(opening) == 2 and re.compile(_ENDS).match(text, at + 2)
            return ("", at + 2) if empty else _string(text, at + len(opening), closing)
    word = _BARE.match(text, at)
    if word is None:
        raise NoObjectError
    bare = word[0].strip()
    return (float(bare) if _NUMBER.fullmatch(bare) else bare), word.end()


def _members(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    at = _skip(text, at)
    while not text.startswith("}", at):
        key, at = _value(text, at, depth + 1)
        at = _skip(text, at)
        if not isinstance(key, str) or not text.startswith(":", at):
            raise NoObjectError
        value, at = _value(text, _skip(text, at + 1), depth + 1)
        name = key.strip().casefold()
        if name in found:
            raise NoObjectError
        found[name] = value
        at = _comma(text, at, "}")
    return found, at + 1


def _items(text: str, at: int, closing: str, depth: int) -> tuple[list[Any], int]:
    found = []
    at = _skip(text, at)
    while not text.startswith(closing, at):
        value, at = _value(text, at, depth + 1)
        found.append(value)
        at = _comma(text, at, closing)
    return found, at + 1


def _comma(text: str, at: int, closing: str) -> int:
    """Return the position after a comma, or the position of a closing bracket instead."""
    at = _skip(text, at)
    if text.startswith(",", at):
        return _skip(text, at + 1)
    if not text.startswith(closing, at):
        raise NoObjectError
    return at


def _string(text: str, at: int, closing: str) -> tuple[str, int]:
    """Read a string from a position up to a quote after which a value may end."""
    match = re.compile(rf"((?:\\.|[^\\])*?){closing}{_ENDS}", re.DOTALL).match(text, at)
    if match is None:
        raise NoObjectError
    plain = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code[1], 16)), match[1])
    return re.sub(r"\\(.)", lambda one: _ESCAPES.get(one[1], one[1]), plain, flags=re.DOTALL), match.end()


def _skip(text: str, at: int) -> int:
    match = _SPACE.match(text, at)
    assert match is not None
    return match.end()
