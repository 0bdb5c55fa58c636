"""The table of strategies: what must be known about each before its file, and with it torch, is imported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class StrategyRow:
    """What lists and commands say about a strategy; a test compares it with the class.

    Attributes:
        place: "file:class", below `dyto.strategies`.
        line: The first line of its docstring.
        options: Names of its fields, separated by spaces.
        needs: Keys of `dyto.strategies.NEEDS` that the model must offer, separated by spaces.
    """

    place: str
    line: str
    options: str
    needs: str = ""


ROWS: dict[str, StrategyRow] = {
    "dyto": StrategyRow(
        "dyto:DyTo",
        "The method of the paper; every choice is a field, and the defaults are the release.",
        "partition temporal quotas member max_keyframes token_budget reference_budget reduce split order metric_groups",
    ),
    "plus": StrategyRow(
        "plus:Plus",
        "A key frame for each scene that differs by more than noise, and tokens in proportion to what it adds.",
        "factor returning ends token_budget reference_budget reduce split order metric_groups",
    ),
    "plus-2025": StrategyRow(
        "plus_2025:Plus2025",
        "DyTo with a hierarchy over time: as many key frames as the content needs and the budget allows.",
        "least_gain explained least_share member token_budget reference_budget reduce split order metric_groups",
    ),
    "dyto-no-clustering": StrategyRow(
        "ablations:DyToNoClustering",
        "DyTo without clustering: the same number of frames, but uniformly spread, and merged in the same way.",
        "partition temporal quotas member max_keyframes token_budget reference_budget reduce split order metric_groups",
    ),
    "dyto-no-merging": StrategyRow(
        "ablations:DyToNoMerging",
        "DyTo without merging: its key frames, unmerged, evenly thinned until they fit the budget.",
        "partition temporal quotas member max_keyframes token_budget reference_budget reduce split order metric_groups",
    ),
    "uniform": StrategyRow(
        "uniform:Uniform",
        "Uniformly spaced whole frames within the budget, with all their tokens in raster order.",
        "token_budget reference_budget",
    ),
    "uniform-pool": StrategyRow(
        "uniform_pool:UniformPool",
        "Uniformly spaced frames, each average-pooled on its grid.",
        "num_frames pool token_budget reference_budget",
    ),
    "uniform-merge": StrategyRow(
        "uniform_merge:UniformMerge",
        "Uniformly spaced frames, each merged to an equal share of the budget.",
        "num_frames token_budget reference_budget reduce split order metric_groups",
    ),
    "downsample": StrategyRow(
        "downsample:Downsample",
        "Uniformly spaced frames, encoded at a lower resolution, all their tokens in raster order.",
        "num_frames token_budget reference_budget",
        needs="resolutions",
    ),
    "image_grid": StrategyRow(
        "image_grid:ImageGrid",
        "A few uniform frames tiled into one picture, which the model reads like any picture.",
        "num_frames token_budget reference_budget",
        needs="pictures",
    ),
    "slowfast": StrategyRow(
        "slowfast:SlowFast",
        "A slow pathway of few, lightly pooled frames, then a fast pathway of many, strongly pooled ones.",
        "slow_frames slow_pool fast_frames fast_grid token_budget reference_budget",
    ),
    "kmeans": StrategyRow(
        "kmeans:KMeans",
        "Key frames by k-means on the frame summaries, each merged to an equal share of the budget.",
        "num_frames token_budget reference_budget reduce split order metric_groups seed",
    ),
    "visionzip": StrategyRow(
        "visionzip:VisionZip",
        "In each frame, the patches that receive most attention, and a few others that gather the rest.",
        "dominant attention_layer token_budget reference_budget",
        needs="attention",
    ),
    "fastvid": StrategyRow(
        "fastvid:FastVID",
        "Segments of similar frames; each keeps patches with high attention, and density peaks that gather the rest.",
        "segments threshold context anchor_step centre_weight neighbours remainder ties attention_layer "
        "token_budget reference_budget",
        needs="attention",
    ),
    "peaks": StrategyRow(
        "peaks:Peaks",
        "Segments of similar frames; each keeps patches with high attention, and density peaks that gather the rest.",
        "segments threshold salient anchor_step centre_weight neighbours attention_layer token_budget reference_budget",
        needs="attention",
    ),
    "flashvid-outer": StrategyRow(
        "flashvid:FlashVIDOuter",
        "Diverse patches with high attention, and trees of similar patches over time: FlashVID's stages "
        "outside the model.",
        "segments threshold diverse relevance link neighbours counts repeats ties attention_layer "
        "token_budget reference_budget",
        needs="attention",
    ),
    "holitom-outer": StrategyRow(
        "holitom:HoliTomOuter",
        "HoliTom's outer stage: still places in a stretch of frames become one token, others are kept by attention.",
        "threshold window centre_weight neighbours ties attention_layer token_budget reference_budget",
        needs="attention",
    ),
    "evs": StrategyRow(
        "evs:EVS",
        "The patches that differ most from the same place one frame earlier, and all of the first frame.",
        "precision token_budget reference_budget",
    ),
    "vidcom2": StrategyRow(
        "vidcom2:VidCom2",
        "The patches least similar to their video and their frame, more of them from frames that stand out.",
        "channels temperature settle token_budget reference_budget",
    ),
    "vcast": StrategyRow(
        "vcast:VCast",
        "Patches of large norm that differ from their frame; more of them from frames where the video changes course.",
        "temperature least leftover token_budget reference_budget",
    ),
    "query": StrategyRow(
        "query:Query",
        "Key frames by how well they match the question, each merged to an equal share of the budget.",
        "num_frames token_budget reference_budget reduce split order metric_groups towers apart",
        needs="question words",
    ),
    "aks": StrategyRow(
        "aks:AKS",
        "Key frames that match the question, spread over the video if no stretch stands out; merged as in DyTo.",
        "num_frames token_budget reference_budget reduce split order metric_groups towers peak deviation "
        "depth remainder",
        needs="question words",
    ),
    "echo-like": StrategyRow(
        "echo:EchoLike",
        "Patches that match a word of the question and do not echo the previous frame.",
        "temperature window centre token_budget reference_budget",
        needs="question words",
    ),
    "random": StrategyRow(
        "chance:Random",
        "Random patches of all frames: the control for strategies that choose patches.",
        "seed token_budget reference_budget",
    ),
    "random-frames": StrategyRow(
        "chance:RandomFrames",
        "Random whole frames within the budget: the control for strategies that choose frames.",
        "token_budget reference_budget seed",
    ),
    "plus-query": StrategyRow(
        "plus_query:PlusQuery",
        "`Plus` with more tokens for the key frames that match the question; none is dropped.",
        "factor returning ends token_budget reference_budget reduce split order metric_groups boost exact",
        needs="question words",
    ),
    "concat": StrategyRow(
        "uniform:Concat",
        "All tokens of all sampled frames, without compression; only the model's context limits them.",
        "",
    ),
}
"""Every strategy by its name, in the order of the listing."""


class Classes(Mapping[str, type[Any]]):
    """The classes of the strategies by name. A class is imported when it is asked for, names are known before.

    Example:
        >>> classes = Classes()
        >>> "uniform" in classes, classes["uniform"].name
        (True, 'uniform')
    """

    def __getitem__(self, name: str) -> type[Any]:
        module, kind = ROWS[name].place.split(":")
        found: type[Any] = getattr(import_module(f"dyto.strategies.{module}"), kind)
        return found

    def __iter__(self) -> Iterator[str]:
        return iter(ROWS)

    def __len__(self) -> int:
        return len(ROWS)

    def __contains__(self, name: object) -> bool:
        return name in ROWS
