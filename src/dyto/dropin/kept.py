"""A cache that holds a shortened prompt, for calls that go on from it: what was asked, and what is in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from weakref import ref

import torch
from torch import Tensor
from transformers import Cache

from dyto.dropin import blocks
from dyto.errors import ConfigError
from dyto.models.stock import StockModel

CACHES = ("cache", "past_key_values")
"""What transformers calls the cache: since 5.24, and before."""

LENGTH = "get_seq_length"


@dataclass(frozen=True)
class Kept:
    """What a cache holds of a prompt.

    Attributes:
        ids: (B, L) as they were asked, with padding; -1 where they were not told again.
        mask: (B, L) of them.
        short: (B, L') ids as they were read.
        short_mask: (B, L') of them.
        then: (B,) position of a text that follows.
    """

    ids: Tensor
    mask: Tensor
    short: Tensor
    short_mask: Tensor
    then: Tensor

    @classmethod
    def nothing(cls, ids: Tensor) -> Kept:
        """What an empty cache holds of so many rows."""
        none, start = ids[:, :0], ids.new_zeros(len(ids))
        return cls(none, none, none, none, start)

    def and_text(self, ids: Tensor, mask: Tensor) -> Kept:
        """The same with a text behind it, (B, b) ids and mask."""
        told = ids.clamp(min=0)
        return Kept(
            torch.cat([self.ids, ids], 1),
            torch.cat([self.mask, mask], 1),
            torch.cat([self.short, told], 1),
            torch.cat([self.short_mask, mask], 1),
            self.then + mask.sum(1),
        )

    def repeated(self, rows: int) -> Kept:
        """The same for several rows of each, as beams and several answers make them.

        Raises:
            ConfigError: Their number is no multiple.
        """
        times, rest = divmod(rows, len(self.ids))
        if rest or not times:
            raise ConfigError(f"input_ids has {rows} rows, but the cache holds {len(self.ids)}: pass all of them")
        parts = {name: getattr(self, name).repeat_interleave(times, 0) for name in vars(self)}
        return Kept(**parts)


class Shut:
    """Stands in the place of a cache's `get_seq_length`: a stock model must not count what was shortened.

    Outside a block the lengths of the prompt and of the cache differ, and stock code would cut its input by the
    cache's, without a word.
    """

    def __init__(self, cache: Any, model: StockModel | None, kept: Kept) -> None:
        self._cache, self.kept = ref(cache), kept
        self._model = (lambda: None) if model is None else ref(model)

    def __call__(self, layer_idx: int = 0) -> int:
        """The length, inside a block."""
        cache, model = self._cache(), self._model()
        if cache is None or model is None or blocks.current(model) is None:
            raise ConfigError(
                "this cache was filled in a block that compresses, and holds a shortened prompt: go on from it inside "
                "a block, or begin anew without it"
            )
        return int(type(cache).get_seq_length(cache, layer_idx))

    def __deepcopy__(self, memo: dict[int, Any]) -> Shut:
        """Of a copied cache."""
        return Shut(memo.get(id(self._cache()), self._cache()), self._model(), self.kept)


def cache_in(values: Mapping[str, Any]) -> Any:
    """The cache in the arguments or in the result of a call, whatever it is called; None if there is none."""
    return next((values[name] for name in CACHES if name in values.keys() and values[name] is not None), None)  # noqa: SIM118 - a result answers to its old name, with a warning


def cache_of(result: Any) -> Any:
    """The cache in what `forward` or `generate` gave; None if there is none."""
    if isinstance(result, tuple):
        return next((part for part in result if isinstance(part, Cache)), None)
    return cache_in(result) if isinstance(result, Mapping) else None


def kept_in(cache: Any) -> Kept | None:
    """What is known of a cache; None for one that was not filled in a block, or is empty again."""
    shut = getattr(cache, "__dict__", {}).get(LENGTH)
    if not isinstance(shut, Shut):
        return None
    if not length_of(cache):
        del vars(cache)[LENGTH]
        return None
    return shut.kept


def length_of(cache: Any) -> int:
    """How many places of a cache are filled."""
    return 0 if cache is None else int(type(cache).get_seq_length(cache))


def keep(cache: Any, model: StockModel, kept: Kept) -> None:
    """Note what a cache holds."""
    vars(cache)[LENGTH] = Shut(cache, model, kept)


@contextmanager
def open_for_reading(cache: Any) -> Iterator[None]:
    """Let the model itself count what is in a cache."""
    shut = getattr(cache, "__dict__", {}).pop(LENGTH, None)
    try:
        yield
    finally:
        if shut is not None:
            vars(cache)[LENGTH] = shut


def split(call: Mapping[str, Any], kept: Kept, generating: bool) -> tuple[Kept, Tensor, Tensor]:
    """Part the ids of a call that goes on from a cache.

    `generate` is given all ids from the beginning on, or new ones alone with a mask for all, as stock code gives them;
    `forward` is given new ones alone.

    Args:
        call: Its arguments.
        kept: What the cache holds of the prompt; the answer may be in it, too.
        generating: Whether `generate` is called.

    Returns:
        All that is in the cache, and (B, n) ids and mask of what is new.

    Raises:
        ConfigError: The ids or the mask are not those of this cache.
    """
    ids, mask = call["input_ids"], call.get("attention_mask")
    kept = kept.repeated(len(ids))
    filled, (shortened, length) = length_of(cache_in(call)), (kept.short.shape[1], kept.ids.shape[1])
    answered = filled - shortened  # places behind the prompt
    if answered < 0:
        raise ConfigError(
            f"the cache has {filled} places, but its shortened prompt has {shortened}: it was cut inside the prompt; "
            "begin anew without it"
        )
    if generating and (mask is None or mask.shape == ids.shape):
        if ids.shape[1] <= length + answered or not _begins(ids, kept):
            raise ConfigError(
                f"input_ids of shape {tuple(ids.shape)} was given with a cache, expected the {length + answered} ids "
                "that it holds and new ones behind them: pass what `generate` gave, with the next turn appended"
            )
        mask = torch.ones_like(ids) if mask is None else mask
        begun = kept.and_text(ids[:, length : length + answered], mask[:, length : length + answered])
        return begun, ids[:, length + answered :], mask[:, length + answered :]
    new = answered + ids.shape[1]
    if mask is None:
        mask = ids.new_ones(len(ids), new)
    elif mask.shape[1] not in (length + new, shortened + new):
        raise ConfigError(
            f"attention_mask is {mask.shape[1]} long, expected {length + new}: one place for every id so far and now"
        )
    mask = mask[:, mask.shape[1] - new :]
    return kept.and_text(ids.new_full((len(ids), answered), -1), mask[:, :answered]), ids, mask[:, answered:]


def _begins(ids: Tensor, kept: Kept) -> bool:
    """Whether ids begin with the prompt in a cache, padding aside."""
    told = kept.mask.bool() & (kept.ids >= 0)
    return torch.equal(ids[:, : kept.ids.shape[1]][told.to(ids.device)], kept.ids[told].to(ids.device))
