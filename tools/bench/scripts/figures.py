"""The figures of the documentation, and the numbers behind them.

    python figures.py [--out docs/images] [--films 200] [--numbers-only]

`short.svg`, `scenes.svg`, `still.svg`: which rule of selection finds a short scene, and which finds all scenes, on
made-up features without a language model. `overview.webp`, `merging.webp`: a sample video, its clusters, its key
frames and what merging leaves, as the bundled model sees them.
"""

import argparse
import tempfile
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from PIL import Image, ImageDraw, ImageFont

import dyto
from dyto.inspecting import inspect_video
from dyto.inspecting.drawing import merge_map, timeline
from dyto.inspecting.regions import regions
from dyto.strategies.uniform import spread
from dyto.synthetic.videos import sample_video

FRAMES = 100
DIM = 64
WIDTH = 1600

RULES = {
    "release": lambda x: dyto.DyTo().select_keyframes(x),
    "finest": lambda x: dyto.DyTo(partition="finest").select_keyframes(x),
    "6 uniform frames": lambda x: spread(len(x), 6),
    "25 uniform frames": lambda x: spread(len(x), 25),
}
COLORS = ("#c2410c", "#0f766e", "#94a3b8", "#475569")
MARKS, SIZES = ("o", "s", "v", "^"), (5, 9, 5, 5)


def film(rng, lengths, noise=0.05):
    """(T, D) features, one direction a scene with a slow drift, and (T,) the scene of every frame."""
    scene = np.repeat(np.arange(len(lengths)), lengths)
    x = np.eye(DIM)[rng.permutation(DIM)[: len(lengths)]][scene]
    drift = rng.normal(size=(len(lengths), DIM)) / np.sqrt(DIM)
    inside = np.concatenate([np.linspace(0, 1, length) for length in lengths])
    if noise:
        x += 0.1 * inside[:, None] * drift[scene] + noise * rng.normal(size=x.shape) / np.sqrt(DIM)
    return x, scene


def parts(rng, total, count, least):
    """Random lengths, none below `least`, that add up to `total`."""
    cuts = np.sort(rng.integers(0, total - count * least + 1, count - 1))
    return np.diff(np.concatenate([[0], cuts, [total - count * least]])) + least


def short_scenes(films, longest=12):
    """Percent of films in which a scene of so many sampled frames, among six longer ones, has a key frame."""
    found = {name: [] for name in RULES}
    for length in range(1, longest + 1):
        hits = dict.fromkeys(RULES, 0)
        for number in range(films):
            rng = np.random.default_rng((11, length, number))
            lengths = parts(rng, FRAMES - length, 6, 10)
            needle = int(rng.integers(1, 6))
            x, scene = film(rng, np.insert(lengths, needle, length))
            for name, rule in RULES.items():
                hits[name] += needle in scene[rule(x)]
        for name in RULES:
            found[name].append(100 * hits[name] / films)
    return list(range(1, longest + 1)), found


def all_scenes(films, most=16, noise=0.05):
    """Mean percent of scenes that have a key frame, by the number of scenes; without noise, frames are identical."""
    counts = list(range(2, most + 1, 2))
    found = {name: [] for name in RULES}
    for count in counts:
        shares = {name: [] for name in RULES}
        for number in range(films):
            rng = np.random.default_rng((12, count, number))
            x, scene = film(rng, parts(rng, FRAMES, count, 4), noise)
            for name, rule in RULES.items():
                shares[name].append(len(set(scene[rule(x)].tolist())) / count)
        for name in RULES:
            found[name].append(100 * float(np.mean(shares[name])))
    return counts, found


def selection(films):
    return [
        ("A short scene among six long ones", "its length, sampled frames of 100", "found, %", *short_scenes(films)),
        ("All scenes, with motion and noise", "scenes in 100 frames", "scenes with a key frame, %", *all_scenes(films)),
        ("All scenes, frames identical (slides)", "scenes in 100 frames", "scenes with a key frame, %",
         *all_scenes(films, noise=0.0)),
    ]  # fmt: skip


def draw_selection(panel, path):
    title, x_label, y_label, x, found = panel
    figure = Figure(figsize=(4.2, 4.2), layout="constrained")
    axes = figure.subplots()
    for color, mark, size, (name, y) in zip(COLORS, MARKS, SIZES, found.items(), strict=True):
        axes.plot(x, y, color=color, marker=mark, markersize=size, linewidth=size / 3, label=name)
    axes.set(title=title, xlabel=x_label, ylabel=y_label, ylim=(-3, 103), xticks=x)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e2e8f0")
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    with matplotlib.rc_context({"svg.hashsalt": "dyto"}):  # the same file whenever it is drawn
        figure.savefig(path, metadata={"Date": None})


def show(panels):
    for title, x_label, _, x, found in panels:
        print(f"{title} (percent)\n{x_label:32}" + "".join(f"{value:5}" for value in x))
        for name, y in found.items():
            print(f"{name:32}" + "".join(f"{value:5.0f}" for value in y))


def look(folder):
    """The demo's sample video through the bundled model."""
    video = Path(folder) / "sample.mp4"
    sample_video(video)
    return inspect_video(dyto.VideoQA.from_pretrained("tiny", "dyto"), video)


def overview(seen):
    """The sampled frames with their clusters, and below them the key frames as merging leaves them."""
    view = seen.views[0]
    top = timeline(seen.frames, view.partitions, view.tokens.keyframes.positions, view.level).convert("RGB")
    top = top.resize((WIDTH, round(top.height * WIDTH / top.width)), Image.Resampling.LANCZOS)
    shown = len(view.tokens.keyframes)
    margin, gap = 20, 8
    side = (WIDTH - 2 * margin - gap * (shown - 1)) // shown
    sheet = Image.new("RGB", (WIDTH, top.height + 2 * side + gap + 44), "white")
    sheet.paste(top, (0, 0))
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=20)
    label = regions(view.tokens)
    for number, position in enumerate(view.tokens.keyframes.positions):
        picture = seen.frames.data[position]
        x, y = margin + number * (side + gap), top.height
        sheet.paste(Image.fromarray(picture).resize((side, side)), (x, y))
        half = merged_half(picture, label[number])
        sheet.paste(half.resize((side, side), Image.Resampling.LANCZOS), (x, y + side + gap))
    text = (
        f"100 frames, {view.tokens.uncompressed} tokens: clusters at three levels, "
        f"{shown} key frames from the marked one, merged to {len(view.tokens)} tokens"
    )
    draw.text((margin, sheet.height - 34), text, fill="#334155", font=font)
    return sheet


def merged_half(picture, label):
    """The right half of a merge map: each region in its mean colour."""
    merged = merge_map(picture, label)
    return merged.crop((merged.width - picture.shape[1], 0, merged.width, merged.height))


def merging(seen, position, counts=(36, 23, 12, 6)):
    """One frame, and what is left of it at several numbers of tokens."""
    picture = seen.frames.data[position]
    model = dyto.load_model("tiny")
    frames = dyto.Frames(picture[None], np.zeros(1, np.int64), np.zeros(1), seen.frames.source_size)
    tiles = []
    for count in counts:
        tokens = dyto.DyTo(token_budget=count).compress(model.encode(frames))
        tiles.append(merged_half(picture, regions(tokens)[0]))
    captions = ["the frame", *(f"{count} tokens" for count in counts)]
    side, gap = 300, 12
    sheet = Image.new("RGB", (len(captions) * (side + gap) + gap, side + 52), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(size=22)
    for number, (tile, caption) in enumerate(zip([Image.fromarray(picture), *tiles], captions, strict=True)):
        x = gap + number * (side + gap)
        sheet.paste(tile.resize((side, side), Image.Resampling.LANCZOS), (x, gap))
        draw.text((x, side + gap + 6), caption, fill="#334155", font=font)
    return sheet


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("docs/images"))
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--numbers-only", action="store_true")
    options = parser.parse_args()
    panels = selection(options.films)
    show(panels)
    if options.numbers_only:
        return
    options.out.mkdir(parents=True, exist_ok=True)
    for name, panel in zip(("short", "scenes", "still"), panels, strict=True):
        draw_selection(panel, options.out / f"{name}.svg")
    with tempfile.TemporaryDirectory() as folder:
        seen = look(folder)
    overview(seen).save(options.out / "overview.webp", quality=88, method=6)
    chosen = seen.views[0].tokens.keyframes.positions
    merging(seen, chosen[0]).save(options.out / "merging.webp", quality=88, method=6)
    print(f"figures in {options.out}: {len(chosen)} key frames")


if __name__ == "__main__":
    main()
