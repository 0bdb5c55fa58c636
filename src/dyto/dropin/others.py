"""Models of families without an adapter: the stock class itself says what its language model would read."""

from __future__ import annotations

import inspect
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby, pairwise, takewhile
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dyto.dropin import blocks
from dyto.dropin.arguments import LAYOUT
from dyto.dropin.inputs import PromptVideo, Visual
from dyto.dropin.kept import CACHES
from dyto.dropin.splice import PromptRow
from dyto.dropin.unseen import SeenFrames
from dyto.dropin.wrapped import WrappedModel
from dyto.errors import ConfigError, ModelError
from dyto.features import VisualTokens
from dyto.models.adapters.generic import StockVision
from dyto.models.generation.layout import TextRun
from dyto.models.processing import accepted
from dyto.models.stock import StockModel
from dyto.models.stock_classes import GRIDS, grid_of, patches_of

OF_TEXT = ("input_ids", "attention_mask", "position_ids", "inputs_embeds", "labels", "use_cache", "logits_to_keep",
           "per_layer_inputs", "kwargs", *CACHES)  # fmt: skip
"""Arguments of a stock model that a call without pictures has, too."""

OF_CROPS = "image_num_crops"
"""The argument with the number of crops of each picture, in Molmo 2."""


class _Read(Exception):
    """Signal that the language model was about to read."""


@contextmanager
def undisturbed(model: StockModel) -> Iterator[None]:
    """Restore afterwards what a stock model notes about the positions of the last prompt that it read."""
    kept = {part: vars(part)["rope_deltas"] for part in model.modules() if "rope_deltas" in vars(part)}
    try:
        yield
    finally:
        for part, deltas in kept.items():
            vars(part)["rope_deltas"] = deltas


@dataclass(frozen=True)
class OtherModel(WrappedModel):
    """A model of a family without an adapter, which has passed its trial.

    Its visual tokens are what its stock class puts in place of the placeholders, and the embeddings of its text are
    those of its stock class, too.

    Attributes:
        row_end: Id of the text between the rows of a picture; None for none.
        own: Embeddings of marks that the stock class makes in another way than those of words, by id.
    """

    adapter: StockVision
    row_end: int | None = None
    own: dict[int, Tensor] = field(default_factory=dict)

    @property
    def told_of_pixels(self) -> frozenset[str]:
        """See `WrappedModel`."""
        named = inspect.signature(type(self.model).forward).parameters
        return super().told_of_pixels | (named.keys() - {"self", *OF_TEXT})

    @property
    def has_axes(self) -> bool:
        """See `WrappedModel`."""
        return self.adapter.has_axes

    @property
    def sees_both_ways(self) -> bool:
        """See `WrappedModel`; the adapter itself passes on what such a family takes."""
        return False

    def embed(self, ids: Tensor) -> Tensor:
        """See `WrappedModel`."""
        ids = ids.to(self.adapter.device)
        embeds = self.adapter.embed_words(ids)
        for number, own in self.own.items():
            embeds = torch.where((ids == number)[..., None], own.to(embeds), embeds)
        return embeds

    def vision_of(self, clip: PromptVideo) -> Any:
        """See `WrappedModel`."""
        return SeenFrames(self.adapter, clip.patches, clip.frames.source_size)

    def positions_of(self, row: PromptRow, tokens: Sequence[VisualTokens]) -> tuple[Tensor, int]:
        """See `WrappedModel`; the stock class gives positions to whole key frames."""
        runs = list(_runs(row))
        if not runs:
            return torch.arange(len(row.ids), device=row.ids.device)[:, None].expand(-1, 3), len(row.ids)
        axes, then = self.adapter.places([run for run, _ in runs], tokens, [number for _, number in runs])
        return axes.T.to(row.ids.device), then

    def read(self, call: Mapping[str, Any]) -> list[Visual]:
        """See `WrappedModel`."""
        self._check(call)
        ids = call["input_ids"]
        mask = torch.ones_like(ids, dtype=torch.bool) if call.get("attention_mask") is None else call["attention_mask"]
        attended = mask[:, mask.shape[1] - ids.shape[1] :].bool()
        embeds = self._embeds(call)  # (B, L, D)
        places = (ids == self.adapter.image_token) & attended
        self._learn(ids[attended & ~places], embeds[attended & ~places])
        grids = _grids(call, int(places.sum()), self.adapter.name)
        tokens = torch.split(embeds[places], [rows * cols for rows, cols in grids])
        return [
            Visual(np.zeros((1, *grid, 3), np.uint8), len(own), patches=(own,), unseen=True, row_end=self.row_end)
            for grid, own in zip(grids, tokens, strict=True)
        ]

    def _check(self, call: Mapping[str, Any]) -> None:
        """Check that nothing but pictures of one tile is shown."""
        known = inspect.signature(self.adapter.holder.get_image_features).parameters
        for name in self.told_of_pixels - {*known, *LAYOUT, *GRIDS, OF_CROPS}:
            if call.get(name) is not None:
                raise ConfigError(
                    f"{name} were given, but in a family without an adapter only pictures are compressed: pass the "
                    "frames of a video as images"
                )
        pixels, crops = call["pixel_values"], call.get(OF_CROPS)
        if (isinstance(pixels, Tensor) and pixels.ndim == 5 and pixels.shape[1] > 1) or (
            crops is not None and int(crops.max()) > 1
        ):
            raise _in_tiles()
        for row in call["input_ids"]:
            self._check_marks(row)

    def _check_marks(self, row: Tensor) -> None:
        """Check that what divides two pictures are not the marks of tiles: those around all of them stand there."""
        ids, marks = row.tolist(), self.captions.marks - {self.row_end}
        places = [place for place, number in enumerate(ids) if number == self.adapter.image_token]
        if not places:
            return
        head = list(takewhile(marks.__contains__, ids[: places[0]][::-1]))[::-1]
        around = [*takewhile(marks.__contains__, ids[places[-1] + 1 :]), *head]
        for gap in (ids[left + 1 : right] for left, right in pairwise(places) if right > left + 1):
            kind, words = self.captions.kind(gap), [number for number in gap if number not in self._special]
            named = [number for number in gap if number in marks]
            if gap != [self.row_end] and (
                (kind == "words" and not self.captions.text(words)) or (kind == "nothing" and named != around)
            ):
                raise _in_tiles()

    @property
    def _special(self) -> frozenset[int]:
        """Return the ids of marks of any kind."""
        return frozenset(getattr(self.tokenizer, "all_special_ids", ()))

    def _embeds(self, call: Mapping[str, Any]) -> Tensor:
        """Return (B, L, D) embeddings of a prompt, as the language model of the stock class would read them."""
        found: list[Tensor] = []
        thread, holder = threading.get_ident(), self.adapter.holder

        def look(module: Any, args: Any, kwargs: dict[str, Any]) -> None:
            if threading.get_ident() == thread:
                found.append(kwargs["inputs_embeds"])
                raise _Read

        shown = {name: value for name, value in accepted(holder.forward, call).items() if name not in CACHES}
        unseen = torch.compiler.disable(look)  # type: ignore[no-untyped-call]
        handle = self.adapter.language_model().register_forward_pre_hook(unseen, with_kwargs=True)
        try:
            with undisturbed(self.model), blocks.calling(self.model), torch.no_grad():
                holder(**shown, use_cache=False)
        except _Read:
            return found[0]
        finally:
            handle.remove()
        raise ModelError("the language model did not read the prompt: ask outside the block")

    def _learn(self, ids: Tensor, embeds: Tensor) -> None:
        """Keep the embeddings of marks that the stock class makes in its own way; the same id has the same one."""
        usual = self.adapter.embed_words(ids.to(embeds.device))
        for number in set(ids[(usual != embeds).any(-1).to(ids.device)].tolist()):
            found = embeds[(ids == number).to(embeds.device)]
            if not torch.allclose(found, found[:1].expand_as(found), rtol=1e-3, atol=1e-3):
                raise ConfigError(
                    f"the model reads token {number} of the prompt in several ways, expected one: such a family cannot "
                    "be compressed in a block; ask with VideoQA"
                )
            self.own[number] = found[0]


def _runs(row: PromptRow) -> Iterator[tuple[TextRun, int]]:
    """Yield the texts of a row, each with the tokens that follow and the number of their video, among all tokens."""
    if not (row.clip >= 0).any():
        return
    taken, place, text, number = 0, 0, row.ids[:0], 0
    for same, group in groupby(row.clip.tolist()):
        count = len(list(group))
        if same < 0:
            text = row.ids[place : place + count]
        else:
            number = same
            yield TextRun(text, slice(taken, taken + count)), number
            text, taken = row.ids[:0], taken + count
        place += count
    yield TextRun(text, slice(taken, taken)), number


def _grids(call: Mapping[str, Any], total: int, name: str) -> list[tuple[int, int]]:
    """Return rows and columns of the tokens of each picture of a call.

    Args:
        call: Arguments of the call.
        total: Number of all tokens.
        name: The model, for errors.
    """
    told = next((grid for grid in GRIDS if call.get(grid) is not None), "")
    sizes = [call[told][number : number + 1] for number in range(len(call[told]))] if told else []
    areas = [rows * cols for rows, cols in (patches_of({told: size})[1] for size in sizes)]
    areas = areas or [1] * len(call["pixel_values"])
    if any(total * area % sum(areas) for area in areas):
        raise ConfigError(
            f"{total} placeholders cannot be divided among {len(areas)} pictures of model {name}: pass what one call "
            "of the processor made, unchanged"
        )
    counts = [total * area // sum(areas) for area in areas]
    made = [{told: size} for size in sizes] or [{}] * len(counts)
    return [grid_of(*one) for one in zip(made, counts, strict=True)]


def _in_tiles() -> ConfigError:
    return ConfigError(
        "a picture was cut into tiles, expected one tile a frame: call the processor without (crop_to_patches=False, "
        "do_image_splitting=False, slice_mode=False, or what it calls this)"
    )
