"""Checks for effects of earlier calls: many calls, another order, other films, another thread."""

from __future__ import annotations

import bisect
import copy
import threading
import time
from collections.abc import Sequence
from dataclasses import replace

import torch

from dyto.certifying.films import long_film
from dyto.certifying.same import difference, digest
from dyto.certifying.trials import LONG, OTHER_QUESTION, QUESTION, Bench, Fault, Trial, other_chance
from dyto.errors import DytoError
from dyto.features import VisualTokens
from dyto.strategies.calling import BoundStrategy
from dyto.strategies.encoding import Encoder
from dyto.timing import Stopwatch
from dyto.video import Frames

FEWEST, SECONDS = 250, 1.5
AGAIN = (0.4, 0.5)
"""Shares of the calls that show the same short film, and that or the same longer one with few chosen frames."""
GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it, without their whole parts, fall in step with no fault that comes every so many calls."""
MOST_COPIES = 1000
"""Largest number of copies that are made until one lies where a film lay before."""
TOLERANCE = 1e-3
"""Tolerance for rounding with another number of threads."""


def check_memory(bench: Bench, trials: Sequence[Trial]) -> str:
    """Check that a film gives the same tokens after many calls, in another order, as a copy and in another thread."""
    count = _on_end(bench)
    _copies_that_come_and_go(bench)
    _in_another_thread(bench)
    _with_other_threads(bench)
    again = _once_more(bench, trials)
    return f"{count} consecutive calls and {again} repeated in another order gave the same tokens"


def _on_end(bench: Bench) -> int:
    """Call one object repeatedly with changing films, and in between with the same film."""
    model = bench.eye.model
    whole = long_film(bench.model, LONG[0], scenes=3, seed=21)
    budget = 2 * bench.num_patches + 5 if bench.takes_budget else None
    strategy = BoundStrategy(bench.strategy(budget))
    encode = Encoder(model, Stopwatch(bench.model.device))
    same = (whole[:3], whole[::2])
    first = [strategy(film, encode, QUESTION) for film in same]
    expected, start, calls = [digest(tokens) for tokens in first], time.monotonic(), len(same)
    films = [whole[place : place + 2] for place in range(3, LONG[0] - 2, 3)]
    while calls < bench.calls and (calls < FEWEST or time.monotonic() - start < SECONDS):
        which = bisect.bisect_right(AGAIN, calls * GOLDEN % 1)
        film = same[which] if which < len(same) else films[calls % len(films)]
        encode.seen.clear()
        tokens = strategy(film, encode, QUESTION)
        calls += 1
        if which < len(same) and digest(tokens) != expected[which]:
            found = difference(first[which], tokens) or "other figures"
            raise Fault(f"after {calls} calls the same {len(film)} frames gave {found}")
    return calls


def _copies_that_come_and_go(bench: Bench) -> None:
    """Check films of one shape, with the same numbers and times, each at the address of the one before it."""
    films = [long_film(bench.model, 26, scenes=3, seed=22, changed=changed) for changed in ((), (0, 1, 2))]
    found: list[VisualTokens] = []
    place = 0
    for turn in range(12):
        film = _copy_at(place, films[turn % 2])
        tokens = bench.make(film, None)
        place = id(film)
        del film  # whoever still holds it keeps its address, and is right to know it by that
        if turn < 2:
            found.append(tokens)
        elif other := difference(found[turn % 2], tokens):
            raise Fault(f"a film of 26 frames gave {other} after another of the same length")
    if not difference(*found):
        raise Fault("two films of 26 frames with the same numbers and times gave the same tokens")


def _copy_at(place: int, film: Frames) -> Frames:
    """Copy a film to the address of one that is gone, unless the address is taken again."""
    film, others = copy.deepcopy(film), []
    for _ in range(MOST_COPIES):
        made = copy.copy(film)
        if id(made) == place:
            return made
        others.append(made)  # held, so that the next one comes to lie elsewhere
    return film


def _in_another_thread(bench: Bench) -> None:
    films = [bench.main, long_film(bench.model, LONG[0], scenes=3, seed=23)]
    expected = [bench.make(frames) for frames in films]
    found: list[VisualTokens | DytoError] = []

    def work() -> None:
        try:
            found.extend(bench.make(frames) for frames in films)
        except DytoError as err:
            found.append(err)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(bench.seconds and 2 * bench.seconds)
    if len(found) < len(films) and not any(isinstance(tokens, DytoError) for tokens in found):
        raise Fault("in another thread it did not finish")
    for one, other in zip(expected, found, strict=False):
        if isinstance(other, DytoError):
            raise Fault(f"in another thread it failed: {other}")
        if wrong := difference(one, other):
            raise Fault(f"in another thread it gave {wrong}")


def _with_other_threads(bench: Bench) -> None:
    """Check that another number of torch's threads changes nothing but rounding."""
    before = torch.get_num_threads()
    one = bench.make(bench.main)
    torch.set_num_threads(1 if before > 1 else 2)
    try:
        other = bench.make(bench.main)
    finally:
        torch.set_num_threads(before)
    if one.data.shape != other.data.shape:
        raise Fault(f"with another number of threads it gave {len(other)} tokens, not {len(one)}")
    scale = max(1.0, float(one.data.abs().max()))
    tolerance = TOLERANCE if one.data.dtype in (torch.float32, torch.float64) else 50 * TOLERANCE
    if float((one.data.float() - other.data.float()).abs().max()) > tolerance * scale:
        raise Fault("with another number of threads it gave tokens that differ by more than rounding")


def _once_more(bench: Bench, trials: Sequence[Trial]) -> int:
    """Repeat every call, the last one first, on a copy, with another question and random state."""
    count, shown = 0, trials[-1].frames
    film = copy.deepcopy(shown)
    for number, trial in enumerate(reversed(trials)):
        if trial.tokens is None:
            continue
        if trial.frames is not shown:
            shown, film = trial.frames, copy.deepcopy(trial.frames)
        asked = QUESTION if bench.uses_question else (OTHER_QUESTION, None, QUESTION)[number % 3]
        with other_chance(100 + number):
            try:
                tokens = bench.make_with(bench.strategy(trial.budget), film, asked, like=trial.frames)
            except DytoError as err:
                raise Fault(f"{trial}: asked again at the end, it failed: {err}") from err
        if digest(tokens) != trial.digest:
            found = difference(trial.tokens, tokens)
            raise Fault(f"{trial}: asked again at the end, it gave {found or 'other figures'}")
        count += 1
    return count


def check_kept_all(trials: Sequence[Trial]) -> None:
    """Check that the tokens of every call are unchanged since they were made.

    Raises:
        Fault: Some tokens were overwritten, or carry gradients.
    """
    for trial in trials:
        if trial.tokens is None:
            continue
        if trial.tokens.data.requires_grad:
            raise Fault(f"{trial}: the tokens carry gradients: work under torch.no_grad()")
        if digest(replace(trial.tokens, data=trial.tokens.data.detach())) != trial.digest:
            raise Fault(f"{trial}: the tokens were overwritten by a later call")
