"""What docs/search.md says of `dyto search`.

PYTHONPATH=tools/nouns python bench_search.py photographs PACKAGES   # 200 films of photographs, by the bundled eye
python bench_search.py rerank [--sets 30]                            # twenty drawn moments in order by the model `tiny`
python bench_search.py million [--vectors 1000000]                   # one query over many rows

`PACKAGES` holds the unpacked packages that `tools/nouns/dyto_nouns/photos.py` lists; nothing of the search was fitted
to these photographs. A film shows three of them in 20 seconds, every other film one of the three for about a second,
and 40 frames are remembered, or `--segments` of them. Every noun of the eye that a film shows is asked for once. A film
is right if it shows that noun, and a moment if it is no more than two seconds from a shot that does.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

import dyto
from dyto.nouns.table import nouns
from dyto.searching.index import Hit, MemoryIndex
from dyto.searching.outlines import Outline
from dyto.searching.reranking import likelihoods
from dyto.synthetic.filming import sample_long_film
from dyto.synthetic.films import FPS as FRAMES_A_SECOND
from dyto.synthetic.long_films import draw_long_film
from dyto.synthetic.photographs import FPS, filmed, plan

NEAR = 2.0
"""Seconds by which a moment may be off."""
TOP = 20


def make_films(options, folder):
    """Write the memories of films of photographs, and return the shots of each."""
    from dyto_nouns.photos import listed, load

    told = folder / "shown.json"
    if told.is_file():
        return {name: [(set(c), *rest) for c, *rest in shots] for name, shots in json.loads(told.read_text()).items()}
    photos = [(photo, load(photo, options.packages)) for photo in listed()]
    photos = [pair for pair in photos if pair[1] is not None]
    print(f"{len(photos)} photographs are here", flush=True)
    qa, shown = dyto.VideoQA.from_pretrained("nouns"), {}
    for number in range(options.films):
        rng = np.random.default_rng((28, number))
        chosen = []
        for place in rng.permutation(len(photos)):
            if len(chosen) < 3 and not any(photos[place][0].classes & one.classes for one, _ in chosen):
                chosen.append(photos[place])
        shots = plan(rng, 3, needle=number % 2 == 1)
        frames = filmed([picture for _, picture in chosen], shots, options.frames)
        name = f"film_{number:03d}.dyto"
        qa.remember(frames).save(folder / name)
        shown[name] = [
            (set(chosen[shot.picture][0].classes) if chosen[shot.picture][0].known else set(),
             shot.start / FPS, shot.stop / FPS, shot.brief, sorted(chosen[shot.picture][0].classes))
            for shot in shots
        ]  # fmt: skip
    told.write_text(json.dumps({name: [(sorted(c), *rest) for c, *rest in shots] for name, shots in shown.items()}))
    return shown


def photographs(options):
    folder = options.keep or Path(tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    shown = make_films(options, folder)
    if options.segments:
        few = Path(tempfile.mkdtemp())
        for path in sorted(folder.glob("*.dyto")):
            dyto.Memory.open(path, options.segments).save(few / path.name)
        folder = few
    begun = time.perf_counter()
    index = MemoryIndex.open([folder], "nouns")
    loaded = time.perf_counter() - begun
    print(f"{len(index.outlines)} films, {len(index)} segments, loaded in {loaded:.2f} s")
    wanted = {}  # query -> its classes; a photograph of several classes asks for the first noun alone
    for shots in shown.values():
        for classes, *_ in shots:
            if len(classes) == 1:
                wanted[nouns().names[next(iter(classes))]] = classes
    qa = dyto.VideoQA.from_pretrained("nouns") if options.rerank else None
    tally = {"eye": [], f"likelihood of the best {TOP}": []}
    times = []
    for query, classes in sorted(wanted.items()):
        begun = time.perf_counter()
        hits = index.search(query, 5)
        times.append(time.perf_counter() - begun)
        tally["eye"].append(judged(hits, shown, classes))
        if qa is not None:
            best = index.search(query, TOP)
            begun = time.perf_counter()
            chances = likelihoods(qa, best, query)
            tally.setdefault("seconds", []).append(time.perf_counter() - begun)
            asked = [replace(hit, likelihood=chance) for hit, chance in zip(best, chances, strict=True)]
            order = sorted(asked, key=lambda hit: -hit.likelihood)
            tally[f"likelihood of the best {TOP}"].append(judged(order, shown, classes))
    print(f"{len(wanted)} nouns asked for, {torch.get_num_threads()} threads")
    print(f"a query: median {1e3 * statistics.median(times):.1f} ms, longest {1e3 * max(times):.1f} ms")
    spent = tally.pop("seconds", [])
    for name, found in tally.items():
        if found:
            first, within, five, inside = 100 * np.mean(found, 0)
            print(
                f"{name:26} film first {first:5.1f} %  moment within {NEAR:g} s {within:5.1f} %  "
                f"in the shot {inside:5.1f} %  film in the first five {five:5.1f} %"
            )
    if spent:
        print(f"reranking {TOP}: median {statistics.median(spent):.2f} s")
    for query, result in zip(sorted(wanted), tally["eye"], strict=True):
        if not result[0]:
            hit = index.search(query, 1)[0]
            real = [nouns().names[c[0]] for *_, c in shown[Path(hit.file).name]]
            print(f"  wrong: {query}: {Path(hit.file).name} at {hit.second:.1f} s, score {hit.score:.2f}, shows {real}")


def judged(hits, shown, classes):
    """Whether the first film is right, its moment within two seconds, a film among the first five, and in the shot."""
    right = [[shot for shot in shown[Path(hit.file).name] if shot[0] & classes or set(shot[4]) & classes]
             for hit in hits]  # fmt: skip
    off = min((max(s - hits[0].second, hits[0].second - e, 0.0) for _, s, e, *_ in right[0]), default=np.inf)
    return bool(right[0]), off <= NEAR, any(right[:5]), off == 0


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
    index = MemoryIndex(_Direction(), [_Many(options.vectors)], [rows])
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
    one = parts.add_parser("photographs")
    one.add_argument("packages", type=Path)
    one.add_argument("--films", type=int, default=200)
    one.add_argument("--frames", type=int, default=40)
    one.add_argument("--segments", type=int)
    one.add_argument("--keep", type=Path, help="folder for the memories, made once")
    one.add_argument("--rerank", action="store_true")
    one.set_defaults(run=photographs)
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
