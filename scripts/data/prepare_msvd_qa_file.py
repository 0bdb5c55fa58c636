"""Prepare the question file of msvd: python scripts/data/prepare_msvd_qa_file.py --qa_file F."""

from dyto.__main__ import start

if __name__ == "__main__":
    start("dyto.cli.legacy_eval", "prepare_qa_file", "msvd")
