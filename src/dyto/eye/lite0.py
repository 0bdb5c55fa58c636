"""EfficientNet-Lite0: inverted residuals with ReLU6, without squeeze and excitation, normalisation folded in.

Source: Tan and Le, "EfficientNet" (arXiv 1905.11946), table 1, and the Lite variant of the same authors, which drops
the squeeze-and-excitation blocks and uses ReLU6 instead of swish.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

CLASSES = 1000
WIDTH = 1280
"""Numbers that describe a patch."""

STEM = 32
EPS = 1e-3
"""Epsilon of the batch normalisation that is folded into the convolutions."""


@dataclass(frozen=True)
class Stage:
    """Blocks of one shape.

    Attributes:
        expand: How many times the channels are widened inside a block.
        kernel: Side of the depthwise convolution.
        stride: Stride of the first block; the others have 1.
        channels: Output channels of a block.
        blocks: Number of blocks.
    """

    expand: int
    kernel: int
    stride: int
    channels: int
    blocks: int


STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)


class PaddedConv(nn.Conv2d):
    """A convolution that pads like TensorFlow's "same": an odd pixel goes to the right and the bottom."""

    def __init__(self, inside: int, out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        even = stride == 1
        super().__init__(inside, out, kernel, stride, kernel // 2 if even else 0, groups=groups)
        self._before, self._after = (kernel - stride) // 2, (kernel - stride + 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride); a stride of 2 needs even sides."""
        if self.stride[0] > 1:
            x = F.pad(x, (self._before, self._after, self._before, self._after))
        return super().forward(x)


class Block(nn.Module):
    """An inverted residual: widen, convolve depthwise, narrow; and add the input if the shapes allow it."""

    def __init__(self, inside: int, out: int, expand: int, kernel: int, stride: int) -> None:
        super().__init__()
        wide = inside * expand
        self.expand = PaddedConv(inside, wide, 1) if expand > 1 else None
        self.depthwise = PaddedConv(wide, wide, kernel, stride, groups=wide)
        self.project = PaddedConv(wide, out, 1)
        self.adds = stride == 1 and inside == out

    def forward(self, x: Tensor) -> Tensor:
        """Map (B, C, H, W) to (B, C', H / stride, W / stride)."""
        y = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = self.project(F.relu6(self.depthwise(y), inplace=True))
        return y.add_(x) if self.adds else y


class Lite0(nn.Module):
    """The network, from pixels to patches; `classifier` names the classes of a patch or of a mean of patches."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = PaddedConv(3, STEM, 3, 2)
        blocks, inside = [], STEM
        for stage in STAGES:
            for number in range(stage.blocks):
                stride = 1 if number else stage.stride
                blocks.append(Block(inside, stage.channels, stage.expand, stage.kernel, stride))
                inside = stage.channels
        self.blocks = nn.Sequential(*blocks)
        self.head = PaddedConv(inside, WIDTH, 1)
        self.classifier = nn.Linear(WIDTH, CLASSES)

    def forward(self, pixels: Tensor) -> Tensor:
        """Describe patches.

        Args:
            pixels: (B, 3, 224, 224) pixels from -1 to 1.

        Returns:
            (B, 49, 1280) in raster order.
        """
        x = self.blocks(F.relu6(self.stem(pixels), inplace=True))
        return F.relu6(self.head(x), inplace=True).flatten(2).transpose(1, 2)


def folded(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return the weights of `Lite0`, with every batch normalisation folded into the preceding convolution.

    Args:
        weights: The weights, by their names in the published port to PyTorch: `_conv_stem`,
            `_blocks.0._depthwise_conv`, `_fc`.

    Raises:
        KeyError: A weight is missing.
    """
    named = {"stem": ("_conv_stem", "_bn0"), "head": ("_conv_head", "_bn1")}
    for number in range(sum(stage.blocks for stage in STAGES)):
        parts = {"depthwise": ("_depthwise_conv", "_bn1"), "project": ("_project_conv", "_bn2")}
        if number:
            parts["expand"] = ("_expand_conv", "_bn0")
        for part, (conv, norm) in parts.items():
            named[f"blocks.{number}.{part}"] = (f"_blocks.{number}.{conv}", f"_blocks.{number}.{norm}")
    state = {"classifier.weight": weights["_fc.weight"], "classifier.bias": weights["_fc.bias"]}
    for name, (conv, norm) in named.items():
        scale = weights[f"{norm}.weight"] * torch.rsqrt(weights[f"{norm}.running_var"] + EPS)  # (C',)
        state[f"{name}.weight"] = weights[f"{conv}.weight"] * scale[:, None, None, None]
        state[f"{name}.bias"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
    return state
