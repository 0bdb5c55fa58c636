"""Compressed tokens in the place of placeholders: ids of a new, shorter length."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from dyto.dropin.inputs import Sample, Span
from dyto.features import VisualTokens
from dyto.models.layout import runs_of


@dataclass(frozen=True)
class Row:
    """One sample after compression.

    Attributes:
        ids: (n,) text, with one placeholder for each visual token.
        visual: (n,) bool, where the visual tokens stand.
    """

    ids: Tensor
    visual: Tensor


@dataclass(frozen=True)
class Units:
    """A prompt taken apart: the head, then for every frame a caption and the frame with its marks, then the tail.

    Attributes:
        head: Ids before the first frame's caption.
        captions: For every frame what stands before it and is no mark.
        before: The marks that stand before the placeholders of every frame.
        after: Those that stand behind them.
        tail: Ids behind the last frame.
    """

    head: list[int]
    captions: list[list[int]]
    before: list[int]
    after: list[int]
    tail: list[int]

    @classmethod
    def of(cls, ids: list[int], spans: list[Span]) -> Units:
        """Take a prompt apart. Marks are what surrounds every frame alike, captions what differs from frame to frame.

        Example:
            >>> units = Units.of([9, 7, 1, 0, 0, 2, 7, 3, 0, 0, 2, 7, 4, 0, 0, 2, 8], [(3, 5), (8, 10), (13, 15)])
            >>> units.head, units.captions, units.before, units.after, units.tail
            ([9], [[7, 1], [7, 3], [7, 4]], [], [2], [8])
        """
        head, tail = ids[: spans[0][0]], ids[spans[-1][1] :]
        gaps = [ids[left[1] : right[0]] for left, right in zip(spans, spans[1:], strict=False)]
        if not gaps:
            return cls(head, [[]], [], [], tail)
        after = _common_start([*gaps, tail])
        rest = [gap[len(after) :] for gap in gaps]
        before = _common_start([text[::-1] for text in (head, *rest)])[::-1]
        captions = [text[: len(text) - len(before)] for text in rest]
        head = head[: len(head) - len(before)]
        first = _first_caption(head, captions)
        return cls(head[: len(head) - len(first)], [first, *captions], before, after, tail[len(after) :])


def _common_start(texts: list[list[int]]) -> list[int]:
    shortest = min(texts, key=len)
    for place, number in enumerate(shortest):
        if any(text[place] != number for text in texts):
            return shortest[:place]
    return shortest


def _first_caption(head: list[int], captions: list[list[int]]) -> list[int]:
    """The end of the head that begins as the other captions do; nothing where they are alike, and so separators."""
    if all(caption == captions[0] for caption in captions) or not all(captions):
        return []
    begin, longest = captions[0][0], 2 * max(map(len, captions))
    for length in range(1, min(longest, len(head)) + 1):
        if head[-length] == begin:
            return head[-length:]
    return []


def splice(sample: Sample, tokens: VisualTokens | None) -> Row:
    """Put the tokens of the key frames where the placeholders of these frames stood.

    A frame that is dropped takes its marks and its caption along; what stands alike between all frames is a separator,
    and stays between those that are left. A strategy that comes back to a frame later repeats them there.

    Args:
        sample: The row.
        tokens: Its visual tokens, in the order in which they are placed; None for text alone.
    """
    ids = sample.ids
    if tokens is None:
        return Row(ids, torch.zeros_like(ids, dtype=torch.bool))
    units = Units.of(ids.tolist(), sample.spans)
    placeholder = int(ids[sample.spans[0][0]])
    pieces: list[tuple[list[int], bool]] = [(units.head, False)]
    separated = all(caption == units.captions[-1] for caption in units.captions[1:])
    for order, (run, keyframe) in enumerate(runs_of(tokens.keyframe)):
        frame = int(tokens.keyframes.positions[keyframe])
        if order or not separated or not frame:
            pieces.append((units.captions[frame], False))
        pieces += [(units.before, False), ([placeholder] * (run.stop - run.start), True), (units.after, False)]
    pieces.append((units.tail, False))
    new = torch.tensor([number for piece, _ in pieces for number in piece], dtype=ids.dtype, device=ids.device)
    visual = [is_visual for piece, is_visual in pieces for _ in piece]
    return Row(new, torch.tensor(visual, dtype=torch.bool, device=ids.device))


def stack(rows: list[Tensor], length: int, left: bool, fill: int = 0) -> Tensor:
    """Pad rows (n, ...) of unequal length to (B, length, ...)."""
    stacked = rows[0].new_full((len(rows), length, *rows[0].shape[1:]), fill)
    for place, row in zip(stacked, rows, strict=True):
        start = length - len(row) if left else 0
        place[start : start + len(row)] = row
    return stacked
