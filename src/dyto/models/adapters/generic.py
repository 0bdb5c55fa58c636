"""The adapter for every other stock class that gives features of pictures."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dyto.errors import ModelError
from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import FloatArray
from dyto.models.framing import AtMost
from dyto.models.generation.layout import TextRun
from dyto.models.generation.prefix import Prefix
from dyto.models.loading.placement import device_of
from dyto.models.pixels import Pictures, as_pictures
from dyto.models.processing import PictureProcessor, accepted
from dyto.models.stock import StockModel, Tokenizer
from dyto.models.stock_classes import GRIDS, axes_of, grid_of, holder_of, marks_of, patches_of
from dyto.models.towers import look
from dyto.models.trial import OnTrial, Way, try_out

if TYPE_CHECKING:
    from dyto.video import Frames

LARGEST = 768
"""Largest longer side of a frame in pixels, before its processor resizes it."""

CHUNK_FRAMES = 8
"""Frames per batch of the tower."""


class StockVision(OnTrial):
    """A checkpoint whose stock class has `get_image_features` and `get_placeholder_mask`, read as several images.

    The image processor of the checkpoint turns each frame into one tile. The tokens of a frame are
    those that the stock class puts in place of its placeholders, and these are merged. The summary of a frame is the
    mean of its tokens. The marks that the config or the tokenizer names surround each frame. Positions of several
    axes come from `get_rope_index` for whole key frames; merged tokens have the places of `VisualTokens.patch`.

    Nobody has checked these families by hand. So the stock class alone and this adapter first read a short prompt with
    two pictures, and the two must agree (`trial`).

    Args:
        processor: The image processor of the checkpoint.

    Attributes:
        trial: The difference of the two, and the way in which this adapter reads.

    Raises:
        ModelError: They differ, or the class lacks these methods.
    """

    def __init__(
        self, name: str, model: StockModel, tokenizer: Tokenizer, *, processor: PictureProcessor, **kwargs: Any
    ) -> None:
        self._holder = holder_of(name, model)
        self._processor, self.has_axes = processor, hasattr(self._holder, "get_rope_index")
        self.way = Way()
        self._grid_name, self._factor = "", 1  # name of the processor's patch grids; patches per token
        super().__init__(name, model, tokenizer, **kwargs)
        config = model.config
        named = [getattr(config, f"image_{end}", None) for end in ("token_id", "token_index", "patch_id")]
        self.image_token = next((own for own in named if isinstance(own, int)), -1)
        self._start, self._end = marks_of(config, tokenizer)
        self.image_size, self.num_patches = AtMost(LARGEST), LARGEST
        self.trial = try_out(self)
        told = f"model type {config.model_type!r} has no adapter of its own: in a short trial with two pictures, it"
        self.notices = (
            *self.notices,
            f"{told} agreed with its stock class; its chat format is assumed to be {self.chat!r}",
        )

    def language_model(self) -> Any:
        decoder = self._holder.language_model
        return decoder if hasattr(decoder, "layers") else getattr(decoder, "model", decoder)

    def tower(self) -> Any:
        return getattr(self._holder, "vision_tower", None) or getattr(self._holder, "visual", self._holder)

    @torch.inference_mode()
    def encode(self, images: Frames | Pictures, *, attention_layer: int | None = None) -> FrameFeatures:
        """See `VideoModel.encode`. Pictures must all be of one size."""
        pictures, indices, seconds = as_pictures(images)
        shapes: list[tuple[int, int]] = []

        def see(some: Pictures) -> Tensor:
            made = self.pixels(some)
            tokens = self.tokens_of(made, len(some))
            shapes.append(grid_of(made, tokens.shape[1]))
            self._grid_name, patches = patches_of(made)
            self._factor = max(1, patches[0] // shapes[0][0])
            return tokens

        summary, load = look(pictures, see, lambda seen: seen.mean(1), CHUNK_FRAMES)
        return FrameFeatures(
            summary=summary,
            grid=shapes[0],
            load_patches=load,
            indices=indices,
            seconds=seconds,
            summary_source="mean patch",
        )

    def pixels(self, pictures: Pictures) -> dict[str, Any]:
        device = device_of(self.tower())
        made = self._processor(list(pictures))
        return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in made.items()}

    def tokens_of(self, made: dict[str, Any], count: int) -> Tensor:
        features = self._holder.get_image_features(**accepted(self._holder.get_image_features, made))
        features = getattr(features, "pooler_output", features)
        if not isinstance(features, Tensor):
            features = torch.cat([part.flatten(0, -2) for part in features])
        features = features.flatten(0, -2).to(self.device, self.dtype)  # (B * N, D)
        if len(features) % count:
            raise ModelError(
                f"model {self.name} makes {len(features)} tokens of {count} pictures, expected equally many of each: "
                "it cuts pictures into tiles, or packs them; write an adapter as docs/families.md describes"
            )
        if self.way.added:
            mark = torch.tensor(self.image_token, device=self.device)
            features = features + self.model.get_input_embeddings()(mark)
        return features.view(count, -1, features.shape[-1])

    def frame_texts(self, seconds: FloatArray) -> list[str]:
        texts = [self.time_text.format(seconds=at) + self._start for at in seconds.tolist()]
        return [texts[0], *(self._end + text for text in texts[1:]), self._end]

    def positions(self, video: VisualTokens, runs: Sequence[TextRun]) -> tuple[Tensor | None, int]:
        if not self.has_axes:
            return super().positions(video, runs)
        try:
            patch = torch.from_numpy(video.patch).to(self.device)
        except ValueError as err:
            raise ModelError(f"model {self.name} needs the places of tokens in their frames, but {err}") from err
        patches = [side * self._factor for side in video.grid]
        grid = (self._grid_name, [1, *patches] if self._grid_name == GRIDS[0] else patches)
        word = self._ids_of("a")[:1]
        axes = axes_of(self._holder.get_rope_index, runs, patch, video.grid, grid, word, self.image_token)
        return axes[:, :-1], int(axes[0, -1])

    def axes(self, positions: Tensor) -> Tensor:
        return positions[self.way.first_axis :]

    def company(self, prefix: Prefix, length: int) -> Hashable:
        """Allow only rows of equal length in a batch, because padding is untested in this family."""
        return len(prefix), length, super().company(prefix, length)

    def beside(self, ids: Tensor) -> dict[str, Tensor]:
        visual, told = ids < 0, {}
        if self.way.types and visual.any():
            told[self.way.types] = visual.long()
        if self.way.per_layer:
            told["per_layer_inputs"] = self.language_model().get_per_layer_inputs(
                ids.masked_fill(visual, self.image_token)
            )
        return told
