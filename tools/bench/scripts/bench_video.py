"""Reading 100 frames of a long file against decoding all of it, and intra frames against both.

    python bench_video.py [--minutes 3] [--group 250] [--rounds 3] [--file F | --still]
    python bench_video.py --rivals pyav,decord [...]      the CPU seconds of other libraries for the same 100 frames

Without --file a 1280 x 720 H.264 file is made first: moving shapes over a noisy background, 30 frames a second; with
--still, the talk over slides of hour.py, 854 x 480 at 25 frames a second.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import av
import numpy as np

import dyto
from dyto_bench import reading
from hour import write_hour

SECONDS = ("cpu", "seconds")


def make_file(path, minutes, group):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 60, (720, 2560, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        options = {"g": str(group), "preset": "veryfast", "x264-params": f"keyint_min={group}:scenecut=0"}
        stream = container.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height, stream.pix_fmt = 1280, 720, "yuv420p"
        for number in range(int(minutes * 60 * 30)):
            shift = number * 3 % 1280
            frame = noise[:, shift : shift + 1280].copy()
            x, y = number * 7 % 1100, number * 5 % 560
            frame[y : y + 160, x : x + 160] = (number % 255, 200, 90)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())


def decode_all(path):
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        stream.thread_type = "AUTO"
        return sum(1 for _ in container.decode(stream))


def beside(path, names, rounds):
    """Print the CPU seconds and time of other libraries for 100 frames at 336 x 336, each by those of dyto."""
    numbers = dyto.sample_frames(path, num_frames=100, size=28).indices.tolist()
    request = {"path": str(path), "numbers": numbers, "size": (336, 336)}
    for record in reading.measure(names, request, rounds, lambda told: None):
        if "missing" in record:
            print(f"{record['name']:10} {record['missing']}")
            continue
        told = (f"{what} {record['figures'][what]['median']:7.2f} s, {_spread(record, what)}" for what in SECONDS)
        print(f"{record['name']:10} {';  '.join(told)}", flush=True)


def _spread(record, what):
    ratios = record["ratios"][what]
    return f"{ratios['median']:.2f} [{ratios['low']:.2f}, {ratios['high']:.2f}] of dyto's"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--group", type=int, default=250, help="frames from one intra frame to the next")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--file", type=Path)
    parser.add_argument("--still", action="store_true", help="make the talk over slides of hour.py")
    parser.add_argument("--preset", default="veryfast", help="how x264 codes the talk; ultrafast is made sooner")
    parser.add_argument("--rivals", help="read beside these libraries, instead of beside decoding everything")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = options.file or Path(folder) / "long.mp4"
        if not options.file:
            if options.still:
                write_hour(path, options.minutes, options.group, options.preset)
            else:
                make_file(path, options.minutes, options.group)
        if options.rivals:
            beside(path, options.rivals.split(","), options.rounds)
            return
        ways = {
            "decode everything": lambda: decode_all(path),
            "100 frames": lambda: dyto.sample_frames(path, num_frames=100, size=336),
            "100 intra frames": lambda: dyto.sample_frames(path, num_frames=100, size=336, sampling="iframes"),
        }
        times = {name: [] for name in ways}
        for _ in range(options.rounds):  # side by side: what slows one down slows the others
            for name, way in ways.items():
                start = time.perf_counter()
                way()
                times[name].append(time.perf_counter() - start)
        print(f"{path.name}: {decode_all(path)} frames, {dyto.sample_frames(path, num_frames=2, sampling='iframes')}")
        base = times["decode everything"]
        for name, values in times.items():
            ratio = statistics.median(b / v for b, v in zip(base, values, strict=True))
            print(
                f"{name:18} median {statistics.median(values):6.2f} s   {ratio:5.2f} x as fast as decoding everything"
            )


if __name__ == "__main__":
    main()
