"""Clustering beside plain FINCH and scikit-learn: CPU seconds turn by turn, and the memory of our own.

    pip install finch-clust scikit-learn
    OMP_NUM_THREADS=1 python tools/bench/scripts/bench_cluster.py --frames 5000 --dim 768

The features are those of a drawn film in float32: scenes of 40 frames, slow drift, and noise. `finch-clust` is FINCH
without time; scikit-learn's is Ward's agglomeration with a chain as its connectivity.
"""

import argparse
import time
from pathlib import Path
from statistics import median

import numpy as np

from dyto import finch, segments


def film(frames, dim):
    rng = np.random.default_rng(0)
    scenes = np.repeat(rng.normal(size=(frames // 40 + 1, dim)), 40, 0)[:frames]
    drift = np.cumsum(rng.normal(size=(frames, dim)), 0) / 40**0.5
    return (scenes + 0.1 * drift + 0.3 * rng.normal(size=(frames, dim))).astype(np.float32)


def plain_finch(x):
    from finch import FINCH

    return FINCH(x, verbose=False)


def chained_ward(x):
    from scipy.sparse import diags
    from sklearn.cluster import AgglomerativeClustering

    ones = np.ones(len(x) - 1)
    chain = diags([ones, ones], [1, -1]).tocsr()
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    tree = AgglomerativeClustering(n_clusters=None, distance_threshold=0, linkage="ward", connectivity=chain)
    return tree.fit(unit)


PAIRS = {"TW-FINCH / finch-clust": (finch.tw_finch, plain_finch), "Ward / scikit-learn": (segments.ward, chained_ward)}


def cpu(work, x):
    before = time.process_time()
    work(x)
    return time.process_time() - before


def peak_mib(work, x):
    """What a call adds to the peak of the process, as Linux counts it; NaN elsewhere."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
        before = _peak()
        work(x)
        return _peak() - before
    except OSError:
        return float("nan")


def _peak():
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--frames", type=int, default=5000)
    parser.add_argument("--dim", type=int, default=768)
    parser.add_argument("--many", type=int, default=20_000, help="frames for the memory")
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    x = film(options.frames, options.dim)
    for name, (ours, theirs) in PAIRS.items():
        try:
            cpu(theirs, x[:100])
        except ImportError as err:
            print(f"{name}: not measured ({err})")
            continue
        cpu(ours, x[:100])
        pairs = [(cpu(ours, x), cpu(theirs, x)) for _ in range(options.runs)]
        ratio = sorted(one / other for one, other in pairs)
        seconds = ", ".join(f"{median(side):.2f} s" for side in zip(*pairs, strict=True))
        told = f"{median(ratio):.2f} [{ratio[0]:.2f}, {ratio[-1]:.2f}]"
        print(f"{name}, {options.frames} x {options.dim}: {told} ({seconds})")
    many = film(options.many, options.dim)
    for name, work in (("TW-FINCH", finch.tw_finch), ("Ward", segments.ward)):
        print(f"{name}, {options.many} x {options.dim}: {peak_mib(work, many):.0f} MiB")


if __name__ == "__main__":
    main()
