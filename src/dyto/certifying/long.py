"""Checks on long films, of one scene and of three, from the first frame to the last."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from dyto.certifying.films import long_film
from dyto.certifying.same import difference
from dyto.certifying.trials import LONG, OTHER_QUESTION, QUESTION, Bench, Fault, Trial, made
from dyto.errors import ConfigError
from dyto.features import VisualTokens
from dyto.strategies.uniform import spread
from dyto.video import Frames

LENGTHS = (31, 41, 50, 64, 65, 80, 99, 110, 128, 129, 140, 150, 175, 200, 225, 256, 257, 300, 330, 365)
"""Numbers of frames at which the last scene is replaced, in addition to those of the long films."""
LONGEST, NOISE = 513, 6
"""Frames of a last film, longer than any other, whose pixels are noisy, as a camera's are."""
SCENES = ("first scene", "second scene", "last scene")
FEWEST = 5
"""Fewest frames that can count as nearly all of a film."""
FEW = 8
"""Fewest frames that can count as evenly spaced."""


@dataclass(frozen=True)
class ShownFrames:
    """The frames of a film that some tokens are made of.

    Attributes:
        trial: The call.
        positions: Positions of the frames, in order.
        end: Position of the film's last frame.
    """

    trial: Trial
    positions: npt.NDArray[np.int64]
    end: int

    @classmethod
    def of(cls, trial: Trial, tokens: VisualTokens) -> ShownFrames:
        """Return the frames that tokens name."""
        named = np.unique(np.r_[tokens.sources.keyframe, tokens.keyframe])
        return cls(trial, np.unique(tokens.keyframes.positions[named]), len(trial.frames) - 1)


def check_long(bench: Bench, trials: Sequence[Trial]) -> str:
    """Check that all parts of a long film are used, whatever its length, with none left out at the end or between."""
    if bench.uses_question:
        _every_third_in_some_order(bench)
    else:
        _every_scene_counts(bench)
        _little_is_spread(bench)
        seen = [ShownFrames.of(trial, tokens) for trial, tokens in made(trials)]
        for length in LONG:
            _no_stretch_left_out([shown for shown in seen if shown.end == length - 1], length)
            _no_early_end([shown for shown in seen if shown.end == length - 1 and len(shown.positions) >= FEW])
        _last_frames_are_used(seen)
    for length in LONG:
        _budget_counts([(trial, tokens) for trial, tokens in made(trials) if len(trial.frames) == length])
    _all_places_are_used(bench, trials)
    return f"films of {', '.join(map(str, LONG))} and {LONGEST} frames are used from end to end"


def _budget_counts(tried: Sequence[tuple[Trial, VisualTokens]]) -> None:
    """Check that the number of tokens varies over many budgets."""
    budgets = [trial.budget for trial, _ in tried if trial.budget]
    counts = {len(tokens) for trial, tokens in tried if trial.budget}
    if len(counts) == 1 and max(budgets) > 4 * min(budgets):
        raise Fault(f"{tried[0][0]}: {counts.pop()} tokens at every budget: the budget changes nothing")


def _make(bench: Bench, frames: Frames, budget: int | None, question: str = QUESTION) -> VisualTokens | None:
    """Return tokens, or None if the budget is refused."""
    try:
        return bench.make(frames, budget, question)
    except ConfigError:
        return None


def _every_scene_counts(bench: Bench) -> None:
    """Check that a different scene gives different tokens, wherever it is, at any length."""
    for frames, variants in exchanged(bench):
        for budget in bench.ample(len(frames)):
            one = _make(bench, frames, budget)
            for scene, other in variants.items():
                two = None if one is None else _make(bench, other, budget)
                if one is not None and two is not None and not difference(one, two):
                    told = Trial(f"{len(frames)} frames of 3 scenes", frames, budget)
                    raise Fault(f"{told}: the {scene} is replaced by another, but the tokens are the same")


def _little_is_spread(bench: Bench) -> None:
    """Check that more than one scene is shown where there is room for five whole frames."""
    if not bench.takes_budget:
        return
    for length, (frames, variants) in zip(LONG, exchanged(bench), strict=False):
        budget = 5 * bench.num_patches + 1
        one = _make(bench, frames, budget)
        found = [] if one is None else [_make(bench, other, budget) for other in variants.values()]
        if one is not None and sum(two is None or bool(difference(one, two)) for two in found) < 2:
            raise Fault(f"{length} frames of 3 scenes, budget {budget}: it shows one scene, although five frames fit")


def _every_third_in_some_order(bench: Bench) -> None:
    """Check a strategy that may choose frames by the question, wherever they are."""
    for length in LONG:
        found = []
        for order in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
            frames = long_film(bench.model, length, scenes=3, seed=8, order=order)
            for question in (QUESTION, OTHER_QUESTION):
                for budget in bench.ample(length):
                    tokens = _make(bench, frames, budget, question)
                    if tokens is not None:
                        found.append(ShownFrames.of(Trial("", frames, budget), tokens).positions)
        if not found:
            return
        thirds = set((np.concatenate(found) * 3 // length).tolist())
        if len(thirds) < 3:
            missing = ["beginning", "middle", "end"][min({0, 1, 2} - thirds)]
            raise Fault(f"{length} frames of 3 scenes: nothing of the {missing} is shown, whatever their order")


def _no_stretch_left_out(seen: Sequence[ShownFrames], length: int) -> None:
    """Check that all calls together leave no long stretch of the film out.

    K random frames leave a longest gap of about ln K times their mean distance, and rarely one that is much longer.
    """
    most = max(len(shown.positions) for shown in seen)
    union = np.unique(np.concatenate([shown.positions for shown in seen]))
    edges = np.r_[-1, union, length]
    gaps = np.diff(edges) - 1
    mean = length / most
    allowed = mean * (math.log(most) + 5) + 1
    worst = int(np.argmax(gaps))
    if gaps[worst] > allowed:
        first, last = edges[worst] + 1, edges[worst + 1] - 1
        raise Fault(f"{length} frames: frames {first} to {last} are never shown, although up to {most} others are")
    for end, gap in (("first", gaps[0]), ("last", gaps[-1])):
        if gap > 5 * mean + 1:
            raise Fault(f"{length} frames: the {end} {gap} are never shown, although up to {most} others are")


def _no_early_end(seen: Sequence[ShownFrames]) -> None:
    """Check that evenly spaced frames reach both ends of the film."""
    steps = [np.diff(shown.positions) for shown in seen]
    if any(np.ptp(step) > max(2, step.mean() / 8) for step in steps):
        return
    for shown, step in zip(seen, steps, strict=True):
        for edge, left in (
            ("after it begins", shown.positions[0]),
            ("before it ends", shown.end - shown.positions[-1]),
        ):
            if left > 1.5 * step.mean() + 2:
                raise Fault(
                    f"{shown.trial}: it shows {len(shown.positions)} frames, one in {step.mean():.1f}, but none in the "
                    f"{left} frames {edge}"
                )


def _last_frames_are_used(seen: Sequence[ShownFrames]) -> None:
    """Check that the first and the last frame are shown at least once if nearly all frames always are."""
    nearly_all = [shown for shown in seen if len(shown.positions) >= max(FEWEST, shown.end - 1)]
    if len({shown.end for shown in nearly_all}) < 2:
        return
    for name, used in (
        ("first", any(0 in shown.positions for shown in seen if shown.end >= FEWEST)),
        ("last", any(shown.end in shown.positions for shown in seen if shown.end >= FEWEST)),
    ):
        if not used:
            raise Fault(f"the {name} frame of a film is never shown, although all others are ({nearly_all[0].trial})")


def _all_places_are_used(bench: Bench, trials: Sequence[Trial]) -> None:
    """Check that all sides of a frame are used."""
    if bench.other_ways:
        return
    results = [tokens for _, tokens in made(trials) if tokens.grid[0] * tokens.grid[1] == bench.num_patches]
    if not results:
        return
    grid = results[0].grid
    rows, columns = np.divmod(np.unique(np.concatenate([tokens.sources.patch for tokens in results])), grid[1])
    for name, used, side in (("rows", rows, grid[0]), ("columns", columns, grid[1])):
        missing = side - len(np.unique(used))
        if missing > side // 4:
            raise Fault(f"{missing} of {side} {name} of patches are never used in any frame of any film")


def exchanged(bench: Bench) -> Iterator[tuple[Frames, dict[str, Frames]]]:
    """Make films of three scenes, each with variants in which one scene is replaced, by name."""
    for length in LONG:
        frames, others = (long_film(bench.model, length, scenes=3, seed=8, changed=which) for which in ((), (0, 1, 2)))
        yield frames, {name: _with_scene(frames, others, scene) for scene, name in enumerate(SCENES)}
    last = _with_scene(frames, others, 2)
    for length in LENGTHS:
        picked = spread(LONG[-1], length)
        yield frames[picked], {SCENES[2]: last[picked]}
    frames, others = (
        long_film(bench.model, LONGEST, scenes=3, seed=9, changed=which, noise=NOISE) for which in ((), (0, 1, 2))
    )
    yield frames, {"last fifth": _with_scene(frames, others, 4, of=5)}


def _with_scene(frames: Frames, others: Frames, scene: int, of: int = 3) -> Frames:
    """Replace one of so many parts of a film, such as a scene, by the same part of another."""
    is_other = np.arange(len(frames)) * of // len(frames) == scene
    return replace(frames, data=np.where(is_other[:, None, None, None], others.data, frames.data))
