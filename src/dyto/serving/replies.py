"""What a client gets back, in the shapes of OpenAI's chat protocol."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dyto.serving.events import EngineReply
from dyto.serving.refusing import Refusal, tidy


@dataclass(frozen=True)
class Completion:
    """The shapes of one completion.

    Attributes:
        model: Name of the model.
        hidden: Texts to replace in what is told, such as paths.
        id: Its random name.
        created: When it was asked for, in seconds since 1970.
    """

    model: str
    hidden: Mapping[str, str]
    id: str = field(default_factory=lambda: f"chatcmpl-{secrets.token_hex(12)}")
    created: int = field(default_factory=lambda: int(time.time()))

    def whole(self, reply: EngineReply) -> dict[str, Any]:
        """Return a plain completion."""
        message = {"role": "assistant", "content": reply.text, "refusal": None}
        return {
            **self._head("chat.completion"),
            "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": reply.reason}],
            "usage": usage_of(reply),
            "dyto": self.details(reply),
        }

    def piece(self, text: str, first: bool) -> str:
        """Return a piece of a streamed completion."""
        return self._chunk({"role": "assistant", "content": text} if first else {"content": text}, None)

    def last(self, reply: EngineReply, usage: bool) -> str:
        """Return the end of a streamed completion."""
        chunks = self._chunk({}, reply.reason, dyto=self.details(reply))
        if usage:
            chunks += _event({**self._head("chat.completion.chunk"), "choices": [], "usage": usage_of(reply)})
        return chunks + "data: [DONE]\n\n"

    def failed(self, refusal: Refusal) -> str:
        """Return the end of a streamed completion that failed."""
        return _event(refusal.body())

    def details(self, reply: EngineReply) -> dict[str, Any]:
        """Return our own part of a completion."""
        told = reply.answer.to_dict()
        names = ("choice", "keyframes", "tokens", "seconds", "strategy")
        details = {**reply.answer.details, **{name: told[name] for name in names}}
        details.pop("spent", None)  # by all clients together
        details["warnings"] = [tidy(words, self.hidden) for words in told["warnings"]]
        details["reused"] = reply.reused
        if said := told["subtitles"]:
            details["subtitles"] = {**said, "source": tidy(said["source"], self.hidden)}
        if reply.evidence is not None:
            details["evidence"] = [moment.to_dict() for moment in reply.evidence]
        return details

    def _head(self, kind: str) -> dict[str, Any]:
        return {"id": self.id, "object": kind, "created": self.created, "model": self.model}

    def _chunk(self, delta: dict[str, str], reason: str | None, **more: Any) -> str:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": reason}
        return _event({**self._head("chat.completion.chunk"), "choices": [choice], **more})


def usage_of(reply: EngineReply) -> dict[str, Any]:
    """Return the tokens of a reply; visual tokens are part of the prompt."""
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": reply.prompt_tokens + reply.completion_tokens,
        "prompt_tokens_details": {"cached_tokens": reply.answer.num_visual_tokens if reply.reused else 0},
    }


def _event(told: dict[str, Any]) -> str:
    return f"data: {json.dumps(told, allow_nan=False)}\n\n"
