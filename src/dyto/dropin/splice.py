"""Replacement of placeholders by compressed tokens, which gives shorter ids."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from dyto.dropin.inputs import PromptSample, Span
from dyto.features import VisualTokens
from dyto.models.generation.layout import runs_of


@dataclass(frozen=True)
class PromptRow:
    """One sample after compression.

    Attributes:
        ids: (n,) text ids, with one placeholder per visual token.
        clip: (n,) int64 index of the video of each visual token; -1 for text.
    """

    ids: Tensor
    clip: Tensor


@dataclass(frozen=True)
class Units:
    """The parts of a prompt: the head, then for every frame a caption and the frame with its marks, then the tail.

    Attributes:
        head: Ids before the first frame's caption.
        captions: For every frame the ids before it that are not marks.
        before: The marks before the placeholders of every frame.
        after: The marks after the placeholders of every frame.
        tail: Ids after the last frame.
    """

    head: list[int]
    captions: list[list[int]]
    before: list[int]
    after: list[int]
    tail: list[int]

    @classmethod
    def of(cls, ids: list[int], spans: list[Span], caption: int, after: int) -> Units:
        """Split a prompt into parts. Marks are the same around every frame; captions differ from frame to frame.

        Args:
            ids: The prompt, or the part of it around one video.
            spans: The range of each frame's placeholders.
            caption: Number of ids before the first frame that are its caption and marks.
            after: Number of ids after each frame that are not the next caption.

        Example:
            >>> ids, spans = [9, 7, 1, 0, 0, 2, 7, 3, 0, 0, 2, 7, 4, 0, 0, 2, 8], [(3, 5), (8, 10), (13, 15)]
            >>> units = Units.of(ids, spans, caption=2, after=1)
            >>> units.head, units.captions, units.before, units.after, units.tail
            ([9], [[7, 1], [7, 3], [7, 4]], [], [2], [8])
        """
        head, tail = ids[: spans[0][0]], ids[spans[-1][1] :]
        gaps = [ids[left[1] : right[0]] for left, right in zip(spans, spans[1:], strict=False)]
        if not gaps:
            return cls(head, [[]], [], [], tail)
        marks = _common_start([*(gap[:after] for gap in gaps), tail])
        rest = [gap[len(marks) :] for gap in gaps]
        before = _common_start([text[::-1] for text in (head, *rest)])[::-1]
        captions = [text[: len(text) - len(before)] for text in rest]
        head = head[: len(head) - len(before)]
        own = max(0, caption - len(before))
        first = head[len(head) - own :]
        return cls(head[: len(head) - own], [first, *captions], before, marks, tail[len(marks) :])


def _common_start(texts: list[list[int]]) -> list[int]:
    shortest = min(texts, key=len)
    for place, number in enumerate(shortest):
        if any(text[place] != number for text in texts):
            return shortest[:place]
    return shortest


def splice(sample: PromptSample, tokens: list[VisualTokens]) -> PromptRow:
    """Replace the placeholders of the key frames by their tokens.

    A dropped frame loses its marks and its caption; text that is the same between all frames is a separator, and stays
    between the remaining frames. A strategy that returns to a frame later repeats its marks and caption there.

    Args:
        sample: The row.
        tokens: The visual tokens of each video, in order.
    """
    ids = sample.ids.tolist()
    pieces: list[tuple[list[int], int]] = []  # ids, and the video whose visual tokens they stand for
    begin = 0
    for number, (clip, own) in enumerate(zip(sample.clips, tokens, strict=True)):
        end = sample.clips[number + 1].spans[0][0] if number + 1 < len(tokens) else len(ids)
        spans = [(start - begin, stop - begin) for start, stop in clip.spans]
        units = Units.of(ids[begin:end], spans, clip.caption, clip.after)
        has_ends = clip.row_end in ids[slice(*clip.spans[0])]
        pieces += _placed(units, own, ids[clip.spans[0][0]], number, clip.row_end if has_ends else None)
        begin = end - len(units.tail)
    pieces.append((ids[begin:], -1))
    new = torch.tensor([place for piece, _ in pieces for place in piece], dtype=sample.ids.dtype)
    clips = torch.tensor([number for piece, number in pieces for _ in piece], dtype=torch.int64)
    return PromptRow(new.to(sample.ids.device), clips.to(sample.ids.device))


def _placed(
    units: Units, tokens: VisualTokens, placeholder: int, number: int, row_end: int | None
) -> list[tuple[list[int], int]]:
    """Return the pieces of one video and the text before it; `row_end` stands wherever a lower row begins."""
    pieces = [(units.head, -1)]
    separated = not units.captions[0]
    for order, (run, keyframe) in enumerate(runs_of(tokens.keyframe)):
        frame = int(tokens.keyframes.positions[keyframe])
        if order or not separated or not frame:
            pieces.append((units.captions[frame], -1))
        pieces.append((units.before, -1))
        rows = np.zeros(run.stop - run.start) if row_end is None else tokens.patch[run] // tokens.grid[1]
        for place, same in enumerate(np.split(rows, np.flatnonzero(np.diff(rows) > 0) + 1)):
            pieces += [([row_end] if place and row_end is not None else [], -1), ([placeholder] * len(same), number)]
        pieces.append((units.after, -1))
    return pieces


def stack(rows: list[Tensor], length: int, left: bool, fill: int = 0) -> Tensor:
    """Pad rows (n, ...) of unequal length to (B, length, ...)."""
    stacked = rows[0].new_full((len(rows), length, *rows[0].shape[1:]), fill)
    for place, row in zip(stacked, rows, strict=True):
        start = length - len(row) if left else 0
        place[start : start + len(row)] = row
    return stacked
