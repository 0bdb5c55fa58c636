"""What must be known about an endpoint: its address and key, how it counts pictures, and what a run may spend there."""

from __future__ import annotations

import math
import os
import threading
from dataclasses import dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

from dyto.errors import ConfigError, EndpointError, unknown
from dyto.models.endpoint.counting import Rule, rule_for
from dyto.models.loading.naming import ENDPOINT

PREFIX = ENDPOINT
"""Beginning of the name of every model behind an endpoint."""

OWN_KEY, OPENAI_KEY, ADDRESS = "DYTO_API_KEY", "OPENAI_API_KEY", "OPENAI_BASE_URL"
"""Environment variables. OpenAI's key goes to OpenAI, or to the address in the environment beside it."""

LETTERS_A_TOKEN = 4
"""Letters of a text for each token, roughly, for estimates."""


@dataclass(frozen=True)
class Service:
    """How to reach a model behind an endpoint.

    Attributes:
        base_url: Address of its OpenAI-compatible interface, such as http://127.0.0.1:11434/v1; None for the variable
            OPENAI_BASE_URL, or OpenAI itself.
        tokens_per_image: What each picture costs; None for the rule that goes with the model's name.
        picture_side: Longest side of the largest picture, in pixels.
        max_requests: Largest number of requests in this process; None for no limit.
        max_tokens: Largest number of tokens to spend in this process, sent and received; None for no limit.
        timeout: Seconds for one request.
        attempts: Number of times to send a request before it counts as failed.
        backoff: Seconds before the second attempt; doubled for each further one.
        key_env: Environment variable that holds the key; None for DYTO_API_KEY, or OPENAI_API_KEY for OpenAI itself.

    Raises:
        ConfigError: A value is impossible.
    """

    base_url: str | None = None
    tokens_per_image: int | None = None
    picture_side: int = 768
    max_requests: int | None = None
    max_tokens: int | None = None
    timeout: float = 120.0
    attempts: int = 5
    backoff: float = 1.0
    key_env: str | None = None

    def __post_init__(self) -> None:
        for name in ("tokens_per_image", "picture_side", "max_requests", "max_tokens", "timeout", "attempts"):
            value = getattr(self, name)
            if value is not None and not (isinstance(value, (int, float)) and 0 < value < math.inf):
                raise ConfigError(f"{name} of an endpoint is {value!r}, expected a number above 0")
        if (url := self.address) is not None:
            parts = urlsplit(url)
            if parts.scheme not in ("http", "https") or not parts.hostname:
                raise ConfigError(f"base_url is {url[:100]!r}, expected http://HOST:PORT/v1 or https://HOST/v1")
            if parts.username or parts.password or parts.query:
                raise ConfigError(
                    f"base_url of {parts.hostname} holds a name, password or query, expected an address that can be "
                    f"shown: set the key in {OWN_KEY}"
                )

    @classmethod
    def of(cls, options: dict[str, Any]) -> Service:
        """Make a service of options, without those that are None.

        Raises:
            ConfigError: An option is unknown.
        """
        known = [one.name for one in fields(cls)]
        for name in options:
            if name not in known:
                raise unknown("option of an endpoint", name, known)
        return cls(**{name: value for name, value in options.items() if value is not None})

    @property
    def address(self) -> str | None:
        """The address; None for OpenAI's own."""
        return self.base_url or os.environ.get(ADDRESS) or None

    def key(self) -> str:
        """Return the key from the environment; "none" for a server that asks for none.

        Raises:
            ConfigError: OpenAI needs a key, or a variable was named for it, and there is none.
        """
        if self.key_env is not None:
            named = os.environ.get(self.key_env, "").strip()
            if not named:
                raise ConfigError(f"environment variable {self.key_env} is empty, expected the key of the endpoint")
            return named
        if own := os.environ.get(OWN_KEY):
            return own
        theirs = self.address is None or self.address == os.environ.get(ADDRESS)
        theirs = theirs or urlsplit(self.address or "").hostname == "api.openai.com"
        key = os.environ.get(OPENAI_KEY, "") if theirs else ""
        if not key and self.address is None:
            raise ConfigError(
                f"found neither --base-url nor {OPENAI_KEY}, expected one: name the address of your server, such as "
                "http://127.0.0.1:11434/v1, or set the key"
            )
        return key or "none"

    def rule(self, name: str) -> Rule:
        """Return the rule by which the pictures of a model are counted."""
        return rule_for(name, self.tokens_per_image)


def text_tokens(text: str) -> int:
    """Estimate the tokens of a text.

    Example:
        >>> text_tokens("What happens?")
        4
    """
    return math.ceil(len(text) / LETTERS_A_TOKEN)


@dataclass
class Spending:
    """What this process has spent at an endpoint, and may spend; for any number of threads.

    Attributes:
        max_requests: Largest number of requests; None for no limit.
        max_tokens: Largest number of tokens; None for no limit.
        requests: Requests sent.
        tokens: Tokens sent and received: as the endpoint counted them, or else as estimated.
    """

    max_requests: int | None = None
    max_tokens: int | None = None
    requests: int = 0
    tokens: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def ask_for(self, tokens: int) -> None:
        """Count a request before it is sent.

        Args:
            tokens: The most that it is expected to cost.

        Raises:
            EndpointError: A limit does not allow it.
        """
        with self._lock:
            if self.max_requests is not None and self.requests >= self.max_requests:
                raise EndpointError(
                    f"{self.requests} requests were sent, and max_requests allows no more: raise it, or ask fewer "
                    "questions"
                )
            if self.max_tokens is not None and self.tokens + tokens > self.max_tokens:
                raise EndpointError(
                    f"{self.tokens} tokens are spent and the next request may take {tokens}, but max_tokens is "
                    f"{self.max_tokens}: raise it, or lower token_budget"
                )
            self.requests += 1
            self.tokens += tokens

    def correct(self, expected: int, used: int | None) -> None:
        """Replace an expectation by what a request really took; None if the endpoint does not say."""
        if used is not None:
            with self._lock:
                self.tokens += used - expected
