"""Passes through a tower that end after the last layer that is read."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn


class _EnoughSeen(Exception):
    """Raised inside a tower when everything that is read of it is there."""


def states_of(
    tower: Callable[..., Any], layers: Sequence[nn.Module], wanted: Collection[int], *inputs: Any, **options: Any
) -> dict[int, Tensor]:
    """Run a tower, but none of its layers after the last wanted state.

    LLaVA reads CLIP's last layer but one: the last one, and what stands behind it, need not be computed.

    Args:
        tower: The stock tower.
        layers: Its layers, in the order in which it runs them.
        wanted: Which states to return: i for the input of layer i, and the number of layers for the output of the last.
        *inputs: Inputs of the tower.
        **options: Its options.

    Returns:
        The states by number, as the stock tower gives them with `output_hidden_states`.
    """
    if max(wanted) >= len(layers):
        hidden = tower(*inputs, output_hidden_states=True, **options).hidden_states
        return {number: hidden[number] for number in wanted}
    states: dict[int, Tensor] = {}
    last, here = max(wanted), threading.get_ident()

    def look(number: int, layer: nn.Module, args: tuple[Any, ...], named: dict[str, Any]) -> None:
        if threading.get_ident() != here:  # another thread runs the same tower for itself
            return
        states[number] = args[0] if args else named["hidden_states"]
        if number == last:
            raise _EnoughSeen

    hooks = [layers[number].register_forward_pre_hook(partial(look, number), with_kwargs=True) for number in wanted]
    try:
        tower(*inputs, **options)
    except _EnoughSeen:
        pass
    finally:
        for hook in hooks:
            hook.remove()
    return states
