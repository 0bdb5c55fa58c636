"""Make `src/dyto/demo/photographs.mp4`, the film of `make demo` and `dyto demo`: six photographs, 15 seconds.

python -m dyto_nouns.sample
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from dyto.synthetic.photographs import FPS, film, plan
from dyto.synthetic.videos import write_video

ROOT = Path(__file__).resolve().parents[3]
SHOWN = ("giant_panda", "German_shepherd", "palace", "macaw", "polar_bear", "dam")
"""In the order of the film; names of files in `tests/photographs`."""


def main(argv: list[str] | None = None) -> None:
    """Write the film."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--out", type=Path, default=ROOT / "src" / "dyto" / "demo" / "photographs.mp4")
    out: Path = parser.parse_args(argv).out
    folder = ROOT / "tests" / "photographs"
    pictures = [np.asarray(Image.open(folder / f"{name}.jpg").convert("RGB")) for name in SHOWN]
    shots = plan(np.random.default_rng(5), len(pictures), seconds=15)
    write_video(out, film(pictures, shots), FPS)
    told = ", ".join(f"{SHOWN[shot.picture]} to {shot.stop / FPS:.1f} s" for shot in shots)
    sys.stdout.write(f"{out}: {told}\n")


if __name__ == "__main__":
    main()
