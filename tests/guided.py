"""Fuzzing that follows what the code does: atheris mutates texts towards branches of the parsers not yet taken.

`python tests/guided.py replies 20000 SEED` gives a parser that many texts, for an hour at most; what it does
not survive is printed. `make soak` runs a few thousand of each kind.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

OPTIONS = ["a dog", "a bird in the sky", "both A and B", "2"]
SLOW = 5
"""Seconds."""

SEEDS = {
    "answers": "The best answer is (B), since A) the dog and not C. <think>D</think> Final answer: **A**",
    "verdicts": "Sure! ```json\n{'pred': 'yes', 'score': 4}\n``` <think>no</think>",
    "subtitles": "WEBVTT\n\n1\n00:00:01,000 --> 00:00:02.500 align:start\n<v Ann>Hello {\\an8}\n\n",
    "strategies": "uniform-pool:pool=3,num_frames=57",
    "published": "slowfast-slow_10frms_spatial_1d_max_pool-fast_4x4",
}


def parser(kind: str) -> Any:
    """What reads such texts, taking bytes."""
    import atheris  # for the soak tests only

    with atheris.instrument_imports(include=["dyto.choices", "dyto.evaluation", "dyto.strategies"]):
        from dyto.choices import parse_choice
        from dyto.errors import DytoError
        from dyto.evaluation.verdicts import parse_verdict
        from dyto.strategies import build_strategy
        from dyto.subtitles.reading import read_lines
    path = Path(tempfile.mkdtemp()) / "fuzzed.srt"

    def subtitles(data: bytes) -> None:
        path.write_bytes(data)
        for cue in read_lines(path):
            assert cue.end >= cue.start, cue

    uses: dict[str, Any] = {
        "answers": lambda data: parse_choice(data.decode("utf-8", "surrogateescape"), OPTIONS),
        "verdicts": lambda data: parse_verdict(data.decode("utf-8", "surrogateescape"), "match"),
        "subtitles": subtitles,
        "strategies": lambda data: build_strategy(data.decode("utf-8", "surrogateescape")),
    }
    use = uses[{"published": "strategies"}.get(kind, kind)]

    def once(data: bytes) -> None:
        start = time.perf_counter()
        with contextlib.suppress(DytoError):
            use(data)
        assert time.perf_counter() - start < SLOW, "too slow"

    return once


def main() -> None:
    import atheris

    kind, runs, seed = sys.argv[1], int(sys.argv[2]), sys.argv[3]
    once = parser(kind)
    corpus = Path(tempfile.mkdtemp())
    (corpus / "seed").write_bytes(SEEDS[kind].encode())
    options = [f"-runs={runs}", f"-seed={seed}", "-max_len=600", "-max_total_time=3600", "-verbosity=0"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], once)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
