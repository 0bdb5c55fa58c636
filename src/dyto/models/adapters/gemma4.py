"""Gemma 4: frames in their own aspect, times in text, and for small checkpoints a second embedding in every layer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import torch
from torch import Tensor

from dyto.features import FrameFeatures
from dyto.finch import FloatArray
from dyto.models import families
from dyto.models.generation.layout import clock
from dyto.models.loading.placement import device_of
from dyto.models.pixels import LargestWithin, Normalization, Pictures, as_pictures, resize_pictures
from dyto.models.stock import StockModel, Tokenizer
from dyto.models.towers import FrameTower

if TYPE_CHECKING:
    from dyto.video import Frames

MOST_TOKENS = 70
"""Visual tokens of one frame of a video, as the family's video processor has them; a single picture is given 280."""

UNIT = Normalization(*families.UNIT)
"""The tower takes values from 0 to 1, and does the rest itself."""


class Gemma4(FrameTower):
    """A Gemma 4 checkpoint in stock transformers, with a tower or without one, read as its video path does.

    Frames keep their aspect: their sides become the largest multiples of a token's side (48 pixels) that make at most
    70 tokens. Nine patches become one token, and the projected tokens are merged. The summary of a frame is the mean of
    its tokens. Each frame follows its time in minutes and seconds.

    In addition to embeddings, the stock model receives which places are visual, since in some checkpoints the tokens of
    a frame attend to each other in both directions. If each layer has its own embedding, it also receives that of the
    words; visual tokens have the embedding of padding, as in the stock model.
    """

    own_time_text: ClassVar[str] = "{seconds} "

    def __init__(self, name: str, model: StockModel, tokenizer: Tokenizer, **kwargs: Any) -> None:
        super().__init__(name, model, tokenizer, **{**kwargs, "normalization": UNIT})
        vision = model.config.vision_config
        self._patch = int(getattr(vision, "model_patch_size", vision.patch_size))
        self._side = int(vision.patch_size * vision.pooling_kernel_size)
        self.image_size = LargestWithin(self._side, MOST_TOKENS)
        self.num_patches = MOST_TOKENS

    def tower(self) -> Any:
        return getattr(self.model.model, "vision_tower", None) or self.model.model.embed_vision

    def language_model(self) -> Any:
        return self.model.model.language_model

    def take_finished(self) -> None:
        self.image_size = _as_it_is

    @torch.inference_mode()
    def encode(self, images: Frames | Pictures, *, attention_layer: int | None = None) -> FrameFeatures:
        """See `VideoModel.encode`. Pictures of several sizes all take the one that suits the first."""
        assert callable(self.image_size)
        height, width = self.image_size(*as_pictures(images)[0][0].shape[:2])
        device = device_of(self.tower())

        def see(some: Pictures) -> Tensor:
            return self.tower_states(
                self.normalization.apply(resize_pictures(some, (height, width)), device, torch.float32)
            )

        return self._features(images, see, (height // self._side, width // self._side))

    def tower_states(self, pixels: Tensor) -> Tensor:
        (count, channels, height, width), p = pixels.shape, self._patch
        patches = pixels.reshape(count, channels, height // p, p, width // p, p).permute(0, 2, 4, 3, 5, 1)
        places = torch.cartesian_prod(*(torch.arange(side // p, device=pixels.device) for side in (height, width)))
        seen = self.model.model.get_image_features(
            patches.reshape(count, -1, p * p * channels), places.flip(1).expand(count, -1, -1)
        )
        return torch.stack(seen.pooler_output)  # (B, N, D)

    def project(self, states: Tensor) -> Tensor:
        return states

    def frame_texts(self, seconds: FloatArray) -> list[str]:
        own = self.time_text == self.own_time_text
        texts = [f"{self.time_text.format(seconds=clock(at) if own else at)}<|image>" for at in seconds.tolist()]
        return [texts[0], *(f"<image|> {text}" for text in texts[1:]), "<image|>"]

    def beside(self, ids: Tensor) -> dict[str, Tensor]:
        visual, told = ids < 0, {}
        if visual.any():
            told["mm_token_type_ids"] = visual.long()
        text = self.model.config.get_text_config()
        if getattr(text, "hidden_size_per_layer_input", 0):
            words = ids.masked_fill(visual, text.pad_token_id)
            told["per_layer_inputs"] = self.language_model().get_per_layer_inputs(words, None)
        return told


def _as_it_is(height: int, width: int) -> tuple[int, int]:
    return height, width
