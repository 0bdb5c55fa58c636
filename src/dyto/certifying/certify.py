"""An examination: run the strategy, check its results, report the findings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path

from dyto.certifying.answers import check_batches, check_cache, check_kept
from dyto.certifying.checks import (
    check_budget,
    check_determinism,
    check_input,
    check_interface,
    check_no_op,
    check_order,
    check_origin,
    check_provenance,
    check_question,
)
from dyto.certifying.limit import CALLS, SECONDS, TookTooLongError
from dyto.certifying.long import check_long
from dyto.certifying.memory import check_memory
from dyto.certifying.online import OnlineBench
from dyto.certifying.online_checks import ONLINE_CHECKS
from dyto.certifying.report import FAILED, PASSED, SKIPPED, Check, Report
from dyto.certifying.trials import Bench, Fault, NotExamined, Trial
from dyto.errors import DytoError, unknown
from dyto.inspecting.harmless import harmless
from dyto.models.base import VideoModel
from dyto.models.loading.load import load_model
from dyto.strategies import Strategy
from dyto.strategies.calling import name_of
from dyto.strategies.targets import find_strategy

CHECKS: dict[str, Callable[[Bench, Sequence[Trial]], str]] = {
    "interface": check_interface,
    "budget": check_budget,
    "no-op": check_no_op,
    "determinism": check_determinism,
    "input": check_input,
    "question": check_question,
    "provenance": check_provenance,
    "origin": check_origin,
    "time order": check_order,
    "long films": check_long,
    "memory": check_memory,
    "kept tokens": check_kept,
    "batches": check_batches,
    "cache": check_cache,
}

TRUE_PROVENANCE = ("origin", "time order", "long films")
"""Checks that use the stated sources of tokens."""


def certify(
    strategy: Strategy | type[Strategy] | str,
    model: str | Path | VideoModel | None = None,
    *,
    budget: int | None = None,
    seconds: float | None = SECONDS,
    calls: int = CALLS,
    only: Collection[str] = (),
    online: bool = False,
) -> Report:
    """Check a strategy, or its online form.

    Args:
        strategy: A strategy, a class or function that takes `token_budget`, or a text for
            `dyto.strategies.targets.find_strategy`.
        model: A loaded model, or a name for `dyto.load_model`.
        budget: The budget that a strategy without `token_budget` must keep; ignored for others.
        seconds: Time limit of one call, including the encoding that it requests; None for no limit.
        calls: Largest number of consecutive calls, to see whether they leave a trace.
        only: Names of the checks in `CHECKS` (or `dyto.certifying.online_checks.ONLINE_CHECKS`) to run; empty for all.
            The interface is always checked.
        online: Check what the strategy makes of a stream, frame by frame: causality, bounded memory, prefixes, and
            that it does not matter how frames are batched. The strategy must know of segments, as `plus` does; or it is
            a class or function called with a `VideoQA` and a number of segments, whose objects have `feed` and
            `tokens` as `dyto.Watch` has.

    Returns:
        The findings. A check is skipped if it relies on something that an earlier check found broken.

    Raises:
        ConfigError: There is no such strategy, model or check, or no online form.
        ModelError: The model cannot be loaded.

    Example:
        >>> certify("uniform", "tiny").passed
        True
        >>> certify("plus", "tiny", online=True, only=["causality"]).passed
        True
    """
    known = list(ONLINE_CHECKS if online else CHECKS)
    for name in only:
        if name not in known:
            raise unknown("check", name, known)
    target = find_strategy(strategy) if isinstance(strategy, str) else strategy
    loaded = model if isinstance(model, VideoModel) else load_model(model)
    if online:
        form = OnlineBench(target, loaded, budget, seconds)
        asked = {name: partial(check, form) for name, check in ONLINE_CHECKS.items()}
        return Report(name_of(target), loaded.name, tuple(_examine(asked, only)))
    bench = Bench(target, loaded, budget, seconds, calls)
    trials = bench.trials()
    refusals = [trial.refusal for trial in trials if trial.budget is None and trial.refusal]
    if refusals and not any(trial.tokens is not None for trial in trials):
        found = Check("interface", FAILED, harmless(f"it does not work with this model: {refusals[0]}"))
        return Report(name_of(target), loaded.name, (found,))
    asked = {name: partial(check, bench, trials) for name, check in CHECKS.items()}
    return Report(name_of(target), loaded.name, tuple(_examine(asked, only)))


def _examine(asked: Mapping[str, Callable[[], str]], only: Collection[str]) -> list[Check]:
    """Run the checks that are wanted, those that rely on others only if these found no fault."""
    checks: list[Check] = []
    for name, check in asked.items():
        if only and name not in {"interface", *only}:
            continue
        broken = {one.name for one in checks if one.outcome == FAILED}
        if "interface" in broken:
            checks.append(Check(name, SKIPPED, "it must work first"))
        elif name in TRUE_PROVENANCE and "provenance" in broken:
            checks.append(Check(name, SKIPPED, "provenance must be right first"))
        else:
            checks.append(_outcome(name, check))
    return checks


def _outcome(name: str, check: Callable[[], str]) -> Check:
    try:
        return Check(name, PASSED, check())
    except NotExamined as reason:
        return Check(name, SKIPPED, str(reason))
    except (Fault, DytoError, TookTooLongError) as fault:
        return Check(name, FAILED, harmless(" ".join(str(fault).split())))
