"""Shortening of one model call: the arguments that the language model gets instead of pixels."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from dyto.dropin.arguments import check, check_pictures, limits
from dyto.dropin.clips import read_samples
from dyto.dropin.guard import Guard, watching
from dyto.dropin.inputs import PromptSample, has_pixels
from dyto.dropin.kept import Kept, split
from dyto.dropin.splice import PromptRow, splice, stack
from dyto.dropin.wrapped import WrappedModel
from dyto.features import VisualTokens
from dyto.strategies.calling import BoundStrategy

TEXT = ("input_ids", "attention_mask")
"""Arguments that are made anew."""


@dataclass(frozen=True)
class Shortened:
    """A call ready for the original function.

    Attributes:
        call: Arguments of the call.
        length: Length of the shortened prompt, L', including the cached part.
        tokens: The visual tokens of every video, row after row; None for a row without a video.
        kept: Content of the cache after the prompt is read.
        ids: (B, n) ids of the part of the prompt that is read now.
        visual: (B, n) bool, where these are visual tokens.
        text: (B, n) bool, where these are text.
    """

    call: dict[str, Any]
    length: int
    tokens: list[VisualTokens | None]
    kept: Kept
    ids: Tensor
    visual: Tensor
    text: Tensor

    def reading(self, wrapped: WrappedModel) -> AbstractContextManager[Any]:
        """Give the language model what it needs while the call runs, and check what it reads."""
        stack = ExitStack()
        stack.enter_context(watching(wrapped.adapter.language_model(), wrapped.embed, self.ids, self.text))
        stack.enter_context(wrapped.reading(self.visual, [own for own in self.tokens if own is not None]))
        return stack


@dataclass(frozen=True)
class PromptPart:
    """The part of B rows that is read now.

    Attributes:
        ids: (B, n) int64.
        mask: (B, n) attention mask.
        visual: (B, n) bool, where these are visual tokens.
        axes: (B, n, 3) positions in time, height and width, from 0.
        then: (B,) position of the text that follows.
    """

    ids: Tensor
    mask: Tensor
    visual: Tensor
    axes: Tensor
    then: Tensor


def shorten(
    wrapped: WrappedModel, strategy: BoundStrategy, call: Mapping[str, Any], kept: Kept | None, *, generating: bool
) -> Shortened:
    """Compress the visual input of a call, or continue from a compressed prompt.

    Args:
        wrapped: The called model.
        strategy: The strategy that compresses.
        call: All arguments by name.
        kept: The shortened prompt in the cache of the call; None for none.
        generating: Whether `generate` is called, not `forward`.

    Raises:
        ConfigError: Arguments do not work with compression.
        ModelError: Words would be lost.
    """
    check(call, generating)
    ids, mask = call["input_ids"], call.get("attention_mask")
    begun = Kept.nothing(ids)
    if kept is not None:
        begun, ids, mask = split(call, kept, generating)
    mask = torch.ones_like(ids) if mask is None else mask.to(ids)
    tokens: list[list[VisualTokens]] = [[] for _ in ids]
    if has_pixels(call):
        left = generating or not bool((mask[:, -1] == 0).any())
        new = {**call, "input_ids": ids}
        samples = read_samples(new, wrapped.read(new), wrapped.placeholders, mask, wrapped.captions)
        tokens = [wrapped.compress(strategy, sample) for sample in samples]
        rows = [splice(sample, own) for sample, own in zip(samples, tokens, strict=True)]
        _check_words(wrapped, samples, rows)
        part = _part(wrapped, rows, tokens, left)
    else:
        check_pictures(ids, mask, wrapped.placeholders)
        axes = mask.cumsum(-1).sub(1).clamp(min=0)[..., None].expand(-1, -1, 3)
        part = PromptPart(ids, mask, torch.zeros_like(mask, dtype=torch.bool), axes, mask.sum(-1))
    read = Kept(
        torch.cat([begun.ids, ids], 1),
        torch.cat([begun.mask, mask], 1),
        torch.cat([begun.short, part.ids], 1),
        torch.cat([begun.short_mask, part.mask], 1),
        begun.then + part.then,
    )
    found = [own for some in tokens for own in some]
    arguments = _arguments(wrapped, part, begun, read, found, generating)
    others = {key: value for key, value in call.items() if key not in (*wrapped.told_of_pixels, *TEXT)}
    length = read.short.shape[1]
    changed = limits(call, length - call["input_ids"].shape[1]) if generating else {}
    text = part.mask.bool() & ~_is_in(part.ids, wrapped.placeholders)
    flat: list[VisualTokens | None] = []
    for own in tokens:
        flat += own or [None]
    held = read if has_pixels(call) or kept is None else kept
    return Shortened({**others, **arguments, **changed}, length, flat, held, part.ids, part.visual, text)


def _is_in(ids: Tensor, numbers: frozenset[int]) -> Tensor:
    return torch.isin(ids, torch.tensor(sorted(numbers), device=ids.device))


def _part(wrapped: WrappedModel, rows: list[PromptRow], tokens: list[list[VisualTokens]], left: bool) -> PromptPart:
    """Stack rows of unequal length."""
    length = max(len(row.ids) for row in rows)
    ids = stack([row.ids for row in rows], length, left, fill=wrapped.pad)
    mask = stack([torch.ones_like(row.ids) for row in rows], length, left)
    visual = stack([row.clip for row in rows], length, left, fill=-1) >= 0
    if wrapped.has_axes:
        placed = [wrapped.positions_of(row, own) for row, own in zip(rows, tokens, strict=True)]
        axes, then = stack([own for own, _ in placed], length, left), ids.new_tensor([after for _, after in placed])
    else:
        axes, then = mask.cumsum(-1).sub(1).clamp(min=0)[..., None].expand(-1, -1, 3), mask.sum(-1)
    return PromptPart(ids, mask, visual, axes, then)


def _arguments(
    wrapped: WrappedModel, part: PromptPart, begun: Kept, read: Kept, tokens: list[VisualTokens], generating: bool
) -> dict[str, Any]:
    """Return ids or embeddings, mask and positions.

    `forward` takes the new part, as embeddings if there are visual tokens. `generate` takes everything from the
    beginning, with ids in addition to embeddings for its logits processors, and cuts off the cached part itself.
    """
    filled, new = begun.short.shape[1], part.ids.shape[1]
    places = read.short_mask.cumsum(-1).sub(1).clamp(min=0)[:, filled:]  # (B, n)
    positions = places
    if wrapped.has_axes:
        axes = (part.axes + begun.then[:, None, None]).permute(2, 0, 1)  # (3, B, n)
        positions = wrapped.adapter.axes(torch.cat([places[None], axes]))
    before = filled if generating else 0
    arguments = {
        "attention_mask": read.short_mask,
        "position_ids": torch.nn.functional.pad(positions, (before, 0)),
    }
    if generating or not tokens:
        arguments["input_ids"] = read.short[:, read.short.shape[1] - before - new :]
    if tokens:
        embeds = _embedded(wrapped, part, tokens)
        arguments["inputs_embeds"] = torch.nn.functional.pad(embeds, (0, 0, before, 0))
        if wrapped.sees_both_ways:
            arguments["token_type_ids"] = torch.nn.functional.pad(part.visual.long(), (before, 0))
        told = wrapped.adapter.beside(part.ids.masked_fill(part.visual, -1).to(wrapped.adapter.device))
        for name, own in told.items():  # of the kinds of places `generate` cuts off those in the cache, of others not
            arguments[name] = torch.nn.functional.pad(own, (before, 0)) if own.ndim == 2 else own
    return arguments


@torch.no_grad()
def _embedded(wrapped: WrappedModel, part: PromptPart, tokens: list[VisualTokens]) -> Tensor:
    """Return (B, n, D) embeddings with the visual tokens in place."""
    ends = _is_in(part.ids, wrapped.placeholders) & ~part.visual & part.mask.bool()
    device = wrapped.adapter.device
    embeds = wrapped.embed(part.ids.masked_fill(part.visual | ends, wrapped.pad))
    embeds[part.visual.to(device)] = torch.cat([own.data.to(embeds) for own in tokens])
    end = wrapped.adapter.video_end()
    if end is not None:
        embeds[ends.to(device)] = end.to(embeds).repeat(int(ends.sum()) // len(end), 1)
    return embeds


def _check_words(wrapped: WrappedModel, samples: Sequence[PromptSample], rows: Sequence[PromptRow]) -> None:
    """Compare the text of every row with the original prompt, by ids alone."""
    places = wrapped.placeholders
    for sample, row in zip(samples, rows, strict=True):
        asked = _texts(sample.ids.tolist(), [number in places for number in sample.ids.tolist()])
        read = _texts(row.ids.tolist(), [number in places for number in row.ids.tolist()])
        gaps = [(left[1], right[0]) for clip in sample.clips for left, right in pairwise(clip.spans)]
        between = frozenset(number for start, stop in gaps for number in sample.ids[start:stop].tolist())
        Guard(wrapped.captions, between).check(asked, read)


def _texts(ids: list[int], is_place: list[bool]) -> list[list[int]]:
    """Split ids at places: the ids before each place, and after the last."""
    texts: list[list[int]] = [[]]
    for place, (number, apart) in enumerate(zip(ids, is_place, strict=True)):
        if not apart:
            texts[-1].append(number)
        elif not place or not is_place[place - 1]:
            texts.append([])
    return texts
