"""The checks, one function each: they return a finding, or raise `Fault` with what is wrong."""

from __future__ import annotations

import copy
import re
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from dyto.certifying.same import content, difference
from dyto.certifying.trials import (
    LONG,
    OTHER_QUESTION,
    QUESTION,
    Bench,
    Fault,
    NotExamined,
    Trial,
    made,
    other_chance,
)
from dyto.features import VisualTokens
from dyto.pipeline import VideoQA


def check_interface(bench: Bench, trials: Sequence[Trial]) -> str:
    """Check that every call gives tokens, or a `ConfigError` that says what is needed."""
    for trial in trials:
        if trial.failure:
            raise Fault(f"{trial}: {trial.failure}")
        if trial.budget is None and trial.refusal:
            raise Fault(f"{trial}: refused although no budget was set: {trial.refusal}")
    width = bench.model.model.get_input_embeddings().weight.shape[1]
    summary = bench.model.encode(bench.short[1]).summary
    form = summary.dtype, summary.device
    for trial, tokens in made(trials):
        if tokens.data.shape[1] != width:
            raise Fault(f"{trial}: tokens of {tokens.data.shape[1]} dimensions, expected {width}")
        if (tokens.data.dtype, tokens.data.device) != form:
            found = f"{tokens.data.dtype} on {tokens.data.device}"
            raise Fault(f"{trial}: tokens of {found}, expected those of the features, {form[0]} on {form[1]}")
        if not torch.isfinite(tokens.data).all():
            raise Fault(f"{trial}: the tokens hold NaN or infinity")
    return f"{len(made(trials))} of {len(trials)} calls gave tokens, the others said what they need"


def check_budget(bench: Bench, trials: Sequence[Trial]) -> str:
    """Check that tokens stay within the budget, that it is stated truly, and that a refusal names the minimum."""
    for trial, tokens in made(trials):
        allowed = trial.budget or bench.stated
        if allowed is not None and len(tokens) > allowed:
            raise Fault(f"{trial}: {len(tokens)} tokens, expected {allowed} at most")
        if trial.budget is not None and tokens.budget != trial.budget:
            raise Fault(f"{trial}: VisualTokens.budget is {tokens.budget}, expected {trial.budget}")
        whole = len(trial.frames) * bench.num_patches
        if tokens.uncompressed != whole:
            raise Fault(f"{trial}: VisualTokens.uncompressed is {tokens.uncompressed}, expected {whole}")
    for trial in trials:
        if trial.refusal and not re.search(r"\d", trial.refusal.replace(str(trial.budget), "", 1)):
            raise Fault(f"{trial}: refused without naming the smallest budget: {trial.refusal}")
        if trial.refusal and trial.budget is not None and trial.budget >= bench.num_patches:
            raise Fault(f"{trial}: refused, although a whole frame fits: {trial.refusal}")
    if not bench.takes_budget and bench.stated is None:
        raise NotExamined("it takes no token_budget and none was stated, so it cannot be compared")
    used = [f"{len(tokens)} of {trial.budget}" for trial, tokens in made(trials) if trial.frames is bench.main]
    return f"kept; on {next(iter(bench.films))}: {', '.join(used)}"


def check_no_op(bench: Bench, trials: Sequence[Trial]) -> str:
    """Check that it has an effect: fewer tokens for a smaller budget, and other tokens for another video."""
    for trial, tokens in made(trials):
        allowed = trial.budget or bench.stated
        if allowed is not None and len(tokens) == tokens.uncompressed > allowed:
            raise Fault(f"{trial}: the {len(tokens)} tokens were passed through unchanged")
        if len(tokens) > 1 and trial.frames is bench.main and bool((tokens.data == tokens.data[:1]).all()):
            raise Fault(f"{trial}: all {len(tokens)} tokens are the same")
    own = {trial.film: tokens for trial, tokens in made(trials) if trial.budget is None}
    first, second = list(own.values())[:2]
    if first.data.shape == second.data.shape and torch.equal(first.data, second.data):
        raise Fault("two different films give the same tokens: it ignores the video")
    if not bench.takes_budget and bench.stated is None:
        raise NotExamined("without a budget it need not change anything")
    if bench.takes_budget:
        counts = {len(tokens) for trial, tokens in made(trials) if trial.frames is bench.main and trial.budget}
        if len(counts) == 1:
            raise Fault(f"{counts.pop()} tokens at every budget: the budget changes nothing")
    return "fewer tokens for smaller budgets, other tokens for another film"


def check_determinism(bench: Bench, trials: Sequence[Trial]) -> str:
    """Check that the same film gives the same tokens: again, after others, from a new object, at any random state."""
    strategy = bench.strategy()
    first = snapshot(bench.make_with(strategy, bench.main))
    for frames in bench.others[:2]:
        bench.make_with(strategy, frames)
    with other_chance(1):
        again = bench.make_with(strategy, bench.main)
    if found := difference(first, again):
        raise Fault(f"asked twice, it gave {found}")
    with other_chance(2):
        anew = bench.make(bench.main)
    if found := difference(first, anew):
        raise Fault(f"a new object gave {found}")
    return "equal to the last bit"


def check_input(bench: Bench, trials: Sequence[Trial]) -> str:
    """Check that the frames and their features are unchanged."""
    given = copy.deepcopy(bench.short[0])
    VideoQA(bench.model, bench.strategy()).encode(given, question=QUESTION)  # without kept features
    for film, frames in [*bench.films.items(), *bench.long.items(), ("7 frames", given)]:
        for name in ("data", "indices", "seconds"):
            if content(getattr(frames, name)) != bench.untouched[film, name]:
                raise Fault(f"{film}: it changes the {name} of the frames passed to it: copy them first")
    if changed := bench.eye.changed():
        raise Fault(f"it changes the features of {changed} frames passed to it: copy them first")
    return "frames and features are unchanged"


def check_question(bench: Bench, trials: Sequence[Trial]) -> str:
    """Check that tokens depend on the question only if the strategy says so, for short films and for long ones."""
    changes = "the same tokens"
    for frames in (bench.main, *bench.long.values()):
        one = snapshot(bench.make(frames, question=QUESTION))
        found = difference(one, bench.make(frames, question=OTHER_QUESTION))
        if bench.uses_question:
            changes = "other tokens" if found else changes
            continue
        found = found or difference(one, bench.make(frames, question=None))
        if found:
            raise Fault(
                f"{len(frames)} frames: another question gave {found}: set uses_question = True, or ignore the question"
            )
    return f"declared; another question gave {changes}" if bench.uses_question else "not looked at"


def check_provenance(bench: Bench, trials: Sequence[Trial]) -> str:
    """Check that every token names its frame and patches, and every key frame its number, time and place."""
    for trial, tokens in made(trials):
        wrong = wrong_provenance(tokens, trial)
        if not wrong and len(trial.frames) in LONG and not bench.other_ways:
            wrong = repeated(tokens)
        if wrong:
            raise Fault(f"{trial}: {wrong}")
    return "every token has its frame and patches, every key frame its number and time"


def wrong_provenance(tokens: VisualTokens, trial: Trial) -> str:
    """Say which statements about the origin of tokens contradict each other; "" for none."""
    frames, keyframes, sources = trial.frames, tokens.keyframes, tokens.sources
    rows = np.stack((sources.token, sources.keyframe, sources.patch), 1)
    if len(np.unique(rows, axis=0)) != len(rows):
        return "a token names the same patch twice"
    orphans = np.setdiff1d(np.arange(len(tokens)), sources.token)
    if len(orphans):
        return f"token {orphans[0]} and {len(orphans) - 1} others name no patch"
    positions = keyframes.positions
    if positions.min() < 0 or positions.max() >= len(frames):
        return f"key frame positions {positions.tolist()}, expected {len(keyframes)} within {len(frames)} frames"
    if not np.array_equal(keyframes.indices, frames.indices[positions]):
        return "key frames have other numbers than the frames at their positions: take them from the frames"
    if not np.array_equal(keyframes.seconds, frames.seconds[positions]):
        return "key frames have other times than the frames at their positions: take them from the frames"
    own = np.zeros(len(tokens), np.bool_)
    own[sources.token[sources.keyframe == tokens.keyframe[sources.token]]] = True
    if not own.all():
        return f"token {int(np.argmin(own))} has no patch in the key frame that it names"
    unused = np.setdiff1d(np.arange(len(keyframes)), sources.keyframe)
    return f"key frame {unused[0]} has no token" if len(unused) else ""


def repeated(tokens: VisualTokens) -> str:
    """Say which token occurs more than once; "" for none. In the long films no two patches are alike."""
    _, first, counts = np.unique(
        tokens.data.detach().float().cpu().numpy(), axis=0, return_index=True, return_counts=True
    )
    if not (counts > 1).any():
        return ""
    often = int(np.argmax(counts))
    return f"token {first[often]} occurs {counts[often]} times"


def check_origin(bench: Bench, trials: Sequence[Trial]) -> str:
    """Check that tokens are made of the patches that they name, with patches that occur nowhere else."""
    from dyto.certifying.marked import MOST_TRACED, untraceable

    if bench.other_ways:
        raise NotExamined(f"it does not encode frame by frame ({', '.join(sorted(bench.other_ways))})")
    count = 0
    n, long = bench.num_patches, [film for film in bench.long.values() if len(film) == LONG[-1]]
    for frames, budget in ((bench.main, None), (bench.short[0], 2 * n + 5), *((film, 5 * n + 1) for film in long)):
        model, tokens = bench.marked(frames, budget if bench.takes_budget else None)
        marks = model.marks(tokens)
        lost = untraceable(tokens, marks)
        if lost:
            told = f"token {lost[0]} and {len(lost) - 1} others of {len(tokens)}"
            raise Fault(f"{len(frames)} frames: {told} are not made of exactly the patches that they name")
        count += min(len(tokens), MOST_TRACED)
    return f"{count} tokens are made of the patches that they name"


def check_order(bench: Bench, trials: Sequence[Trial]) -> str:
    """Check that key frames and tokens are in the order of time; two pathways may follow one another."""
    for trial, tokens in made(trials):
        if (np.diff(tokens.keyframes.positions) <= 0).any():
            raise Fault(f"{trial}: key frames are out of order, or occur twice")
    if bench.other_ways & {"encode", "encode_picture"}:
        raise NotExamined("it composes pictures with frames side by side; its key frames are in order")
    for trial, tokens in made(trials):
        runs = np.split(tokens.keyframe, np.flatnonzero(np.diff(tokens.keyframe) < 0) + 1)
        spans = [int(run[-1] - run[0]) for run in runs]
        pathways = len(runs) == 2 and 2 * min(spans) >= len(tokens.keyframes) - 1
        if len(runs) > 1 and not pathways:
            raise Fault(f"{trial}: its tokens go back in time {len(runs) - 1} times")
    return "in the order of time"


def snapshot(tokens: VisualTokens) -> VisualTokens:
    """Return a copy to which nobody else can write."""
    return replace(copy.deepcopy(replace(tokens, data=tokens.data.detach())), data=tokens.data.detach().clone())
