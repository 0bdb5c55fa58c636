"""Prepare the question file of vcgbench: python scripts/data/prepare_vcgbench_qa_file.py --qa_folder D."""

from dyto.__main__ import start

if __name__ == "__main__":
    start("dyto.cli.legacy_eval", "prepare_qa_file", "vcgbench")
