"""A timeline as one self-contained page without scripts, which opens from disk."""

from __future__ import annotations

from importlib.metadata import version

import numpy as np
from PIL import Image

from dyto.inspecting.colors import cluster_colors
from dyto.inspecting.drawing import cover
from dyto.inspecting.hierarchy import labels_of
from dyto.inspecting.markup import bands, data_uri, marks, text
from dyto.inspecting.page import POLICY
from dyto.inspecting.style import STYLE
from dyto.inspecting.times import clock
from dyto.moments.finding import Segment, VideoTimeline

THUMB, SLICES = 200, (2400, 128)
MOST_PICTURES = 4
"""Pictures of key frames that a segment shows."""

OWN = """
.parts { list-style: none; margin: 0; padding: 0; }
.parts li { display: grid; grid-template-columns: minmax(150px, 1fr) 3fr; gap: 8px 20px; padding: 14px 0 14px 12px;
  border-top: 1px solid var(--line); border-left: 5px solid var(--shade); margin-bottom: 2px; }
.parts h3 { margin: 0; font-size: 1rem; }
.parts p { margin: 4px 0 0; }
.shots { display: flex; flex-wrap: wrap; gap: 8px; }
.shots figure { margin: 0; font-size: .78rem; color: var(--soft); }
.shots img { display: block; height: 96px; width: auto; max-width: 100%; border-radius: 4px; }
@media (max-width: 760px) { .parts li { grid-template-columns: 1fr; } .shots img { height: 72px; } }
"""


def timeline_page(timeline: VideoTimeline) -> str:
    """Return a page with the segments on a band, and each with its times, its key frames and its line."""
    frames, count = timeline.frames, len(timeline.segments)
    bounds = np.array([*(segment.first for segment in timeline.segments), len(frames)])
    labels = labels_of(bounds)
    colors = cluster_colors([labels])[0]
    shades = ["#{:02x}{:02x}{:02x}".format(*color) for color in colors]
    facts = [
        ("video", f"{clock(timeline.segments[-1].end - timeline.segments[0].start)}, {frames.total} frames"),
        ("sampled", f"{len(frames)} frames"),
        ("segments", str(count)),
        ("key frames", f"{len(timeline.keyframes)} of strategy {timeline.strategy.get('name', '')}"),
        ("model", timeline.model),
    ]
    cells = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts)
    notes = "".join(f'<p class="note">{text(warning)}</p>' for warning in timeline.warnings)
    parts = "".join(_part(timeline, number, shades[number]) for number in range(count))
    band = (
        f'<img class="slices" alt="" src="{_slices(timeline)}">{bands(labels, colors)}'
        f"{marks(timeline.keyframes.positions.tolist(), len(frames), '--mark')}"
        f'<div class="ticks"><span>{text(clock(timeline.segments[0].start))}</span>'
        f"<span>{text(clock(timeline.segments[-1].end))}</span></div>"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{text(timeline.name)} – timeline</title><style>{STYLE}{OWN}</style></head><body><main>"
        f'<header><h1><bdi>{text(timeline.name)}</bdi></h1><dl class="facts">{cells}</dl>{notes}</header>'
        f"<section><h2>Timeline</h2>{band}</section>"
        f'<section><h2>Segments</h2><ol class="parts">{parts}</ol></section>'
        f"<footer>Made by dyto {text(version('dyto'))}. This page holds all it shows and loads nothing.</footer>"
        "</main></body></html>\n"
    )


def _part(timeline: VideoTimeline, number: int, shade: str) -> str:
    segment = timeline.segments[number]
    shots = "".join(
        f'<figure><img alt="" src="{_thumb(timeline, position)}">'
        f"<figcaption>{text(clock(second))}</figcaption></figure>"
        for position, second in _shown(timeline, segment)
    )
    line = f"<p><bdi>{text(segment.text)}</bdi></p>" if segment.text else ""
    lasts = text(clock(segment.end - segment.start))
    return (
        f'<li style="--shade:{shade}"><div><h3>{number + 1} · {text(clock(segment.start))} – '
        f'{text(clock(segment.end))}</h3><p class="soft">{lasts}</p>{line}</div><div class="shots">{shots}</div></li>'
    )


def _shown(timeline: VideoTimeline, segment: Segment) -> list[tuple[int, float]]:
    """Return positions and seconds of some key frames of a segment, or of its middle frame if it has none."""
    keyframes = timeline.keyframes
    found = [(int(keyframes.positions[k]), float(keyframes.seconds[k])) for k in segment.keyframes]
    middle = (segment.first + segment.last) // 2
    every = found or [(middle, float(timeline.frames.seconds[middle]))]
    places = np.linspace(0, len(every) - 1, min(len(every), MOST_PICTURES)).round().astype(int)
    return [every[place] for place in places]


def _thumb(timeline: VideoTimeline, position: int) -> str:
    assert timeline.frames.preview is not None
    small = Image.fromarray(timeline.frames.preview[position])
    small.thumbnail((THUMB, THUMB))
    return data_uri(small, quality=70)


def _slices(timeline: VideoTimeline) -> str:
    assert timeline.frames.preview is not None
    width, height = SLICES
    sheet = Image.new("RGB", (width, height))
    edges = np.linspace(0, width, len(timeline.frames) + 1).round().astype(int)
    for place, picture in enumerate(timeline.frames.preview):
        lo, hi = int(edges[place]), int(edges[place + 1])
        if hi > lo:
            sheet.paste(cover(picture, hi - lo, height), (lo, 0))
    return data_uri(sheet, quality=70)
