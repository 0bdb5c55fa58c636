"""The published steps followed literally: clustering in numpy, then one frame after another.

Written from docs/method.md, sections 1 to 5, as a rival to measure against; nothing of the package is used.
"""

import av
import numpy as np
import torch
from PIL import Image

MEAN, DEVIATION = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def sampled(total, num):
    """Numbers of `num` frames spread over `total`."""
    if total <= num:
        return list(range(total))
    segment = (total - 1) / num
    return [(round(segment * i) + round(segment * (i + 1))) // 2 for i in range(num)]


def count_frames(path):
    """How many frames a file says that it has; counted where it says nothing."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        return stream.frames or sum(1 for packet in container.demux(stream) if packet.size)


def decode(path, num):
    """Sampled frames of a file as pictures, one by one, and their numbers."""
    wanted = sampled(count_frames(path), num)
    left, pictures = set(wanted), []
    with av.open(str(path)) as container:
        container.streams.video[0].thread_type = "AUTO"
        for number, frame in enumerate(container.decode(video=0)):
            if number in left:
                pictures.append(Image.fromarray(frame.to_ndarray(format="rgb24")))
                left.discard(number)
            if not left:
                break
    return pictures, wanted


def prepare(pictures, side):
    """(T, 3, side, side) of pictures squashed to the tower's square, one by one."""
    frames = []
    for picture in pictures:
        x = torch.from_numpy(np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC)).copy())
        x = x.permute(2, 0, 1).float() / 255
        frames.append((x - torch.tensor(MEAN)[:, None, None]) / torch.tensor(DEVIATION)[:, None, None])
    return torch.stack(frames)


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
    ordered = np.sort(picked)
    return ordered if len(ordered) <= cap else ordered[np.linspace(0, len(ordered) - 1, cap).astype(int)]


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
    return merge(features, select(cluster(features[:, 0].float().cpu().numpy())), budget)


def merge(features, picked, budget):
    """Merge each of the frames that were picked to its part of the budget."""
    chosen = features[torch.as_tensor(picked), 1:]
    keep = min(chosen.shape[1], budget // len(picked))
    frames = []
    for x in chosen:
        while len(x) > keep:
            x = merge_once(x, min(len(x) - keep, len(x) // 2))
        frames.append(x)
    return torch.cat(frames)
