"""The controls: whole frames, uniformly spread."""

import numpy as np
import pytest
import torch

from dyto import Concat, ConfigError, FrameFeatures, Frames, Uniform


class Eye:
    """Stands for a tower: patches say which frame and place they are; counts what it encodes."""

    def __init__(self, n=9):
        self.n = n
        self.encoded = 0

    def __call__(self, images, *, attention_layer=None):
        self.encoded += len(images)
        frame = torch.tensor(images.indices, dtype=torch.float32)
        patch = torch.arange(1 + self.n, dtype=torch.float32)
        x = torch.stack(torch.broadcast_tensors(frame[:, None], patch[None]), -1)
        return FrameFeatures.from_projected(x, indices=images.indices, seconds=images.seconds)


def video(count=20):
    return Frames(np.zeros((count, 4, 4, 3), np.uint8), np.arange(count) * 3, np.arange(count) / 2, (4, 4))


@pytest.mark.parametrize(("budget", "whole"), [(9, 1), (17, 1), (18, 2), (54, 6), (55, 6), (180, 20), (999, 20)])
def test_as_many_whole_frames_as_fit(budget, whole):
    tokens = Uniform(token_budget=budget)(video(), Eye())
    assert len(tokens) == whole * 9 <= budget
    assert len(tokens.keyframes) == whole
    assert tokens.uncompressed == 180
    assert tokens.data[:, 1].tolist() == [p for _ in range(whole) for p in range(1, 10)]  # raster order
    assert tokens.data[:, 0].tolist() == tokens.frames.tolist()
    assert [tokens.patches_of(i) for i in range(9)] == [[(0, p)] for p in range(9)]


def test_frames_are_spread_as_they_are_sampled_and_no_other_is_encoded():
    eye = Eye()
    tokens = Uniform(token_budget=36)(video(), eye)
    assert tokens.keyframes.positions.tolist() == [2, 7, 12, 16]
    assert tokens.keyframes.seconds.tolist() == [1.0, 3.5, 6.0, 8.0]
    assert eye.encoded == 1 + 4  # one to see how many patches a frame has


def test_a_budget_below_one_frame_names_the_minimum():
    with pytest.raises(ConfigError, match="budget 8, but one whole frame has 9 tokens.*at least 9"):
        Uniform(token_budget=8)(video(), Eye())


def test_the_default_is_the_published_budget():
    assert len(Uniform()(video(), Eye(576)).keyframes) == 6


def test_concat_keeps_everything():
    tokens = Concat()(video(), Eye())
    assert len(tokens) == tokens.uncompressed == 180
    assert tokens.budget is None
