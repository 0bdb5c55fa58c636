"""What docs/search.md says of `dyto search`.

python bench_search.py rerank [--sets 30]                            # twenty drawn moments in order by the model `tiny`
python bench_search.py million [--vectors 1000000]                   # one query over many rows

How well the bundled eye finds what films of photographs show is measured in `tools/nouns`, where the photographs are
listed.
"""

import argparse
import statistics
import time

import numpy as np
import torch

import dyto
from dyto.searching.hits import Hit
from dyto.searching.index import MemoryIndex
from dyto.searching.outlines import Outline
from dyto.searching.reranking import likelihoods
from dyto.synthetic.filming import sample_long_film
from dyto.synthetic.films import FPS as FRAMES_A_SECOND
from dyto.synthetic.long_films import draw_long_film

TOP = 20


def rerank(options):
    """Of twenty moments of drawn films, one of which shows a thing, how often `tiny` finds that the likeliest."""
    qa = dyto.VideoQA.from_pretrained("tiny")
    films = []
    for number in range(options.films):
        film = draw_long_film(np.random.default_rng((29, number)), "brief", 60)
        frames = sample_long_film(film, num_frames=60, side=84)
        films.append((film, Outline.of(qa.remember(frames, segments=16))))
    rng, first, seconds, asked = np.random.default_rng(30), 0, [], 0
    for _ in range(options.sets):
        hits = []
        for place in rng.permutation(len(films))[:TOP]:
            film, outline = films[place]
            row = int(rng.integers(len(outline)))
            hits.append((Hit(outline, (row, row), row, 0.0), scene_at(film, outline.segments.seconds[row])))
        names = [{thing.name for thing in scene.things} if scene else set() for _, scene in hits]
        alone = [n for place, own in enumerate(names) for n in own if sum(n in others for others in names) == 1]
        if not alone:
            continue
        query = alone[int(rng.integers(len(alone)))]
        begun = time.perf_counter()
        chances = likelihoods(qa, [hit for hit, _ in hits], query)
        seconds.append(time.perf_counter() - begun)
        first += query in names[int(np.argmax(chances))]
        asked += 1
    print(f"{asked} sets of {TOP} moments: the only right one first in {100 * first / asked:.1f} % (chance 5 %), "
          f"median {statistics.median(seconds):.2f} s, {torch.get_num_threads()} threads")  # fmt: skip


def scene_at(film, second):
    """Return the scene that a film shows at a time."""
    return next((shot.scene for shot in film.shots if shot.start <= second * FRAMES_A_SECOND < shot.end), None)


def million(options):
    rows = np.random.default_rng(0).standard_normal((options.vectors, 768), np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    times = []
    index = MemoryIndex(_Direction(), [_Many(options.vectors)], rows)
    for number in range(9):
        begun = time.perf_counter()
        index.search(f"{number}", 5)
        times.append(time.perf_counter() - begun)
    print(f"{options.vectors} vectors of 768 numbers, {rows.nbytes / 1e9:.1f} GB, {torch.get_num_threads()} threads: "
          f"median {1e3 * statistics.median(times):.0f} ms a query")  # fmt: skip


class _Direction:
    name, width, columns, zero = "direction", 768, 768, None

    def query(self, text):
        found = np.random.default_rng(int(text)).standard_normal((1, 768), np.float32)
        return found / np.linalg.norm(found), ()


class _Many:
    path, about = None, None

    def __init__(self, count):
        self.count = count

    def __len__(self):
        return self.count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--threads", type=int, default=1)
    parts = parser.add_subparsers(required=True)
    two = parts.add_parser("rerank")
    two.add_argument("--films", type=int, default=30)
    two.add_argument("--sets", type=int, default=30)
    two.set_defaults(run=rerank)
    three = parts.add_parser("million")
    three.add_argument("--vectors", type=int, default=1_000_000)
    three.set_defaults(run=million)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    options.run(options)


if __name__ == "__main__":
    main()
