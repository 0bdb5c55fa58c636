"""Distance of each stage from its floor: its operations at the machine's measured rate, its bytes at the bandwidth."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from dyto.models.base import VideoModel
from dyto.models.generation.compiling import blocks_of
from dyto_bench import tally
from dyto_bench.plan import Subject
from dyto_bench.probes import now

ALONE = "without overlap"
"""The version of this library whose stages follow one another."""

HELD = {
    "decode": "the codec: frames between an intra frame and the wanted one are decoded too, and each is resized; "
    "the floor only writes the pixels",
    "encode": "layers smaller than the largest matrices, attention, normalisation between them, and the pixels' way "
    "to the device",
    "project": "a few matrices of moderate size; CLS of all frames and patches of key frames only",
    "select": "a chain of small steps on a few hundred vectors in float64, none of which fills the machine",
    "merge": "gathers and sorting of rounds that follow one another; the floor reads the patches and writes the tokens",
    "prefill": "layers smaller than the largest matrices, attention, and the question read behind the video",
    "generate": "one token at a time: every step reads all weights and is launched layer by layer",
}
"""What keeps each stage from its floor."""


def measure_rates(device: torch.device, dtype: torch.dtype) -> dict[str, float]:
    """Measure the machine's rates: a large matrix product in a dtype, and a copy.

    Returns:
        "operations": floating-point operations a second; "bytes": read and written a second. The best of several.
    """
    side = 8192 if device.type == "cuda" else 1536
    a = torch.randn(side, side, device=device, dtype=torch.float32).to(dtype)
    size = (1 << 30) if device.type == "cuda" else (1 << 27)
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    product = torch.empty_like(a)
    return {
        "operations": 2 * side**3 / _best(lambda: torch.mm(a, a, out=product), device),
        "bytes": 2 * size / _best(lambda: target.copy_(source), device),
    }


def _best(work: Callable[[], Any], device: torch.device, least: int = 5, seconds: float = 1.0) -> float:
    work()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < least or time.perf_counter() < end:
        start = now(device)
        work()
        times.append(now(device) - start)
    return min(times)


def floors(subject: Subject, document: dict[str, Any]) -> list[dict[str, Any]]:
    """Compute the floor of every stage of this library's first answer.

    It is taken without overlapping where that was measured: stages that share the machine with others say little.

    Args:
        subject: What was measured with.
        document: With the runs and "rates".

    Returns:
        For each stage: operations, bytes, floor and measured seconds, how many times the floor it takes, the share of
        the machine's rate that it reaches, and what holds it.
    """
    names = [side["name"] for side in document["sides"]]
    side = tally.side_of(document, ALONE if ALONE in names else tally.OURS)
    figures, run = side["figures"]["stages"], side["first"][0]
    found = []
    for stage, (operations, size) in work(subject, run).items():
        by_rate, by_bytes = operations / document["rates"]["operations"], size / document["rates"]["bytes"]
        floor, seconds = max(by_rate, by_bytes), figures[stage]["median"]
        found.append(
            {
                "stage": stage,
                "side": side["name"],
                "operations": operations,
                "bytes": size,
                "bound": "operations" if by_rate > by_bytes else "bytes",
                "floor": floor,
                "seconds": seconds,
                "times": seconds / floor if floor > 0 else None,
                "rate_share": by_rate / seconds if seconds > 0 and operations else None,
                "held_by": HELD[stage],
            }
        )
    return found


def work(subject: Subject, run: dict[str, Any]) -> dict[str, tuple[float, float]]:
    """Count the (operations, bytes) that each stage needs at least, from the config and the weights.

    Every sampled frame is counted as passing the tower once, with the layers that the features need.
    """
    model, width = subject.model, subject.model.dtype.itemsize
    config = model.model.config.get_text_config()
    frames, tokens, facts = len(run["frames"]), run["visual_tokens"], run["facts"]
    hidden, patches = config.hidden_size, facts["patches"] * facts["keyframes"]
    tower, tower_bytes, pixels = tower_work(model, facts["patches"])
    projector = getattr(model.model.model, "multi_modal_projector", None)
    projected = matrices(projector) if projector is not None else 0
    rows = patches + (frames if getattr(model, "has_cls", False) else 0)
    weights = matrices(model.language_model())
    head = config.vocab_size * hidden
    layers, steps = config.num_hidden_layers, run["new_tokens"] - 1
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    per_head = getattr(config, "head_dim", None) or hidden // config.num_attention_heads
    kept = 2 * layers * heads * per_head * tokens * width  # keys and values
    across = config.num_attention_heads * per_head
    return {
        "decode": (0.0, float(frames * pixels)),
        "encode": (float(frames * tower), float(tower_bytes + frames * pixels)),
        "project": (2.0 * projected * rows, float(projected * width + 2 * rows * hidden * width)),
        "select": (2.0 * frames**2 * hidden, float(frames * hidden * width)),
        "merge": (0.0, float((patches + tokens) * hidden * width)),
        "prefill": (2.0 * weights * tokens + 2.0 * layers * across * tokens**2 + 2.0 * head, float(weights * width)),
        "generate": (2.0 * steps * (weights + head), float(steps * ((weights + head) * width + kept))),
    }


def tower_work(model: VideoModel, patches: int) -> tuple[float, int, int]:
    """Count the tower's operations for one frame, the bytes of its weights, and the bytes of a frame's pixels."""
    config, tower = model.model.config.vision_config, model.tower()
    merge = getattr(config, "spatial_merge_size", 1)
    side = config.patch_size if isinstance(config.patch_size, int) else config.patch_size[0]
    size = getattr(config, "image_size", None)
    if merge > 1 or size is None:  # native resolution: the patches that make the tokens
        count = patches * merge**2
    else:
        count = (size if isinstance(size, int) else size[0]) ** 2 // side**2
    places = count + bool(getattr(model, "has_cls", False))
    depth = getattr(config, "num_hidden_layers", None) or config.depth
    used = needed_layers(model, depth)
    blocks = blocks_of(tower) or [tower]
    weights = sum(matrices(block) for block in blocks[:used])
    embedding = matrices(tower) - sum(matrices(block) for block in blocks)
    operations = 2.0 * (weights * places + embedding * count) + 4.0 * used * places**2 * config.hidden_size
    size_bytes = sum(weight.nbytes for block in blocks[:used] for weight in block.parameters())
    return operations, size_bytes, 3 * count * side**2


def needed_layers(model: VideoModel, depth: int) -> int:
    """Return the number of layers of the tower that the features need."""
    layers: tuple[int, ...] = getattr(model, "_layers", (depth,))
    return max(layer if layer >= 0 else depth + 1 + layer for layer in layers)


def matrices(module: Any) -> int:
    """Count the weights of linear layers and convolutions, which multiply every position once."""
    kinds = (nn.Linear, nn.Conv2d, nn.Conv3d)
    return sum(part.weight.numel() for part in module.modules() if isinstance(part, kinds))
