"""An examination: run the strategy, check its results, report the findings."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
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
) -> Report:
    """Check a strategy.

    Args:
        strategy: A strategy, a class or function that takes `token_budget`, or a text for
            `dyto.strategies.targets.find_strategy`.
        model: A loaded model, or a name for `dyto.load_model`.
        budget: The budget that a strategy without `token_budget` must keep; ignored for others.
        seconds: Time limit of one call, including the encoding that it requests; None for no limit.
        calls: Largest number of consecutive calls, to see whether they leave a trace.
        only: Names of the checks in `CHECKS` to run; empty for all. The interface is always checked.

    Returns:
        The findings. A check is skipped if it relies on something that an earlier check found broken.

    Raises:
        ConfigError: There is no such strategy, model or check.
        ModelError: The model cannot be loaded.

    Example:
        >>> certify("uniform", "tiny").passed
        True
    """
    for name in only:
        if name not in CHECKS:
            raise unknown("check", name, CHECKS)
    target = find_strategy(strategy) if isinstance(strategy, str) else strategy
    loaded = model if isinstance(model, VideoModel) else load_model(model)
    bench = Bench(target, loaded, budget, seconds, calls)
    trials = bench.trials()
    checks: list[Check] = []
    refusals = [trial.refusal for trial in trials if trial.budget is None and trial.refusal]
    if refusals and not any(trial.tokens is not None for trial in trials):
        found = Check("interface", FAILED, harmless(f"it does not work with this model: {refusals[0]}"))
        return Report(name_of(target), loaded.name, (found,))
    for name, check in CHECKS.items():
        if only and name not in {"interface", *only}:
            continue
        if name in TRUE_PROVENANCE and any(c.name == "provenance" and c.outcome == FAILED for c in checks):
            checks.append(Check(name, SKIPPED, "provenance must be right first"))
            continue
        checks.append(_outcome(name, check, bench, trials))
        if name == "interface" and checks[-1].outcome == FAILED:
            checks += [
                Check(other, SKIPPED, "it must work first") for other in list(CHECKS)[1:] if not only or other in only
            ]
            break
    return Report(name_of(target), loaded.name, tuple(checks))


def _outcome(name: str, check: Callable[[Bench, Sequence[Trial]], str], bench: Bench, trials: Sequence[Trial]) -> Check:
    try:
        return Check(name, PASSED, check(bench, trials))
    except NotExamined as reason:
        return Check(name, SKIPPED, str(reason))
    except (Fault, DytoError, TookTooLongError) as fault:
        return Check(name, FAILED, harmless(" ".join(str(fault).split())))
