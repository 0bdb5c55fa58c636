"""A comparison of six strategies at three budgets, against one `evaluate` for each of the eighteen.

    python bench_compare.py [--model tiny] [--videos 1] [--limit N] [--new-tokens 8] [--strategies a,b,...]

Both sides use the same loaded model, videos and questions, record every row, and must give the same answers; the
comparison asks without its control. `dyto eval` would load the model eighteen times besides; what one load takes is
stated.
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

import dyto.pipeline
from dyto.comparing.compare import compare
from dyto.comparing.comparison import Comparison
from dyto.evaluation.evaluate import evaluate
from dyto.evaluation.settings import Settings
from dyto.synthetic.benchmark import synth_benchmark

STRATEGIES = "uniform,uniform-pool,uniform-merge,slowfast,dyto,evs"
BUDGETS = "1.6f,6.4f,25.6f"


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="tiny")
    parser.add_argument("--videos", type=int, default=1, help="of each of seven regimes")
    parser.add_argument("--limit", type=int, help="only the first so many questions")
    parser.add_argument("--new-tokens", type=int, default=8)
    parser.add_argument("--strategies", default=STRATEGIES)
    options = parser.parse_args()
    start = time.perf_counter()
    model = dyto.load_model(options.model)
    loading = time.perf_counter() - start
    dyto.pipeline.load_model = lambda name, **how: model  # type: ignore[attr-defined]  # once for both sides
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        synth_benchmark("dev", folder, options.videos)
        base = {
            "benchmark": "synthetic",
            "gt_dir": folder / "gt_qa_files",
            "data_dir": folder / "data",
            "max_new_tokens": options.new_tokens,
            "limit": options.limit,
        }
        warm = Settings(**base | {"limit": 1}, folders={"out": folder / "warm"}, strategy="uniform")
        evaluate(warm)
        start = time.perf_counter()
        found = compare(Comparison(Settings(**base), folder / "out", options.strategies, BUDGETS, blind=False))
        together = time.perf_counter() - start
        rows = read(folder / "out" / "predictions.jsonl")
        apart, alike, total = 0.0, 0, 0
        for cell in found["cells"]:
            what = {"strategy": cell["strategy"], "options": {"token_budget": cell["budget"]}, "name": "run"}
            out = folder / f"{cell['strategy']}{cell['budget']}"
            start = time.perf_counter()
            evaluate(Settings(**base, **what, folders={"out": out}))
            apart += time.perf_counter() - start
            alone = read(out / "artifacts" / "synthetic" / "run" / "predictions.jsonl")
            mine = [r for r in rows if (r["strategy"], r["budget"]) == (cell["strategy"], cell["budget"])]
            alike += sum(one["pred"] == other["pred"] for one, other in zip(mine, alone, strict=True))
            total += len(alone)
    cells = len(found["cells"])
    print(
        f"{cells} cells, {found['questions']} questions about {found['videos']} videos, {model.name} on {model.device}"
    )
    print(f"{cells} separate runs   {apart:7.1f} s, and {loading:.1f} s for each of {cells} loads of the model")
    print(f"one comparison      {together:7.1f} s   {apart / together:5.1f} x as fast, without any loading")
    print(f"equal answers       {alike} of {total}")


def read(path):
    """Return the rows of a file of predictions."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


if __name__ == "__main__":
    main()
