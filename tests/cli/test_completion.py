"""Completion of commands and options in a shell."""

import os
import subprocess
import sys

import pytest


def completed(*words):
    """What a shell is offered for the last word."""
    environment = {
        **os.environ, "_DYTO_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(["dyto", *words]),
        "COMP_CWORD": str(len(words)),
    }  # fmt: skip
    command = [sys.executable, "-m", "dyto"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["as"], ["ask"]),
        (["ask", "clip.mp4", "--save-k"], ["--save-keyframes"]),
        (["demo", "--max-w"], ["--max-waiting"]),
    ],
)
def test_commands_and_options_are_completed(words, offered):
    assert completed(*words) == offered


def test_help_says_how_completion_is_installed():
    shown = subprocess.run([sys.executable, "-m", "dyto", "--help"], capture_output=True, text=True, check=True).stdout
    assert "--install-completion" in shown
