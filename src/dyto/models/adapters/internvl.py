"""InternVL (the Hugging Face port): InternViT tower with CLS, pixel shuffle, Qwen, Llama or InternLM."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from dyto.errors import ModelError
from dyto.finch import FloatArray
from dyto.models.attention import layer_at, mean_of_squares, received_attention
from dyto.models.stock import StockModel, Tokenizer
from dyto.models.towers import FrameTower


class InternVL(FrameTower):
    """An InternVL checkpoint in stock transformers, read like its video path.

    Frames are squashed to the tower's square (bicubic), one tile each. Four patches become one token before the
    projector (pixel shuffle, 32 x 32 to 16 x 16), and the projected tokens are merged. The summary of a frame is its
    CLS, repeated in place of the four patches of a token. Each frame is announced by its number.
    """

    has_cls = True

    def __init__(self, name: str, model: StockModel, tokenizer: Tokenizer, **kwargs: Any) -> None:
        super().__init__(name, model, tokenizer, **kwargs)
        vision = model.config.vision_config
        self._layer, depth = model.config.vision_feature_layer, vision.num_hidden_layers
        if not isinstance(self._layer, int) or not -depth - 1 <= self._layer <= depth:
            raise ModelError(
                f"model {name} takes its features from layer {self._layer}, but its tower has {depth}: correct "
                "vision_feature_layer in its config.json"
            )
        height, width = (int(side) for side in vision.image_size)
        self._patches = height // vision.patch_size[0], width // vision.patch_size[1]
        self._square = int(1 / model.config.downsample_ratio)
        self.set_grid((height, width), (self._patches[0] // self._square, self._patches[1] // self._square))

    def language_model(self) -> Any:
        return self.model.model.language_model

    def tower_states(self, pixels: Tensor) -> Tensor:
        return self._chosen(self.tower()(pixels, output_hidden_states=True))

    def attend(self, pixels: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        layers = self.tower().encoder.layer
        place, seen = layer_at(layers, layer), self.tower()(pixels, output_hidden_states=True)
        paid = received_attention(seen.hidden_states[place], layers[place], has_cls=True)  # (B, P)
        return self._chosen(seen), mean_of_squares(paid, self.grid)

    def _chosen(self, seen: Any) -> Tensor:
        chosen: Tensor = seen.last_hidden_state if self._layer == -1 else seen.hidden_states[self._layer]
        return chosen  # (B, 1 + P, C)

    def project(self, states: Tensor) -> Tensor:
        if states.shape[1] == 1:  # CLS alone
            shuffled = states.repeat(1, 1, self._square**2)  # (B, 1, 4 C)
        else:
            square = states.reshape(len(states), *self._patches, -1)  # (B, rows, cols, C)
            shuffled = self.model.model.pixel_shuffle(square, self.model.config.downsample_ratio).flatten(1, 2)
        projected: Tensor = self.model.model.multi_modal_projector(shuffled)
        return projected  # (B, N, D)

    def frame_texts(self, seconds: FloatArray) -> list[str]:
        times = [self.time_text.format(seconds=at) for at in seconds.tolist()]
        texts = [f"Frame{number}: {time}<img>" for number, time in enumerate(times, 1)]
        return [texts[0], *(f"</img>\n{text}" for text in texts[1:]), "</img>"]
