"""Compiled tower layers and compiled answer steps, for many videos, because compiling takes a while."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import nn
from transformers import CompileConfig, DynamicCache, DynamicLayer, StaticCache

from dyto.errors import ModelError
from dyto.models.stock import StockModel

log = logging.getLogger(__name__)

ROOM = 256
"""Multiple to which the places of a static cache are rounded up, so that most texts share compiled code."""


@cache
def can_compile(device_type: str) -> bool:
    """Return whether torch can compile for a kind of device; tested once, with a small function.

    A CPU needs a C++ compiler, CUDA needs Triton.
    """
    try:
        torch.compile(lambda x: x + 1)(torch.zeros(1, device=device_type))
    except Exception as err:  # noqa: BLE001 - for any error the answer is no
        reason = str(err).strip().splitlines()[0] if str(err).strip() else type(err).__name__
        log.warning("torch cannot compile on this machine (%s): the saving 'compiled' has no effect", reason)
        return False
    return True


@contextmanager
def compile_errors() -> Iterator[None]:
    """Turn torch's compile errors inside the block into one that says what to do.

    Raises:
        ModelError: Torch could not compile a layer or a step.
    """
    try:
        yield
    except RuntimeError as err:
        if not type(err).__module__.startswith(("torch._dynamo", "torch._inductor")):
            raise
        reason = str(err).strip().partition("\n")[0]
        raise ModelError(f"torch cannot compile this model ({reason}): leave out the saving 'compiled'") from err


def blocks_of(module: nn.Module) -> list[nn.Module]:
    """Return the layers of a transformer, under any name: the longest list of modules in it.

    Example:
        >>> from torch import nn
        >>> len(blocks_of(nn.ModuleDict({"layers": nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])})))
        2
    """
    lists = [list(part) for part in module.modules() if isinstance(part, nn.ModuleList)]
    return max(lists, key=len, default=[])


class CompiledBlocks:
    """The layers of a tower, which can run compiled: each separately, so that one compilation serves all.

    Args:
        tower: The tower.
    """

    def __init__(self, tower: nn.Module) -> None:
        self._blocks = blocks_of(tower)
        self._compiled: list[Callable[..., Any]] = []

    @contextmanager
    def running(self) -> Iterator[None]:
        """Run the layers compiled inside the block; afterwards the tower is unchanged.

        Raises:
            ModelError: Torch cannot compile them.
        """
        if not self._compiled:
            self._compiled = [torch.compile(block.forward) for block in self._blocks]
        before: list[Any] = [vars(block).get("forward") for block in self._blocks]
        for block, forward in zip(self._blocks, self._compiled, strict=True):
            vars(block)["forward"] = forward
        try:
            with compile_errors():
                yield
        finally:
            for block, forward in zip(self._blocks, before, strict=True):
                if forward is None:
                    del vars(block)["forward"]
                else:
                    vars(block)["forward"] = forward


class StaticRoom:
    """A reusable static cache, because compiled code and CUDA graphs refer to its addresses."""

    def __init__(self) -> None:
        self._cache: StaticCache | None = None
        self._shape: tuple[int, int] = (0, 0)

    def filled(self, prefix: DynamicCache, config: Any, places: int) -> StaticCache | None:
        """Fill the static cache with the keys and values of a prefix.

        Args:
            prefix: (Q, h, P, d) keys and values of every layer.
            config: Config of the text model.
            places: Number of places that must fit, including P.

        Returns:
            The cache; None for a model with layers that see a window of places only, or keep states.
        """
        if any(type(layer) is not DynamicLayer for layer in prefix.layers):
            return None
        shape = (len(prefix.layers[0].keys), -(-places // ROOM) * ROOM)
        if self._cache is None or self._shape != shape:
            self._cache = None  # free the old cache before making the new one
            self._cache, self._shape = StaticCache(config=config, max_cache_len=shape[1]), shape
        self._cache.reset()
        for static, layer in zip(self._cache.layers, prefix.layers, strict=True):
            static.update(layer.keys, layer.values)
        return self._cache


def compiled_steps(options: Any, device: torch.device) -> None:
    """Make stock `generate`, given a static cache, compile its steps; on CUDA as a graph, if the thread can record one.

    Args:
        options: Generation config to change.
        device: Device of the model.
    """
    if device.type != "cuda" or not _records_graphs():
        options.compile_config = CompileConfig(mode="default")
        options.compile_config._compile_all_devices = True  # otherwise it compiles only on accelerators


def _records_graphs() -> bool:
    """Return whether torch records CUDA graphs in this thread; before 2.13 only the first thread that asked could.

    Source: https://github.com/pytorch/pytorch/issues/123177
    """
    from torch._inductor import cudagraph_trees

    return hasattr(getattr(cudagraph_trees, "local", None), "tree_manager_containers")


def spread_out(model: StockModel) -> bool:
    """Return whether a model is spread over several devices; its layers then move their input, and stay uncompiled."""
    places: Sequence[Any] = list(getattr(model, "hf_device_map", {}).values())
    return len(set(places)) > 1
