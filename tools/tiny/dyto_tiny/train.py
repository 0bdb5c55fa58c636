"""`python -m dyto_tiny.train`: from a seed to the tiny checkpoint."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # busy waiting beside other load costs a factor of ten

import argparse
import logging
import sys
from pathlib import Path

import torch

from dyto.errors import DytoError
from dyto.video.stretches import cores
from dyto_tiny.trainer import Trainer, TrainingSettings, on_signals, write_checkpoint

log = logging.getLogger("dyto_tiny.train")


def main(arguments: list[str] | None = None) -> int:
    """Run or go on with a training; an interrupted one goes on when started again the same way.

    Args:
        arguments: Of the command line.

    Returns:
        0 when the checkpoint is written, 3 when the run was interrupted and its state saved, 1 for an error.
    """
    defaults = TrainingSettings()
    parser = argparse.ArgumentParser(prog="python -m dyto_tiny.train", description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder for the checkpoint")
    parser.add_argument("--state", type=Path, help="file that holds the run (default: OUT/../train.state)")
    parser.add_argument("--steps", type=int, default=defaults.steps)
    parser.add_argument("--seed", type=int, default=defaults.seed)
    parser.add_argument("--eye-share", type=float, default=defaults.eye_share)
    parser.add_argument("--tiles", type=int, default=defaults.tiles, help="tiles in a step of the eye")
    parser.add_argument(
        "--pictures", type=int, default=defaults.pictures, help="images in a step of the language model"
    )
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--workers", type=int, default=min(12, max(1, cores() - 1)))
    parser.add_argument("--threads", type=int, default=0, help="CPU threads of torch (default: its own choice)")
    parser.add_argument("--precise", action="store_true", help="float32 instead of bfloat16")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    if given.threads:
        torch.set_num_threads(given.threads)
    settings = TrainingSettings(
        seed=given.seed,
        steps=given.steps,
        eye_share=given.eye_share,
        tiles=given.tiles,
        pictures=given.pictures,
        precise=given.precise,
    )
    state = given.state or given.out.parent / "train.state"
    try:
        trainer = Trainer(settings, state, given.device, given.workers)
        if not trainer.run(stop=on_signals()):
            log.info("stopped at step %d; the same command goes on from %s", trainer.step, state)
            return 3
        write_checkpoint(trainer, given.out)
    except DytoError as err:
        log.error("%s", err)
        return 1
    log.info("wrote %s", given.out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
