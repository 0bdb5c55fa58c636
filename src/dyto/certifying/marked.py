"""A model whose patches are unique numbers, so that every token reveals its origin."""

from __future__ import annotations

import copy
import dataclasses
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dyto.features import FrameFeatures, VisualTokens
from dyto.models.base import VideoModel
from dyto.video import Frames

HALF_TOLERANCE, TOLERANCE = 5e-2, 1e-3
UNUSED = 1e-6
"""Largest weight that counts as zero."""
MOST_TRACED = 400
OTHER_WAYS = ("encode_grid", "encode_picture")
"""Methods of a model that do not encode frame by frame."""


class MarkedModel:
    """A stand-in for a model, which gives every patch unique features.

    Args:
        model: The model.

    Attributes:
        model: A copy with another `encode`.
        other_ways: Methods used that do not encode frame by frame; the tokens cannot be traced then.
    """

    def __init__(self, model: VideoModel) -> None:
        self._encode = model.encode
        self.model = copy.copy(model)
        self.other_ways: set[str] = set()
        vars(self.model)["encode"] = self.encode  # for this copy alone
        for name in OTHER_WAYS:
            if hasattr(model, name):
                vars(self.model)[name] = self._noting(name, getattr(model, name))

    def encode(self, images: Any, *, attention_layer: int | None = None) -> FrameFeatures:
        """Encode as `VideoModel.encode` does, with marked patches for frames; a frame's summary is their mean."""
        features = self._encode(images, attention_layer=attention_layer)
        if not isinstance(images, Frames):
            self.other_ways.add("encode")
            return features
        marks = self.marks(features)
        return dataclasses.replace(
            features, summary=marks.mean(1), load_patches=lambda positions: marks[positions.to(marks.device)]
        )

    def marks(self, of: FrameFeatures | VisualTokens) -> Tensor:
        """Make (T, N, D) features that depend only on the frame's number and the patch's place.

        Args:
            of: Features of T frames, or tokens of T key frames.
        """
        indices, like = (of.keyframes.indices, of.data) if isinstance(of, VisualTokens) else (of.indices, of.summary)
        frames = []
        for number in indices.tolist():
            generator = torch.Generator().manual_seed(int(number))
            frames.append(1 + torch.randn(of.grid[0] * of.grid[1], like.shape[1], generator=generator))
        return torch.stack(frames).to(like.device, like.dtype)

    def _noting(self, name: str, method: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            self.other_ways.add(name)
            return method(*args, **kwargs)

        return call


def untraceable(tokens: VisualTokens, marks: Tensor) -> list[int]:
    """Find tokens that are not made of all the patches that they name, and of no others.

    A token may be any weighted sum of its patches, or take each of its numbers from one of them (maximum, minimum).
    A token is not made of patches without weight. If there are many tokens, evenly spread ones are traced.

    Args:
        tokens: Tokens made of marked patches.
        marks: (K, N, D) marked patches of the key frames.

    Returns:
        Positions of the tokens that are neither.
    """
    tolerance = TOLERANCE if marks.dtype == torch.float32 else HALF_TOLERANCE
    wide = marks.double().cpu()
    data = tokens.data.detach().double().cpu()
    found = []
    for index in np.unique(np.linspace(0, len(tokens) - 1, MOST_TRACED).astype(int)).tolist():
        places = tokens.patches_of(index)
        rows = torch.stack([wide[frame, patch] for frame, patch in places])  # (m, D)
        token = data[index]
        picked = ((rows - token).abs().amin(0) <= tolerance).all()
        if len(rows) >= rows.shape[1] or (picked and len(rows) > 1):
            continue
        weights = torch.linalg.lstsq(rows.T, token[:, None]).solution[:, 0]
        rest = token - rows.T @ weights
        traced = rest.norm() <= tolerance * max(1.0, float(token.norm()))
        if not traced or weights.abs().min() <= UNUSED:
            found.append(index)
    return found
