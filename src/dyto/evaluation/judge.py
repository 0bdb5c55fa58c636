"""The judge of open-ended answers: any OpenAI-compatible endpoint, through the official client."""

from __future__ import annotations

import logging
import os
import random
import threading
from collections.abc import Mapping
from typing import Any

from dyto.errors import JudgeError
from dyto.evaluation.endpoint import BrokenReplyError, Endpoint, Messages, OddReplyError
from dyto.evaluation.verdicts import Verdict, parse_verdict

DEFAULT_MODEL = "gpt-3.5-turbo-0125"
_LONGEST_KEPT = 2000
_REMINDER = "That was not the JSON object asked for. Reply with that object only."

logger = logging.getLogger(__name__)


class Judge:
    """A chat model that gives verdicts.

    Environment: `OPENAI_API_KEY`, `OPENAI_ORG`, `OPENAI_BASE_URL`.

    Args:
        model: Name of the model at the endpoint.
        timeout: Seconds for a whole request, from connecting to the last byte of the reply.
        attempts: Number of times to send a request before it counts as failed.
        asks: Number of times to ask about a case before it counts as unscored.
        backoff: Seconds before the second attempt; doubled for each further attempt, up to a minute.
        give_up_after: Number of failed requests in a row, in all attempts, after which judging stops.

    Raises:
        MissingExtraError: The client is not installed.
        JudgeError: There is neither a key nor an endpoint.
    """

    def __init__(
        self,
        model: str = DEFAULT_MODEL,
        *,
        timeout: float = 60.0,
        attempts: int = 6,
        asks: int = 3,
        backoff: float = 1.0,
        give_up_after: int = 8,
    ) -> None:
        base_url = os.environ.get("OPENAI_BASE_URL") or None
        key = os.environ.get("OPENAI_API_KEY") or ("none" if base_url else "")
        if not key:
            raise JudgeError(
                "the judge has no key: set OPENAI_API_KEY (or OPENAI_BASE_URL for a server of your own), "
                "or judge offline with --judge offline"
            )
        self.model = model
        self.name = f"{model} at {base_url}" if base_url else model
        self._attempts, self._asks, self._backoff = attempts, asks, backoff
        self._endpoint = Endpoint(model, key, base_url, timeout)
        self._failed_in_a_row = 0
        self._give_up_after = give_up_after
        self._stop = threading.Event()
        self._lock = threading.Lock()

    def __call__(self, messages: Messages, aspect: str) -> Verdict:
        """Ask about one case until there is a verdict or the number of asks is used up.

        Raises:
            JudgeError: The endpoint rejects our requests, or fails repeatedly.
        """
        talk: list[Mapping[str, str]] = list(messages)
        reply, reason = "", ""
        for _ in range(self._asks):
            try:
                reply = self._send(talk)
            except OddReplyError as err:
                reason = f"no chat completion in {self._asks} replies: {err}"
                continue
            except _RequestFailedError as err:
                return Verdict(reason=str(err))
            verdict = parse_verdict(reply, aspect)
            if verdict is not None:
                return verdict
            reply, reason = reply[:_LONGEST_KEPT], f"no verdict in {self._asks} replies"
            talk = [*messages, {"role": "assistant", "content": reply or "(nothing)"}]
            talk.append({"role": "user", "content": _REMINDER})
        return Verdict(reason=reason, reply=reply)

    def stop(self) -> None:
        """Send no further requests."""
        self._stop.set()

    def _send(self, messages: Messages) -> str:
        """Send one request with retries; return the reply's text, empty if the endpoint said nothing."""
        import openai

        why = ""
        for attempt in range(self._attempts):
            if self._stop.is_set():
                raise JudgeError("judging was stopped")
            try:
                reply = self._endpoint.complete(messages)
                self._failed_in_a_row = 0
                return reply
            except OddReplyError:
                self._failed_in_a_row = 0
                raise
            except (openai.AuthenticationError, openai.PermissionDeniedError, openai.NotFoundError) as err:
                raise JudgeError(
                    f"the judge {self.name} rejects our requests: {_short(err)}; check key, model and endpoint"
                ) from err
            except (openai.BadRequestError, openai.UnprocessableEntityError) as err:
                self._count_failure(_short(err))
                raise _RequestFailedError(f"refused: {_short(err)}") from err
            except openai.RateLimitError as err:
                if err.code == "insufficient_quota":
                    raise JudgeError(f"the judge's quota is used up: {_short(err)}") from err
                why, pause = _short(err), _retry_after(err)
            except (openai.APIError, BrokenReplyError) as err:  # 5xx, no connection, too late, a body that is not JSON
                why, pause = _short(err), None
            logger.info("judge, attempt %d of %d: %s", attempt + 1, self._attempts, why)
            if attempt + 1 < self._attempts:
                delay = min(60.0, self._backoff * 2**attempt) * random.uniform(0.8, 1.2)
                self._stop.wait(delay if pause is None else pause)
        self._count_failure(why)
        raise _RequestFailedError(f"no reply in {self._attempts} attempts: {why}")

    def _count_failure(self, why: str) -> None:
        with self._lock:
            self._failed_in_a_row += 1
            if self._failed_in_a_row >= self._give_up_after:
                raise JudgeError(
                    f"the judge {self.name} failed {self._failed_in_a_row} times in a row, last: {why}. "
                    "All verdicts so far are kept: run the same command again when it is back"
                )


class _RequestFailedError(Exception):
    """Error for one request that gets no answer; others may."""


def _short(err: Exception) -> str:
    status = getattr(err, "status_code", None)
    said = getattr(err, "body", None)
    text = " ".join(f"{err} {said if isinstance(said, str) else ''}".split())[:160] or type(err).__name__
    return f"HTTP {status}: {text}" if status and str(status) not in text else text


def _retry_after(err: Any) -> float | None:
    try:
        return min(60.0, max(0.0, float(err.response.headers["retry-after"])))
    except (KeyError, ValueError):
        return None
