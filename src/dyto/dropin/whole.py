"""The user's view of `generate`: the original prompt, followed by the new ids."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteriaList


@dataclass(frozen=True)
class Whole:
    """A conversion of shortened ids to whole ones.

    Attributes:
        ids: (B, L) original ids.
        length: Length of the shortened prompt, L'.
    """

    ids: Tensor
    length: int

    def __call__(self, short: Tensor) -> Tensor:
        """Convert (B * n, L' + new) ids to (B * n, L + new)."""
        repeated = self.ids.repeat_interleave(len(short) // len(self.ids), 0)
        return torch.cat([repeated.to(short), short[:, self.length :]], 1)

    def arguments(self, call: dict[str, Any]) -> dict[str, Any]:
        """Wrap the user's criteria, processors and streamer in the arguments, so that they see whole ids."""
        changed = dict(call)
        if call.get("stopping_criteria"):
            changed["stopping_criteria"] = StoppingCriteriaList(self._given(own) for own in call["stopping_criteria"])
        if call.get("logits_processor"):
            own = call["logits_processor"]
            changed["logits_processor"] = type(own)(self._given(processor) for processor in own)
        if call.get("prefix_allowed_tokens_fn"):
            allowed = call["prefix_allowed_tokens_fn"]
            changed["prefix_allowed_tokens_fn"] = lambda row, ids: allowed(
                row, torch.cat([self.ids[row].to(ids), ids[self.length :]])
            )
        if call.get("streamer"):
            changed["streamer"] = _Streamer(call["streamer"], self.ids)
        return changed

    def _given(self, own: Callable[..., Any]) -> Callable[..., Any]:
        def given(ids: Tensor, *args: Any, **kwargs: Any) -> Any:
            return own(self(ids), *args, **kwargs)

        return given

    def result(self, result: Any) -> Any:
        """Return the result of `generate` with whole ids."""
        if isinstance(result, Tensor):
            return self(result)
        result.sequences = self(result.sequences)
        return result


class _Streamer:
    """A streamer wrapper that passes on the original prompt, then the new ids."""

    def __init__(self, streamer: Any, ids: Tensor) -> None:
        self._streamer, self._ids, self._begun = streamer, ids, False

    def put(self, value: Tensor) -> None:
        self._streamer.put(value if self._begun else self._ids.cpu())
        self._begun = True

    def end(self) -> None:
        self._streamer.end()
