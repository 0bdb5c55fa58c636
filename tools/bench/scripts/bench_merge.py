"""Selection and merging against the published steps: time side by side in one run, peak memory, and the floor.

    python bench_merge.py [--frames 100] [--patches 576] [--dim 4096] [--rounds 9]

The floor is one copy of the output into fresh memory: nothing that writes the tokens can be faster.
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path

import torch

import dyto
from published import compress as published


def make_features(frames, patches, dim, noise=0.4):
    """Make scenes of unequal length with noise: (T, 1 + N, D) float32."""
    generator = torch.Generator().manual_seed(0)
    scene = torch.randn(12, 1 + patches, dim, generator=generator)
    which = torch.sort(torch.randint(0, 12, (frames,), generator=generator)).values
    features = torch.randn(frames, 1 + patches, dim, generator=generator)
    return features.mul_(noise).add_(scene[which])


def ours(features):
    return dyto.DyTo.preset("release", token_budget=3680).compress(dyto.FrameFeatures.from_projected(features)).data


def seconds(function, *args):
    start = time.perf_counter()
    function(*args)
    return time.perf_counter() - start


def peak_extra_bytes(which, options):
    """Measure the peak memory of one call above what its own process held before."""
    code = (
        "import resource, sys, torch; sys.path.insert(0, sys.argv[1]); import bench_merge as b;"
        f"x = b.make_features({options.frames}, {options.patches}, {options.dim}); small = b.make_features(12, 64, 64);"
        f"f = {{'ours': b.ours, 'published': b.published}}['{which}']; f(small);"
        "held = int(open('/proc/self/statm').read().split()[1]) * resource.getpagesize();"
        "open('/proc/self/clear_refs', 'w').write('5'); f(x);"
        "peak = next(int(l.split()[1]) for l in open('/proc/self/status') if l.startswith('VmHWM')) * 1024;"
        "print(peak - held)"
    )
    return int(
        subprocess.run(
            [sys.executable, "-c", code, str(Path(__file__).parent)], capture_output=True, text=True, check=True
        ).stdout
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    for name, default in (("frames", 100), ("patches", 576), ("dim", 4096), ("rounds", 9)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    features = make_features(options.frames, options.patches, options.dim)
    tokens = ours(features)
    assert torch.equal(tokens, published(features)), "the two do not compute the same"
    times = {name: [] for name in ("published", "ours", "floor")}
    for _ in range(options.rounds):  # side by side: what slows one down slows the others
        times["published"].append(seconds(published, features))
        times["ours"].append(seconds(ours, features))
        times["floor"].append(seconds(tokens.clone))
    print(f"{options.frames} frames of {1 + options.patches} x {options.dim} float32 -> {tuple(tokens.shape)}")
    for name, values in times.items():
        print(f"{name:10} median {1e3 * statistics.median(values):7.1f} ms  (fastest {1e3 * min(values):.1f})")
    ratio = statistics.median(p / o for p, o in zip(times["published"], times["ours"], strict=True))
    floor = statistics.median(o / f for o, f in zip(times["ours"], times["floor"], strict=True))
    print(f"published / ours {ratio:.2f}   ours / floor {floor:.2f}   (medians of {options.rounds} paired runs)")
    selected = len(dyto.DyTo().select_keyframes(features[:, 0])) * options.patches * options.dim * 4
    for name in ("published", "ours"):
        extra = peak_extra_bytes(name, options)
        print(f"{name:10} peak extra memory {extra / 2**20:6.0f} MiB = {extra / selected:.2f} x the selected frames")


if __name__ == "__main__":
    main()
