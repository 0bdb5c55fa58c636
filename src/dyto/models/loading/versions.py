"""Differences between the supported versions of transformers; no other module knows them."""

from __future__ import annotations

import inspect
from functools import cache
from typing import Any

from transformers import Cache

from dyto.models.stock import StockModel


def cache_argument(model: StockModel, cache: Cache) -> dict[str, Cache]:
    """Return keys and values under the argument name of a stock model and its `generate`.

    Up to transformers 5.23 it is `past_key_values`; from 5.24 on it is `cache`, and the old name goes away in 5.40.

    Args:
        model: A stock model, or its language model.
        cache: The keys and values.

    Returns:
        One keyword argument.

    Example:
        >>> from transformers import DynamicCache
        >>> class Old:
        ...     def forward(self, input_ids=None, past_key_values=None): ...
        >>> list(cache_argument(Old(), DynamicCache()))
        ['past_key_values']
    """
    return {_cache_name(model.__class__): cache}


@cache
def _cache_name(kind: Any) -> str:
    return "cache" if "cache" in inspect.signature(kind.forward).parameters else "past_key_values"
