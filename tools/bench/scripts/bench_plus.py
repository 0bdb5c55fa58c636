"""What docs/plus.md says of memory and of real clips.

    python bench_plus.py memory [--frames 20000]
    python bench_plus.py clips [--model tiny] CLIP ...

`memory` makes summaries of so many frames, lets `plus` choose, each in a process of its own, and prints how far the
process grew above them. `clips` prints the seconds of the key frames of real clips at the default budget, with the
tower of a model.
"""

import argparse
import multiprocessing
import resource
import sys
import time

import numpy as np

import dyto
from dyto.strategies import Plus

FILMS = {"60 scenes": (60, 1024), "every frame a scene": (None, 1024), "60 scenes, wide": (60, 4096)}
"""Scenes, None for as many as frames, and numbers of a summary."""
PATCHES, BUDGET = 576, 3680


def summaries(frames, scenes, dim):
    """(T, D) float32: means of scenes, and noise of a tenth of them."""
    rng = np.random.default_rng(0)
    if scenes is None:
        return rng.standard_normal((frames, dim), np.float32)
    x = np.repeat(rng.standard_normal((scenes, dim), np.float32), -(-frames // scenes), axis=0)[:frames]
    for part in np.array_split(x, 64):
        part += rng.standard_normal(part.shape, np.float32) / 10
    return x


def peak():
    """Bytes that this process held at most."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


def choose(frames, scenes, dim):
    """Key frames, GB above the summaries, and seconds."""
    x, plus = summaries(frames, scenes, dim), Plus()
    plus.select_keyframes(x[:50], BUDGET, PATCHES)  # what is loaded at the first use
    before, start = peak(), time.perf_counter()
    chosen, _, _ = plus.select_keyframes(x, BUDGET, PATCHES)
    return len(chosen), (peak() - before) / 1e9, time.perf_counter() - start


def memory(options):
    for name, (scenes, dim) in FILMS.items():
        with multiprocessing.get_context("spawn").Pool(1) as process:
            found, grown, took = process.apply(choose, (options.frames, scenes, dim))
        held = 4e-9 * options.frames * dim
        print(
            f"{options.frames} frames of {dim}, {name:20} {found:5} key frames, {grown:.2f} GB above summaries of "
            f"{held:.2f} GB, {took:.1f} s"
        )


def clips(options):
    qa = dyto.VideoQA.from_pretrained(options.model, "plus")
    for clip in options.clips:
        tokens = qa.encode(clip)
        seconds = ", ".join(f"{second:.1f}" for second in tokens.keyframes.seconds)
        print(f"{clip}: {len(tokens)} of {tokens.budget} tokens, key frames at {seconds} s")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("memory", "clips"))
    parser.add_argument("clips", nargs="*", metavar="CLIP")
    parser.add_argument("--frames", type=int, default=20_000)
    parser.add_argument("--model", default="tiny")
    options = parser.parse_intermixed_args()
    {"memory": memory, "clips": clips}[options.what](options)


if __name__ == "__main__":
    main()
