"""Plus: a key frame for each scene that differs by more than the video's noise; more tokens for what adds more.

Ours; not of the paper. `docs/plus.md` says how it works, what was tried, and where rivals win.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.errors import ConfigError
from dyto.features import FrameFeatures, PatchLoader, Stands, VisualTokens, usable_features
from dyto.finch import FloatArray, IntArray
from dyto.strategies import scenes
from dyto.strategies.base import Encode, check_at_least, resolve_budget
from dyto.strategies.merging import check_merging, merge_shares
from dyto.timing import Stopwatch

if TYPE_CHECKING:
    from dyto.video import Frames

READABLE = 1 / 18
"""Share of its patches at which a merged frame counts half as much as a whole one, to decide how many are kept."""
SPARE = 1 / 4
"""Share of its patches that a key frame may have as tokens if it shows anything new and the budget allows."""


@dataclass(frozen=True)
class Plus:
    """A key frame for each scene that differs by more than noise, and tokens in proportion to what it adds.

    A brief scene counts as much as a long one, whatever the length of the video. When a scene returns, it gets only a
    few more tokens. If a video has little to show, a part of the budget stays unused.

    Attributes:
        factor: Two runs of similar frames differ if the squared distance between their means is at least this multiple
            of the video's noise; see `dyto.strategies.scenes`.
        returning: Weight of a repeated scene, relative to 1 for a new one; 0 to 1.
        ends: Weight of the first and the last run if another run shows the same scene; 0 to 1.
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.
        reduce: How merged tokens combine: "max", "mean" or "weighted-mean".
        split: Which tokens are matched: "halves" or "alternate".
        order: Order of tokens inside a frame: "release" or "raster".
        metric_groups: Number of feature slices to average before comparing tokens; 1 compares the features themselves.

    Example:
        >>> import numpy as np
        >>> views = np.random.default_rng(0).normal(size=(5, 1 + 36, 64)).astype("float32")
        >>> film = np.repeat(views, [200, 1, 300, 20, 400], axis=0)      # the second lasts one frame
        >>> Plus(token_budget=99).compress(FrameFeatures.from_projected(film)).keyframes.positions.tolist()
        [99, 200, 350, 510, 720]
    """

    factor: float = 8.0
    returning: float = 0.05
    ends: float = 0.8
    token_budget: int | None = None
    reference_budget: int = 3680
    reduce: str = "max"
    split: str = "alternate"
    order: str = "raster"
    metric_groups: int = 1

    name: ClassVar[str] = "plus"
    uses_question: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()
    picks_keyframes: ClassVar[bool] = True
    takes_segments: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_at_least(self, 0.0, "factor")
        check_merging(self)
        for name in ("returning", "ends"):
            part = getattr(self, name)
            if not isinstance(part, (int, float)) or isinstance(part, bool) or not 0 <= part <= 1:
                raise ConfigError(f"{name} of strategy {self.name!r} is {part!r}, expected a share from 0 to 1")

    def select_keyframes(
        self,
        summary: Tensor | npt.ArrayLike,
        budget: int,
        patches: int,
        stands: Stands | None = None,
        load_patches: PatchLoader | None = None,
    ) -> tuple[IntArray, FloatArray, IntArray]:
        """Choose key frames.

        Args:
            summary: (T, D) one vector per frame, in presentation order.
            budget: Number of tokens available.
            patches: Patches per frame, N.
            stands: The segments that the frames stand for, if each stands for more than itself.
            load_patches: Gives the patches of a few frames, which tell fades from brief scenes where summaries do not.

        Returns:
            (K,) sorted positions, at most `budget` of them; (K,) the worth of each, above 0 and up to 1; and (K,) the
            largest number of tokens for each.

        Raises:
            ValueError: There is no frame, or a summary is NaN.
        """
        x = scenes.directions(summary)
        least = scenes.threshold(x, self.factor, stands and stands.noise)
        runs, least = scenes.scenes_of(x, least, stands and (stands.means, stands.sizes), load_patches)
        ranking = scenes.rank(runs, budget, least)
        worth = self.worth(ranking, least, len(runs.means))
        part = np.where(ranking.apart > 0, np.maximum(worth, SPARE), worth)
        room = np.maximum(1, np.rint(part * patches)).astype(np.int64)
        count = how_many(worth, room, budget, patches)
        chosen = np.argsort(ranking.order[:count])
        return scenes.medoids(x, runs, ranking.order[chosen]), worth[chosen], room[chosen]

    def chosen_of(
        self, features: FrameFeatures, budget: int, watch: Stopwatch
    ) -> tuple[IntArray, FloatArray, IntArray]:
        """Choose key frames of a video, or of the segments that its frames stand for, as `select_keyframes` does."""
        load_patches = watch.taken_off("select", features.patches)  # who makes them says how long that took
        with usable_features(), watch.stage("select"):
            return self.select_keyframes(
                features.summary, budget, features.num_patches, stands=features.stands, load_patches=load_patches
            )

    def worth(self, ranking: scenes.Ranking, least: float, runs: int) -> FloatArray:
        """Return the worth of runs: 1 from half the largest distance on, nearly 0 at `least`; less if a scene returns.

        Args:
            ranking: The runs, in the order in which they are chosen.
            least: Squared distance from which runs differ.
            runs: Number of all runs.

        Returns:
            (K,) values above 0 and up to 1.
        """
        apart = ranking.apart
        full = max(apart[1] / 2 if len(apart) > 1 else 1.0, least + 1e-9)
        worth = np.clip((apart - least) / (full - least), 0.0, 1.0) ** 2
        again = np.where((ranking.order == 0) | (ranking.order == runs - 1), self.ends, self.returning)
        return np.maximum(np.where(apart > 0, worth, again), 1e-3)

    @torch.no_grad()
    def compress(self, features: FrameFeatures) -> VisualTokens:
        """Select key frames and merge their patches.

        Args:
            features: Features of the T sampled frames.

        Returns:
            At most the budget of tokens, frame after frame. Each key frame gets tokens in proportion to its worth, at
            least one, and at most its worth as a share of its patches, or a quarter of them if it shows something new.

        Raises:
            BadFeaturesError: The features hold NaN or infinity.
        """
        n = features.num_patches
        budget = resolve_budget(self.token_budget, self.reference_budget, n)
        watch = Stopwatch(features.summary.device)
        positions, worth, room = self.chosen_of(features, budget, watch)
        return merge_shares(self, features, positions, scenes.share(worth, room, budget), watch)

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode all frames and compress; the question is ignored."""
        return self.compress(encode(frames))


def how_many(worth: FloatArray, room: IntArray, budget: int, patches: int) -> int:
    """Return how many key frames are kept, in the order in which they were chosen.

    A key frame merged from N patches to r tokens shows r / (r + N / 18) of itself. A further key frame is kept if it
    adds more than the others lose by sharing the budget with it.

    Args:
        worth: (K,) worth of each, above 0 and up to 1.
        room: (K,) largest number of tokens for each.
        budget: Number of tokens available.
        patches: Patches per frame, N.

    Returns:
        1 to min(K, budget).

    Example:
        >>> worth, room = np.array([1.0, 1.0, 1.0, 0.05]), np.array([36, 36, 36, 2])
        >>> how_many(worth, room, 3, 36), how_many(worth, room, 120, 36)
        (3, 4)
    """
    best, most = 1, -1.0
    for count in range(1, min(len(worth), budget) + 1):
        mine, held = worth[:count], room[:count]
        tokens = np.minimum(1 + mine * (budget - count) / mine.sum(), held)
        shown = float((mine * tokens / (tokens + READABLE * patches)).sum())
        if shown >= most - 1e-12:
            best, most = count, shown
    return best
