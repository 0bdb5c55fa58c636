"""What the page shows of a video that was read: key frames, merge maps, and the parts of its timeline."""

from __future__ import annotations

import numpy as np

from dyto.demo.events import Captioned, ShownPart
from dyto.eye.pixels import PixelEye
from dyto.features import VisualTokens
from dyto.inspecting.drawing import merge_map, resized
from dyto.inspecting.regions import regions, tokens_per_keyframe
from dyto.inspecting.sheet import small_frames
from dyto.inspecting.times import clock
from dyto.strategies import scenes
from dyto.strategies.runs import runs_of
from dyto.video import Frames

SIDE = 480
"""Longest side of a displayed picture, in pixels."""


def pictures_of(video: Frames, tokens: VisualTokens) -> tuple[Captioned, Captioned]:
    """Return the key frames with times, and their merge maps with token counts."""
    frames = small_frames(video, {}, side=SIDE)
    patches = tokens.grid[0] * tokens.grid[1]
    keyframes, maps = [], []
    numbered = zip(tokens.keyframes.positions, regions(tokens), tokens_per_keyframe(tokens), strict=True)
    for position, label, count in numbered:
        picture, time = resized(frames.data[int(position)], SIDE), clock(frames.seconds[int(position)])
        keyframes.append((picture, time))
        maps.append((merge_map(np.asarray(picture), label), f"{time} · {patches} → {count} tokens"))
    return keyframes, maps


def parts_of(video: Frames) -> tuple[ShownPart, ...]:
    """Return the parts of a video: runs of frames, as `Plus` finds them, whose pixels are alike.

    The eye `pixels` compares the frames, so this takes no model and no turn in its queue. Its numbers spread wider than
    those of a tower: parts join below `scenes.MOST`, which finds the six shots of the film of photographs.

    Example:
        >>> film = np.repeat(np.array([[40, 90, 200], [220, 200, 30]], np.uint8), 12, axis=0)[:, None, None]
        >>> film = np.broadcast_to(film, (24, 48, 64, 3))
        >>> frames = Frames(film, np.arange(24), np.arange(24) / 6, source_size=(48, 64))
        >>> [(part.start, round(part.end, 2), part.color) for part in parts_of(frames)]
        [(0.0, 2.0, (40, 90, 200)), (2.0, 4.0, (220, 200, 30))]
    """
    x = scenes.directions(PixelEye().summaries(list(video.data)))
    bounds = runs_of(x, scenes.MOST).bounds.tolist()
    seconds = video.seconds.tolist()
    last = seconds[-1] + (float(np.median(np.diff(seconds))) if len(seconds) > 1 else 1.0)
    cuts = [seconds[bound] for bound in bounds[1:-1]]
    colors = [video.data[first:after].mean((0, 1, 2)).round() for first, after in zip(bounds, bounds[1:], strict=False)]
    return tuple(
        ShownPart(start, end, (int(color[0]), int(color[1]), int(color[2])))
        for start, end, color in zip([0.0, *cuts], [*cuts, last], colors, strict=True)
    )
