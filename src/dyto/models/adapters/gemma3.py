"""Gemma 3: a SigLIP tower without CLS, a pooling projector, and image tokens that attend in both directions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor
from transformers import DynamicCache, Gemma3ForCausalLM

from dyto.finch import FloatArray
from dyto.models.attention import layer_at, mean_of_squares, received_attention
from dyto.models.framing import AtMost, squashed
from dyto.models.generation.layout import Layout
from dyto.models.loading.versions import cache_argument
from dyto.models.pixels import Pictures
from dyto.models.stock import StockModel, Tokenizer
from dyto.models.towers import FrameTower

LARGEST = 4
"""Multiple of the tower's side above which a frame's longer side is shrunk during decoding."""


class Gemma3(FrameTower):
    """A Gemma 3 checkpoint in stock transformers, read like its path for several images, without pan and scan.

    Frames are squashed to the tower's square (bilinear). The projector pools their patches (64 x 64 to 16 x 16), and
    these tokens are merged. The summary of a frame is the mean of its tokens.

    Within a frame, tokens attend in both directions, as in the stock model, which gets `token_type_ids` while it reads
    the video; everything else is causal. The stock `generate` takes no embeddings, so `Gemma3ForCausalLM` with the same
    weights answers questions. With all tokens of all frames, the logits equal the stock model's; a merged frame looks
    like a shorter frame.
    """

    def __init__(self, name: str, model: StockModel, tokenizer: Tokenizer, **kwargs: Any) -> None:
        with torch.device("meta"):
            text = Gemma3ForCausalLM(model.config.text_config)
        text.model, text.lm_head = model.model.language_model, model.lm_head
        text.generation_config = model.generation_config
        self._text = text.eval()
        super().__init__(name, model, tokenizer, **kwargs)
        self._side = int(model.config.vision_config.image_size)
        side = math.isqrt(model.config.mm_tokens_per_image)
        self.set_grid(AtMost(LARGEST * self._side), (side, side))

    def language_model(self) -> Any:
        return self.model.model.language_model

    def causal_lm(self) -> Any:
        return self._text

    def prepare(self, pictures: Pictures) -> npt.NDArray[np.uint8]:
        return squashed(pictures, self._side, Image.Resampling.BILINEAR)

    def tower_states(self, pixels: Tensor) -> Tensor:
        states: Tensor = self.tower()(pixels).last_hidden_state
        return states  # (B, P, C)

    def attend(self, pixels: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        tower = self.tower()
        layers = getattr(tower, "vision_model", tower).encoder.layers
        place, seen = layer_at(layers, layer), tower(pixels, output_hidden_states=True)
        paid = received_attention(seen.hidden_states[place], layers[place], has_cls=False)  # (B, P)
        return seen.last_hidden_state, mean_of_squares(paid, self.grid)

    def project(self, states: Tensor) -> Tensor:
        projected: Tensor = self.model.model.multi_modal_projector(states)
        return projected  # (B, N, D)

    def frame_texts(self, seconds: FloatArray) -> list[str]:
        texts = [f"{self.time_text.format(seconds=at)}\n\n<start_of_image>" for at in seconds.tolist()]
        return ["\n" + texts[0], *(f"<end_of_image>\n\n{text}" for text in texts[1:]), "<end_of_image>"]

    def read_prompt(self, embeds: Tensor, cache: DynamicCache, layout: Layout, positions: Tensor | None) -> Tensor:
        visual = torch.zeros(embeds.shape[:2], dtype=torch.int64, device=embeds.device)
        visual[0, embeds.shape[1] - len(layout) :] = layout.visual
        logits: Tensor = self.model(
            inputs_embeds=embeds,
            attention_mask=torch.ones_like(visual),
            token_type_ids=visual,
            use_cache=True,
            logits_to_keep=1,
            **cache_argument(self.model, cache),
        ).logits
        return logits
