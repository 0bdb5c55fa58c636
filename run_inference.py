"""Run the benchmarks of a config: python run_inference.py --exp_config cfgs/Baseline/NAME.yaml."""

from dyto.__main__ import start

if __name__ == "__main__":
    start("dyto.cli.legacy_eval", "run_inference")
