"""Frames and a stand-in for a model, for tests of strategies: features are those of the frame's number."""

from types import SimpleNamespace

import numpy as np
import torch

from dyto import FrameFeatures, Frames


def video(count, size=(6, 6)):
    """Frames that show nothing, numbered in threes."""
    data = np.arange(count, dtype=np.uint8)[:, None, None, None] + np.zeros((1, *size, 3), np.uint8)
    return Frames(data, np.arange(count) * 3, np.arange(count) / 2, size)


def scenes(frames, n, dim=16, seed=0, noise=0.3):
    """(T, 1 + N, D): scenes of unequal lengths, with noise."""
    rng = np.random.default_rng(seed)
    which = np.sort(rng.integers(0, 8, frames))
    scene = rng.normal(size=(8, 1 + n, dim))[which]
    return torch.tensor(scene + noise * rng.normal(size=scene.shape), dtype=torch.float32)


class Model:
    """Encodes frames to prepared features, and offers everything that a strategy may need.

    The picture path knows two tiles beside each other, and a newline at the end of each row.
    """

    name = "stand-in"

    def __init__(self, features, grid, has_cls=True, attention=True, without=()):
        self.features, self.grid, self.has_cls, self.attention = features, grid, has_cls, attention
        self.encoded = []
        self.without = without

    def __getattribute__(self, name):
        if name in object.__getattribute__(self, "without"):
            raise AttributeError(name)
        return object.__getattribute__(self, name)

    def __call__(self, images, *, attention_layer=None):
        rows = (images.indices // 3).tolist()
        self.encoded += rows
        x = self.features[rows]
        found = FrameFeatures.from_projected(
            x if self.has_cls else x[:, 1:], has_cls=self.has_cls, grid=self.grid,
            indices=images.indices, seconds=images.seconds,
        )  # fmt: skip
        if attention_layer is None or not self.attention:
            return found
        found.__dict__["attention"] = attention_scores(x)
        return found

    def encode_grid(self, images, grid):
        rows = (images.indices // 3).tolist()
        n = grid[0] * grid[1]
        x = self.features[rows, : 1 + n]
        return FrameFeatures.from_projected(x, grid=grid, indices=images.indices, seconds=images.seconds)

    def embed_text(self, text):
        return torch.stack([self.features[len(word) % len(self.features), 1] for word in text.split()])

    def picture_length(self, size):
        rows, cols = self.grid
        return rows * cols + rows * (2 * cols + 1)

    def encode_picture(self, picture, tiles):
        rows, cols = self.grid
        boxes = [boxes_of(rows, cols)]
        if tiles:
            fine = boxes_of(rows, 2 * cols).reshape(rows, 2 * cols, 4)
            boxes += [np.concatenate([fine, np.full((rows, 1, 4), np.nan)], 1).reshape(-1, 4)]
        boxes = np.concatenate(boxes)
        return SimpleNamespace(data=torch.arange(len(boxes) * 2.0).view(-1, 2), boxes=boxes)


def attention_scores(x):
    """(T, N) attention that depends on the frame and the patch."""
    return (x[:, :1] * x[:, 1:]).sum(2).softmax(1)


def boxes_of(rows, cols):
    row, col = np.divmod(np.arange(rows * cols), cols)
    return np.stack([row / rows, col / cols, (row + 1) / rows, (col + 1) / cols], 1)
