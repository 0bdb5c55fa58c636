"""Prepare the question file of vcgbench: python scripts/data/prepare_vcgbench_qa_file.py --qa_folder D."""

import sys

from dyto.legacy_eval import prepare_qa_file

if __name__ == "__main__":
    sys.exit(prepare_qa_file("vcgbench"))
