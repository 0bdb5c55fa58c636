"""Twenty questions about one clip: the video encoded and read once, compared with once per question.

    python bench_questions.py [--model tiny] [--questions 20] [--new-tokens 16] [--rounds 3] [--video F]

Both sides use the same library, model, frames and prompts; the answers must be the same. Without --video a clip of
the synthetic world is made.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import dyto
from dyto.synthetic.videos import sample_video


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--questions", type=int, default=20)
    parser.add_argument("--new-tokens", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--video", type=Path)
    options = parser.parse_args()
    qa = dyto.VideoQA.from_pretrained(options.model)
    colors = ["red", "green", "blue", "yellow", "white", "black", "purple", "orange", "pink", "gray"]
    questions = [f"is there a {c} {s} ?" for c in colors for s in ("circle", "square", "star", "cross")]
    questions = (questions * (1 + options.questions // len(questions)))[: options.questions]
    with tempfile.TemporaryDirectory() as folder:
        video = options.video or Path(folder) / "sample.mp4"
        if not options.video:
            sample_video(video)

        def anew():
            texts = []
            for question in questions:
                qa.forget()  # otherwise the video would be known from the question before
                texts.append(qa.ask(video, question, max_new_tokens=options.new_tokens).text)
            return texts

        def reused():
            qa.forget()
            return [a.text for a in qa.ask_many(video, questions, max_new_tokens=options.new_tokens)]

        def one_by_one():
            qa.forget()
            tokens = qa.encode(video)
            return [qa.ask(tokens, q, max_new_tokens=options.new_tokens).text for q in questions]

        assert anew() == reused() == one_by_one()  # also warms up
        times = {"everything for every question": [], "one prefix, one by one": [], "one prefix, batched": []}
        for _ in range(options.rounds):  # side by side: what slows one down slows the others
            for name, way in zip(times, (anew, one_by_one, reused), strict=True):
                start = time.perf_counter()
                way()
                times[name].append(time.perf_counter() - start)
    print(f"{options.questions} questions, {qa.model.name} on {qa.model.device}, {options.new_tokens} new tokens each")
    base = times["everything for every question"]
    for name, values in times.items():
        ratio = statistics.median(b / v for b, v in zip(base, values, strict=True))
        print(f"{name:30} median {statistics.median(values):6.2f} s   {ratio:5.1f} x as fast")


if __name__ == "__main__":
    main()
