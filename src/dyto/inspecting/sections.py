"""The sections of the page, from top to bottom."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version

import numpy as np
from PIL import Image

from dyto.inspecting.colors import cluster_colors
from dyto.inspecting.drawing import cover
from dyto.inspecting.look import Inspection, View
from dyto.inspecting.markup import bands, bar, data_uri, marks, outlines, rows, text
from dyto.inspecting.regions import Pixels, mean_colors, regions, tokens_per_keyframe
from dyto.inspecting.times import clock

THUMB, SLICES = 144, (2400, 128)
PAGE_BYTES = 3 << 20
"""Bytes for the pictures of key frames; with many key frames, each picture is smaller."""
SIDES = (400, 320, 240, 160, 120)
LETTERS = "abcdefgh"
TICKS = 5
MANY = 30
"""Number of key frames above which the list of their times is folded."""


def head(seen: Inspection) -> str:
    """Render the head: the video, the model and the strategies."""
    height, width = seen.frames.source_size
    facts = [
        ("video", f"{width} x {height}, {seen.frames.total} frames"),
        ("sampled", f"{len(seen.frames)} frames, {clock(seen.frames.seconds[0])} to {clock(seen.frames.seconds[-1])}"),
        ("model", f"{seen.model} on {seen.device}"),
        *((f"strategy{_place(seen, i)}", _words(view)) for i, view in enumerate(seen.views)),
    ]
    cells = "".join(f"<div><dt>{text(name)}</dt><dd>{text(value)}</dd></div>" for name, value in facts)
    notes = "".join(f'<p class="note">{text(warning)}</p>' for warning in seen.warnings)
    return f'<header><h1><bdi>{text(seen.source)}</bdi></h1><dl class="facts">{cells}</dl>{notes}</header>'


def _place(seen: Inspection, index: int) -> str:
    return f" {LETTERS[index % 8].upper()}" if len(seen.views) > 1 else ""


def _words(view: View) -> str:
    """Return the name of a strategy and its most important options."""
    told = [str(view.options[key]) for key in ("partition",) if key in view.options]
    budget = "no budget" if view.tokens.budget is None else f"{view.tokens.budget} tokens"
    return ", ".join([view.name, *told, budget])


def _sides(seen: Inspection, part: Callable[[Inspection, int, View], str], tag: str = "section") -> str:
    """Render one part of the page for every strategy, side by side."""
    cells = "".join(
        f'<{tag} class="part">{_title(seen, i)}{part(seen, i, view)}</{tag}>' for i, view in enumerate(seen.views)
    )
    return f'<div class="sides" style="--sides:{len(seen.views)}">{cells}</div>'


def _title(seen: Inspection, index: int) -> str:
    if len(seen.views) == 1:
        return ""
    letter = LETTERS[index % 8]
    return f'<div class="name {letter}">{letter.upper()} · {text(seen.views[index].name)}</div>'


def answers(seen: Inspection) -> str:
    """Render the question, the answers, and the moments that they rest on."""
    if seen.question is None:
        return ""
    options = ""
    if seen.choices:
        options = "".join(f"<li>{text(choice)}</li>" for choice in seen.choices)
        options = f'<ol type="A" class="soft">{options}</ol>'
    return (
        f'<section><h2>Question</h2><p class="question"><bdi>{text(seen.question)}</bdi></p>{options}'
        f"{_sides(seen, _answer, 'div')}</section>"
    )


def _answer(seen: Inspection, index: int, view: View) -> str:
    if view.answer is None:
        return ""
    said = f'<p class="answer"><bdi>{text(view.answer.text or "(no answer)")}</bdi></p>'
    if not view.evidence:
        return said
    items = []
    for moment in view.evidence[:5]:
        position = int(view.tokens.keyframes.positions[moment.keyframe])
        without = "" if moment.without is None else f", {moment.without:.2f} without it"
        items.append(
            f'<li><img alt="" src="{_thumb(seen.frames.data[position])}"><div><b>{text(clock(moment.second))}</b> '
            f'<span class="soft">weight {moment.weight:+.2f}</span>{bar(moment.weight)}'
            f'<span class="soft">probability {moment.alone:.2f} from it alone{without}</span></div></li>'
        )
    rest = len(view.evidence) - len(items)
    weigh = "weighs" if rest == 1 else "weigh"
    more = f'<p class="soft">{_plural(rest, "more key frame")} {weigh} less.</p>' if rest else ""
    return f'{said}<h3>What the answer rests on</h3><ol class="moments">{"".join(items)}</ol>{more}'


def timeline(seen: Inspection) -> str:
    """Render all sampled frames, the clusters of every level, and the key frames."""
    count = len(seen.frames)
    places = np.linspace(0, count - 1, min(TICKS, count)).round().astype(int)
    ticks = "".join(f"<span>{text(clock(seen.frames.seconds[place]))}</span>" for place in places)
    tracks = "".join(_track(seen, i, view) for i, view in enumerate(seen.views))
    units = list(dict.fromkeys(view.levels.unit for view in seen.views if view.partitions))
    parts = " or ".join(f"{unit}s" for unit in units)
    said = f"Colours are {parts}; the shades of one lie within those of the coarser one it belongs to." if units else ""
    return (
        f'<section><h2>Timeline</h2><p class="soft">{count} sampled frames as slices, then frame by frame. {said}</p>'
        f'<img class="slices" alt="the sampled frames as slices" src="{_slices(seen)}"><div class="ticks">{ticks}</div>'
        f"{tracks}{_film(seen)}</section>"
    )


def _track(seen: Inspection, index: int, view: View) -> str:
    letter, color = LETTERS[index % 8], "--second" if index else "--mark"
    positions = view.tokens.keyframes.positions.tolist()
    times = "".join(
        f"<li><b>{number}</b> {text(clock(second))}</li>"
        for number, second in enumerate(view.tokens.keyframes.seconds, start=1)
    )
    listed = f'<ul class="times {letter}">{times}</ul>'
    if len(positions) > MANY:
        listed = f"<details><summary>times of the key frames</summary>{listed}</details>"
    title = f"<h3>{_title(seen, index)}{_plural(len(positions), 'key frame')}</h3>"
    return f"{title}{marks(positions, len(seen.frames), color)}{listed}{_levels(view)}"


def _levels(view: View) -> str:
    """Render the hierarchy as bands, finest on top, or a note that there is none."""
    if not view.partitions:
        return f'<p class="soft">{text(view.name)} has no hierarchy over time, so there are no bands to show.</p>'
    cells = []
    for level, (labels, colors) in enumerate(zip(view.partitions, cluster_colors(view.partitions), strict=True)):
        used = " used" if level == view.level else ""
        told = [
            f"level {level + 1}{f' of {len(view.partitions)}' if not level else ''}",
            *(["wanted by the content"] if level == view.levels.wanted else []),
            *(["<b>key frames from here</b>"] if used else []),
        ]
        cells.append(
            f'<div class="level{used}"><div class="words"><span>{" · ".join(told)}</span>'
            f"<span>{_plural(len(colors), view.levels.unit)}</span></div>{bands(labels, colors)}</div>"
        )
    return f'<div class="levels">{"".join(cells)}</div>'


def _plural(count: int, word: str) -> str:
    return f"{count} {word}{'' if count == 1 else 's'}"


def _film(seen: Inspection) -> str:
    levels = [
        (labels, colors)
        for view in seen.views
        for labels, colors in zip(view.partitions, cluster_colors(view.partitions), strict=True)
    ]
    numbers = [
        {int(position): number for number, position in enumerate(view.tokens.keyframes.positions, start=1)}
        for view in seen.views
    ]
    figures = []
    for place in range(len(seen.frames)):
        stripes = "".join(
            '<i style="background:rgb({},{},{})"></i>'.format(*colors[labels[place]]) for labels, colors in levels
        )
        keys = [(LETTERS[i % 8], found[place]) for i, found in enumerate(numbers) if place in found]
        shown = "".join(f'<b class="{letter}">{_number(seen, letter, number)}</b> ' for letter, number in keys)
        kind = f' class="key {" ".join(letter for letter, _ in keys)}"' if keys else ""
        figures.append(
            f'<figure{kind}><div class="shot"><img alt="" src="{_thumb(seen.frames.data[place])}"></div>'
            f'<div class="stripes">{stripes}</div>'
            f"<figcaption>{shown}{text(clock(seen.frames.seconds[place]))}</figcaption></figure>"
        )
    return f'<div class="film">{"".join(figures)}</div>'


def _number(seen: Inspection, letter: str, number: int) -> str:
    return f"{letter.upper()}{number}" if len(seen.views) > 1 else str(number)


def _thumb(picture: Pixels) -> str:
    small = Image.fromarray(picture)
    small.thumbnail((THUMB, THUMB))
    return data_uri(small, quality=62)


def _slices(seen: Inspection) -> str:
    width, height = SLICES
    sheet = Image.new("RGB", (width, height))
    edges = np.linspace(0, width, len(seen.frames) + 1).round().astype(int)
    for place, picture in enumerate(seen.frames.data):
        lo, hi = int(edges[place]), int(edges[place + 1])
        sheet.paste(cover(picture, hi - lo, height), (lo, 0))
    return data_uri(sheet, quality=70)


def spending(seen: Inspection) -> str:
    """Render how the budget and the time were spent."""
    return _sides(seen, _spent)


def _spent(seen: Inspection, index: int, view: View) -> str:
    tokens = view.tokens
    counts = tokens_per_keyframe(tokens)
    whole = len(counts) * tokens.grid[0] * tokens.grid[1]
    allowed = tokens.budget or len(tokens)
    lines = [
        ("sampled frames", 1.0, f"{tokens.uncompressed:,}"),
        ("key frames, whole", whole / tokens.uncompressed, f"{whole:,}"),
        ("read by the model", len(tokens) / tokens.uncompressed, f"{len(tokens):,}"),
    ]
    parts = "".join(f'<i style="flex:{count} 0 0"></i>' for count in counts)
    unspent = allowed - len(tokens)
    rest = f'<span style="flex:{unspent} 0 0"></span>' if unspent > 0 else ""
    each = f"{counts.min()}" if counts.min() == counts.max() else f"{counts.min()} to {counts.max()}"
    budget = "no budget was set" if tokens.budget is None else f"{len(tokens):,} of {tokens.budget:,} spent"
    total = sum(view.seconds.values()) or 1.0
    stages = [(stage, second / total, f"{second:.2f} s") for stage, second in view.seconds.items()]
    return (
        f"<h2>Tokens</h2>{rows(lines)}<div class='spend'>{parts}{rest}</div>"
        f'<p class="soft">{budget}: {each} for each of {_plural(len(counts), "key frame")}.</p>'
        f"<h2>Seconds</h2>{rows([*stages, ('total', 1.0, f'{sum(view.seconds.values()):.2f} s')])}"
    )


def merging(seen: Inspection) -> str:
    """Render every key frame with its merged patches."""
    labels = "".join(
        f'<label for="m{i}">{name}</label>' for i, name in enumerate(("picture", "outlined", "mean colour"))
    )
    radios = "".join(f'<input type="radio" name="mode" id="m{i}"{" checked" if i == 1 else ""}>' for i in range(3))
    return (
        '<section><h2>Key frames and what was merged in them</h2><p class="soft">A region is one token; regions of one '
        "colour that do not touch may be one token, too. What no token holds is dark.</p>"
        f'{radios}<div class="modes" role="group">{labels}</div>{_sides(seen, _cards, "div")}</section>'
    )


def _cards(seen: Inspection, index: int, view: View) -> str:
    tokens = view.tokens
    positions, patches = tokens.keyframes.positions, tokens.grid[0] * tokens.grid[1]
    pictures = _jpegs([seen.frames.data[int(p)] for p in positions], PAGE_BYTES // len(seen.views))
    height, width = seen.frames.data.shape[1:3]
    cards = []
    for number, (label, count) in enumerate(zip(regions(tokens), tokens_per_keyframe(tokens), strict=True)):
        mean = data_uri(Image.fromarray(mean_colors(seen.frames.data[int(positions[number])], label)))
        cards.append(
            f'<figure title="frame {int(tokens.keyframes.indices[number])}">'
            f'<div class="map" style="aspect-ratio:{width}/{height}"><img alt="" src="{pictures[number]}">'
            f'<img class="mean" alt="" src="{mean}">{outlines(label)}</div><figcaption>'
            f"<span><b>{number + 1}</b> · {text(clock(tokens.keyframes.seconds[number]))}</span>"
            f"<span>{patches} → {_plural(int(count), 'token')}</span></figcaption></figure>"
        )
    return f'<div class="cards">{"".join(cards)}</div>'


def _jpegs(pictures: list[Pixels], room: int) -> list[str]:
    """Encode the pictures as large as the limit allows."""
    for side in SIDES:
        made = []
        for picture in pictures:
            small = Image.fromarray(picture)
            small.thumbnail((side, side), Image.Resampling.LANCZOS)
            made.append(data_uri(small, quality=80))
        if sum(map(len, made)) <= room:
            break
    return made


def foot() -> str:
    """Render the foot: the software that made the page."""
    return f"<footer>Made by dyto {text(version('dyto'))}. This page holds all it shows and loads nothing.</footer>"
