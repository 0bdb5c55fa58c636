"""Strategies: how frames become visual tokens for the language model. One file each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dyto.errors import ConfigError
from dyto.strategies.base import NEEDS as NEEDS
from dyto.strategies.base import Encode as Encode
from dyto.strategies.base import Strategy as Strategy
from dyto.strategies.presets import PRESETS as PRESETS
from dyto.strategies.published import check_options, named_strategy
from dyto.strategies.table import ROWS as ROWS
from dyto.strategies.table import Classes

if TYPE_CHECKING:  # one line per strategy; `dyto.strategies.table` says where each is, so that none is imported here
    # isort: off
    from dyto.strategies.dyto import DyTo as DyTo
    from dyto.strategies.plus import Plus as Plus
    from dyto.strategies.plus_2025 import Plus2025 as Plus2025
    from dyto.strategies.ablations import DyToNoClustering as DyToNoClustering
    from dyto.strategies.ablations import DyToNoMerging as DyToNoMerging
    from dyto.strategies.uniform import Uniform as Uniform
    from dyto.strategies.uniform_pool import UniformPool as UniformPool
    from dyto.strategies.uniform_merge import UniformMerge as UniformMerge
    from dyto.strategies.downsample import Downsample as Downsample
    from dyto.strategies.image_grid import ImageGrid as ImageGrid
    from dyto.strategies.slowfast import SlowFast as SlowFast
    from dyto.strategies.kmeans import KMeans as KMeans
    from dyto.strategies.visionzip import VisionZip as VisionZip
    from dyto.strategies.fastvid import FastVID as FastVID
    from dyto.strategies.peaks import Peaks as Peaks
    from dyto.strategies.flashvid import FlashVIDOuter as FlashVIDOuter
    from dyto.strategies.holitom import HoliTomOuter as HoliTomOuter
    from dyto.strategies.evs import EVS as EVS
    from dyto.strategies.vidcom2 import VidCom2 as VidCom2
    from dyto.strategies.vcast import VCast as VCast
    from dyto.strategies.query import Query as Query
    from dyto.strategies.aks import AKS as AKS
    from dyto.strategies.echo import EchoLike as EchoLike
    from dyto.strategies.chance import Random as Random
    from dyto.strategies.chance import RandomFrames as RandomFrames
    from dyto.strategies.plus_query import PlusQuery as PlusQuery
    from dyto.strategies.uniform import Concat as Concat
    # isort: on

STRATEGIES = Classes()
"""Every strategy by its name. A strategy of your own needs no entry here: pass the object."""
DEFAULT = "plus"
"""The strategy where none is named; docs/plus.md says why it is this one."""

_NAMES = {row.place.partition(":")[2]: name for name, row in ROWS.items()}


def __getattr__(name: str) -> Any:
    """Import a strategy when it is first asked for, because it needs torch."""
    if name in _NAMES:
        return STRATEGIES[_NAMES[name]]
    raise AttributeError(f"module 'dyto.strategies' has no attribute {name!r}")


def build_strategy(name: str | None = None, *, preset: str | None = None, **fields: Any) -> Strategy:
    """Make a strategy from its name.

    Args:
        name: One of `STRATEGIES`, alone or with options ("uniform-pool:pool=3,num_frames=57"), or a published name
            ("slowfast-slow_10frms_spatial_1d_max_pool-fast_4x4"); None for `DEFAULT`, and for "dyto" with a preset.
        preset: A preset of "dyto".
        **fields: Fields of the strategy to set; None values are left at their default.

    Returns:
        The strategy.

    Raises:
        ConfigError: A name, preset or field is unknown (the nearest known one is named), or a field is given twice.

    Example:
        >>> build_strategy("dyto", preset="finest", token_budget=1000).token_budget
        1000
        >>> build_strategy("uniform-pool:pool=3").pool
        3
    """
    name, written = named_strategy(chosen_name(name, preset), "strategy")
    given = {key: _frozen(value) for key, value in fields.items() if value is not None}
    twice = sorted(given.keys() & written.keys())
    if twice:
        raise ConfigError(f"{twice[0]} of strategy {name!r} is given twice, expected once: leave one out")
    given |= written
    check_options(name, given, preset)
    kind = STRATEGIES[name]
    strategy: Strategy = kind(**given) if preset is None else kind.preset(preset, **given)
    return strategy


def chosen_name(name: str | None, preset: str | None) -> str:
    """Return the name of a strategy where none may be given: presets are those of "dyto".

    Example:
        >>> chosen_name(None, None), chosen_name(None, "finest"), chosen_name("evs", None)
        ('plus', 'dyto', 'evs')
    """
    return name if name is not None else DEFAULT if preset is None else "dyto"


def _frozen(value: Any) -> Any:
    """Turn a list (rows and columns, as YAML and JSON give them) into the tuple that a frozen strategy holds."""
    return tuple(value) if isinstance(value, list) else value
