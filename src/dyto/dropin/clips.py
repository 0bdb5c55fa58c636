"""Grouping of a prompt's pictures into videos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dyto.dropin.captions import Captions, unread, unread_caption
from dyto.dropin.inputs import PromptSample, PromptVideo, Span, Visual
from dyto.dropin.unseen import UnseenFrames
from dyto.errors import ConfigError
from dyto.video import Frames

NO_TIMES = "the times of the frames are not known: they are counted as one a second"


@dataclass(frozen=True)
class PlacedVisual:
    """One image or video, with the position of each frame's placeholders."""

    visual: Visual
    spans: list[Span]


def read_samples(
    call: Mapping[str, Any], visuals: list[Visual], placeholders: frozenset[int], mask: Tensor, captions: Captions
) -> list[PromptSample]:
    """Find the videos in every row of a batch.

    Args:
        call: Arguments of the call, with `input_ids` (B, L).
        visuals: All images and videos of the batch, in the order of their placeholders.
        placeholders: Placeholder ids of images or videos.
        mask: (B, L) attention mask.
        captions: Reader of the text between pictures.

    Raises:
        ConfigError: Placeholders and pictures do not match, or pictures are not frames of videos.
    """
    waiting = list(visuals)
    samples = []
    for number, (row, attended) in enumerate(zip(call["input_ids"], mask, strict=True)):
        ids = row[attended.bool()]  # (L,)
        marks = torch.isin(ids, torch.tensor(sorted(placeholders), device=ids.device))
        places, numbers = marks.nonzero().flatten().tolist(), ids.tolist()
        mine: list[PlacedVisual] = []
        while places:
            visual = next((some for some in waiting if some.mark in (None, numbers[places[0]])), None)
            if visual is None or not _stands(numbers, places, visual):
                raise ConfigError(
                    f"sample {number} has {int(marks.sum())} placeholders, but its images stand for "
                    f"{sum(shown.visual.tokens for shown in mine)}: pass what one call of the processor made, unchanged"
                )
            waiting = [some for some in waiting if some is not visual]
            mine.append(PlacedVisual(visual, _spans(number, numbers, places[: visual.tokens], visual)))
            places = places[visual.tokens :]
        samples.append(PromptSample(ids, _clips(number, numbers, mine, captions)))
    if waiting:
        raise ConfigError(f"{len(waiting)} images or videos have no placeholder in input_ids: pass them unchanged")
    return samples


def _stands(ids: list[int], places: list[int], visual: Visual) -> bool:
    """Return whether the next placeholders can belong to an image or a video: enough of them, and all alike."""
    own = [ids[place] for place in places[: visual.tokens]]
    return len(own) == visual.tokens and len(set(own)) == 1


def _spans(number: int, ids: list[int], places: list[int], visual: Visual) -> list[Span]:
    """Divide the placeholders of one image or video among its frames."""
    frames = len(visual.pictures)
    each, rest = divmod(len(places) - visual.end, frames)
    if rest:
        raise ConfigError(f"a video of {frames} frames has {len(places)} placeholders: pass it unchanged")
    spans = [(places[i * each], places[(i + 1) * each - 1] + 1) for i in range(frames)]
    for start, stop in spans:
        if sum(own != visual.row_end for own in ids[start:stop]) != each:
            raise ConfigError(
                f"sample {number} has text among the {each} placeholders of one picture, expected them side by side: "
                "pass what one call of the processor made, unchanged"
            )
    return spans


def _clips(number: int, ids: list[int], shown: list[PlacedVisual], captions: Captions) -> list[PromptVideo]:
    """Return the videos of a row: every video, and every run of images without words between them."""
    clips: list[PromptVideo] = []
    end = 0
    for run in _runs(number, ids, shown, captions):
        spans = [span for part in run for span in part.spans]
        texts = [ids[start:stop] for start, stop in _between(spans, end)]  # before each frame
        caption, after = _caption(number, texts[0], texts[1:], captions)
        told = [captions.seconds(text) for text in (texts[0][len(texts[0]) - caption :], *texts[1:])] if caption else []
        clip = _clip(number, run, spans, [time for time in told if time is not None])
        clips.append(replace(clip, caption=caption, after=after))
        end = spans[-1][1]
    return clips


def _between(spans: Sequence[Span], end: int) -> list[Span]:
    """Return the range of the text before each span, the first starting at `end`."""
    return list(zip([end, *(stop for _, stop in spans)], [start for start, _ in spans], strict=False))


def _runs(number: int, ids: list[int], shown: list[PlacedVisual], captions: Captions) -> list[list[PlacedVisual]]:
    """Join images into runs if there are only marks between them, or a caption before each one."""
    texts = [ids[left.spans[-1][1] : right.spans[0][0]] for left, right in zip(shown, shown[1:], strict=False)]
    pairs = zip(shown, shown[1:], texts, strict=False)
    kinds = ["words" if a.visual.video or b.visual.video else captions.kind(text) for a, b, text in pairs]
    if "unread" in kinds and "nothing" not in kinds:
        raise unread(number)
    runs, end = [], 0
    for run in _parted(shown, kinds, ("nothing", "caption")):
        own = kinds[: len(run) - 1]
        kinds = kinds[len(run) :]
        captioned = "nothing" not in own and _are_captioned(ids, end, run, captions)
        runs += [run] if captioned else _parted(run, own, ("nothing",))  # captions before only some frames are words
        end = run[-1].spans[-1][1]
    return runs


def _are_captioned(ids: list[int], end: int, run: list[PlacedVisual], captions: Captions) -> bool:
    """Return whether the captions between images, and before the first, are all of one kind."""
    first, *others = [ids[start:stop] for start, stop in _between([span for part in run for span in part.spans], end)]
    shapes = captions.shapes(others)
    return len(shapes) == 1 and captions.length_at_end(first, shapes) > 0


def _parted(shown: list[PlacedVisual], kinds: Sequence[str], joining: tuple[str, ...]) -> list[list[PlacedVisual]]:
    """Split images wherever the text between two of them is of another kind."""
    runs = [[shown[0]]] if shown else []
    for kind, item in zip(kinds, shown[1:], strict=True):
        if kind in joining:
            runs[-1].append(item)
        else:
            runs.append([item])
    return runs


def _caption(number: int, head: list[int], gaps: list[list[int]], captions: Captions) -> tuple[int, int]:
    """Return how many ids before the first frame are its caption, and how many after each frame are not a caption.

    Without captions these are 0 and all.

    Raises:
        ConfigError: There are words between frames, or nobody can tell.
    """
    kinds = {captions.kind(gap) for gap in gaps}
    if kinds <= {"nothing"}:
        return 0, min(map(len, gaps), default=0)
    length = after = 0
    if kinds == {"caption"}:
        shapes = captions.shapes(gaps)
        length = captions.length_at_end(head, shapes)
        after = min(len(gap) - captions.length_at_end(gap, shapes) for gap in gaps)
    elif kinds == {"unread"}:
        length = unread_caption(head, gaps, captions.marks)
        after = min(next(place for place, number in enumerate(gap) if number not in captions.marks) for gap in gaps)
        if not length:
            raise unread(number)
    if not length:
        raise ConfigError(
            f"sample {number} has words between the frames of one video, expected nothing, or a time or number before "
            "every frame: pass what one call of the processor made, unchanged"
        )
    return length, after


def _clip(number: int, run: list[PlacedVisual], spans: list[Span], told: list[float]) -> PromptVideo:
    visuals = [shown.visual for shown in run]
    if len(visuals) == 1 and visuals[0].tiled:
        raise ConfigError(
            f"sample {number} has a single image in tiles, expected the frames of a video as several images, or a "
            "video: ask about single images outside the block"
        )
    sizes = {visual.pictures.shape[1:3] for visual in visuals}
    if len(sizes) > 1:
        raise ConfigError(f"sample {number} has images of sizes {sorted(sizes)}, expected frames of one size")
    pictures = np.concatenate([visual.pictures for visual in visuals])  # (T, H, W, 3)
    index = np.arange(len(pictures))
    times = np.array(told) if len(told) == len(index) else visuals[0].seconds
    frames = (UnseenFrames if visuals[0].unseen else Frames)(
        pictures,
        index,
        index.astype(np.float64) if times is None else times,
        source_size=pictures.shape[1:3],
        warnings=(NO_TIMES,) if times is None and len(index) > 1 else (),
    )
    return PromptVideo(
        frames, spans, tuple(patch for visual in visuals for patch in visual.patches), row_end=visuals[0].row_end
    )
