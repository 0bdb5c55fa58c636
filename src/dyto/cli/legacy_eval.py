"""The published evaluation commands: `run_inference.py` and `scripts/data/prepare_*_qa_file.py`.

A value of `SCRIPT` looks like a shell command, but is only a name in a table; nothing is ever passed to a shell.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from dyto.errors import ConfigError, unknown
from dyto.strategies.published import RELEASE, aggregation_strategy

if TYPE_CHECKING:
    from dyto.evaluation.settings import Settings

_GROUPS = {
    "run_eval_videoqabench": ("msvd", "msrvtt", "tgif", "activitynet"),
    "run_eval_multiplechoiceqabench": ("nextqa", "egoschema", "intentqa", "star", "videomme", "mvbench"),
    "run_eval_generativebench": ("generic", "temporal", "consistency"),
}
SCRIPTS: dict[str, tuple[str, ...]] = _GROUPS | {
    f"run_eval_{name}": (name,) for name in (*chain(*_GROUPS.values()), "synthetic", "synthetic-open")
}
"""The benchmarks for each value of SCRIPT."""

DEFAULTS: dict[str, Any] = {
    "SCRIPT": None,
    "CUDA_VISIBLE_DEVICES": None,
    "CONFIG_NAME": "auto",
    "DATA_DIR": "playground/data",
    "GT_QA_DIR": "playground/gt_qa_files",
    "MODEL_PATH": "liuhaotian/llava-v1.6-vicuna-7b",
    "OUTPUT_DIR": "outputs/artifacts",
    "TEMP_DIR": "outputs/eval_save_dir",
    "CONV_MODE": None,
    "NUM_FRAMES": 100,
    "INPUT_STRUCTURE": "image_seq",
    "IMAGE_ASPECT_RATIO": "resize",
    "TEMPORAL_AGGREGATION": RELEASE,
    "ROPE_SCALING_FACTOR": None,
    "SAVE_DIR": "outputs/logs",
    "PRESET": None,
    "TOKEN_BUDGET": None,
    "MAX_NEW_TOKENS": 128,
}
"""The keys of a config with their defaults; the last three are ours. None lets the library choose."""

_ONLY = {"INPUT_STRUCTURE": ("image_seq",), "IMAGE_ASPECT_RATIO": ("resize",)}
_NUMBERS: dict[str, Callable[[Any], Any]] = {
    "NUM_FRAMES": int,
    "ROPE_SCALING_FACTOR": float,
    "TOKEN_BUDGET": int,
    "MAX_NEW_TOKENS": int,
}


def script_benchmarks(value: object) -> tuple[str, ...]:
    """Return the benchmarks for a value of SCRIPT, with or without "bash scripts/" and ".sh".

    Example:
        >>> script_benchmarks("bash scripts/run_eval_generativebench.sh")
        ('generic', 'temporal', 'consistency')
    """
    name = str(value).strip().removeprefix("bash ").strip().removeprefix("scripts/").removesuffix(".sh")
    if name not in SCRIPTS:
        raise unknown("SCRIPT", name, SCRIPTS)
    return SCRIPTS[name]


def read_config(path: str | Path) -> list[dict[str, Any]]:
    """Read a config into one dict of all keys per value of SCRIPT.

    Args:
        path: A YAML file. A list has one value for each SCRIPT; a single value applies to all of them.

    Raises:
        ConfigError: The file is not YAML, a key or value is unknown (the error suggests the nearest one), or a list
            has the wrong length.
    """
    try:
        given = yaml.safe_load(Path(path).read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise ConfigError(f"config {path} cannot be read as YAML: {err}") from err
    if not isinstance(given, dict):
        raise ConfigError(f"config {path} holds {type(given).__name__}, expected keys such as SCRIPT and MODEL_PATH")
    for key in given:
        if key not in DEFAULTS:
            raise unknown(f"key in {path}:", key, DEFAULTS)
    if not given.get("SCRIPT"):
        raise ConfigError(f"config {path} names no SCRIPT, expected one of {', '.join(SCRIPTS)}")
    scripts = given["SCRIPT"] if isinstance(given["SCRIPT"], list) else [given["SCRIPT"]]
    spread = {key: _spread(path, key, value, len(scripts)) for key, value in {**DEFAULTS, **given}.items()}
    return [{key: _checked(path, key, values[i]) for key, values in spread.items()} for i in range(len(scripts))]


def _spread(path: str | Path, key: str, value: object, count: int) -> list[object]:
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        raise ConfigError(
            f"{path}: {key} has {len(value)} values, but SCRIPT has {count}: give one for each, or just one"
        )
    return value


def _checked(path: str | Path, key: str, value: Any) -> Any:
    """Convert one value of one key, or raise an error if it does not fit."""
    from dyto.prompts import get_prompt
    from dyto.strategies import PRESETS

    if key in _ONLY and value not in _ONLY[key]:
        raise unknown(f"{key} in {path}:", value, _ONLY[key])
    if key in _NUMBERS and value is not None:
        try:
            number = _NUMBERS[key](value)
        except (TypeError, ValueError) as err:
            raise ConfigError(f"{path}: {key} is {value!r}, expected a number") from err
        if number < 1 or number != float(value):
            raise ConfigError(f"{path}: {key} is {value!r}, expected at least 1, and a whole number for counts")
        return number
    if key == "SCRIPT":
        script_benchmarks(value)
    elif key == "TEMPORAL_AGGREGATION":
        aggregation_strategy(value)
    elif key == "CONV_MODE" and value is not None:
        get_prompt(str(value))
    elif key == "PRESET" and value is not None and value not in PRESETS:
        raise unknown("PRESET", value, PRESETS)
    elif key not in _NUMBERS and value is not None and not isinstance(value, (str, int)):
        raise ConfigError(f"{path}: {key} is {value!r}, expected a text")
    return value


def config_settings(
    config: Mapping[str, Any], name: str, *, video_dir: Path | None = None, limit: int | None = None
) -> list[Settings]:
    """Return the runs for one SCRIPT of a config.

    Args:
        config: A dict from `read_config`.
        name: Name of the results folder if CONFIG_NAME is "auto".
        video_dir: Folder of the videos, if not under DATA_DIR.
        limit: Number of questions to ask, from the first.
    """
    from dyto.evaluation.settings import Settings
    from dyto.models.loading.options import Loading
    from dyto.savings import Savings

    strategy, options = aggregation_strategy(config["TEMPORAL_AGGREGATION"])
    if config["TOKEN_BUDGET"] is not None:
        options["token_budget"] = config["TOKEN_BUDGET"]
    folders = {"artifacts": config["OUTPUT_DIR"], "verdicts": config["TEMP_DIR"], "logs": config["SAVE_DIR"]}
    return [
        Settings(
            benchmark=benchmark,
            gt_dir=Path(config["GT_QA_DIR"]),
            data_dir=Path(config["DATA_DIR"]),
            video_dir=video_dir,
            loading=Loading(str(config["MODEL_PATH"]), rope_scaling_factor=config["ROPE_SCALING_FACTOR"]),
            strategy=strategy,
            preset=config["PRESET"],
            options=options,
            prompt=config["CONV_MODE"],
            sampling={"num_frames": config["NUM_FRAMES"]},
            savings=Savings(quick_resize=False),  # the published pixels
            max_new_tokens=config["MAX_NEW_TOKENS"],
            limit=limit,
            name=name if config["CONFIG_NAME"] == "auto" else str(config["CONFIG_NAME"]),
            folders={"out": "outputs", **folders},
        )
        for benchmark in script_benchmarks(config["SCRIPT"])
    ]


def run_inference(argv: Sequence[str] | None = None) -> int:
    """Run `run_inference.py`: all benchmarks of a config, their scores and the report; return the exit code."""
    from dyto.cli.process import report_errors

    parser = argparse.ArgumentParser(prog="run_inference.py", description="Run the benchmarks of a config.")
    parser.add_argument("--exp_config", "--exp-config", required=True, type=Path, help="a YAML file, see cfgs/")
    parser.add_argument("--video-dir", "--video_dir", type=Path, help="folder of the videos, if not DATA_DIR")
    parser.add_argument("--limit", type=int, help="only the first N questions of each benchmark")
    parser.add_argument("--judge", default="auto", help="auto, openai, offline or none")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    given = parser.parse_args(argv)
    return report_errors(lambda: _run_config(given.exp_config, given.video_dir, given.limit, given.judge), given.debug)


def _run_config(path: Path, video_dir: Path | None, limit: int | None, judge: str) -> None:
    from dyto.cli.evaluation import leave_where_nothing_was_answered, run_all, show
    from dyto.evaluation.evaluate import Judging

    configs = read_config(path)
    gpus = {str(config["CUDA_VISIBLE_DEVICES"]) for config in configs} - {"None"}
    if len(gpus) > 1:
        raise ConfigError(f"{path}: CUDA_VISIBLE_DEVICES has different values, expected one for all scripts")
    for gpu in gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = gpu  # set before anything touches a GPU
    runs = [
        run
        for config in configs
        for run in _present(config_settings(config, path.stem, video_dir=video_dir, limit=limit))
    ]
    for run in runs:  # report a missing file now, not after days
        run.questions()
        run.videos()
    found = run_all(runs, Judging(judge), pay=True)
    show(found)
    leave_where_nothing_was_answered(found)


def _present(runs: list[Settings]) -> list[Settings]:
    """Return the runs of one SCRIPT; if there are several, announce and skip those without any files."""
    absent = [run for run in runs if not (run.gt_dir / run.spec.prepared[0]).exists() and not run.has_videos()]
    if len(absent) == len(runs):
        return runs  # its own error will name what is missing
    for run in absent:
        sys.stderr.write(f"{run.spec.title}: neither questions nor videos found, skipped\n")
    return [run for run in runs if run not in absent]


def prepare_qa_file(name: str, argv: Sequence[str] | None = None) -> int:
    """Run `scripts/data/prepare_*_qa_file.py`: prepare one benchmark's question file; return the exit code."""
    from dyto.cli.process import report_errors

    option = "--qa_folder" if name == "vcgbench" else "--qa_file"
    parser = argparse.ArgumentParser(description=f"Prepare the question file of {name}.")
    parser.add_argument(option, option.replace("_", "-"), dest="source", required=True, type=Path)
    parser.add_argument("--out", default="playground/gt_qa_files", type=Path, help="folder for prepared files")
    parser.add_argument("--debug", action="store_true", help="show tracebacks")
    given = parser.parse_args(argv)
    return report_errors(lambda: _prepare(name, given.source, given.out), given.debug)


def _prepare(name: str, source: Path, out: Path) -> None:
    from dyto.cli.evaluation import show_prepared
    from dyto.evaluation.prepare import prepare

    for done in prepare(name, source, out=out):
        show_prepared(done)
