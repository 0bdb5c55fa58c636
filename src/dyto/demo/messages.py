"""Messages that a page may send: plain values, rebuilt one by one."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

FIELD_LETTERS = 8000
MOST_NUMBER = 1_000_000_000
PLACE = re.compile(r"(?<![\w.])(?:~?/|[A-Za-z]:\\)\w")
EVENT = re.compile(r"[0-9a-f]{32}")

Plain = str | int | float | bool | None


class RequestError(Exception):
    """Error for a refused request.

    Attributes:
        status: Status of the HTTP response.
    """

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


def names_a_place(words: str) -> bool:
    """Return whether words name a folder of this machine, which visitors must not see.

    Example:
        >>> names_a_place("/home/ann/model has no config.json"), names_a_place("org/model is 3 / 4 full")
        (True, False)
    """
    return PLACE.search(words) is not None


def unforeseen(number: str) -> str:
    """Return the message for an unexpected error: only a number under which the operator finds it."""
    return f"something went wrong here; the log of the demo has it as {number}"


@dataclass(frozen=True)
class Call:
    """The inputs of a page function.

    Attributes:
        fields: Number of values.
        picked: Whether the selected item is passed.
    """

    fields: int
    picked: bool = False


def read_join(body: bytes, calls: Mapping[int, Call]) -> dict[str, Any]:
    """Parse the request to call a page function.

    Args:
        body: Body of the request.
        calls: The functions that may be called, by number.

    Returns:
        The request with plain values only: of a file, only its token stays, which is looked up and never opened.

    Raises:
        RequestError: The body is anything else.

    Example:
        >>> sent = b'{"fn_index": 4, "session_hash": "abcd", "data": [{"path": "/etc/passwd", "url": "x"}, "what ?"]}'
        >>> read_join(sent, {4: Call(2)})["data"]
        ['/etc/passwd', 'what ?']
    """
    given = _object(body)
    number, data, trigger = given.get("fn_index"), given.get("data"), given.get("trigger_id")
    call = calls.get(number) if type(number) is int else None
    if call is None or not isinstance(data, list) or len(data) != call.fields:
        _refuse()
    picked = given["event_data"].get("index") if isinstance(given.get("event_data"), dict) else None
    if call.picked and (type(picked) is not int or not 0 <= picked < MOST_NUMBER):
        _refuse()
    return {
        "data": [_plain(value) for value in data],
        "event_data": {"index": picked, "value": None} if call.picked else None,
        "fn_index": number,
        "trigger_id": trigger if type(trigger) is int and abs(trigger) < MOST_NUMBER else None,
        "session_hash": _text(given.get("session_hash")),
    }


def read_cancel(body: bytes) -> dict[str, Any]:
    """Parse the request to stop a question.

    Raises:
        RequestError: The body is anything else.
    """
    given = _object(body)
    event, number = given.get("event_id"), given.get("fn_index")
    if not isinstance(event, str) or not EVENT.fullmatch(event) or type(number) is not int or abs(number) > MOST_NUMBER:
        _refuse()
    return {"session_hash": _text(given.get("session_hash")), "fn_index": number, "event_id": event}


def _object(body: bytes) -> dict[str, Any]:
    try:
        given = json.loads(body, parse_constant=lambda name: _refuse())
    except (ValueError, RecursionError):
        _refuse()
    if not isinstance(given, dict):
        _refuse()
    return given


def _plain(value: object) -> Plain:
    """Return the plain value of a field; for a file only its token."""
    if isinstance(value, dict):
        value = value.get("path")
    if isinstance(value, str):
        return _text(value)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and abs(value) <= MOST_NUMBER:
        return value
    _refuse()


def _text(value: object) -> str:
    if not isinstance(value, str):
        _refuse()
    if len(value) > FIELD_LETTERS:
        raise RequestError(413, f"a field takes {FIELD_LETTERS} letters, and this one has {len(value)}")
    try:
        value.encode()
    except UnicodeEncodeError:
        _refuse()
    return value


def _refuse() -> NoReturn:
    raise RequestError(400, "this is not what the page sends")
