"""Prepare the question file of intentqa: python scripts/data/prepare_intentqa_qa_file.py --qa_file F."""

from dyto.__main__ import start

if __name__ == "__main__":
    start("dyto.cli.legacy_eval", "prepare_qa_file", "intentqa")
