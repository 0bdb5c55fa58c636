"""Checks that ask the model: batches, kept tokens, and tokens from a cache."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

from dyto.certifying.checks import snapshot
from dyto.certifying.memory import check_kept_all
from dyto.certifying.same import arrays, difference
from dyto.certifying.trials import (
    OTHER_QUESTION,
    QUESTION,
    THIRD_QUESTION,
    Bench,
    Fault,
    Trial,
    attempt,
)
from dyto.evaluation.cache import TokenCache
from dyto.video import Frames

NEW_TOKENS = 6
QUESTIONS = (QUESTION, OTHER_QUESTION, THIRD_QUESTION)


def check_kept(bench: Bench, trials: Sequence[Trial]) -> str:
    """Check that tokens stay unchanged when other films are encoded, and carry no gradients."""
    strategy = bench.strategy()
    tokens = bench.make_with(strategy, bench.main)
    if tokens.data.requires_grad:
        raise Fault(
            "the tokens carry gradients, which keep everything they were made of in memory: work under torch.no_grad()"
        )
    before = snapshot(tokens)
    for frames in bench.others[:2]:
        bench.make_with(strategy, frames)
    if found := difference(before, tokens):
        raise Fault(f"tokens made before were overwritten by the next film: {found}")
    check_kept_all(trials)
    return "tokens stay as they were when another film is encoded"


def check_batches(bench: Bench, trials: Sequence[Trial]) -> str:
    """Check that questions asked together get the same answers as one by one, about one film and about several."""
    film, other = bench.short

    def alone(frames: Frames, question: str) -> str:
        return attempt("ask", lambda: bench.qa().ask(frames, question, max_new_tokens=NEW_TOKENS)).text

    single = [alone(film, question) for question in QUESTIONS]
    together = attempt("ask_many", lambda: bench.qa().ask_many(film, QUESTIONS, max_new_tokens=NEW_TOKENS))
    if [answer.text for answer in together] != single:
        raise Fault("questions asked together get other answers than one by one")
    pairs = [(film, QUESTION), (other, QUESTION), (film, OTHER_QUESTION)]
    several = attempt("ask_batch", lambda: bench.qa().ask_batch(pairs, max_new_tokens=NEW_TOKENS))
    if [answer.text for answer in several] != [single[0], alone(other, QUESTION), single[1]]:
        raise Fault("questions about several films get other answers together than one by one")
    return f"{len(together) + len(several)} answers equal to those one by one"


def check_cache(bench: Bench, trials: Sequence[Trial]) -> str:
    """Check that tokens can be written to disk and read back, and then give the same answer."""
    tokens = bench.make(bench.short[0])
    with tempfile.TemporaryDirectory() as folder:
        cache = TokenCache(Path(folder), max_bytes=1 << 30, identity={})
        attempt("writing the tokens to a cache", lambda: cache.save("tokens", tokens))
        loaded = attempt("reading them again", lambda: cache.load("tokens"))
    if loaded is None:
        raise Fault("tokens written to a cache cannot be read back")
    if found := difference(tokens, loaded):
        raise Fault(f"a cache gives back {found}")
    for name, array in arrays(tokens).items():
        if array.dtype != arrays(loaded)[name].dtype:
            raise Fault(f"a cache gives back {name} as {arrays(loaded)[name].dtype}, not {array.dtype}")
    qa = bench.qa()
    texts = [
        attempt("asking", lambda t=kept: qa.ask(t, QUESTION, max_new_tokens=NEW_TOKENS)).text  # type: ignore[misc]
        for kept in (tokens, loaded, tokens)
    ]
    if len(set(texts)) > 1:
        raise Fault("tokens from a cache give another answer than fresh ones")
    return "the same tokens and answer from disk"
