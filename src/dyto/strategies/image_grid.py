"""IG-VLM: a few frames tiled into one picture, which the model reads like any picture.

Source: Kim et al., "An Image Grid Can Be Worth a Video: Zero-shot Video Question Answering Using a VLM" (arXiv
2403.18406).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt

from dyto.features import KeyFrames, Sources, VisualTokens
from dyto.finch import FloatArray, IntArray
from dyto.strategies.base import Budgeted, Encode, check_at_least, hook, too_small
from dyto.strategies.uniform import spread

if TYPE_CHECKING:
    from dyto.video import Frames

WHITE = 255


@dataclass(frozen=True)
class ImageGrid(Budgeted):
    """A few uniform frames tiled into one picture, which the model reads like any picture.

    Six frames form three rows of two. If the tokens of the picture do not fit the budget, the picture gets fewer
    frames; if not even one frame fits with the model's tiles, the picture is read without tiles. A token
    that sees no frame (a newline, an empty cell) is attributed to the patch before it.

    Attributes:
        num_frames: Largest number of frames.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.

    Example:
        >>> import numpy as np, dyto
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
        >>> dyto.VideoQA.from_pretrained("tiny", dyto.ImageGrid()).encode(video)
        VisualTokens(192 tokens of 4 key frames, budget=230, uncompressed=432, dim=192)
    """

    num_frames: int = 6
    token_budget: int | None = None
    reference_budget: int = 3680

    name: ClassVar[str] = "image_grid"
    needs: ClassVar[tuple[str, ...]] = ("pictures",)

    def __post_init__(self) -> None:
        super().__post_init__()
        check_at_least(self, 1, "num_frames")

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Tile the frames and let the model read the picture; the question is ignored.

        Returns:
            The tokens that the model makes of a picture of this size, in its order.

        Raises:
            ConfigError: The model has no path for pictures, or the budget is below one picture without tiles.
        """
        encode_picture, length = hook(self, encode, "pictures"), hook(self, encode, "pictures", 1)
        first = encode(frames[:1])  # shows the number of patches per frame
        n = first.num_patches
        budget = self.budget_for(n)
        if budget < n:
            raise too_small(budget, n, "one picture")
        size = frames.data.shape[1:3]
        most = min(self.num_frames, len(frames))
        fitting = (count for count in range(most, 0, -1) if length(picture_size(count, size)) <= budget)
        count = next(fitting, 0)
        positions = spread(len(frames), count or most)
        picture = encode_picture(tile(frames.data[positions]), count > 0)
        keyframe, sources = places_in_frames(picture.boxes, len(positions), first.grid)
        alone = f"image_grid: no tiles fit the budget of {budget}, so the picture is one square of {n} tokens"
        return VisualTokens(
            data=picture.data,
            keyframes=KeyFrames(frames.indices[positions], frames.seconds[positions], positions),
            keyframe=keyframe,
            sources=sources,
            grid=first.grid,
            budget=budget,
            uncompressed=len(frames) * n,
            warnings=() if count else (alone,),
        )


def layout(count: int) -> tuple[int, int]:
    """Return rows and columns for a number of frames: round(sqrt(count)) columns.

    Example:
        >>> layout(6), layout(4), layout(5), layout(1)
        ((3, 2), (2, 2), (3, 2), (1, 1))
    """
    columns = round(math.sqrt(count))
    return -(-count // columns), columns


def picture_size(count: int, size: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width of the picture of `count` frames, each of (height, width)."""
    rows, columns = layout(count)
    return rows * size[0], columns * size[1]


def tile(frames: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """Tile frames into one picture, row by row, white where there is no frame.

    Args:
        frames: (n, H, W, 3) uint8.

    Returns:
        (rows * H, columns * W, 3) uint8.
    """
    count, height, width, channels = frames.shape
    rows, columns = layout(count)
    cells = np.full((rows * columns, height, width, channels), WHITE, np.uint8)
    cells[:count] = frames
    grid = cells.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return grid.reshape(rows * height, columns * width, channels)


def places_in_frames(boxes: FloatArray, count: int, grid: tuple[int, int]) -> tuple[IntArray, Sources]:
    """Return the patches of frames that each token of a tiled picture sees.

    Args:
        boxes: (L, 4) top, left, bottom and right of what each token sees, as shares of the picture; NaN for a token
            that sees nothing.
        count: Number of frames in the picture.
        grid: Rows and columns of the patches of a frame.

    Returns:
        (L,) the frame that contains the middle of each box (or the first that it sees), and the sources of all
        tokens.
    """
    rows, columns = layout(count)
    scale = np.array([rows * grid[0], columns * grid[1]] * 2)
    seen: tuple[IntArray, IntArray] = (np.zeros(1, np.int64), np.zeros(1, np.int64))
    keyframe = np.zeros(len(boxes), np.int64)
    token, frame, patch = [], [], []
    for index, box in enumerate(boxes * scale):
        if not np.isnan(box).any():
            low, high = np.floor(box[:2] + 1e-6).astype(int), np.ceil(box[2:] - 1e-6).astype(int)
            row, col = np.meshgrid(*map(np.arange, low, np.maximum(high, low + 1)), indexing="ij")
            cell = (row // grid[0] * columns + col // grid[1]).ravel()
            place = (row % grid[0] * grid[1] + col % grid[1]).ravel()
            if (cell < count).any():
                seen = cell[cell < count], place[cell < count]
                middle = int((box[0] + box[2]) / 2 // grid[0] * columns + (box[1] + box[3]) / 2 // grid[1])
                keyframe[index] = middle if middle in seen[0] else seen[0][0]
            else:
                seen, keyframe[index] = (seen[0][-1:], seen[1][-1:]), seen[0][-1]
        else:
            seen, keyframe[index] = (seen[0][-1:], seen[1][-1:]), seen[0][-1]
        token.append(np.full(len(seen[0]), index))
        frame.append(seen[0])
        patch.append(seen[1])
    return keyframe, Sources(*(np.concatenate(column).astype(np.int64) for column in (token, frame, patch)))
