"""Run the benchmarks of a config: python run_inference.py --exp_config cfgs/Baseline/NAME.yaml."""

import sys

from dyto.legacy_eval import run_inference

if __name__ == "__main__":
    sys.exit(run_inference())
