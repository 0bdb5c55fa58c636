"""The published demo command, `run_demo.py`, on top of the library."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial

from dyto.cli.asking import ask_and_print
from dyto.cli.process import report_errors
from dyto.errors import unknown
from dyto.models.loading.options import Loading
from dyto.savings import Savings
from dyto.strategies import build_strategy
from dyto.strategies.published import RELEASE, aggregation_strategy

CONV_MODE = "image_seq_v3"
MAX_NEW_TOKENS = 256


def parser() -> argparse.ArgumentParser:
    """Return the parser for the flags of the published demo, with their published defaults."""
    flags = argparse.ArgumentParser(
        prog="run_demo.py", description="Ask a question about a video, with the published flags. See also: dyto ask."
    )
    flags.add_argument("--video_path", required=True, help="a video file, or a folder of pictures")
    flags.add_argument("--question", required=True, help="the question")
    flags.add_argument(
        "--model_path", default="liuhaotian/llava-v1.6-vicuna-7b", help="a folder, a Hub name, or tiny (%(default)s)"
    )
    flags.add_argument("--conv_mode", help=f"a prompt's name, or a text file ({CONV_MODE}; for tiny its own)")
    flags.add_argument("--num_frames", type=int, default=100, help="frames to sample (%(default)s)")
    flags.add_argument("--input_structure", default="image_seq", help="%(default)s")
    flags.add_argument("--image_aspect_ratio", default="resize", help="%(default)s")
    flags.add_argument(
        "--temporal_aggregation",
        default=RELEASE,
        help="how frames become tokens (%(default)s)",
    )
    flags.add_argument("--rope_scaling_factor", type=float, default=2, help="factor for a longer context (%(default)s)")
    flags.add_argument("--debug", action="store_true", help="show tracebacks")
    return flags


def run_demo(argv: Sequence[str] | None = None) -> int:
    """Run the demo command and return its exit code.

    Args:
        argv: Arguments of the command; None for those of the process.
    """
    options = parser().parse_args(argv)
    return report_errors(lambda: answer(options), options.debug)


def answer(options: argparse.Namespace) -> None:
    """Answer on stdout, as the options say."""
    for flag, only in (("input_structure", "image_seq"), ("image_aspect_ratio", "resize")):
        if getattr(options, flag) != only:
            raise unknown(f"--{flag}", getattr(options, flag), [only])
    strategy, fields = aggregation_strategy(options.temporal_aggregation)
    ask_and_print(
        options.video_path,
        options.question,
        loading=Loading(options.model_path, rope_scaling_factor=options.rope_scaling_factor),
        strategy=partial(build_strategy, strategy, **fields),
        prompt=options.conv_mode or (None if options.model_path == "tiny" else CONV_MODE),
        max_new_tokens=MAX_NEW_TOKENS,
        sampling={"num_frames": options.num_frames},
        savings=Savings(quick_resize=False),  # the published pixels
    )
