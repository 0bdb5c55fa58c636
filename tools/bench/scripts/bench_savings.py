"""The effect of the savings on time, and of those that can change an answer on accuracy.

    python bench_savings.py clip [--rounds 5]                  a 30 second 480p clip, first and further questions
    python bench_savings.py hour [--group 250] [--height 480]  a mostly static hour, one frame a second
    python bench_savings.py loss [--videos 6] [--work FOLDER]  accuracy on synthetic films, with and without

All with the bundled model on the CPU; --file takes a video of your own instead of one made for the purpose.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import replace
from functools import partial
from pathlib import Path

import av
import numpy as np
import torch

import dyto
from dyto import DyTo, Savings
from dyto.features import select
from dyto.strategies import STRATEGIES
from dyto.strategies.sparing import alike
from dyto.synthetic.benchmark import SPLITS
from dyto.synthetic.films import REGIMES
from dyto.synthetic.videos import make_video, write_video
from dyto.video import sample_frames
from dyto.video.sampling import resized
from hour import write_hour

sys.path.insert(0, str(Path(__file__).parent / "ablation"))
from scoring import exactly_right

QUESTIONS = ("what is shown ?", "how many objects are there ?", "which color is the square ?", "is there a star ?")
LEVELS = (0.0, 1.0, 2.0, 4.0, 8.0)
LOSING = ("dyto", "plus", "plus-2025")
"""Strategies whose losses are measured."""
LOSSLESS = ("parallel", "repeats", "keep_prefix", "batch_questions", "project_chosen")


def timed(call):
    start = time.perf_counter()
    result = call()
    return time.perf_counter() - start, result


def spread(seconds):
    return f"{statistics.median(seconds):7.3f} s (from {min(seconds):.3f} to {max(seconds):.3f})"


def clip(args, folder):
    """Time first and further answers with all savings on, then with each off in turn; rounds are interleaved."""
    video = args.file or write_hour(folder / "clip.mp4", minutes=0.5, group=50)
    model = dyto.load_model("tiny", device="cpu", dtype="float32")
    sides = {"the usual": Savings(), "none": Savings.none()}
    sides |= {f"without {name}": replace(Savings(), **{name: False}) for name in LOSSLESS}
    sides["with overlap"] = Savings(overlap=True)
    times = {name: ([], [], []) for name in sides}
    answers = set()
    for round_number in range(args.rounds + 1):
        for name, savings in sides.items():
            qa = dyto.VideoQA(model, DyTo(), savings=savings)
            first, (tokens, answer) = timed(partial(_first, qa, video))
            further = [timed(partial(qa.ask, tokens, q, max_new_tokens=16))[0] for q in QUESTIONS[1:]]
            batch, rest = timed(partial(qa.ask_many, tokens, QUESTIONS, max_new_tokens=16))
            answers.add((answer.text, *(one.text for one in rest)))
            if round_number:  # the first is to warm up
                for seconds, value in zip(times[name], (first, statistics.median(further), batch), strict=True):
                    seconds.append(value)
    print(f"{torch.get_num_threads()} threads; {args.rounds} rounds after one to warm up; 100 frames, 16 new tokens")
    for name, (first, further, batch) in times.items():
        ratio = statistics.median(first) / statistics.median(further)
        print(f"{name:24} first {spread(first)}  further {spread(further)}  {ratio:5.1f} times  batch {spread(batch)}")
    print("all answers the same" if len(answers) == 1 else f"ANSWERS DIFFER: {answers}")


def _first(qa, video):
    tokens = qa.encode(video)
    return tokens, qa.ask(tokens, QUESTIONS[0], max_new_tokens=16)


def hour(args, folder):
    """Time the first answer about a long video: without savings, with the usual ones, with those for still videos."""
    video = args.file or write_hour(
        folder / "hour.mp4", args.minutes, args.group, size=(args.height, 2 * round(args.height * 8 / 9))
    )
    model = dyto.load_model("tiny", device="cpu", dtype="float32")
    sides = {
        "none": Savings.none(),
        "the usual": Savings(),
        "similar=1": Savings(similar=1),
        "still": Savings(still=True),
        "still, similar=1": Savings(still=True, similar=1),
    }
    texts, base = [], None
    for name, savings in sides.items():
        if args.only and name not in args.only:
            continue
        qa = dyto.VideoQA(model, DyTo(), savings=savings)
        seconds, answer = timed(partial(qa.ask, video, QUESTIONS[0], max_new_tokens=16, fps=args.fps))
        base = base or seconds
        stages = ", ".join(f"{stage} {value:.1f}" for stage, value in answer.seconds.items() if value >= 0.05)
        print(f"{name:18} {seconds:8.2f} s {base / seconds:6.2f} times  ({stages})", flush=True)
        texts.append(answer.text)
    print(f"answers: {sorted(set(texts))}")


def loss(args, folder):
    """Compare percent right on films of the test split with and without each saving, paired by question."""
    model = dyto.load_model("tiny", device="cpu", dtype="float32")
    right, kept = defaultdict(list), defaultdict(list)
    for number in range(args.videos):
        for regime in REGIMES:
            path = folder / f"{regime}_{number}.mp4"
            film, asked = make_video(path, (SPLITS["test"], REGIMES.index(regime), number), regime)
            if args.side:
                enlarge(path, args.side, film.fps)
            for side, (features, share) in _sides(model, path, args.only).items():
                kept[side, regime].append(share)
                for name in LOSING:
                    found = STRATEGIES[name]().compress(features)
                    right[name, side] += [(regime, bool(r)) for r in exactly_right(model, found.data, asked)]
            path.unlink()
    sides = list(dict.fromkeys(side for _, side in right))
    for strategy in LOSING:
        for side in sides:
            plain, these = (np.array([r for _, r in right[strategy, one]]) for one in ("none", side))
            change = (these.astype(int) - plain).reshape(-1)
            error = 196 * change.std() / np.sqrt(len(change))
            groups = {regime: np.array([g == regime for g, _ in right[strategy, side]]) for regime in REGIMES}
            regimes = "  ".join(f"{name} {100 * change[mask].mean():+.1f}" for name, mask in groups.items())
            print(
                f"{strategy:9} {side:18} {100 * these.mean():5.1f} % right of {len(these)}, "
                f"{100 * change.mean():+5.2f} ± {error:.2f} points, {int(abs(change).sum())} changed  ({regimes})"
            )
    for side in sides:
        shares = "  ".join(f"{regime} {100 * np.mean(kept[side, regime]):.0f}" for regime in REGIMES)
        print(f"{side:18} percent of frames that pass the tower or are decoded: {shares}")


def enlarge(path, side, fps):
    """Write a film again at another size; at its own, twice what the model sees, both resizers give the same pixels."""
    with av.open(str(path)) as film:
        frames = [resized(frame.to_ndarray(format="rgb24"), side, side) for frame in film.decode(video=0)]
    write_video(path, frames, fps)


def _sides(model, path, only):
    """Return the features of a film with each saving, and the share of its frames that were encoded or decoded."""
    off = Savings.none()
    frames = sample_frames(path, size=model.image_size, savings=off)
    plain = model.encode(frames)
    quick = sample_frames(path, size=model.image_size, savings=replace(off, quick_resize=True))
    sides = {"none": (plain, 1.0), "quick_resize": (model.encode(quick), 1.0)}
    if only:
        return {name: side for name, side in sides.items() if name in {"none", *only}}
    for levels in LEVELS:
        kept, stands = alike(frames, levels)
        seen = replace(select(plain, kept[stands]), indices=plain.indices, seconds=plain.seconds)
        sides[f"similar={levels:g}"] = seen, len(kept) / len(frames)
    still = sample_frames(path, size=model.image_size, savings=replace(off, still=True))
    decoded = len({picture.tobytes() for picture in still.data}) / len(still)
    sides["still"] = model.encode(still), decoded
    return sides


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("clip", "hour", "loss"))
    parser.add_argument("--file")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--group", type=int, default=250)
    parser.add_argument("--height", type=int, default=480, help="of the hour, 16:9")
    parser.add_argument("--fps", type=float, default=1.0)
    parser.add_argument("--side", type=int, help="pixels of the films of `loss`; 168 where none is named")
    parser.add_argument("--only", action="append", help="only this side of `hour`, or only quick_resize of `loss`")
    parser.add_argument("--videos", type=int, default=6)
    parser.add_argument("--work", type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        {"clip": clip, "hour": hour, "loss": loss}[args.what](args, args.work or Path(folder))


if __name__ == "__main__":
    main()
