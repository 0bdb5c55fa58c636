"""LLaVA 1.5, and the common parts of families like it: a CLIP or SigLIP tower, a projector, a language model."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from dyto.errors import ModelError
from dyto.features import FrameFeatures
from dyto.models.attention import layer_at, received_attention
from dyto.models.early_exit import states_of
from dyto.models.framing import ShortestSide, center_cropped, squashed
from dyto.models.loading.placement import device_of
from dyto.models.pixels import Pictures, resize_pictures
from dyto.models.stock import StockModel, Tokenizer
from dyto.models.towers import FrameTower

if TYPE_CHECKING:
    from dyto.video import Frames


class LlavaTower(FrameTower):
    """A CLIP or SigLIP tower with a projector of one layer, or of several layers side by side.

    With a CLIP tower, the summary of a frame is its CLS token after the projector, and frames are cropped to the middle
    as in LLaVA 1.5's image processor (shorter side to the tower's, bicubic). With a SigLIP tower, which has no CLS, the
    summary is the mean patch, and frames are squashed.
    """

    towers: ClassVar[Mapping[str, bool]] = {"clip_vision_model": True, "siglip_vision_model": False}
    """Allowed towers, and whether they have a CLS."""

    plain_steps = True

    crops = True
    """Whether frames for a CLIP tower are cropped to a square; False to squash them."""

    def __init__(self, name: str, model: StockModel, tokenizer: Tokenizer, **kwargs: Any) -> None:
        super().__init__(name, model, tokenizer, **kwargs)
        vision = model.config.vision_config
        if vision.model_type not in self.towers:
            raise ModelError(
                f"model {name} has a tower of type {vision.model_type!r}, expected "
                f"{' or '.join(map(repr, self.towers))}: use a checkpoint of `dyto list models`"
            )
        self.has_cls = self.towers[vision.model_type]
        strategy = getattr(model.config, "vision_feature_select_strategy", None)
        if strategy not in (None, "default" if self.has_cls else "full"):
            raise ModelError(
                f"model {name} sets vision_feature_select_strategy {strategy!r} for its {vision.model_type}, expected "
                f"{'default' if self.has_cls else 'full'!r}: correct it in its config.json"
            )
        layer, depth = self._chosen_layers(model.config), vision.num_hidden_layers
        layers: tuple[int, ...] = (layer,) if isinstance(layer, int) else tuple(layer)
        if not layers or not all(-depth - 1 <= one <= depth for one in layers):
            raise ModelError(
                f"model {name} takes its features from layer {layer}, but its tower has {depth}: correct "
                "vision_feature_layer in its config.json"
            )
        self._layers = [range(depth + 1)[one] for one in layers]
        self._crop = self.has_cls and self.crops
        self._edge = int(vision.image_size)
        side = self._edge // vision.patch_size
        self.set_grid(ShortestSide(self._edge) if self._crop else (self._edge, self._edge), self._grid(side))

    def _chosen_layers(self, config: Any) -> int | list[int]:
        """Return the layer or layers of the tower that the features come from."""
        layers: int | list[int] = config.vision_feature_layer
        return layers

    def _grid(self, side: int) -> tuple[int, int]:
        """Return rows and columns of the tokens of a frame, from those of the tower's patches."""
        return side, side

    def language_model(self) -> Any:
        return self.model.model.language_model

    def prepare(self, pictures: Pictures) -> npt.NDArray[np.uint8]:
        if self._crop:
            return center_cropped(pictures, self._edge)
        return squashed(pictures, self._edge, Image.Resampling.BICUBIC)

    def tower_states(self, pixels: Tensor) -> Tensor:
        return self._chosen(self._seen(pixels, self._layers))

    def attend(self, pixels: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        place = layer_at(self._tower_layers, layer)
        states = self._seen(pixels, [*self._layers, place])
        return self._chosen(states), received_attention(states[place], self._tower_layers[place], self.has_cls)

    @property
    def _tower_layers(self) -> Any:
        tower = self.tower()
        return getattr(tower, "vision_model", tower).encoder.layers

    def _seen(self, pixels: Tensor, wanted: Collection[int], **options: Any) -> Mapping[int, Tensor]:
        """Return states of the tower, each (B, 1 + P or P, C): 0 is the input of its first layer."""
        return states_of(self.tower(), self._tower_layers, set(wanted), pixels, **options)

    def _chosen(self, states: Mapping[int, Tensor]) -> Tensor:
        return torch.cat([states[number] for number in self._layers], -1)

    def project(self, states: Tensor) -> Tensor:
        projected: Tensor = self.model.model.multi_modal_projector(states)
        return projected


class Llava(LlavaTower):
    """A LLaVA-1.5 checkpoint in stock transformers, or a similar one.

    A frame has the N tokens of one image, without newline tokens and tiles.
    """

    @torch.inference_mode()
    def encode_grid(self, images: Frames | Pictures, grid: tuple[int, int]) -> FrameFeatures:
        """Encode at another resolution; the tower's position embeddings are interpolated.

        Args:
            images: As in `encode`.
            grid: Wanted rows and columns of patches.

        Returns:
            Features with this grid.
        """
        tower, step = self.tower(), self.model.config.vision_config.patch_size
        device, dtype = device_of(tower), next(tower.parameters()).dtype
        size = (grid[0] * step, grid[1] * step)

        def see(some: Pictures) -> Tensor:
            square = list(center_cropped(some, max(size))) if self._crop else some
            pixels = self.normalization.apply(resize_pictures(square, size), device, dtype)
            return self._chosen(self._seen(pixels, self._layers, interpolate_pos_encoding=True))

        return self._features(images, see, grid)
