"""The judge of open-ended answers: any OpenAI-compatible endpoint, through the official client."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from dyto.errors import JudgeError
from dyto.evaluation.verdicts import Verdict, parse_verdict
from dyto.models.endpoint.client import Endpoint, Messages
from dyto.models.endpoint.reading import OddReplyError
from dyto.models.endpoint.sending import RequestFailedError, Sender

DEFAULT_MODEL = "gpt-3.5-turbo-0125"
_REPLY_TOKENS = 100
_LONGEST_KEPT = 2000
_REMINDER = "That was not the JSON object asked for. Reply with that object only."


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
        self._asks = asks
        endpoint = Endpoint(
            model,
            key,
            base_url,
            timeout,
            most_tokens=_REPLY_TOKENS,
            what="The judge of open-ended answers",
            extra="judge",
        )
        self._sender = Sender(
            endpoint,
            kind="the judge",
            name=self.name,
            error=JudgeError,
            attempts=attempts,
            backoff=backoff,
            give_up_after=give_up_after,
            kept="All verdicts so far are kept: run the same command again when it is back",
        )

    def __call__(self, messages: Messages, aspect: str) -> Verdict:
        """Ask about one case until there is a verdict or the number of asks is used up.

        Raises:
            JudgeError: The endpoint rejects our requests, or fails repeatedly.
        """
        talk: list[Mapping[str, Any]] = list(messages)
        reply, reason = "", ""
        for _ in range(self._asks):
            try:
                reply = self._sender.send(talk).text
            except OddReplyError as err:
                reason = f"no chat completion in {self._asks} replies: {err}"
                continue
            except RequestFailedError as err:
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
        self._sender.stop()
