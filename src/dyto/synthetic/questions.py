"""Questions about a sequence of known scenes, with their true answers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from dyto.synthetic.world import BACKGROUND_NAMES, COLORS, CORNERS, KINDS, SHAPES, Scene

MOST_SCENES = 16
"""Largest number of scenes that a question asks to count."""


@dataclass(frozen=True)
class Question:
    """One question and its truth.

    Attributes:
        type: Type of the question; one of `TYPES`, or "needle" in videos.
        text: The question.
        answer: The one right answer, or None for a question that makes sense only with options.
        right: The right option.
        wrong: Wrong options, the harder ones first; at least one.
    """

    type: str
    text: str
    answer: str | None
    right: str
    wrong: tuple[str, ...]

    def options(self, rng: np.random.Generator, most: int = 4) -> tuple[tuple[str, ...], int]:
        """Return the options in random order and the index of the right one."""
        wrong = list(self.wrong[: most - 1])
        place = int(rng.integers(len(wrong) + 1))
        return (*wrong[:place], self.right, *wrong[place:]), place


def _pick(rng: np.random.Generator, items: Sequence[str]) -> str:
    return items[int(rng.integers(len(items)))]


def _shuffled(rng: np.random.Generator, items: Sequence[str], but: str) -> tuple[str, ...]:
    kept = [item for item in dict.fromkeys(items) if item != but]
    return tuple(kept[i] for i in rng.permutation(len(kept)))


def _question(
    rng: np.random.Generator, kind: str, texts: Sequence[str], answer: str, wrong: tuple[str, ...]
) -> Question:
    return Question(kind, _pick(rng, texts), answer, answer, wrong)


def _names(scenes: Sequence[Scene]) -> list[str]:
    return [thing.name for scene in scenes for thing in scene.things]


def _strangers(rng: np.random.Generator, scenes: Sequence[Scene]) -> list[str]:
    """Return kinds that never occur, beginning with those whose colour and shape occur."""
    names = set(_names(scenes))
    colors, shapes = {name.split()[0] for name in names}, {name.split()[1] for name in names}
    absent = [name for name in KINDS if name not in names]
    near = [name for name in absent if name.split()[0] in colors and name.split()[1] in shapes]
    return [*_shuffled(rng, near, ""), *_shuffled(rng, [name for name in absent if name not in near], "")]


def _other_objects(rng: np.random.Generator, scenes: Sequence[Scene], right: str) -> tuple[str, ...]:
    """Return wrong options for an object: first up to two seen elsewhere, then kinds that never occur."""
    seen = _shuffled(rng, _names(scenes), right)
    strangers = _strangers(rng, scenes)
    return (*seen[:2], *strangers[: max(3, 5 - len(seen))], *seen[2:])


def ask_exist(rng: np.random.Generator, scenes: Sequence[Scene]) -> Question | None:
    """Ask: is there a red ring? Half of the time there is none, but something similar."""
    there = bool(rng.integers(2))
    strangers = _strangers(rng, scenes)
    if not there and not strangers:
        return None
    name = _pick(rng, _names(scenes)) if there else strangers[0]
    answer, wrong = ("yes", "no") if there else ("no", "yes")
    return _question(rng, "exist", (f"Is there a {name}?", f"Do you see a {name}?"), answer, (wrong,))


def ask_which(rng: np.random.Generator, scenes: Sequence[Scene]) -> Question | None:
    """Ask: which of these is shown? Only with options."""
    strangers = _strangers(rng, scenes)
    if len(strangers) < 3:
        return None
    text = _pick(rng, ("Which of these is shown?", "Which of these objects appears?"))
    return Question("which", text, None, _pick(rng, _names(scenes)), tuple(strangers[:5]))


def ask_color(rng: np.random.Generator, scenes: Sequence[Scene]) -> Question | None:
    """Ask: what color is the ring? Only for a shape that occurs once."""
    names = _names(scenes)
    unique = [shape for shape, n in Counter(name.split()[1] for name in names).items() if n == 1]
    if not unique:
        return None
    shape = _pick(rng, unique)
    answer = next(name.split()[0] for name in names if name.endswith(shape))
    seen = _shuffled(rng, [name.split()[0] for name in names], answer)
    wrong = tuple(dict.fromkeys((*seen[:2], *_shuffled(rng, tuple(COLORS), answer))))
    texts = (f"What color is the {shape}?", f"What colour is the {shape}?")
    return _question(rng, "color", texts, answer, wrong)


def ask_shape(rng: np.random.Generator, scenes: Sequence[Scene]) -> Question | None:
    """Ask: what shape is the red object? Only for a colour that occurs once."""
    names = _names(scenes)
    unique = [color for color, n in Counter(name.split()[0] for name in names).items() if n == 1]
    if not unique:
        return None
    color = _pick(rng, unique)
    answer = next(name.split()[1] for name in names if name.startswith(color))
    seen = _shuffled(rng, [name.split()[1] for name in names], answer)
    wrong = tuple(dict.fromkeys((*seen[:2], *_shuffled(rng, SHAPES, answer))))
    texts = (f"What shape is the {color} object?", f"Which shape is {color}?")
    return _question(rng, "shape", texts, answer, wrong)


def ask_background(rng: np.random.Generator, scenes: Sequence[Scene]) -> Question | None:
    """Ask: what is the background? With several scenes: what is it behind the red ring?"""
    scene = scenes[int(rng.integers(len(scenes)))]
    name = _pick(rng, [thing.name for thing in scene.things])
    texts: tuple[str, ...] = (f"What is the background of the {name}?", f"What is behind the {name}?")
    if len({s.background for s in scenes}) == 1 and rng.random() < 0.7:
        texts = ("What is the background?", "What color is the background?")
    seen = _shuffled(rng, [s.background_name for s in scenes], scene.background_name)
    others = _shuffled(rng, BACKGROUND_NAMES, scene.background_name)
    wrong = tuple(dict.fromkeys((*seen[:2], *others)))
    return _question(rng, "background", texts, scene.background_name, wrong)


def ask_object(rng: np.random.Generator, scenes: Sequence[Scene]) -> Question | None:
    """Ask: what is on the gray background? Only if a single scene with a single object has it."""
    often = Counter(scene.background for scene in scenes)
    alone = [scene for scene in scenes if often[scene.background] == 1 and len(scene.things) == 1]
    if not alone:
        return None
    scene = alone[int(rng.integers(len(alone)))]
    place = scene.background_name
    texts = (f"What is on the {place} background?", f"Which object is on the {place} background?")
    answer = scene.things[0].name
    return _question(rng, "object", texts, answer, _other_objects(rng, scenes, answer))


def ask_count(rng: np.random.Generator, scenes: Sequence[Scene]) -> Question | None:
    """Ask: how many objects are there, or of one colour? Only in a single scene."""
    if len(scenes) > 1:
        return None
    things = scenes[0].things
    texts: tuple[str, ...] = ("How many objects are there?", "How many objects do you see?")
    number = len(things)
    if rng.random() < 0.3:
        color = _pick(rng, [thing.color for thing in things])
        number = sum(thing.color == color for thing in things)
        texts = (f"How many {color} objects are there?", f"How many objects are {color}?")
    return _question(rng, "count", texts, str(number), _shuffled(rng, "1234", str(number)))


def ask_position(rng: np.random.Generator, scenes: Sequence[Scene]) -> Question | None:
    """Ask: where is the red ring? Only in a single scene, and not too near to a middle line."""
    if len(scenes) > 1:
        return None
    placed = [thing for thing in scenes[0].things if thing.corner]
    if not placed:
        return None
    thing = placed[int(rng.integers(len(placed)))]
    texts = (f"Where is the {thing.name}?", f"In which corner is the {thing.name}?")
    return _question(rng, "position", texts, str(thing.corner), _shuffled(rng, CORNERS, str(thing.corner)))


def _ask_end(rng: np.random.Generator, scenes: Sequence[Scene], which: str) -> Question | None:
    if len(scenes) < 2:
        return None
    scene = scenes[0 if which == "first" else -1]
    if len(scene.things) > 1 or rng.random() < 0.35:
        answer = scene.background_name
        seen = _shuffled(rng, [s.background_name for s in scenes], answer)
        wrong = tuple(dict.fromkeys((*seen[:2], *_shuffled(rng, BACKGROUND_NAMES, answer))))
        texts = (f"What is the {which} background?", f"Which background is {which}?")
        return _question(rng, which, texts, answer, wrong)
    answer = scene.things[0].name
    texts = (f"What is the {which} object?", f"Which object appears {which}?")
    return _question(rng, which, texts, answer, _other_objects(rng, scenes, answer))


def ask_first(rng: np.random.Generator, scenes: Sequence[Scene]) -> Question | None:
    """Ask: what is the first object, or the first background?"""
    return _ask_end(rng, scenes, "first")


def ask_last(rng: np.random.Generator, scenes: Sequence[Scene]) -> Question | None:
    """Ask: what is the last object, or the last background?"""
    return _ask_end(rng, scenes, "last")


def _ask_neighbour(rng: np.random.Generator, scenes: Sequence[Scene], which: str) -> Question | None:
    step = 1 if which == "after" else -1
    pairs = [
        (scene, scenes[i + step])
        for i, scene in enumerate(scenes)
        if 0 <= i + step < len(scenes) and len(scenes[i + step].things) == 1
    ]
    if not pairs:
        return None
    scene, neighbour = pairs[int(rng.integers(len(pairs)))]
    name, answer = _pick(rng, [thing.name for thing in scene.things]), neighbour.things[0].name
    texts = (f"What comes right {which} the {name}?", f"Which object appears right {which} the {name}?")
    others = [scene for scene in scenes if name not in _names([scene])]
    return _question(rng, which, texts, answer, _other_objects(rng, others, answer))


def ask_after(rng: np.random.Generator, scenes: Sequence[Scene]) -> Question | None:
    """Ask: what comes right after the red ring?"""
    return _ask_neighbour(rng, scenes, "after")


def ask_before(rng: np.random.Generator, scenes: Sequence[Scene]) -> Question | None:
    """Ask: what comes right before the red ring?"""
    return _ask_neighbour(rng, scenes, "before")


def ask_scenes(rng: np.random.Generator, scenes: Sequence[Scene]) -> Question | None:
    """Ask: how many scenes are there?"""
    number = len(scenes)
    if number > MOST_SCENES:
        return None
    near = sorted((n for n in range(1, MOST_SCENES + 1) if n != number), key=lambda n: abs(n - number))
    wrong = _shuffled(rng, [str(n) for n in near[:4]], "")
    texts = ("How many scenes are there?", "How many different scenes are shown?")
    return _question(rng, "scenes", texts, str(number), wrong)


def describe(scenes: Sequence[Scene]) -> str:
    """Describe the scenes in one sentence, with objects in reading order.

    Example:
        >>> from dyto.synthetic.world import Scene, Thing
        >>> describe([Scene(1, (Thing(4, 0.3, 0.3, 0.2, 0.0),))])
        'a red ring on gray'
    """
    parts = []
    for scene in scenes:
        things = sorted(scene.things, key=lambda thing: (thing.y > 0.5, thing.x))
        parts.append(" and ".join(f"a {thing.name}" for thing in things) + f" on {scene.background_name}")
    return " then ".join(parts)


def ask_description(rng: np.random.Generator, scenes: Sequence[Scene]) -> Question | None:
    """Ask for a description in one sentence, of one to three scenes with few objects."""
    answer = describe(scenes)
    if answer.count("a ") > 4 or len(scenes) > 3:
        return None
    swapped = []
    for scene in scenes:
        for thing in scene.things:
            for stranger in _strangers(rng, scenes)[:2]:
                swapped.append(answer.replace(thing.name, stranger, 1))
    texts = ("Describe the scene.",) if len(scenes) == 1 else ("Describe the scenes.", "Describe the video.")
    return _question(rng, "description", texts, answer, _shuffled(rng, swapped, answer))


ASKERS: dict[str, Callable[[np.random.Generator, Sequence[Scene]], Question | None]] = {
    "exist": ask_exist,
    "which": ask_which,
    "color": ask_color,
    "shape": ask_shape,
    "background": ask_background,
    "object": ask_object,
    "count": ask_count,
    "position": ask_position,
    "first": ask_first,
    "last": ask_last,
    "after": ask_after,
    "before": ask_before,
    "scenes": ask_scenes,
    "description": ask_description,
}
TYPES: tuple[str, ...] = tuple(ASKERS)
"""The types of questions, in the order of every table."""
