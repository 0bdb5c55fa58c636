"""Measure `dyto search` by the bundled eye on films of photographs whose content is known; docs/search.md states it.

python -m dyto_nouns.searching PACKAGES --films 200 --rerank

`PACKAGES` holds the unpacked packages of `dyto_nouns.photos`. A film shows three photographs in 20 seconds, every other
film one of the three for about a second; 40 frames are remembered, and then fewer of them (`--segments`). Every noun
of the eye that a film shows is asked for once. A film is right if it shows that noun, and a moment if it is no more
than two seconds from a shot that does. The search has no threshold that was fitted to these photographs.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from dyto.memory.remembered import Memory
from dyto.nouns.table import nouns
from dyto.pipeline import VideoQA
from dyto.searching.hits import Hit
from dyto.searching.index import MemoryIndex
from dyto.searching.search import search
from dyto.synthetic.photographs import FPS, filmed, plan
from dyto_nouns.photos import Photo, listed, load

NEAR = 2.0
"""Seconds by which a moment may be off."""

SHOWN, TOP = 3, 20
"""Photographs of a film, and how many moments the model looks at again."""


class Seen(NamedTuple):
    """A photograph in a film, with its first second and that of its end."""

    photo: Photo
    start: float
    end: float


def make_films(packages: Path, folder: Path, count: int, frames: int) -> dict[str, list[Seen]]:
    """Write a memory of all frames of each film, and return what the films show by the name of the file."""
    photos = [(photo, picture) for photo in listed() if (picture := load(photo, packages)) is not None]
    qa, shown = VideoQA.from_pretrained("nouns"), {}
    for number in range(count):
        rng = np.random.default_rng((28, number))
        chosen: list[int] = []
        for place in rng.permutation(len(photos)).tolist():
            if len(chosen) < SHOWN and not any(photos[place][0].classes & photos[k][0].classes for k in chosen):
                chosen.append(place)
        shots = plan(rng, SHOWN, needle=number % 2 == 1)
        name = f"film_{number:03d}.dyto"
        film = filmed([photos[place][1] for place in chosen], shots, frames)
        qa.remember(film, segments=frames).save(folder / name)
        shown[name] = [Seen(photos[chosen[s.picture]][0], s.start / FPS, s.stop / FPS) for s in shots]
    sys.stdout.write(f"{count} films of {len(photos)} photographs\n")
    return shown


def judge(hits: Sequence[Hit], noun: int, shown: dict[str, list[Seen]]) -> tuple[bool, bool, bool]:
    """Return whether the first film is right, its moment too, and a film among the first five."""
    right = [[seen for seen in shown[Path(hit.file).name] if noun in seen.photo.classes] for hit in hits[:5]]
    off = min((max(one.start - hits[0].second, hits[0].second - one.end) for one in right[0]), default=np.inf)
    return bool(right[0]), off <= NEAR, any(right)


def measure(index: MemoryIndex, shown: dict[str, list[Seen]], qa: VideoQA | None) -> None:
    """Ask for every noun that a film shows, and print how often what was found first is right."""
    photos = {seen.photo for film in shown.values() for seen in film}
    asked = sorted({next(iter(photo.classes)) for photo in photos if photo.known and len(photo.classes) == 1})
    times, found, wrong = [], [], []
    for noun in asked:
        begun = time.perf_counter()
        hits = search(nouns().names[noun], index, top=5, rerank=TOP if qa else 0, qa=qa)
        times.append(time.perf_counter() - begun)
        found.append(judge(hits, noun, shown))
        if not found[-1][0]:
            film = ", ".join(seen.photo.shows for seen in shown[Path(hits[0].file).name])
            wrong.append(f"  {nouns().names[noun]}: score {hits[0].score:.2f} in a film of {film}")
    film, moment, five = 100 * np.mean(found, 0)
    how = f"reranked by {qa.model.name}" if qa else "by the eye alone"
    sys.stdout.write(
        f"{len(asked)} nouns {how}: film first {film:.1f} %, moment first {moment:.1f} %, film in five {five:.1f} %\n"
        f"a query: median {1e3 * statistics.median(times):.1f} ms, longest {1e3 * max(times):.1f} ms\n"
    )
    sys.stdout.writelines(f"{line}\n" for line in wrong)


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("packages", type=Path)
    parser.add_argument("--films", type=int, default=200)
    parser.add_argument("--frames", type=int, default=40)
    parser.add_argument("--segments", type=int, nargs="+", default=[40, 12, 6])
    parser.add_argument("--rerank", action="store_true", help=f"let the model nouns put the best {TOP} in order, too")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    with tempfile.TemporaryDirectory() as whole:
        shown = make_films(options.packages, Path(whole), options.films, options.frames)
        for segments in options.segments:
            with tempfile.TemporaryDirectory() as folder:
                for path in Path(whole).iterdir():
                    Memory.open(path, segments).save(Path(folder) / path.name)
                begun = time.perf_counter()
                index = MemoryIndex.open([folder], "nouns")
                sys.stdout.write(f"{len(index)} segments loaded in {time.perf_counter() - begun:.2f} s\n")
                measure(index, shown, None)
                if options.rerank:
                    measure(index, shown, VideoQA.from_pretrained("nouns"))


if __name__ == "__main__":
    main()
