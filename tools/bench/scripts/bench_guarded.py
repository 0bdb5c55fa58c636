"""The cost of reading a video where it can be stopped (`guarded=True`), with a warm child process.

    python bench_guarded.py [--rounds 25] [--frames 100] [--size 336] [--file F]

Without --file an H.264 file of 854 x 480 is made first, 25 frames a second for 20 seconds. Both ways take turns in
every round, the first of them by turns, too, so that what slows one down slows the other. Printed are the medians, and
the median of the ratio in each round with its quartiles.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

import av
import numpy as np

from dyto.video import sample_frames


def make_file(path, seconds=20):
    grain = np.random.default_rng(0).integers(0, 60, (480, 1708, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=25, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = 854, 480, "yuv420p"
        for number in range(25 * seconds):
            frame = grain[:, number * 3 % 854 :][:, :854].copy()
            x, y = number * 7 % 700, number * 5 % 320
            frame[y : y + 120, x : x + 120] = (number % 255, 200, 90)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=25, help="at least 2")
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--size", type=int, default=336)
    parser.add_argument("--file", type=Path)
    options = parser.parse_args()
    if options.rounds < 2:
        parser.error(f"--rounds {options.rounds}, expected at least 2: quartiles need two")
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or Path(folder) / "480p.mp4"
        if not options.file:
            make_file(path)
        times = {False: [], True: []}
        for number in range(options.rounds + 2):
            for guarded in (False, True) if number % 2 else (True, False):
                start = time.perf_counter()
                frames = sample_frames(path, num_frames=options.frames, size=options.size, guarded=guarded)
                frames.data.sum()  # whoever asked for the pixels looks at them
                if number >= 2:  # the first two warm the child and the caches
                    times[guarded].append(time.perf_counter() - start)
    ratios = [there / here for here, there in zip(times[False], times[True], strict=True)]
    low, middle, high = statistics.quantiles(ratios, n=4)
    print(f"{frames!r}, {options.rounds} rounds, load {os.getloadavg()[0]:.1f}")
    for guarded, name in ((False, "in this process"), (True, "in a child")):
        print(f"{name:16} median {statistics.median(times[guarded]) * 1000:7.1f} ms")
    print(f"ratio {middle:.3f} ({low:.3f} to {high:.3f})")


if __name__ == "__main__":
    main()
