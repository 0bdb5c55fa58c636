"""The published demo command."""

import subprocess
import sys
from pathlib import Path

import pytest

from dyto.cli.legacy import parser, run_demo

ROOT = Path(__file__).parents[2]


def test_the_flags_have_their_published_defaults():
    options = vars(parser().parse_args(["--video_path", "v", "--question", "q"]))
    assert options["model_path"] == "liuhaotian/llava-v1.6-vicuna-7b"
    assert options["num_frames"] == 100
    assert options["input_structure"] == "image_seq"
    assert options["image_aspect_ratio"] == "resize"
    assert options["temporal_aggregation"] == "spatial_tome_finch_dynamic_all_frms"
    assert options["rope_scaling_factor"] == 2


def test_the_command_answers(clip):
    command = [
        str(ROOT / "run_demo.py"), "--video_path", str(clip), "--model_path", "tiny",
        "--question", "what is there ?", "--conv_mode", "image_seq_v3", "--num_frames", "30",
        "--input_structure", "image_seq", "--image_aspect_ratio", "resize",
        "--temporal_aggregation", "spatial_tome_finch_dynamic_all_frms", "--rope_scaling_factor", "2",
    ]  # fmt: skip
    done = subprocess.run([sys.executable, *command], capture_output=True, text=True)
    assert done.returncode == 0
    assert all(line.startswith("note: ") for line in done.stderr.splitlines())
    assert "tokens      1080 -> " in done.stdout


@pytest.mark.parametrize("aggregation", ["uniform", "dyto", "spatial_tome_finch_dynamic_all_frms", "concat"])
def test_aggregations_are_strategies(capsys, clip, aggregation):
    words = ["--video_path", clip, "--question", "q", "--model_path", "tiny", "--num_frames", 5,
             "--temporal_aggregation", aggregation]  # fmt: skip
    assert run_demo([str(word) for word in words]) == 0
    assert "tokens      180 -> " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--temporal_aggregation", "spatial_tome_finch"], 2, "spatial_tome_finch_dynamic_all_frms"),
        (["--input_structure", "image_grid"], 2, "image_seq"),
        (["--image_aspect_ratio", "pad"], 2, "resize"),
        (["--conv_mode", "image_seq_v4"], 2, "did you mean 'image_seq_v3'"),
        (["--conv_mode", "multiple_choice_allvideo_v4"], 2, "open questions"),
        (["--video_path", "missing.mp4"], 1, "does not exist"),
        (["--num_frames", "0"], 2, "num_frames"),
    ],
)
def test_bad_flags_are_one_line(capsys, clip, words, code, message):
    given = ["--video_path", str(clip), "--question", "q", "--model_path", "tiny", *words]
    assert run_demo(given) == code
    err = capsys.readouterr().err
    assert message in err
    assert len(err.strip().splitlines()) == 1
