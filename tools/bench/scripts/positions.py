"""Where pruned tokens of a video are placed, in time and in their frame: by published rules, and by this package.

    python tools/bench/scripts/positions.py

The rules, written anew from the code:

- vllm-project/vllm as merged in #29752 (reported in #30847, mended in #33607). The prompt is written before the video
  is seen: every frame gets a time and a number of places, all of its tokens for the first, an equal share of what is
  left for each other. The tokens that EVS keeps are not equally many, and fill these places in turn. The places of a
  frame have the positions of its grid, from the top left on.
- QwenLM/Qwen3-VL, qwen-vl-utils/src/qwen_vl_utils/vision_process.py at 004d5e0, for a list of frames that somebody has
  chosen: frame i is taken to be at i / sample_fps, 2 a second unless stated (#2117 documents it). The processor of
  transformers then writes the middle of each pair.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from dyto.features import FrameFeatures, VisualTokens
from dyto.models.base import VideoModel
from dyto.models.loading.placement import Placement
from dyto.strategies.evs import EVS
from dyto_bench.shapes import build_random

ROWS, COLS = 3, 4
SECONDS = np.array([0.0, 1.9, 3.1, 6.4, 7.0, 9.6, 12.7, 20.3])
"""Of the key frames; somebody chose them, so they are not evenly spaced."""

CHANGED = np.array([12, 0, 7, 1, 0, 9, 2, 5])
"""How many patches of each frame differ from the frame before; EVS keeps these, and all of the first frame."""


def film(width: int, levels: int) -> FrameFeatures:
    """Features of frames of which some patches change, so that it is known what EVS keeps."""
    draw = np.random.default_rng(0)
    frames = [draw.standard_normal((ROWS * COLS, width))]
    for count in CHANGED[1:]:
        now = frames[-1].copy()
        now[draw.permutation(ROWS * COLS)[:count]] *= -1
        frames.append(now)
    patches = torch.from_numpy(np.stack(frames)).float()
    return FrameFeatures(
        summary=patches.mean(1),
        grid=(ROWS, COLS),
        load_patches=lambda positions: patches[positions],
        indices=np.arange(len(SECONDS)),
        seconds=SECONDS,
        load_deep=lambda positions: torch.zeros(levels, len(positions), ROWS * COLS, width),
    )


def vllm_places(kept: int) -> np.ndarray:
    """(kept, 3): the frame behind whose time each token stands, and the row and column it is given."""
    first, rest = ROWS * COLS, kept - ROWS * COLS
    others = len(SECONDS) - 1
    counts = [first, *(rest // others + (frame < rest % others) for frame in range(others))]
    return np.array([(frame, *divmod(slot, COLS)) for frame, count in enumerate(counts) for slot in range(count)])


def our_places(model: VideoModel, tokens: VisualTokens) -> np.ndarray:
    """The same, read off what this package writes for the language model: its layout, and nothing else."""
    layout = model.lay_out(tokens)
    assert layout.positions is not None
    visual, positions = layout.visual.numpy(), layout.positions.numpy()
    begins = np.flatnonzero(np.diff(visual.astype(int), prepend=0) == 1)
    block = np.searchsorted(begins, np.flatnonzero(visual), side="right") - 1  # which times the token stands behind
    rows, cols = (positions[axis, visual] - positions[0, visual] for axis in (1, 2))
    return np.stack([np.unique(tokens.keyframe)[block], rows, cols], 1)


def true_places(tokens: VisualTokens) -> np.ndarray:
    """The frame, row and column that each token was cut out of."""
    frame, patch = tokens.sources.keyframe, tokens.sources.patch
    return np.stack([frame, patch // COLS, patch % COLS], 1)


def listed_times(count: int, sample_fps: float = 2.0) -> list[float]:
    """Seconds that are written for a list of frames whose true times are not told, one for each pair."""
    at = np.arange(count + count % 2).clip(max=count - 1) / sample_fps
    return [float(pair.mean()) for pair in at.reshape(-1, 2)]


def compared() -> dict[str, dict[str, float]]:
    """Shares of tokens behind a wrong time, at a wrong place in their frame, and how wrong the time is on average."""
    placement = Placement.of(
        revision=None, device="cpu", dtype=None, attention=None, device_map=None, quantization=None
    )
    model, _ = build_random("qwen3-vl-8b", placement, shrink=64)
    config = model.model.config
    features = film(config.text_config.hidden_size, len(config.vision_config.deepstack_visual_indexes))
    tokens = EVS(token_budget=int(CHANGED.sum())).compress(features)
    tokens = replace(tokens, deep=features.deep_of(tokens.keyframes.indices, tokens.sources, len(tokens)))
    true = true_places(tokens)
    found = {}
    for name, places in (("vllm#29752", vllm_places(len(tokens))), ("here", our_places(model, tokens))):
        seconds = np.abs(SECONDS[places[:, 0]] - SECONDS[true[:, 0]])
        found[name] = {
            "behind a wrong time": float((seconds > 0).mean()),
            "seconds off": float(seconds.mean()),
            "wrong row or column": float((places[:, 1:] != true[:, 1:]).any(1).mean()),
        }
    return found


def main() -> None:
    print(f"EVS keeps {CHANGED.tolist()} of {ROWS * COLS} tokens of frames at {SECONDS.tolist()} s")
    print(f"{'':12}{'behind a wrong time':>22}{'seconds off':>14}{'wrong row or column':>22}")
    for name, one in compared().items():
        time, place = one["behind a wrong time"], one["wrong row or column"]
        print(f"{name:12}{time:>22.0%}{one['seconds off']:>14.2f}{place:>22.0%}")
    print("times written for these frames given as a list:")
    pairs = SECONDS.reshape(-1, 2)
    print("  true, of each pair  " + " ".join(f"{pair.mean():.1f}" for pair in pairs))
    print("  qwen-vl-utils       " + " ".join(f"{at:.1f}" for at in listed_times(len(SECONDS))))
    print("  here, of each frame " + " ".join(f"{at:.1f}" for at in SECONDS))


if __name__ == "__main__":
    main()
