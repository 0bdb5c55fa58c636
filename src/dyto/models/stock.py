"""Protocols for those parts of the models and tokenizers of transformers that this package uses."""

from __future__ import annotations

from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Protocol

import torch
from torch import Tensor

_SAMPLES_PER_TENSOR = 256


class StockModel(Protocol):
    """A model of transformers that reads text and pictures and generates from embeddings."""

    config: Any
    generation_config: Any
    model: Any
    lm_head: Any
    dtype: torch.dtype
    name_or_path: str

    def __call__(self, **call: Any) -> Any:
        """Run the model; its output has `logits`."""

    def forward(self, **call: Any) -> Any:
        """Run the model."""

    def generate(self, **call: Any) -> Any:
        """Generate an answer."""

    def get_input_embeddings(self) -> Any:
        """Return the module that embeds token ids."""

    def parameters(self) -> Iterator[Tensor]:
        """Return all weights."""

    def named_parameters(self) -> Iterator[tuple[str, Tensor]]:
        """Return all weights with their names."""

    def get_parameter(self, target: str) -> Tensor:
        """Return the weight with a name."""

    def named_modules(self) -> Iterator[tuple[str, torch.nn.Module]]:
        """Return all modules with their names."""

    def state_dict(self) -> dict[str, Tensor]:
        """Return all weights and buffers by name."""

    def modules(self) -> Iterator[torch.nn.Module]:
        """Return all modules."""


class Tokenizer(Protocol):
    """A tokenizer of transformers."""

    pad_token: str | None
    pad_token_id: int | None
    bos_token_id: int | None
    eos_token_id: int | None
    added_tokens_decoder: Any
    all_special_tokens: list[str]

    def __call__(self, text: str | list[str], **options: Any) -> Any:
        """Tokenize a text or several; the result has `input_ids`."""

    def get_vocab(self) -> dict[str, int]:
        """Return every token and its id."""

    def convert_tokens_to_ids(self, token: str) -> int | None:
        """Return the id of a token, or None if it is unknown."""

    def add_tokens(self, new_tokens: list[str], special_tokens: bool = False) -> int:
        """Add tokens to the vocabulary."""

    def decode(self, token_ids: Any, **options: Any) -> Any:
        """Return the text of ids."""

    def batch_decode(self, sequences: Any, **options: Any) -> list[str]:
        """Return the texts of several rows of ids."""


def weights_fingerprint(model: StockModel) -> str:
    """Return a hash of evenly spaced values of every weight: equal for equal weights, whatever their files.

    Args:
        model: The model; weights offloaded to disk count only by name and shape.

    Returns:
        16 hexadecimal digits.

    Example:
        >>> a, b = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
        >>> weights_fingerprint(a) == weights_fingerprint(a), weights_fingerprint(a) == weights_fingerprint(b)
        (True, False)
    """
    digest = sha256()
    for name, weight in sorted(model.named_parameters()):
        digest.update(f"{name} {tuple(weight.shape)}".encode())
        if weight.device.type != "meta":
            every = max(1, weight.numel() // _SAMPLES_PER_TENSOR)
            values = weight.detach()
            plain = type(values) is Tensor and values.device.type == "cpu" and values.dtype == torch.float32
            if plain:  # NumPy cuts many small ones sooner
                digest.update(values.numpy().reshape(-1)[::every][:_SAMPLES_PER_TENSOR].tobytes())
            else:
                digest.update(values.flatten()[::every][:_SAMPLES_PER_TENSOR].float().cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
