"""Coverage of scenes by key frames: selection rules compared without a language model.

The truth comes from films of the synthetic world, which are drawn as lists of scenes; the frame features are made up:

    ideal    one-hot scenes, a slow drift inside each, little noise
    still    one-hot scenes, all frames of a scene identical
    noisy    random directions that share half of their energy, strong noise
    flashes  as noisy, and three flashes of one frame in a film
    fades    as noisy, and every scene fades into the next over eight frames
    pans     as noisy, and every scene turns half of the way to another one while it lasts
"""

from collections import defaultdict

import numpy as np

from dyto import segments
from dyto.strategies import DyTo, Plus2025
from dyto.synthetic.films import FRAMES_PER_TICK, REGIMES, TICKS, draw_film
from dyto.video import uniform_indices

KINDS = ("ideal", "still", "noisy", "flashes", "fades", "pans")
SEEDS = {"dev": 71, "test": 72}
DIM = 256


def made_up(rng, kind, film):
    """(T, D) features of a film, the scene of every frame (-1 for a flash), and which scenes are needles."""
    scene = np.concatenate(
        [np.full((shot.end - shot.start) // FRAMES_PER_TICK, i) for i, shot in enumerate(film.shots)]
    )
    count = len(film.shots)
    if kind in ("ideal", "still"):
        views = np.eye(DIM)[rng.permutation(DIM)[:count]]
    else:
        views = np.sqrt(0.5) * (_units(rng, 1) + _units(rng, count))
    x = views[scene].copy()
    if kind == "ideal":
        for i in range(count):
            inside = scene == i
            x[inside] += 0.1 * np.linspace(0, 1, inside.sum())[:, None] * _units(rng, 1)
    if kind == "pans":
        for i in range(count):
            inside = scene == i
            x[inside] += 0.5 * np.linspace(0, 1, inside.sum())[:, None] * (_units(rng, 1) - views[i])
    if kind == "fades":
        for i in range(1, count):
            start = int(np.flatnonzero(scene == i)[0])
            length = min(8, int((scene == i).sum()))
            part = (np.arange(1, length + 1) / (length + 1))[:, None]
            x[start : start + length] = (1 - part) * views[i - 1] + part * views[i]
    if kind != "still":
        x += (0.05 if kind == "ideal" else 0.3) * rng.normal(size=x.shape) / np.sqrt(DIM)
    scene = scene.copy()
    if kind == "flashes":
        inner = [t for t in range(1, TICKS - 1) if scene[t - 1] == scene[t + 1]]
        for t in rng.choice(inner, 3, replace=False):
            x[t], scene[t] = _units(rng, 1)[0], -1
    return x, scene, [shot.needle for shot in film.shots]


def _units(rng, count):
    x = rng.normal(size=(count, DIM))
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def ward(x, count, member="middle"):
    return segments.representatives(x, segments.ward(x).cut(count), member)


def changes(x, count):
    """Cut at the largest changes between neighbours, and take the middle of each part."""
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    cuts = np.sort(np.argsort(-np.square(x[1:] - x[:-1]).sum(1), kind="stable")[: count - 1]) + 1
    bounds = np.concatenate([[0], cuts, [len(x)]])
    return segments.representatives(x, bounds, "middle")


def farthest(x, count):
    """Choose, one after another, the frame that is least similar to those chosen before."""
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    chosen = [len(x) // 2]
    distance = np.full(len(x), np.inf)
    while len(chosen) < count:
        distance = np.minimum(distance, np.square(x - x[chosen[-1]]).sum(1))
        chosen.append(int(distance.argmax()))
    return np.array(chosen)


AT_COUNT = {
    "uniform": lambda x, count: np.asarray(uniform_indices(len(x), count)),
    "ward, middle": ward,
    "ward, medoid": lambda x, count: ward(x, count, "medoid"),
    "largest changes": changes,
    "farthest point": farthest,
}
FREE = {
    "release": lambda x: DyTo().select_keyframes(x),
    "finest": lambda x: DyTo(partition="finest").select_keyframes(x),
    "plus-2025, 12.8 frames": lambda x: Plus2025().select_keyframes(x, 115),
    "plus-2025, 1.6 frames": lambda x: Plus2025().select_keyframes(x, 14),
}


def measure(split, films, counts=(6, 10, 12, 25)):
    """Percent of scenes and needles with a key frame, percent of key frames on flashes, and key frames.

    Returns:
        For each rule and kind of features: (scenes hit, needles hit, flashes among key frames, key frames).
    """
    rules = dict(FREE) | {
        f"{name}, {count}": lambda x, rule=rule, count=count: rule(x, count)
        for count in counts
        for name, rule in AT_COUNT.items()
    }
    found = defaultdict(lambda: ([], [], [], []))
    for kind in KINDS:
        for number in range(films):
            for place, regime in enumerate(REGIMES):
                rng = np.random.default_rng((SEEDS[split], KINDS.index(kind), place, number))
                x, scene, needles = made_up(rng, kind, draw_film(rng, regime))
                for name, rule in rules.items():
                    chosen = rule(x)
                    seen = set(scene[chosen].tolist())
                    cell = found[name, kind]
                    for i, needle in enumerate(needles):
                        cell[0].append(i in seen)
                        if needle:
                            cell[1].append(i in seen)
                    cell[2].append((scene[chosen] == -1).mean())
                    cell[3].append(len(chosen))
    return {
        key: tuple((1 if i == 3 else 100) * float(np.mean(part)) for i, part in enumerate(cell))
        for key, cell in found.items()
    }


def report(found):
    """Return a Markdown table: scenes hit / needles hit, in percent."""
    names = list(dict.fromkeys(name for name, _ in found))
    lines = ["| rule | " + " | ".join(KINDS) + " | key frames | flashes chosen |", "|---" * (len(KINDS) + 3) + "|"]
    for name in names:
        cells = [f"{found[name, kind][0]:.0f} / {found[name, kind][1]:.0f}" for kind in KINDS]
        number = np.mean([found[name, kind][3] for kind in KINDS])
        lines.append(f"| {name} | " + " | ".join(cells) + f" | {number:.1f} | {found[name, 'flashes'][2]:.0f} % |")
    return "\n".join(lines)
