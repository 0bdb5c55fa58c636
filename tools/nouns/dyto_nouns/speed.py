"""Measure the CPU time of the model `nouns`: from a clip to the printed answer, and of the eye alone, one thread.

python -m dyto_nouns.speed clip.mp4

From what `dyto ask` takes, what `import torch` takes is subtracted, run by run in turn. Prints medians as JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time

import numpy as np
import torch

from dyto.eye import load_eye


def spent(*command: str) -> float:
    """Seconds of CPU, user and system, of a Python command with one thread."""
    import resource  # POSIX only

    one = {"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive", "MKL_NUM_THREADS": "1"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], env={**os.environ, **one}, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main(argv: list[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("video")
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args(argv)
    asked, imported = [], []
    for _ in range(options.runs):
        imported.append(spent("-c", "import torch"))
        asked.append(spent("-m", "dyto", "ask", options.video, "What is shown?", "--model", "nouns", "--device", "cpu"))
    torch.set_num_threads(1)
    eye, eyed = load_eye(), []
    pictures = list(np.random.default_rng(0).integers(0, 256, (100, 224, 224, 3), np.uint8))
    for _ in range(options.runs):
        start = time.process_time()
        eye.summaries(pictures)
        eyed.append(time.process_time() - start)
    told = {
        "import torch": statistics.median(imported),
        "dyto ask": statistics.median(asked),
        "above import torch": statistics.median(a - i for a, i in zip(asked, imported, strict=True)),
        "eye, 100 frames": statistics.median(eyed),
        "runs": options.runs,
    }
    sys.stdout.write(json.dumps({key: round(value, 2) for key, value in told.items()}, indent=1) + "\n")


if __name__ == "__main__":
    main()
