"""A benchmark with 20 questions a video: the runner, against decoding, encoding and prefilling for every question.

    python bench_eval.py [--model tiny] [--videos 4] [--questions 20] [--new-tokens 16] [--rounds 3] [--clips D]

Both sides use the same loaded model, frames and prompts, and must give the same answers. The runner's time includes
recording every row; it is run with the next video read ahead (`overlap`) and without. Without --clips, videos of the
synthetic world are made.
"""

import argparse
import json
import statistics
import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

from dyto.evaluation.runner import ClipWork
from dyto.evaluation.settings import Settings
from dyto.evaluation.workers import Run
from dyto.models.loading.options import Loading
from dyto.savings import Savings
from dyto.synthetic.videos import sample_video

COLORS = ["red", "green", "blue", "yellow"]


def write_world(folder, options):
    """Write a folder of videos and a question file in the common layout."""
    clips = sorted(options.clips.glob("*.mp4")) if options.clips else []
    (folder / "videos").mkdir()
    for i in range(options.videos):
        target = folder / "videos" / f"v{i}.mp4"
        if clips:
            target.symlink_to(clips[i % len(clips)].resolve())
        else:
            sample_video(target, seed=i)
    shapes = ["circle", "square", "star", "cross", "ring", "triangle"]
    records = [
        {
            "video_name": f"v{i}.mp4",
            "question_id": f"{i}_{j}",
            "question": f"what color is the {shapes[j % 6]} number {j} ?",
            "candidates": COLORS,
            "answer_number": j % 4,
            "answer": COLORS[j % 4],
        }
        for j in range(options.questions)  # the questions about a video stand apart, as in public files
        for i in range(options.videos)
    ]
    (folder / "val_qa.json").write_text(json.dumps(records))
    return records


def _quietly(done, total):
    """Show no progress."""


def _loaded(settings, qa, device):
    """Return the work of a worker with the loaded model."""
    return ClipWork(settings, qa)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="tiny")
    for name, default in (("videos", 4), ("questions", 20), ("new-tokens", 16), ("rounds", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--clips", type=Path, help="a folder of .mp4 files")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        records = write_world(folder, options)
        base = {
            "loading": Loading(options.model),
            "max_new_tokens": options.new_tokens,
            "qa_file": folder / "val_qa.json",
        }
        settings = Settings("nextqa", video_dir=folder / "videos", **base)
        qa = settings.load(settings.loading.device)
        questions = settings.questions()

        def runner(name, overlap):
            qa.savings = Savings(overlap=overlap)
            ours = replace(settings, folders={"out": folder / name}, savings=Savings(overlap=overlap))
            start = time.perf_counter()
            Run(ours, questions, ours.run_folders(), _quietly).ask(partial(_loaded, ours, qa))
            spent = time.perf_counter() - start
            with ours.run_folders().journal() as journal:
                journal.refresh()
                rows = sorted(journal.rows().values(), key=lambda row: row["place"])
            return spent, [row["pred"] for row in rows]

        def anew():
            qa.savings = Savings()
            start = time.perf_counter()
            texts = []
            for r in records:
                qa.forget()  # otherwise the video would be known from the question before
                video, choices = folder / "videos" / r["video_name"], r["candidates"]
                texts.append(qa.ask(video, r["question"], choices=choices, max_new_tokens=options.new_tokens).text)
            return time.perf_counter() - start, texts

        runner("warm", None)
        fast, slow, ahead, waiting = [], [], [], []
        for i in range(options.rounds):  # side by side: what slows one down slows the other
            spent, ours = runner(f"out{i}", None)
            fast.append(spent)
            for overlap, side in ((True, ahead), (False, waiting))[:: 1 if i % 2 else -1]:
                spent, same = runner(f"overlap{i}{overlap}", overlap)
                side.append(spent)
                assert same == ours, "reading ahead changes an answer"
            spent, plain = anew()
            slow.append(spent)
            assert ours == plain, "the two do not answer alike"
    print(f"{len(records)} questions about {options.videos} videos, {qa.model.name} on {qa.model.device}")
    print(f"everything for every question  median {statistics.median(slow):6.2f} s")
    ratio = statistics.median(s / f for s, f in zip(slow, fast, strict=True))
    print(f"the runner                     median {statistics.median(fast):6.2f} s   {ratio:5.1f} x as fast")
    ratio = statistics.median(w / a for w, a in zip(waiting, ahead, strict=True))
    print(
        f"the next video read ahead      median {statistics.median(ahead):6.2f} s   {ratio:5.2f} x as fast as without"
    )


if __name__ == "__main__":
    main()
