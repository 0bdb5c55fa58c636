"""RoPE scaling with one fixed base, so that an answer does not depend on what was asked before."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from dyto.errors import ConfigError


class RopeScaling:
    """NTK scaling of the rotary base, fixed for the whole longer context.

    Positions are scaled only while a prompt that exceeds the original context is read and answered; the base is
    then that of `factor` times the original context, whatever has been asked before, so that a kept prefix
    gives the same answers as a fresh one.

    Source: dynamic NTK scaling as in transformers, its length set to `factor * original`; see `docs/method.md`.
    """

    def __init__(self, language_model: Any, factor: float) -> None:
        config = language_model.config
        self.original_context: int = config.max_position_embeddings
        self._rotary = getattr(language_model, "rotary_emb", language_model)  # a state space model has none
        parameters = getattr(config, "rope_parameters", None) or {}
        self.possible = parameters.get("rope_type", "default") == "default" and hasattr(self._rotary, "inv_freq")
        self._lock = threading.RLock()
        self._scaled: Tensor | None = None
        if not 1 <= factor < math.inf:
            raise ConfigError(f"rope_scaling_factor is {factor}, expected 1 (none) or more: give e.g. 2")
        if factor > 1:
            if not self.possible:
                raise ConfigError(
                    f"rope_scaling_factor {factor} given, but this checkpoint scales its positions already, or by "
                    f"layer ({parameters.get('rope_type', config.model_type)}): leave it out"
                )
            self._scaled = ntk_inv_freq(self._rotary.inv_freq, parameters["rope_theta"], factor)

    @contextmanager
    def active(self, scaled: bool) -> Iterator[None]:
        """Scale positions inside the block, if asked to.

        A model that can be scaled runs one block at a time, scaled or not: its threads share the frequencies.
        """
        if self._scaled is None:
            yield
            return
        with self._lock:
            if not scaled:
                yield
                return
            original = self._rotary.inv_freq
            self._rotary.inv_freq = self._scaled.to(original.device)
            try:
                yield
            finally:
                self._rotary.inv_freq = original


def ntk_inv_freq(inv_freq: Tensor, theta: float, factor: float) -> Tensor:
    """Inverse frequencies of RoPE for a context `factor` times as long.

    The base becomes theta * (factor * s - (factor - 1)) ** (d / (d - 2)) with s = factor, the length relative to
    the original context.

    Args:
        inv_freq: (d / 2,) of the original context.
        theta: Its base.
        factor: Above 1.

    Returns:
        (d / 2,) float32.

    Example:
        >>> import torch
        >>> original = 10000.0 ** (-torch.arange(0, 8, 2) / 8)
        >>> ntk_inv_freq(original, 10000.0, 2.0)[0].item()      # the fastest does not change
        1.0
    """
    dim = 2 * len(inv_freq)
    base = theta * (factor * factor - (factor - 1)) ** (dim / (dim - 2))
    exponent = torch.arange(0, dim, 2, dtype=torch.float32, device=inv_freq.device) / dim
    return 1.0 / base**exponent
