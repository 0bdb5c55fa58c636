"""Seconds of `plus` for 100 frames of 577 x 1024, compared with a CLIP-L/336 tower for one frame."""

import statistics
import time

import torch
from transformers import CLIPVisionConfig, CLIPVisionModel

from dyto.features import FrameFeatures
from dyto.strategies import DyTo, Plus


def scenes(count=12, frames=100, patches=576, dim=1024):
    """Make scenes of unequal length with noise: (T, 1 + N, D) float32."""
    generator = torch.Generator().manual_seed(0)
    views = torch.randn(count, 1 + patches, dim, generator=generator)
    which = torch.sort(torch.randint(0, count, (frames,), generator=generator)).values
    return torch.randn(frames, 1 + patches, dim, generator=generator).mul_(0.4).add_(views[which])


def median_seconds(function, rounds):
    function()
    times = []
    for _ in range(rounds):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


@torch.inference_mode()
def report(rounds=5):
    config = CLIPVisionConfig(
        hidden_size=1024,
        intermediate_size=4096,
        num_hidden_layers=24,
        num_attention_heads=16,
        image_size=336,
        patch_size=14,
    )
    tower = CLIPVisionModel(config).eval()
    frame = torch.zeros(1, 3, 336, 336)
    rows = [("CLIP-L/336, one frame", median_seconds(lambda: tower(frame), rounds))]
    for name, x in (("12 scenes", scenes()), ("100 scenes", scenes(count=100)), ("one scene", scenes(count=1))):
        features = FrameFeatures.from_projected(x)
        for strategy in (Plus(), DyTo()):
            seconds = median_seconds(lambda s=strategy, f=features: s.compress(f), rounds)
            rows.append((f"{strategy.name}, 100 frames of {name}", seconds))
    threads = torch.get_num_threads()
    return "\n".join([f"{threads} threads", *(f"{name:36} {1e3 * seconds:8.1f} ms" for name, seconds in rows)])
