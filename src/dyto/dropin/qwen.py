"""Qwen-VL in a user's own code: patches from its processor, positions with three axes, DeepStack."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.dropin.splice import PromptRow
from dyto.errors import ConfigError
from dyto.features import FrameFeatures, VisualTokens
from dyto.models.loading.placement import device_of
from dyto.models.mrope import CHUNK_TOKENS, QwenVL
from dyto.models.qwen_attention import watched
from dyto.models.towers import look
from dyto.video import Frames


class PatchedFrames:
    """The vision side of a model whose frames are a processor's patches, each made from two frames of a video.

    Args:
        adapter: The model.
        patches: (P, C) patches of each frame, in order.
        size: Height and width of the frames, in pixels.
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
        """Encode pictures as `VideoModel.encode` does; frames are recognised by number, other pictures by pixels."""
        if not isinstance(images, Frames):
            return self._adapter.encode(images, attention_layer=attention_layer)
        tower = self._adapter.model.model.visual
        device, dtype = device_of(tower), next(tower.parameters()).dtype
        merge = tower.config.spatial_merge_size
        grid = (self._rows // merge, self._cols // merge)

        attentions: list[Tensor] = []

        def see(some: Any) -> Tensor:
            patches = torch.cat(list(some)).to(device, dtype)
            grids = torch.tensor([[1, self._rows, self._cols]] * len(some), device=device)
            if attention_layer is None or sum(map(len, attentions)) == len(images):  # all seen once
                seen = self._adapter.encode_patches(patches, grids)  # (1 + levels, B * N, D)
            else:
                with watched(tower, attention_layer) as received:
                    seen = self._adapter.encode_patches(patches, grids)
                paid = received[0].view(-1, merge**2).mean(1)  # (B * N,), the mean over the patches of a token
                attentions.append(paid[self._adapter.raster(grids)].view(len(some), -1) / (self._rows * self._cols))
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
            attention=torch.cat(attentions) if attentions else None,
            load_deep=self._adapter.deep_loader(load),
        )


def positions_of(adapter: QwenVL, row: PromptRow, tokens: Sequence[VisualTokens]) -> tuple[Tensor, int]:
    """Return the positions of one row: text is counted; visual tokens have time, height and width, as in `VideoQA`.

    Args:
        adapter: The model.
        row: The shortened row.
        tokens: The visual tokens of each video in the row.

    Returns:
        (n, 3) int64, and the position of the text that follows.

    Raises:
        ModelError: The tokens do not state their sources.
    """
    clip = row.clip.cpu().numpy()
    axes = np.zeros((len(clip), 3), np.int64)
    edges = [0, *(np.flatnonzero(np.diff(clip)) + 1).tolist(), len(clip)]
    places = [adapter.places_of(own) for own in tokens]
    place, taken = 0, [0] * len(tokens)
    for start, stop in zip(edges, edges[1:], strict=False):
        if start == stop or clip[start] < 0:
            axes[start:stop] = place + np.arange(stop - start)[:, None]
            place += stop - start
            continue
        own, (rows, cols), before = tokens[clip[start]], places[clip[start]], taken[clip[start]]
        block = slice(before, before + stop - start)
        axes[start:stop] = place + np.stack([adapter.time_steps(own.seconds[block]), rows[block], cols[block]], 1)
        place += max(own.grid)
        taken[clip[start]] = block.stop
    return torch.from_numpy(axes).to(row.ids.device), place


@contextmanager
def deep_features(adapter: QwenVL, visual: Tensor, tokens: list[VisualTokens]) -> Iterator[None]:
    """Pass DeepStack features to the language model when it reads the prompt, in this thread.

    Args:
        adapter: The model.
        visual: (B, n) bool, where the ids are visual tokens.
        tokens: The tokens of every video, row after row; without such features nothing is done.
    """
    deep = [own.deep for own in tokens if own.deep is not None]
    if len(deep) < len(tokens):
        if deep:
            raise ConfigError("some videos have DeepStack features and others have none: ask about them one by one")
        yield
        return
    thread, read = threading.get_ident(), False

    def give(module: Any, args: Any, kwargs: dict[str, Any]) -> tuple[Any, dict[str, Any]] | None:
        nonlocal read
        embeds = kwargs.get("inputs_embeds")
        if read or not deep or embeds is None or threading.get_ident() != thread:
            return None
        read = True
        times = len(embeds) // len(visual)  # beams
        by_row = torch.split(torch.cat(deep, 1), visual.sum(1).tolist(), 1)  # (levels, L, D) each
        features = torch.cat([own for own in by_row for _ in range(times)], 1)
        return args, {
            **kwargs,
            "visual_pos_masks": visual.repeat_interleave(times, 0).to(embeds.device),
            "deepstack_visual_embeds": list(features.to(embeds)),
        }

    unseen = torch.compiler.disable(give)  # type: ignore[no-untyped-call]
    handle = adapter.language_model().register_forward_pre_hook(unseen, with_kwargs=True)
    try:
        yield
    finally:
        handle.remove()
