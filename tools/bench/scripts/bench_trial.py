"""What the trial of a family without an adapter costs: processor seconds, and readings of its prompt.

    python tools/bench/scripts/bench_trial.py

The checkpoints are those of the tests, small random weights of the true architecture, on one thread. A trial reads two
pictures and a short prompt with the stock class, and the same in two orders with the adapter, in one or more ways. A
reading is that of the stock class.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import torch

from dyto.models import trial
from dyto.models.adapters.generic import StockVision

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "tests"))

ROUNDS = 5
"""Rounds, of which the median counts."""


def seconds(run: Callable[[], object]) -> float:
    """Processor seconds of one run: the median of some."""
    taken = []
    for _ in range(ROUNDS):
        begun = time.process_time()
        run()
        taken.append(time.process_time() - begun)
    return statistics.median(taken)


def cost(model: StockVision) -> tuple[float, float]:
    """Processor seconds of a whole trial, and of one reading of two pictures by the stock class."""
    pictures = trial.pictures_of_trial()
    asked = model.tokenize(*trial.ASKED)

    def read() -> None:
        made = model.pixels(pictures)
        count = model.tokens_of(made, len(pictures)).shape[1]
        with torch.inference_mode():
            trial.read_alone(model, made, count, asked.before, asked.after)

    return seconds(lambda: trial.try_out(model)), seconds(read)


def main() -> None:
    forge = import_module("forge_stock")  # of the tests

    torch.set_num_threads(1)
    taken = []
    for name in [name for name, kind in forge.KINDS.items() if kind.is_there]:
        try:
            whole, once = cost(forge.adapter(name))
        except Exception as err:  # noqa: BLE001 - refused: the trial has failed, as it should
            print(f"{name:16} refused: {str(err)[:60]}...")
            continue
        taken.append((whole, whole / once))
        print(f"{name:16} {whole:.3f} s, {whole / once:.1f} readings")
    longest, middle = max(s for s, _ in taken), statistics.median(ratio for _, ratio in taken)
    print(f"longest {longest:.2f} s; median {middle:.1f} readings; {len(taken)} families, one thread")


if __name__ == "__main__":
    main()
