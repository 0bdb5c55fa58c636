"""`python -m dyto_tiny.evaluate`: what the tiny model gets right, on images and zero-shot on videos."""

from __future__ import annotations

import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import argparse
import json
import logging
import sys
from collections.abc import Mapping
from importlib.metadata import version
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from dyto.errors import ConfigError, DytoError
from dyto.pipeline import VideoQA
from dyto.strategies import DyTo
from dyto.synthetic.films import REGIMES
from dyto_tiny.card import model_card
from dyto_tiny.exam import Score, image_exam
from dyto_tiny.zeroshot import METHODS, lead, sample_exam, scores, video_exam

log = logging.getLogger("dyto_tiny.evaluate")

SAMPLE_SEED = 10_000
"""The demo's own video has seed 0; fresh ones begin here."""


def measure(
    folder: Path, seed: int, videos: int, images: int, samples: int, methods: tuple[str, ...], preset: str
) -> dict[str, Any]:
    """Measure everything that the model card states.

    Args:
        folder: Of the checkpoint.
        seed: Of videos and images.
        videos: How many of each regime.
        images: How many held-out images.
        samples: How many sample videos of the demo's kind.
        methods: Of `METHODS`.
        preset: DyTo's preset for the sample videos.

    Returns:
        Figures, ready for JSON.
    """
    qa = VideoQA.from_pretrained(folder)
    image_scores = image_exam(folder, images, seed=seed)
    log.info("%d images done", images)
    rows = video_exam(qa, (404, seed), videos, methods=methods, progress=_progress)
    qa.strategy = DyTo.preset(preset)
    sample = sample_exam(qa, range(SAMPLE_SEED + seed, SAMPLE_SEED + seed + samples))
    rivals = [m for m in methods if m not in ("uniform", "blind", "guess")] if "uniform" in methods else []
    leads = {m: lead(rows, m, "uniform") for m in rivals}
    return {
        "seed": seed,
        "videos": videos * len(REGIMES),
        "methods": list(methods),
        "parameters": sum(p.numel() for p in qa.model.model.parameters()),
        "bytes": sum(path.stat().st_size for path in folder.glob("*.safetensors")),
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "images": image_scores,
        "by_type": scores(rows, "type"),
        "by_regime": scores(rows, "regime"),
        "differences": {m: (found.value, found.low, found.high) for m, found in leads.items()},
        "samples": samples,
        "sample_preset": preset,
        "sample": sample,
    }


def _progress(done: int, every: int) -> None:
    if done % 7 == 0:
        log.info("video %d of %d", done, every)


def show(console: Console, figures: Mapping[str, Any]) -> None:
    """Print the tables.

    Args:
        console: Where to.
        figures: From `measure`.
    """
    table = Table(title="held-out images, % right", title_justify="left")
    for column in ("type", "words", "letter"):
        table.add_column(column)
    both = figures["images"]
    for name in dict.fromkeys((*both["free"], *both["letters"])):
        table.add_row(name, *(_percent(both[mode].get(name)) for mode in ("free", "letters")))
    console.print(table)
    for by, title in (("by_type", "type"), ("by_regime", "regime")):
        for mode in ("free", "letters"):
            table = Table(title=f"videos by {title}, {mode}, % right", title_justify="left")
            for column in (title, "asked", *figures["methods"]):
                table.add_column(column)
            for group, scored in figures[by][mode].items():
                asked = str(max(pair[1] for pair in scored.values()))
                table.add_row(group, asked, *(_percent(scored.get(m)) for m in figures["methods"]))
            console.print(table)
    for method, (value, low, high) in figures["differences"].items():
        console.print(f"{method} - uniform: {100 * value:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}] points")
    right, asked = figures["sample"]
    console.print(f"sample videos ({figures['samples']} seeds, {figures['sample_preset']}): {right} of {asked} right")


def _percent(score: Score | None) -> str:
    return "-" if score is None or not score[1] else f"{100 * score[0] / score[1]:.0f}"


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, and write what is asked for.

    Args:
        arguments: Of the command line.

    Returns:
        0, 1 for an error, 2 for a mistake of usage.
    """
    parser = argparse.ArgumentParser(prog="python -m dyto_tiny.evaluate", description=__doc__)
    parser.add_argument("--model", type=Path, help="folder of a checkpoint (default: the one that ships)")
    parser.add_argument("--seed", type=int, default=1, help="other seeds, other images and videos")
    parser.add_argument("--videos", type=int, default=10, help="videos of each of the seven regimes")
    parser.add_argument("--images", type=int, default=200, help="held-out images")
    parser.add_argument("--samples", type=int, default=100, help="sample videos of the demo's kind")
    parser.add_argument("--methods", nargs="+", choices=METHODS, default=list(METHODS))
    parser.add_argument("--preset", default="release", help="DyTo's preset for the sample videos")
    parser.add_argument("--out", type=Path, help="JSON file for the figures")
    parser.add_argument("--card", action="store_true", help="write MODEL_CARD.md beside the checkpoint")
    given = parser.parse_args(arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%H:%M:%S")
    try:
        with as_file(files("dyto") / "checkpoints" / "tiny") as shipped:
            return _evaluate(given, given.model or shipped)
    except ConfigError as err:
        log.error("%s", err)
        return 2
    except DytoError as err:
        log.error("%s", err)
        return 1


def _evaluate(given: argparse.Namespace, folder: Path) -> int:
    if not (folder / "config.json").is_file():
        raise ConfigError(f"{folder} holds no config.json, expected a checkpoint: name its folder with --model")
    if min(given.videos, given.images, given.samples) < 1:
        raise ConfigError("--videos, --images and --samples must be 1 or more")
    figures = measure(folder, given.seed, given.videos, given.images, given.samples, tuple(given.methods), given.preset)
    show(Console(highlight=False), figures)
    text = json.dumps(figures, indent=1) + "\n"
    if given.out:
        given.out.parent.mkdir(parents=True, exist_ok=True)
        given.out.write_text(text, encoding="utf-8")
    if given.card:
        training = json.loads((folder / "training.json").read_text(encoding="utf-8"))
        (folder / "figures.json").write_text(text, encoding="utf-8")
        (folder / "MODEL_CARD.md").write_text(model_card(json.loads(text), training), encoding="utf-8")
        log.info("wrote %s", folder / "MODEL_CARD.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
