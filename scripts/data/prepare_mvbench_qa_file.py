"""Prepare the question file of mvbench: python scripts/data/prepare_mvbench_qa_file.py --qa_file F."""

from dyto.__main__ import start

if __name__ == "__main__":
    start("dyto.cli.legacy_eval", "prepare_qa_file", "mvbench")
