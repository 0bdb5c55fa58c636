"""SmolVLM: a SigLIP tower without CLS, pixel shuffle in the connector, SmolLM2."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
from PIL import Image
from torch import Tensor

from dyto.finch import FloatArray
from dyto.models.attention import layer_at, mean_of_squares, received_attention
from dyto.models.framing import AtMost, LongestSide, resize, squashed
from dyto.models.generation.layout import clock
from dyto.models.pixels import Pictures
from dyto.models.stock import StockModel, Tokenizer
from dyto.models.towers import FrameTower

LARGEST = 4
"""Multiple of the tower's side above which a frame's longer side is shrunk during decoding."""

MARK = "<fake_token_around_image>"


class SmolVLM(FrameTower):
    """A SmolVLM checkpoint in stock transformers, read like its video path.

    Frames are shrunk until their longer side equals the tower's and then squashed to its square (Lanczos, twice). The
    connector makes one token from a square of patches (pixel shuffle, 32 x 32 to 8 x 8), and these tokens are merged.
    The summary of a frame is the mean of its tokens. The text states the number of frames, the length of the video (up
    to its last frame) and, before each frame, its time in minutes and seconds.
    """

    own_time_text: ClassVar[str] = "Frame from {seconds}:"

    first_sides = 1
    """Multiple of the tower's side to which a frame's longer side is resized before squashing."""

    def __init__(self, name: str, model: StockModel, tokenizer: Tokenizer, **kwargs: Any) -> None:
        super().__init__(name, model, tokenizer, **kwargs)
        vision = model.config.vision_config
        self._side = int(vision.image_size)
        side = self._side // vision.patch_size // int(model.config.scale_factor)
        self.set_grid(AtMost(LARGEST * self._side), (side, side))

    def tower(self) -> Any:
        return self.model.model.vision_model

    def language_model(self) -> Any:
        return self.model.model.text_model

    def prepare(self, pictures: Pictures) -> npt.NDArray[np.uint8]:
        fit, lanczos = LongestSide(self.first_sides * self._side), Image.Resampling.LANCZOS
        resized = [resize(picture, fit(*picture.shape[:2]), lanczos) for picture in pictures]
        return squashed(resized, self._side, lanczos)

    def tower_states(self, pixels: Tensor) -> Tensor:
        states: Tensor = self.tower()(pixels).last_hidden_state
        return states  # (B, P, C)

    def attend(self, pixels: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        layers = self.tower().encoder.layers
        place, seen = layer_at(layers, layer), self.tower()(pixels, output_hidden_states=True)
        paid = received_attention(seen.hidden_states[place], layers[place], has_cls=False)  # (B, P)
        return seen.last_hidden_state, mean_of_squares(paid, self.grid)

    def project(self, states: Tensor) -> Tensor:
        projected: Tensor = self.model.model.connector(states)
        return projected  # (B, N, D)

    def frame_texts(self, seconds: FloatArray) -> list[str]:
        frames, length = in_words(len(seconds)), timedelta(seconds=int(seconds.max()))
        intro = f" You are provided the following series of {frames} frames from a {length} [H:MM:SS] video.\n"
        texts = [f"\n{self._time(at)}{MARK}<global-img>" for at in seconds.tolist()]
        return [intro + texts[0], *(MARK + text for text in texts[1:]), MARK]

    def _time(self, at: float) -> str:
        """Write minutes and seconds in the family's own words; for another time text, in its format."""
        return self.time_text.format(seconds=clock(at) if self.time_text == self.own_time_text else at)


_ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")


def in_words(number: int) -> str:
    """Return a number in words.

    Args:
        number: A number from 0 to 999 999.

    Example:
        >>> in_words(25), in_words(100), in_words(1234)
        ('twenty-five', 'one hundred', 'one thousand, two hundred and thirty-four')
    """
    if number < 20:
        return _ONES[number]
    if number < 100:
        return _TENS[number // 10 - 2] + (f"-{_ONES[number % 10]}" if number % 10 else "")
    unit, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    rest = number % unit
    joint = "" if not rest else " and " if rest < 100 else ", "
    return f"{in_words(number // unit)} {name}{joint}{in_words(rest) if rest else ''}"
