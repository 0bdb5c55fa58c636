"""Prepare the question file of msrvtt: python scripts/data/prepare_msrvtt_qa_file.py --qa_file F."""

import sys

from dyto.legacy_eval import prepare_qa_file

if __name__ == "__main__":
    sys.exit(prepare_qa_file("msrvtt"))
