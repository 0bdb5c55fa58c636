"""Qwen-VL in somebody else's code: patches as its processor makes them, positions of three axes, DeepStack."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.dropin.splice import Row, stack
from dyto.errors import ConfigError
from dyto.features import FrameFeatures, VisualTokens
from dyto.models.mrope import CHUNK_TOKENS, QwenVL
from dyto.models.placement import device_of
from dyto.models.towers import look
from dyto.video import Frames


class PatchedFrames:
    """A model's vision side whose frames are the patches that a processor made, two frames of a video in each.

    Args:
        adapter: The model.
        patches: For each frame (P, C), in their order.
        size: Height and width of the frames, pixels.
    """

    def __init__(self, adapter: QwenVL, patches: tuple[Tensor, ...], size: tuple[int, int]) -> None:
        self._adapter, self._patches = adapter, patches
        self._rows, self._cols = (length // adapter.model.config.vision_config.patch_size for length in size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._adapter, name)

    @torch.inference_mode()
    def encode(
        self, images: Frames | list[npt.NDArray[np.uint8]], *, attention_layer: int | None = None
    ) -> FrameFeatures:
        """See `VideoModel.encode`; frames are known by their numbers, other pictures are encoded as they are."""
        if not isinstance(images, Frames):
            return self._adapter.encode(images, attention_layer=attention_layer)
        tower = self._adapter.model.model.visual
        device, dtype = device_of(tower), next(tower.parameters()).dtype
        merge = tower.config.spatial_merge_size
        grid = (self._rows // merge, self._cols // merge)

        def see(some: Any) -> Tensor:
            patches = torch.cat(list(some)).to(device, dtype)
            grids = torch.tensor([[1, self._rows, self._cols]] * len(some), device=device)
            seen = self._adapter._see(patches, grids)  # (1 + levels, B * N, D)
            return seen.view(len(seen), len(some), grid[0] * grid[1], -1).transpose(0, 1)

        chosen: Any = [self._patches[number] for number in images.indices.tolist()]
        summary, load = look(chosen, see, lambda seen: seen[:, 0].mean(1), max(1, CHUNK_TOKENS // (grid[0] * grid[1])))
        return FrameFeatures(
            summary=summary,
            grid=grid,
            load_patches=lambda positions: load(positions)[:, 0],
            indices=images.indices,
            seconds=images.seconds,
            summary_source="mean patch",
            load_deep=self._adapter._deep_loader(load),
        )


def positions_of(adapter: QwenVL, row: Row, tokens: VisualTokens | None) -> Tensor:
    """Positions of one row: text is counted; a block of visual tokens has time, height and width, as in `VideoQA`.

    Args:
        adapter: The model.
        row: The shortened row.
        tokens: Its visual tokens.

    Returns:
        (n, 3) int64.
    """
    visual = row.visual.cpu().numpy()
    axes = np.zeros((len(visual), 3), np.int64)
    edges = [0, *(np.flatnonzero(np.diff(visual)) + 1).tolist(), len(visual)]
    place = taken = 0
    for start, stop in zip(edges, edges[1:], strict=False):
        if tokens is None or not visual[start]:
            axes[start:stop] = place + np.arange(stop - start)[:, None]
            place += stop - start
            continue
        block = slice(taken, taken + stop - start)
        rows, cols = np.divmod(tokens.patch[block], tokens.grid[1])
        axes[start:stop] = place + np.stack([adapter._times(tokens.seconds[block]), rows, cols], 1)
        place, taken = place + max(tokens.grid), block.stop
    return torch.from_numpy(axes).to(row.ids.device)


def positions_of_batch(
    adapter: QwenVL, rows: list[Row], tokens: list[VisualTokens | None], mask: Tensor, left: bool
) -> Tensor:
    """(4, B, L') places, then time, height and width."""
    axes = [positions_of(adapter, row, own) for row, own in zip(rows, tokens, strict=True)]  # (n, 3) each
    places = mask.cumsum(-1).sub(1).clamp(min=0)[None]  # (1, B, L')
    return torch.cat([places, stack(axes, mask.shape[1], left).permute(2, 0, 1)])


@contextmanager
def deep_features(adapter: QwenVL, visual: Tensor, tokens: list[VisualTokens | None]) -> Iterator[None]:
    """Hand DeepStack features to the language model when it reads the prompt, in this thread.

    Args:
        adapter: The model.
        visual: (B, L') bool, where visual tokens stand.
        tokens: Those of every row; where they have no such features nothing is done.
    """
    deep = [own.deep for own in tokens if own is not None]
    if any(features is None for features in deep):
        if any(features is not None for features in deep):
            raise ConfigError("some samples have DeepStack features and others have none: ask about them one by one")
        yield
        return
    thread, read = threading.get_ident(), False

    def give(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        nonlocal read
        embeds = kwargs.get("inputs_embeds")
        if read or embeds is None or threading.get_ident() != thread:
            return None
        read = True
        times = len(embeds) // len(visual)  # beams
        features = torch.cat([own for own in deep if own is not None for _ in range(times)], 1)  # (levels, L, D)
        return args, {
            **kwargs,
            "visual_pos_masks": visual.repeat_interleave(times, 0).to(embeds.device),
            "deepstack_visual_embeds": list(features.to(embeds)),
        }

    handle = adapter._language_model().register_forward_pre_hook(give, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
