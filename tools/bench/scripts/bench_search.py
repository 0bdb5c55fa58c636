"""What docs/search.md says of `dyto search`.

python bench_search.py rerank [--sets 30]                  # twenty drawn moments in order by the model `tiny`
python bench_search.py million [--vectors 1000000]         # one query over many rows

How well the bundled eye finds what films of photographs show is measured in `tools/nouns`, where the photographs are
listed.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from dyto.memory.online import Segments
from dyto.memory.origin import Origin
from dyto.memory.packing import Picture
from dyto.memory.remembered import About
from dyto.pipeline import VideoQA
from dyto.searching.eyes import Matrix
from dyto.searching.hits import Hit
from dyto.searching.index import MemoryIndex
from dyto.searching.outlines import Outline
from dyto.searching.reranking import likelihoods
from dyto.synthetic.filming import sample_long_film
from dyto.synthetic.films import FPS
from dyto.synthetic.long_films import LongFilm, draw_long_film

TOP, WIDTH = 20, 768


def rerank(options: argparse.Namespace) -> None:
    """Print how often `tiny` finds the one moment of twenty that shows a thing the likeliest to show it."""
    qa, films = VideoQA.from_pretrained("tiny"), []
    for number in range(options.films):
        film = draw_long_film(np.random.default_rng((29, number)), "brief", 60)
        films.append((film, Outline.of(qa.remember(sample_long_film(film, num_frames=60, side=84), segments=16))))
    rng, right, seconds = np.random.default_rng(30), list[bool](), list[float]()
    while len(right) < options.sets:
        hits, names = [], []
        for place in rng.permutation(len(films))[:TOP]:
            film, outline = films[place]
            row = int(rng.integers(len(outline)))
            hits.append(Hit(outline, (row, row), row, 0.0))
            names.append(names_at(film, float(outline.segments.seconds[row])))
        alone = sorted(name for own in names for name in own if sum(name in others for others in names) == 1)
        if alone:
            query = alone[int(rng.integers(len(alone)))]
            begun = time.perf_counter()
            chances = likelihoods(qa, hits, query)
            seconds.append(time.perf_counter() - begun)
            right.append(query in names[int(np.argmax(chances))])
    print(
        f"{len(right)} sets of {TOP} moments: the only right one first in {100 * np.mean(right):.1f} % (by chance "
        f"{100 / TOP:.0f} %), median {statistics.median(seconds):.2f} s, {torch.get_num_threads()} threads"
    )


def names_at(film: LongFilm, second: float) -> set[str]:
    """Return the names of the things that a film shows at a time."""
    shown = (shot.scene for shot in film.shots if shot.start <= second * FPS < shot.end)
    return {thing.name for scene in shown for thing in scene.things}


class ManyDirections:
    """An eye that makes a direction of its own of every query."""

    name, width, columns = "directions", WIDTH, WIDTH
    zero: float | None = None

    def made(self, origin: Origin) -> bool:
        return True

    def summaries(self, pictures: Sequence[Picture]) -> Tensor:
        raise NotImplementedError

    def rows(self, vectors: Tensor) -> Matrix:
        return np.asarray(vectors.numpy())

    def query(self, text: str) -> tuple[Matrix, tuple[str, ...]]:
        found = np.random.default_rng(int(text)).standard_normal((1, WIDTH), np.float32)
        return found / np.linalg.norm(found), ()


def million(options: argparse.Namespace) -> None:
    """Print how long a query takes over many rows."""
    rows = np.random.default_rng(0).standard_normal((options.vectors, WIDTH), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    at, real = np.arange(len(rows)), np.arange(len(rows), dtype=np.float64)
    segments = Segments(at, at, real, real, at, np.empty((len(rows), 0), np.float32), at, real)
    about = About((1, 1), "", (1, 1), (1, 1), "same")
    outline = Outline(None, Origin("", "", "", "", ""), about, segments, torch.empty(len(rows), 0))
    index, times = MemoryIndex(ManyDirections(), [outline], rows), []
    for number in range(9):
        begun = time.perf_counter()
        index.search(f"{number}", 5)
        times.append(time.perf_counter() - begun)
    print(
        f"{len(rows)} rows of {WIDTH} numbers, {rows.nbytes / 1e9:.1f} GB, {torch.get_num_threads()} threads of torch: "
        f"median {1e3 * statistics.median(times):.0f} ms a query"
    )


def main() -> None:
    """Measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parts = parser.add_subparsers(required=True)
    one = parts.add_parser("rerank")
    one.add_argument("--films", type=int, default=30)
    one.add_argument("--sets", type=int, default=30)
    one.set_defaults(run=rerank)
    two = parts.add_parser("million")
    two.add_argument("--vectors", type=int, default=1_000_000)
    two.set_defaults(run=million)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.run(options)


if __name__ == "__main__":
    main()
