"""Errors as a client sees them: one table from error to status, and one shape of the body."""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Mapping
from typing import Any

from dyto.demo.messages import names_a_place
from dyto.errors import (
    BadFeaturesError,
    BadMemoryError,
    BusyError,
    ClosedError,
    ConfigError,
    DoesNotFitError,
    DytoError,
    EndpointBusyError,
    EndpointError,
    EndpointLateError,
    EndpointRefusedError,
    OtherModelError,
    VideoError,
)

logger = logging.getLogger(__name__)

STATUSES: tuple[tuple[type[DytoError], int, str], ...] = (
    (BusyError, 429, "rate_limit_exceeded"),
    (ClosedError, 503, "server_stopping"),
    (DoesNotFitError, 400, "context_length_exceeded"),
    (BadFeaturesError, 500, "model_failed"),
    (EndpointBusyError, 429, "rate_limit_exceeded"),
    (EndpointLateError, 504, "upstream_late"),
    (EndpointRefusedError, 400, "upstream_refused"),
    (EndpointError, 502, "upstream_failed"),
    (VideoError, 400, "invalid_media"),
    (BadMemoryError, 400, "invalid_media"),
    (OtherModelError, 400, "invalid_media"),
    (ConfigError, 400, "invalid_value"),
)
"""Error class, status of the response, and code in its body; the first that fits counts, and 500 is for all others."""


class Refusal(Exception):
    """A request that is refused.

    Attributes:
        status: Status of the response.
        code: A word for programs.
        param: The field that it is about, if any.
        headers: Further headers of the response.
    """

    def __init__(
        self,
        status: int,
        words: str,
        *,
        code: str = "invalid_value",
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(words)
        self.status, self.code, self.param, self.headers = status, code, param, dict(headers or {})

    def body(self) -> dict[str, Any]:
        """Return the body of the response, in the shape of OpenAI's."""
        kinds = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}
        kind = kinds.get(self.status, "invalid_request_error" if self.status < 500 else "server_error")
        return {"error": {"message": str(self), "type": kind, "param": self.param, "code": self.code}}


def refusal_of(err: Exception, hidden: Mapping[str, str] | None = None) -> Refusal:
    """Return what a client is told about an error; nothing unforeseen is told, and no folder of this machine.

    Args:
        err: The error.
        hidden: Texts to replace in its message, such as the path of a file by a name that the client knows.
    """
    if isinstance(err, Refusal):
        return err
    words = tidy(str(err), hidden)
    status, code, wait = 500, "internal_error", None
    for kind, its_status, its_code in STATUSES:
        if isinstance(err, kind):
            status, code = its_status, its_code
            wait = err.retry_after if isinstance(err, (BusyError, EndpointBusyError)) else None
            # A mistake of usage repeats what the client wrote, which may look like a place.
            if kind is ConfigError or not names_a_place(words):
                return _refused(status, words, code, wait)
            break
    number = secrets.token_hex(4)
    logger.error("a request failed (reference %s)", number, exc_info=err)
    return _refused(status, f"something went wrong here; the log of the server has it as {number}", code, wait)


def _refused(status: int, words: str, code: str, wait: float | None) -> Refusal:
    return Refusal(status, words, code=code, headers=None if wait is None else {"retry-after": f"{math.ceil(wait)}"})


def tidy(words: str, hidden: Mapping[str, str] | None) -> str:
    """Replace some texts in a message, the longest first."""
    for text, name in sorted((hidden or {}).items(), key=lambda pair: -len(pair[0])):
        words = words.replace(text, name)
    return words
