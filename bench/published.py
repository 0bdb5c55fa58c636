"""The published steps followed literally: clustering in numpy, then one frame after another.

Written from docs/method.md, sections 3 to 5, as a rival to measure against; nothing of the package is used.
"""

import numpy as np
import torch


def cluster(features):
    """TW-FINCH in numpy: a list of (T,) labels, finest first."""
    x = np.asarray(features, np.float64)
    times = (np.arange(len(x)) + 1) / len(x)
    labels, partitions, means, mean_times = np.arange(len(x)), [], x, times
    while True:
        unit = means / np.linalg.norm(means, axis=1, keepdims=True)
        distance = np.maximum(1 - unit @ unit.T, 1e-6) * np.abs(mean_times[:, None] - mean_times[None])
        np.fill_diagonal(distance, np.inf)
        nearest = distance.argmin(1)
        parent = list(range(len(means)))

        def find(i, parent=parent):
            while parent[i] != i:
                i = parent[i]
            return i

        for i, j in enumerate(nearest):
            parent[find(i)] = find(int(j))
        roots = sorted({find(i) for i in range(len(means))})
        merged = np.array([roots.index(find(i)) for i in range(len(means))])
        previous, count = len(means), len(roots)
        if partitions and (count == 1 or count >= previous):
            return partitions
        labels = merged[labels]
        partitions.append(labels)
        if count == 1 or (len(partitions) > 1 and previous - count == 1):
            return partitions
        means = np.stack([x[labels == c].mean(0) for c in range(count)])
        mean_times = np.array([times[labels == c].mean() for c in range(count)])


def select(partitions, cap=25):
    """Key frames of the second-finest partition."""
    labels = partitions[min(1, len(partitions) - 1)]
    clusters = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    if len(clusters) <= 6:
        picked = [i for c in clusters for i in c[: 12 // len(clusters)]]
    else:
        picked = [c[len(c) // 2] if len(c) > 2 else c[-1] for c in clusters]
    picked = np.sort(picked)
    return picked if len(picked) <= cap else picked[np.linspace(0, len(picked) - 1, cap).astype(int)]


def merge_once(x, r):
    """One round of bipartite merging on one frame, (n, D) -> (n - r, D)."""
    n, dim = x.shape
    metric = x.reshape(n, 16, dim // 16).mean(1)
    metric = metric / metric.norm(dim=-1, keepdim=True)
    a, b = metric[: n // 2], metric[n // 2 :]
    scores = a @ b.T
    best, nearest = scores.max(-1)
    order = best.argsort(descending=True, stable=True)
    merged, kept = order[:r], order[r:]
    source, target = x[: n // 2], x[n // 2 :]
    unmerged = source.gather(0, kept[:, None].expand(-1, dim))
    moved = source.gather(0, merged[:, None].expand(-1, dim))
    target = target.scatter_reduce(0, nearest[merged][:, None].expand(-1, dim), moved, reduce="amax")
    return torch.cat([unmerged, target])


def compress(features, budget=3680):
    """(T, 1 + N, D) projected features, CLS first -> (L, D) tokens."""
    picked = select(cluster(features[:, 0].numpy()))
    chosen = features[torch.as_tensor(picked), 1:]
    keep = min(chosen.shape[1], budget // len(picked))
    frames = []
    for x in chosen:
        while len(x) > keep:
            x = merge_once(x, min(len(x) - keep, len(x) // 2))
        frames.append(x)
    return torch.cat(frames)
