"""The adapter for every other stock class that gives features of pictures."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from dyto.features import FrameFeatures, VisualTokens
from dyto.finch import FloatArray
from dyto.models import stock_classes as common
from dyto.models.framing import AtMost
from dyto.models.generation.layout import TextRun
from dyto.models.generation.prefix import Prefix
from dyto.models.loading.placement import device_of
from dyto.models.loading.records import Record
from dyto.models.pixels import Pictures, as_pictures
from dyto.models.processing import PictureProcessor
from dyto.models.stock import StockModel, Tokenizer
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

    The image processor of the checkpoint turns each frame into one tile. The tokens of a frame are those that the stock
    class puts in place of its placeholders, and these are merged. The summary of a frame is the mean of its tokens. The
    text around a frame is that of the chat template and of the marks that the config or the tokenizer names. Positions
    of several axes come from `get_rope_index` for whole key frames; a merged token has that of `VisualTokens.patch`.

    Nobody has checked these families by hand. So the stock class alone and this adapter first read a short prompt with
    two pictures, and the two must agree (`trial`).

    Args:
        processor: The image processor of the checkpoint.
        picture: A picture in its chat template; "" if it has none.
        record: Where the result of the trial is kept; None for nowhere.

    Attributes:
        trial: The difference of the two, and how this adapter reads.
        holder: The part of the stock model that makes tokens of pictures.
        marks: Text before and after a picture's tokens.

    Raises:
        ModelError: They differ, or the class lacks these methods.
    """

    def __init__(
        self,
        name: str,
        model: StockModel,
        tokenizer: Tokenizer,
        *,
        processor: PictureProcessor,
        picture: str = "",
        record: Record | None = None,
        **kwargs: Any,
    ) -> None:
        self.holder = common.holder_of(name, model)
        self._processor, self.has_axes = processor, hasattr(self.holder, "get_rope_index")
        self.way = Way()
        super().__init__(name, model, tokenizer, **kwargs)
        self.image_token = common.image_token_of(name, model.config, tokenizer)
        self.marks = common.marks_around(picture, self.image_token, model.config, tokenizer)
        self.image_size, self.num_patches = AtMost(LARGEST), LARGEST
        self.trial = try_out(self, record)
        told = f"model type {model.config.model_type!r} has no adapter of its own, but agreed with its stock class in a"
        self.notices = (f"{told} short trial with two pictures", *self.notices)

    def language_model(self) -> Any:
        decoder = self.holder.language_model
        return decoder if hasattr(decoder, "layers") else getattr(decoder, "model", decoder)

    def tower(self) -> Any:
        return getattr(self.holder, "vision_tower", None) or getattr(self.holder, "visual", self.holder)

    @torch.inference_mode()
    def encode(self, images: Frames | Pictures, *, attention_layer: int | None = None) -> FrameFeatures:
        """See `VideoModel.encode`. Pictures must all be of one size."""
        pictures, indices, seconds = as_pictures(images)
        shapes: list[tuple[int, int]] = []

        def see(some: Pictures) -> Tensor:
            made = self.pixels(some)
            tokens = self.tokens_of(made, len(some))
            shapes.append(common.grid_of(made, tokens.shape[1]))
            return tokens

        summary, load = look(pictures, see, lambda seen: seen.mean(1), CHUNK_FRAMES)
        return FrameFeatures(
            summary, grid=shapes[0], load_patches=load, indices=indices, seconds=seconds, summary_source="mean patch"
        )

    def pixels(self, pictures: Pictures) -> dict[str, Any]:
        device = device_of(self.tower())
        made = self._processor(list(pictures))
        return {name: value.to(device) if isinstance(value, Tensor) else value for name, value in made.items()}

    def tokens_of(self, made: dict[str, Any], count: int) -> Tensor:
        tokens = common.tokens_of(self.name, self.holder, made, count).to(self.device, self.dtype)
        if self.way.added:
            tokens = tokens + self.model.get_input_embeddings()(torch.tensor(self.image_token, device=self.device))
        return tokens

    def embed_words(self, ids: Tensor) -> Tensor:
        return common.mark_embeddings(self.holder, ids, super().embed_words(ids))

    def frame_texts(self, seconds: FloatArray) -> list[str]:
        texts = [self.time_text.format(seconds=at) + self.marks[0] for at in seconds.tolist()]
        return [texts[0], *(self.marks[1] + text for text in texts[1:]), self.marks[1]]

    def positions(self, video: VisualTokens, runs: Sequence[TextRun]) -> tuple[Tensor | None, int]:
        return self.places(runs, [video], [0] * len(runs)) if self.has_axes else super().positions(video, runs)

    def places(
        self, runs: Sequence[TextRun], videos: Sequence[VisualTokens], numbers: Sequence[int]
    ) -> tuple[Tensor, int]:
        """Return `positions` of a text with several videos: `numbers` says of each run whose tokens follow."""
        patch, sizes = common.patches_in(self.name, videos).to(self.device), [videos[own].grid for own in numbers]
        grid, word = (self.way.grid, self.way.merged), self._ids_of("a")[:1]
        axes = common.axes_of(self.holder.get_rope_index, runs, patch, sizes, grid, word, self.image_token)
        return axes[:, :-1], int(axes[0, -1])

    def axes(self, positions: Tensor) -> Tensor:
        return positions[self.way.first_axis :]

    def company(self, prefix: Prefix, length: int) -> Hashable:
        """Allow only rows of equal length in a batch, because padding is untested in this family."""
        return len(prefix), length, super().company(prefix, length)

    def beside(self, ids: Tensor) -> dict[str, Tensor]:
        visual = ids < 0
        told = {self.way.types: visual.long()} if self.way.types and visual.any() else {}
        if self.way.per_layer:
            places = ids.masked_fill(visual, self.image_token)
            told["per_layer_inputs"] = self.language_model().get_per_layer_inputs(places)
        return told
