"""How often it is told wrongly whether a video belongs to the drawn world (`dyto.eye.drawn`).

    python drawn.py [--films 1000] [--seed 5] [--real FOLDER ...]

Films of every regime of the synthetic world, half of them long ones (both splits, with noise, poor coding, flashes,
fades and subtitles), as frames of 84 x 84. From the folders of real footage come all videos, whole and in pieces of 8
of 64 frames, and one film of each photograph of at least 200 x 200 pixels: 8 cuts of 60 to 100 % of it.
"""

import argparse
from collections import Counter
from pathlib import Path

import numpy as np
from PIL import Image

import dyto
from dyto.errors import DytoError
from dyto.eye.drawn import MOST_FRAMES, SIDE, is_drawn
from dyto.synthetic.filming import frame_of
from dyto.synthetic.films import REGIMES, draw_film, scene_at
from dyto.synthetic.long_films import LONG_REGIMES, draw_long_film
from dyto.synthetic.render import render

VIDEOS = {".mp4", ".avi", ".webm", ".mkv", ".mov", ".ogv"}
PHOTOGRAPHS = {".jpg", ".jpeg", ".webp"}


def drawn_film(number, seed):
    """The regime and the frames of one drawn film."""
    rng = np.random.default_rng((seed, number))
    kind, turn = number % 2, number // 2
    if kind:
        regime, split = LONG_REGIMES[turn % len(LONG_REGIMES)], ("dev", "test")[turn // len(LONG_REGIMES) % 2]
        film = draw_long_film(rng, regime, float(rng.integers(20, 600)), split)
        at = np.linspace(0, film.num_frames - 1, MOST_FRAMES).astype(int)
        return f"{regime} ({split})", [small(frame_of(film, int(frame))) for frame in at]
    regime = REGIMES[turn % len(REGIMES)]
    short = draw_film(rng, regime)
    frames = []
    for frame in np.linspace(0, short.shots[-1].end - 1, MOST_FRAMES).astype(int).tolist():
        shot = next(shot for shot in short.shots if shot.start <= frame < shot.end)
        frames.append(small(render(scene_at(shot, frame), shot.accidents)[0]))
    return regime, frames


def small(picture):
    return np.asarray(Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def real_films(folders, rng):
    """The kind, the name and the frames of films of real footage."""
    paths = sorted({path for folder in folders for path in folder.rglob("*") if path.is_file()})
    contents = set()
    for path in paths:
        if path.suffix.lower() not in VIDEOS | PHOTOGRAPHS or (content := path.read_bytes()) in contents:
            continue
        contents.add(content)
        if path.suffix.lower() in VIDEOS:
            try:
                frames = dyto.sample_frames(path, num_frames=64, size=(SIDE, SIDE)).data
            except DytoError as err:
                print(f"left out: {err}")
                continue
            yield "whole videos", path, frames
            yield from (("pieces of videos", path, frames[at : at + 8]) for at in range(0, len(frames) - 7, 8))
            continue
        try:
            with Image.open(path) as file:
                file.draft("RGB", (640, 640))
                picture = file.convert("RGB")
        except OSError:
            continue
        if min(picture.size) >= 200:
            yield "films of photographs", path, list(cuts(picture, rng))


def cuts(picture, rng):
    picture.thumbnail((320, 320))
    width, height = picture.size
    for part in rng.uniform(0.6, 1, MOST_FRAMES):
        across, down = int(width * part), int(height * part)
        left, top = rng.integers(0, width - across + 1), rng.integers(0, height - down + 1)
        box = (int(left), int(top), int(left) + across, int(top) + down)
        yield np.asarray(picture.crop(box).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--films", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--real", type=Path, nargs="*", default=[])
    options = parser.parse_args()
    count, wrong = Counter(), Counter()
    for number in range(options.films):
        regime, frames = drawn_film(number, options.seed)
        count["drawn films"] += 1
        if not is_drawn(frames):
            wrong["drawn films"] += 1
            print(f"taken for real: {regime}")
    for kind, path, frames in real_films(options.real, np.random.default_rng(options.seed)):
        count[kind] += 1
        if is_drawn(frames):
            wrong[kind] += 1
            print(f"taken for drawn: {path.name}")
    print("| films | number | wrong | % |\n|---|---|---|---|")
    for kind, total in count.items():
        print(f"| {kind} | {total} | {wrong[kind]} | {100 * wrong[kind] / total:.1f} |")


if __name__ == "__main__":
    main()
