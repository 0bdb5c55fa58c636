"""How often the weightiest moment of an answer shows the scene that the answer is about, where the truth is known.

    python bench_evidence.py [--model tiny] [--preset release] [--videos 2] [--seed 41]

Videos of every regime of the synthetic world, with two scenes among the key frames or more. Asked is what one scene
tells: is there a thing (true answer yes), which of these, what colour, shape or background, what is on a background,
first, last, before, after. Counted are questions that the model answers rightly. The moment is right if its frame lies
in a scene that shows what was asked for (before and after: either of the two scenes); where the selection missed that
scene, it counts as wrong.
"""

import argparse
import tempfile
from collections import defaultdict
from pathlib import Path

import numpy as np

import dyto
from dyto.synthetic.films import REGIMES
from dyto.synthetic.videos import is_right, make_video
from dyto.synthetic.world import COLORS

TYPES = ("exist", "which", "color", "shape", "background", "object", "first", "last", "before", "after", "needle")


def true_shots(film, asked):
    """Return the positions of the shots that the question is about."""
    words = asked.question.lower().rstrip("?").split()
    if asked.type in ("first", "last"):
        return {0 if asked.type == "first" else len(film.shots) - 1}
    if asked.type == "color":
        wanted = {f"{asked.answer} {words[-1]}"}
    elif asked.type == "shape":
        wanted = {f"{next(word for word in words if word in COLORS)} {asked.answer}"}
    else:
        known = {thing.name for shot in film.shots for thing in shot.scene.things}
        wanted = {name for name in known if name in " ".join(words)} | {asked.answer}
    names = [{thing.name for thing in shot.scene.things} for shot in film.shots]
    return {place for place, shown in enumerate(names) if shown & wanted}


def rankings(moments):
    """Return the position of the first key frame by each way to weigh: ours, leaving out only, each one by itself."""
    return {
        "both (find_evidence)": moments[0],
        "leaving one out": min(moments, key=lambda moment: (moment.without, moment.second)),
        "one by itself": max(moments, key=lambda moment: (moment.alone, -moment.second)),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--preset", default="release")
    parser.add_argument("--videos", type=int, default=2, help="of each regime")
    parser.add_argument("--seed", type=int, default=41)
    options = parser.parse_args()
    qa = dyto.VideoQA.from_pretrained(options.model, dyto.DyTo.preset(options.preset))
    hits, chance = defaultdict(lambda: defaultdict(list)), []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.videos):
            for place, regime in enumerate(REGIMES):
                path = Path(folder) / f"{regime}{number}.mp4"
                film, questions = make_video(path, (options.seed, place, number), regime)
                asked = [a for a in questions if a.type in TYPES and a.answer != "no"]
                tokens = qa.encode(path)
                shot_of = [
                    next(i for i, shot in enumerate(film.shots) if shot.start <= index < shot.end)
                    for index in tokens.keyframes.indices
                ]
                if len(set(shot_of)) < 2:
                    continue
                answers = qa.ask_many(
                    tokens, [a.question for a in asked], choices=[a.choices for a in asked], max_new_tokens=24
                )
                for a, answer in zip(asked, answers, strict=True):
                    if not is_right(a, answer.text):
                        continue
                    truth = true_shots(film, a)
                    moments = dyto.find_evidence(qa, tokens, a.question, answer.text, choices=a.choices)
                    chance.append(np.mean([shot in truth for shot in shot_of]))
                    for way, moment in rankings(moments).items():
                        for group in ("all", a.type, regime):
                            hits[way][group].append(shot_of[moment.keyframe] in truth)
    print(f"{qa.model.name}, {options.preset}: {len(chance)} right answers; by chance {np.mean(chance):.0%}")
    ours = hits["both (find_evidence)"]
    for group in ("all", *TYPES, *REGIMES):
        if group in ours:
            cells = "   ".join(f"{way} {np.mean(found[group]):4.0%}" for way, found in hits.items())
            print(f"{group:12} n {len(ours[group]):4}   {cells}")


if __name__ == "__main__":
    main()
