"""The forms of a stock model and of a prefix, for a model behind an endpoint, which has neither."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn
from transformers import GenerationConfig, PretrainedConfig

from dyto.models.generation.prefix import Prefix
from dyto.models.stock import Tokenizer


class EndpointNet(nn.Module):
    """The form of a stock model without weights, for records of runs."""

    def __init__(self, name: str, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.config = PretrainedConfig(dyto_prompt="endpoint", name_or_path=name)
        self.name_or_path = name
        self.dtype = torch.float32
        self.generation_config = GenerationConfig(
            do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
        )
        self._words = nn.Embedding(len(tokenizer.get_vocab()), 1, _weight=torch.zeros(1, 1).expand(
            len(tokenizer.get_vocab()), 1), _freeze=True)  # fmt: skip

    def get_input_embeddings(self) -> nn.Embedding:
        """Return embeddings of width 1, all zeros."""
        return self._words


@dataclass(frozen=True)
class SeenPrefix(Prefix):
    """A video on its way to an endpoint.

    Attributes:
        parts: The content of a message up to the end of the video.
        tokens: What it costs, by the rule.
        answers: Answers so far, by question and settings: one that was paid for is not asked again, even if another
            question of its batch failed.
    """

    parts: tuple[Mapping[str, Any], ...] = ()
    tokens: int = 0
    answers: dict[tuple[str, int], str] = field(default_factory=dict, compare=False)
