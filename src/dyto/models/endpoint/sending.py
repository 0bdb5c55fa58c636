"""Requests with retries: which failures pass, which concern one request, and which concern all of them."""

from __future__ import annotations

import logging
import random
import re
import threading
from typing import Any

from dyto.errors import DytoError
from dyto.models.endpoint.client import Endpoint, Messages
from dyto.models.endpoint.reading import BrokenReplyError, EndpointReply, OddReplyError

LONGEST_PAUSE = 60.0
"""Largest number of seconds between two attempts, whatever the endpoint asks for."""

_TOO_LONG = re.compile(
    r"context.?(?:length|size|window)|model length|prompt is too long|too many tokens", re.IGNORECASE
)
"""How servers say that a request is longer than the model's context."""

_KEY = re.compile(r"\b(?:sk|key|Bearer)[-_ ][\w*.-]{6,}")

logger = logging.getLogger(__name__)


class RequestFailedError(Exception):
    """Error for one request that gets no answer; others may."""


class TooLongError(RequestFailedError):
    """Error for a request that is longer than the model's context."""


class Sender:
    """An endpoint with retries, for any number of threads.

    Args:
        endpoint: The endpoint.
        kind: What it is to us, as in "the judge".
        name: Its name, for errors.
        error: Class of the errors that concern every request.
        attempts: Number of times to send a request before it counts as failed.
        backoff: Seconds before the second attempt; doubled for each further attempt, up to a minute.
        give_up_after: Number of failed requests in a row, in all attempts, after which every request is an error.
        kept: Sentence of the error that is raised then: what is kept, and what to do.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        kind: str,
        name: str,
        error: type[DytoError],
        attempts: int,
        backoff: float,
        give_up_after: int,
        kept: str,
    ) -> None:
        self._endpoint, self._error = endpoint, error
        self._kind, self._who, self._kept = kind, f"{kind} {name}", kept
        self._attempts, self._backoff, self._give_up_after = attempts, backoff, give_up_after
        self._failed_in_a_row = 0
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def stop(self) -> None:
        """Send no further requests."""
        self._stop.set()

    def send(self, messages: Messages, **changes: Any) -> EndpointReply:
        """Send one request, several times if necessary.

        Args:
            messages: The chat.
            **changes: As in `Endpoint.complete`.

        Raises:
            OddReplyError: The reply is JSON of another shape.
            RequestFailedError: This request gets no answer; as `TooLongError` if it is too long.
            DytoError: No request would, of the class that was given.
        """
        import openai

        why = ""
        for attempt in range(self._attempts):
            if self._stop.is_set():
                raise self._error(f"{self._who} was stopped")
            try:
                reply = self._endpoint.complete(messages, **changes)
                self._failed_in_a_row = 0
                return reply
            except OddReplyError:
                self._failed_in_a_row = 0
                raise
            except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as err:
                raise self._error(
                    f"{self._who} rejects our requests: {short(err)}; check key, model and endpoint"
                ) from err
            except (openai.BadRequestError, openai.UnprocessableEntityError) as err:
                self._count_failure(short(err))
                kind = TooLongError if _TOO_LONG.search(f"{err.code} {err}") else RequestFailedError
                raise kind(f"refused: {short(err)}") from err
            except openai.RateLimitError as err:
                if err.code == "insufficient_quota":
                    raise self._error(f"{self._kind}'s quota is used up: {short(err)}") from err
                why, pause = short(err), retry_after(err)
            except openai.APIStatusError as err:
                if 300 <= err.status_code < 400:
                    place = err.response.headers.get("location", "nowhere")
                    raise self._error(
                        f"{self._who} sends us on to {place[:200]!r} (HTTP {err.status_code}), expected an answer: "
                        "give the address of the API itself"
                    ) from err
                why, pause = short(err), retry_after(err)
            except (openai.APIError, BrokenReplyError) as err:  # no connection, too late, a body that is not JSON
                why, pause = short(err), None
            logger.info("%s, attempt %d of %d: %s", self._kind, attempt + 1, self._attempts, why)
            if attempt + 1 < self._attempts:
                delay = min(LONGEST_PAUSE, self._backoff * 2**attempt) * random.uniform(0.8, 1.2)
                self._stop.wait(delay if pause is None else pause)
        self._count_failure(why)
        raise RequestFailedError(f"no reply in {self._attempts} attempts: {why}")

    def _count_failure(self, why: str) -> None:
        with self._lock:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= self._give_up_after:
                raise self._error(
                    f"{self._who} failed {self._failed_in_a_row} times in a row, last: {why}. {self._kept}"
                )


def short(err: Exception) -> str:
    """Describe an error of an endpoint in one line, with nothing that looks like a key."""
    status = getattr(err, "status_code", None)
    said = getattr(err, "body", None)
    text = " ".join(f"{err} {said if isinstance(said, str) else ''}".split()) or type(err).__name__
    text = _KEY.sub("(key)", text)[:160]
    return f"HTTP {status}: {text}" if status and str(status) not in text else text


def retry_after(err: Any) -> float | None:
    """Return after how many seconds an endpoint wants to be asked again; None if it does not say."""
    try:
        return min(LONGEST_PAUSE, max(0.0, float(err.response.headers["retry-after"])))
    except (KeyError, ValueError):
        return None
