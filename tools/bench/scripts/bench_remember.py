"""What docs/remember.md says of memories.

python bench_remember.py agree [--films 42]                    # the same answers as the video gives: 20 seconds
python bench_remember.py agree --long [--frames 300]           # films of 20 seconds to an hour
python bench_remember.py stream [--hours 10] [--part 2]        # resident memory, needles, milliseconds a frame
python bench_remember.py grow                                  # milliseconds a frame, its features at hand
python bench_remember.py reopen [--frames 100]                 # CPU of the first answer, cold and from a memory
python bench_remember.py size                                  # bytes of files, at the shapes of 7B models
"""

import argparse
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

import dyto
from dyto.features import FrameFeatures
from dyto.memory.growing import GrowingMemory, memory_of
from dyto.memory.origin import Origin
from dyto.memory.packing import KINDS
from dyto.synthetic.benchmark import synth_video
from dyto.synthetic.filming import frame_of, sample_long_film
from dyto.synthetic.films import REGIMES
from dyto.synthetic.long_films import LONG_REGIMES, draw_long_film
from dyto.synthetic.long_questions import ask_about
from dyto.synthetic.videos import is_right, make_video

SEGMENTS = (1000, 128, 64, 32, 12)
SIDE = 84
LENGTHS = (20, 60, 180, 600, 1800, 3600)


def short_film(number, frames, side):
    """Return the frames and questions of a film of 20 seconds, coded as H.264; seven regimes in turn."""
    path = Path(tempfile.mkdtemp()) / "film.mp4"
    _, asked = make_video(path, (27, number), REGIMES[number % len(REGIMES)])
    return dyto.sample_frames(path, num_frames=frames, size=side), asked


def long_film(number, frames, side):
    """Return the frames and questions of a longer film; ten regimes and six lengths in turn."""
    rng = np.random.default_rng((27, number))
    film = draw_long_film(rng, LONG_REGIMES[number % len(LONG_REGIMES)], LENGTHS[number % len(LENGTHS)])
    asked = ask_about(rng, film)
    return sample_long_film(film, num_frames=frames, side=side), asked


def agree(options):
    qa = dyto.VideoQA.from_pretrained("tiny", dyto.Plus(token_budget=options.budget))
    same, right, total = dict.fromkeys(SEGMENTS, 0), dict.fromkeys((0, *SEGMENTS), 0), 0
    for number in range(options.films):
        frames, asked = (long_film if options.long else short_film)(number, options.frames, SIDE)
        given = [one.question for one in asked], [one.choices for one in asked]
        ask = lambda video, given=given: qa.ask_many(video, given[0], choices=given[1], max_new_tokens=24)  # noqa: E731
        whole = ask(frames)
        total += len(asked)
        right[0] += sum(is_right(one, answer.text) for one, answer in zip(asked, whole, strict=True))
        for segments in SEGMENTS:
            answers = ask(qa.remember(frames, segments=segments, numbers=options.numbers))
            same[segments] += sum(a.text == b.text for a, b in zip(whole, answers, strict=True))
            right[segments] += sum(is_right(one, answer.text) for one, answer in zip(asked, answers, strict=True))
        qa.forget()
    print(f"{options.films} films of {options.frames} frames, {total} questions, {options.budget} tokens")
    print(f"video itself       {100 * right[0] / total:5.1f} % right")
    for segments in SEGMENTS:
        print(
            f"{segments:5} segments  {100 * same[segments] / total:6.2f} % the same  "
            f"{100 * right[segments] / total:5.1f} % right"
        )


def resident():
    """Return the MiB that this process holds now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20


def stream_of(hours, side, seed=0, part_hours=2):
    """Yield (picture, second, name of the scene or needle) of a stream at one frame a second.

    Every part has twelve long scenes and six needles of 5 to 10 seconds, all different.
    """
    second = 0.0
    for part in range(-(-hours // part_hours)):
        rng = np.random.default_rng((seed, part))
        lengths = rng.dirichlet(np.full(12, 4.0)) * 3600 * part_hours
        needles = set(rng.choice(11, 6, replace=False).tolist())
        for scene, length in enumerate(lengths):
            spans = [(f"scene {part}.{scene}", length)]
            spans += [(f"needle {part}.{scene}", float(rng.uniform(5, 10)))] if scene in needles else []
            for name, lasting in spans:
                film = draw_long_film(rng, "watching", 20)
                shot = film.shots[0]
                stop = second + lasting
                while second < stop:
                    yield frame_of(film, int(rng.integers(shot.start, shot.end)), side), second, name
                    second += 1


def filmed(*stream):
    """Yield what `stream_of` does, drawn by another process, as a camera is: what a drawer keeps is not a memory's."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe(duplex=False)
    drawer = spawn.Process(target=draw_into, args=(there, stream), daemon=True)
    drawer.start()
    there.close()
    try:
        while (shot := here.recv()) is not None:
            yield shot
    finally:
        here.close()
        drawer.terminate()
        drawer.join()


def draw_into(pipe, stream):
    for shot in stream_of(*stream):
        pipe.send(shot)
    pipe.send(None)


def used_to(qa):
    """Let the model see and answer once at several lengths: for each, MKL keeps some MiB of buffers from then on."""
    frames = sample_long_film(draw_long_film(np.random.default_rng(27), "watching", 600), num_frames=100, side=SIDE)
    watch = qa.watch(segments=64)
    watch.feed(frames.data, frames.seconds)
    for budget in (9, 18, 36, 72, 115, 230):
        watch.ask("what is shown ?", token_budget=budget, max_new_tokens=4)
    qa.forget()


def stream(options):
    qa = dyto.VideoQA.from_pretrained("tiny", dyto.Plus(token_budget=options.budget))
    spent = {"tower": 0.0, "all": 0.0}
    encode = qa.model.encode

    def timed(images, **more):
        start = time.process_time()
        seen = encode(images, **more)
        spent["tower"] += time.process_time() - start
        return seen

    qa.model = qa.model.seeing_by(timed)
    used_to(qa)
    watch, spans = qa.watch(segments=options.segments), {}
    for picture, second, name in filmed(options.hours, SIDE, 0, options.part):
        if second >= 3600 * options.hours:
            break
        start = time.process_time()
        watch.feed(picture, second)
        spent["all"] += time.process_time() - start
        first, _ = spans.get(name, (second, second))
        spans[name] = first, second
        if watch.taken % 3600 == 0:
            watch.ask("what is shown ?", max_new_tokens=4)
            qa.forget()
            print(f"{watch.taken // 3600:3} h: {resident():.1f} MiB resident", flush=True)
    beside = 1000 * (spent["all"] - spent["tower"]) / watch.taken
    tower = 1000 * spent["tower"] / watch.taken
    print(f"{watch.taken} frames: {beside:.3f} ms of CPU a frame beside {tower:.2f} ms of the tower")
    kinds = {"remembered": watch.memory.seconds, "key frames": watch.tokens().keyframes.seconds}
    for what, seconds in kinds.items():
        for kind in ("scene", "needle"):
            wanted = [span for name, span in spans.items() if name.startswith(kind)]
            found = sum(bool(((seconds >= a) & (seconds <= b)).any()) for a, b in wanted)
            print(f"{what:10} {len(seconds):4}: {found} of {len(wanted)} {kind}s")


def grow(options):
    """Time what a frame costs beside the tower, without a tower in between that empties the caches."""
    model, taken = dyto.load_model("tiny"), []
    for number, (picture, second, _) in zip(range(1200), stream_of(1, SIDE), strict=False):
        frame = dyto.Frames(picture[None], np.array([number]), np.array([second]), source_size=(SIDE, SIDE))
        taken.append((model.encode(frame), picture[None], (SIDE, SIDE)))
    spent = []
    for _ in range(options.runs):
        growing = GrowingMemory(options.segments)
        for one in taken[:200]:
            growing.add(*one)
        start = time.process_time()
        for one in taken[200:]:
            growing.add(*one)
        spent.append(time.process_time() - start)
    print(f"{options.segments} segments: {statistics.median(spent):.3f} ms of CPU a frame, its features at hand")


ONCE = """
import resource, sys, torch
import dyto
torch.set_num_threads(1)
qa = dyto.VideoQA.from_pretrained("tiny")
qa.model.embed_text("what")
before = resource.getrusage(resource.RUSAGE_SELF)
more = {"num_frames": int(sys.argv[2])} if len(sys.argv) > 2 else {}
tokens = qa.encode(sys.argv[1], **more)
between = resource.getrusage(resource.RUSAGE_SELF)
qa.ask(tokens, "what is shown ?", max_new_tokens=8)
after = resource.getrusage(resource.RUSAGE_SELF)
times = [one.ru_utime + one.ru_stime for one in (before, between, after)]
print(times[2] - times[0], times[2] - times[1])
"""


def reopen(options):
    folder, frames = Path(tempfile.mkdtemp()), options.frames
    clip, kept = folder / "clip.mp4", folder / "clip.dyto"
    synth_video(0, clip, None, "brief", 120, None)
    dyto.VideoQA.from_pretrained("tiny").remember(clip, segments=frames, num_frames=frames).save(kept)

    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(folder)}  # as where it is installed

    def cpu(*words):
        command = [sys.executable, "-c", ONCE, *map(str, words)]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={**os.environ, **compiled})
        return map(float, done.stdout.split())

    for words in ((clip, frames), (kept,)):  # the first run of each compiles the modules
        cpu(*words)
    runs = [(*cpu(clip, frames), *cpu(kept)) for _ in range(options.runs)]
    cold, _, warm, model = (statistics.median(column) for column in zip(*runs, strict=True))
    share = statistics.median(b / a for a, _, b, _ in runs)
    print(
        f"CPU seconds of the first answer about {frames} frames of two minutes, one thread: {cold:.3f} from the video, "
        f"{warm:.3f} from a memory of all of them: {100 * share:.0f} %; {model:.3f} of these are the language model's"
    )


SHAPES = {"llava-1.5-7b": ((24, 24), 4096), "llava-onevision-7b": ((14, 14), 3584), "qwen2.5-vl-7b": ((18, 32), 3584)}
"""Grid of a frame and width of a token."""


def size(options):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (8, 336, 336, 3), dtype=np.uint8)
    origin = Origin("a model", "", "0" * 16, "bfloat16", "pictures of 336")
    for name, (grid, dim) in SHAPES.items():
        for kind in KINDS:
            growing = GrowingMemory(128, kind)
            for number in range(136):
                patches = torch.from_numpy(rng.standard_normal((1, 1 + grid[0] * grid[1], dim), np.float32)).bfloat16()
                seen = FrameFeatures.from_projected(patches, grid=grid, indices=[number])
                growing.add(seen, noise[number % 8][None], (336, 336))
            assert growing.about is not None
            memory = memory_of(growing.snapshot(), origin, growing.about)
            path = memory.save(Path(tempfile.mkdtemp()) / "m.dyto")
            kept = memory.tensors["patches"].shape[1]
            print(f"{name:20} {kind:8} {kept:4} of {grid[0] * grid[1]} tokens, {path.stat().st_size / 1e6:.1f} MB")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("agree", "stream", "grow", "reopen", "size"))
    parser.add_argument("--films", type=int, default=42)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--numbers", default="same")
    parser.add_argument("--budget", type=int, default=230)
    parser.add_argument("--hours", type=int, default=10)
    parser.add_argument("--part", type=int, default=2, help="hours of a stream with twelve scenes, six needles")
    parser.add_argument("--segments", type=int, default=64)
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    {"agree": agree, "stream": stream, "grow": grow, "reopen": reopen, "size": size}[options.what](options)


if __name__ == "__main__":
    main()
