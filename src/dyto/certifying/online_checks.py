"""The checks of an online form, one function each: they return a finding, or raise `Fault` with what is wrong."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from dyto.certifying.checks import snapshot
from dyto.certifying.held import held
from dyto.certifying.online import LENGTH, SEGMENTS, OnlineBench, feed
from dyto.certifying.same import content, difference
from dyto.certifying.trials import Fault, NotExamined, attempt, other_chance
from dyto.errors import ConfigError
from dyto.features import VisualTokens
from dyto.memory.remembered import Memory

SHORT, LONG = 300, 900
"""Frames after which it is measured what a form holds."""
MOST_MORE = 1 / 4
"""Part by which what is held may vary: pictures in JPEG are not of one size, and the newest may be kept as they are."""
SCENES = ("first", "second", "last")


def check_interface(bench: OnlineBench) -> str:
    """Check that frames can be fed one by one and several at once, and that tokens are tokens."""
    empty, frames = bench.form(), bench.stream(30)
    try:
        found = empty.tokens()
    except (ConfigError, Fault):
        found = None
    if found is not None:
        raise Fault(f"it gave {len(found)} tokens before anything was seen, expected a ConfigError")
    form = bench.form()
    form.feed(frames.data[0], float(frames.seconds[0]))
    form.feed(frames.data[1:], frames.seconds[1:])
    tokens, (dim, dtype, device) = form.tokens(), bench.form_of_tokens
    if (tokens.data.ndim, tokens.data.shape[-1]) != (2, dim):
        raise Fault(f"tokens of shape {tuple(tokens.data.shape)}, expected (L, {dim})")
    if (tokens.data.dtype, tokens.data.device) != (dtype, device):
        raise Fault(f"tokens of {tokens.data.dtype} on {tokens.data.device}, expected {dtype} on {device}")
    if not torch.isfinite(tokens.data).all():
        raise Fault("the tokens hold NaN or infinity")
    return f"{len(tokens)} tokens of {len(frames)} frames"


def check_budget(bench: OnlineBench) -> str:
    """Check that the budget of each question is kept, at every time."""
    form, frames, n = bench.form(), bench.stream(), bench.num_patches
    asked = n // 2, n, 3 * n - 1, 12 * n
    used: list[tuple[int, int]] = []
    for start, end in ((0, 1), (1, 7), (7, LENGTH // 2), (LENGTH // 2, LENGTH)):
        form.feed(frames.data[start:end], frames.seconds[start:end])
        for budget in asked:
            try:
                used.append((end, len(form.tokens(budget))))
            except ConfigError as err:
                if budget >= n:
                    raise Fault(f"budget {budget} is refused, although a whole frame fits: {err}") from err
                continue
            if used[-1][1] > budget:
                raise Fault(f"{used[-1][1]} tokens after {end} frames, expected {budget} at most")
    last = [count for end, count in used if end == LENGTH]
    if len(set(last)) == 1:
        raise Fault(f"{last[0]} tokens at every budget: the budget changes nothing")
    return f"kept; after {LENGTH} frames {', '.join(map(str, last))} tokens for budgets up to {asked[-1]}"


def check_causality(bench: OnlineBench) -> str:
    """Check that tokens at a time depend on the frames up to then alone, and stay what they were."""
    frames, other = bench.stream(), bench.stream(changed=(2,))
    half = LENGTH // 2
    form = bench.form()
    taken: list[tuple[int, VisualTokens, VisualTokens]] = []
    for start, end in ((0, 5), (5, half), (half, 2 * LENGTH // 3), (2 * LENGTH // 3, LENGTH)):
        feed(form, frames[np.arange(start, end)])
        tokens = form.tokens()
        now = float(frames.seconds[end - 1])
        late = tokens.keyframes.seconds.max(initial=-np.inf)
        if late > now:
            raise Fault(f"at {now:.1f} s the tokens name a frame of {late:.1f} s, which comes later")
        taken.append((end, tokens, snapshot(tokens)))
    for end, tokens, before in taken:
        if found := difference(before, tokens):
            raise Fault(f"tokens given after {end} frames were changed by frames that came later: {found}")
    for end, _, before in taken[:-1]:
        for film in (frames, other):
            again = bench.fed(film[np.arange(end)]).tokens()
            if found := difference(before, again):
                raise Fault(f"after {end} frames it gave {found} once it had seen other streams")
    return f"the same tokens at {len(taken) - 1} times, whatever came later"


def check_present(bench: OnlineBench) -> str:
    """Check that every scene of a stream counts, the first as well as what was shown just now."""
    frames = bench.stream()
    before = bench.fed(frames).tokens()
    for scene, name in enumerate(SCENES):
        if not difference(before, bench.fed(bench.stream(changed=(scene,))).tokens()):
            raise Fault(f"the {name} scene of a stream is replaced by another, but the tokens are the same")
    other = bench.stream(seed=9)
    newest = frames.data.copy()
    newest[-1] = other.data[-1]
    form = bench.fed(frames[np.arange(LENGTH - 1)])
    form.feed(newest[-1], float(frames.seconds[-1]))
    if not difference(before, form.tokens()):
        raise Fault("the newest frame shows something else, but the tokens are the same")
    return "the first scene counts, and the newest frame"


def check_batches(bench: OnlineBench) -> str:
    """Check that it does not matter how many frames are fed at a time."""
    frames = bench.stream()
    before = bench.fed(frames).tokens()
    for steps in ([LENGTH], [2] * (LENGTH // 2), [1, 13, LENGTH - 31, 17]):
        if found := difference(before, bench.fed(frames, steps).tokens()):
            raise Fault(f"fed {', '.join(map(str, steps[:4]))} frames at a time it gave {found}")
    return "one by one, in twos and all at once: the same tokens"


def check_asking(bench: OnlineBench) -> str:
    """Check that a question changes nothing: neither what is asked next nor what is seen next."""
    frames, asked = bench.stream(), bench.form()
    for start in range(0, LENGTH, 9):
        feed(asked, frames[np.arange(start, min(LENGTH, start + 9))])
        for budget in (None, 2 * bench.num_patches):
            first, second = snapshot(asked.tokens(budget)), asked.tokens(budget)
            if found := difference(first, second):
                raise Fault(f"asked twice, it gave {found}")
    if found := difference(bench.fed(frames).tokens(), asked.tokens()):
        raise Fault(f"asked while the stream went on, it gave {found} at the end")
    return "questions change nothing"


def check_determinism(bench: OnlineBench) -> str:
    """Check that the same stream gives the same tokens, at any random state."""
    frames = bench.stream()
    with other_chance(1):
        first = bench.fed(frames).tokens()
    with other_chance(2):
        second = bench.fed(frames).tokens()
    if found := difference(first, second):
        raise Fault(f"fed the same stream again, a new object gave {found}")
    return "equal to the last bit"


def check_input(bench: OnlineBench) -> str:
    """Check that pictures stay as they were, and that whoever feeds them may use their memory again."""
    frames = bench.stream()
    before = content(frames.data), content(frames.seconds)
    plain = bench.fed(frames, [LENGTH])
    tokens = plain.tokens()
    if (content(frames.data), content(frames.seconds)) != before:
        raise Fault("it changes the pictures that are fed to it: copy them first")
    form, buffer = bench.form(), np.empty_like(frames.data[0])
    for picture, second in zip(frames.data, frames.seconds.tolist(), strict=True):
        buffer[:] = picture
        form.feed(buffer, second)
    buffer[:] = 0
    found = difference(tokens, form.tokens())
    kept, again = (getattr(getattr(one.form, "memory", None), "thumbnails", None) for one in (plain, form))
    if found or kept != again:
        found = found or "other pictures"
        raise Fault(f"when a camera uses the memory of a picture again, it gave {found}: copy what is kept")
    return "pictures are unchanged, and copied where they are kept"


def check_memory(bench: OnlineBench) -> str:
    """Check that what is held does not grow with the stream."""
    frames, form = bench.stream(LONG, scenes=9), bench.form()
    model, _ = held(bench.qa)
    feed(form, frames[np.arange(SHORT)])
    form.tokens()
    size, objects = held(form.form)
    feed(form, frames[np.arange(SHORT, LONG)])
    form.tokens()
    later, more = held(form.form)
    told = f"{(size - model) / 1e6:.2f} MB after {SHORT} frames and {(later - model) / 1e6:.2f} MB after {LONG}"
    if later - size > MOST_MORE * (size - model):
        raise Fault(f"beside the model it holds {told}: what it holds must not grow with the stream")
    if more - objects > (LONG - SHORT) // 2:
        raise Fault(f"it holds {more - objects} objects more after {LONG} frames than after {SHORT}: it must not grow")
    return f"{told}, beside the model"


def check_prefix(bench: OnlineBench) -> str:
    """Check that any prefix of its memory is a memory of fewer segments, read from a file or not."""
    form = bench.fed(bench.stream(scenes=5))
    memory = getattr(form.form, "memory", None)
    if not isinstance(memory, Memory):
        raise NotExamined("it has no attribute memory, a dyto.Memory of what it has seen")
    if len(memory) > SEGMENTS:
        raise Fault(f"its memory has {len(memory)} segments, expected {SEGMENTS} at most")
    if memory.num_frames != LENGTH:
        raise Fault(f"its memory counts {memory.num_frames} frames, but {LENGTH} were fed")
    with tempfile.TemporaryDirectory() as folder:
        save: Callable[[Path], object] = getattr(form.form, "save", memory.save)
        path = Path(folder) / "memory.dyto"
        attempt("saving", lambda: save(path))
        finer = memory
        for count in range(len(memory), 0, -1):
            coarse = attempt(f"a prefix of {count}", lambda k=count: memory.prefix(k))  # type: ignore[misc]
            read = attempt(f"reading {count}", lambda k=count: Memory.open(path, segments=k))  # type: ignore[misc]
            _is_coarser(coarse, finer, count)
            if read.segments.frames.tolist() != coarse.segments.frames.tolist():
                raise Fault(f"the first {count} rows of its file are other segments than its prefix of {count}")
            if not torch.equal(read.vectors, coarse.vectors):
                raise Fault(f"the first {count} rows of its file hold other vectors than its prefix of {count}")
            finer = coarse
    return f"{len(memory)} prefixes, each within the next, in its file too"


def _is_coarser(coarse: Memory, fine: Memory, count: int) -> None:
    """Check that a memory has so many segments, each made of whole segments of a finer one."""
    one, other = coarse.segments, fine.segments
    what = f"its prefix of {count} segments"
    if len(coarse) != count:
        raise Fault(f"{what} has {len(coarse)}")
    for name, edge in (("first", 0), ("last", -1)):
        if getattr(one, name)[edge] != getattr(other, name)[edge]:
            raise Fault(f"{what} does not reach to the {name} frame")
        if not set(getattr(one, name).tolist()) <= set(getattr(other, name).tolist()):
            raise Fault(f"{what} cuts where the prefix of {len(fine)} does not")
    if not set(one.frames.tolist()) <= set(other.frames.tolist()):
        raise Fault(f"{what} is represented by frames that the prefix of {len(fine)} does not have")
    owner = np.searchsorted(one.first, other.first, side="right") - 1
    sizes = np.bincount(owner, weights=other.sizes, minlength=count)
    if (sizes != one.sizes).any():
        raise Fault(f"{what} counts other frames than the prefix of {len(fine)}")
    means = np.zeros((count, one.means.shape[1]))
    np.add.at(means, owner, other.means * other.sizes[:, None])
    if np.abs(means / sizes[:, None] - one.means).max() > 1e-3:
        raise Fault(f"{what} has means that are not those of its frames")


ONLINE_CHECKS: dict[str, Callable[[OnlineBench], str]] = {
    "interface": check_interface,
    "budget": check_budget,
    "causality": check_causality,
    "present": check_present,
    "batches": check_batches,
    "asking": check_asking,
    "determinism": check_determinism,
    "input": check_input,
    "memory": check_memory,
    "prefix": check_prefix,
}
