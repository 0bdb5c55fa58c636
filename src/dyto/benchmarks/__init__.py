"""The benchmarks, one declarative file each.

Example:
    >>> get("nextqa").title
    'NExT-QA'
"""

from __future__ import annotations

from pathlib import Path

from dyto.benchmarks.activitynet import ACTIVITYNET
from dyto.benchmarks.base import Benchmark, Sample
from dyto.benchmarks.egoschema import EGOSCHEMA
from dyto.benchmarks.intentqa import INTENTQA
from dyto.benchmarks.msrvtt import MSRVTT
from dyto.benchmarks.msvd import MSVD
from dyto.benchmarks.mvbench import MVBENCH
from dyto.benchmarks.nextqa import NEXTQA
from dyto.benchmarks.star import STAR
from dyto.benchmarks.synthetic import SYNTHETIC, SYNTHETIC_OPEN
from dyto.benchmarks.tgif import TGIF
from dyto.benchmarks.vcgbench import CONSISTENCY, GENERIC, TEMPORAL
from dyto.benchmarks.videomme import VIDEOMME, VIDEOMME_SUBTITLES
from dyto.errors import DatasetError, unknown

__all__ = ["BENCHMARKS", "GROUPS", "Benchmark", "Sample", "expand", "get"]

BENCHMARKS: dict[str, Benchmark] = {
    benchmark.name: benchmark
    for benchmark in (
        MSVD,
        MSRVTT,
        TGIF,
        ACTIVITYNET,
        NEXTQA,
        EGOSCHEMA,
        INTENTQA,
        STAR,
        VIDEOMME,
        VIDEOMME_SUBTITLES,
        MVBENCH,
        GENERIC,
        TEMPORAL,
        CONSISTENCY,
        SYNTHETIC,
        SYNTHETIC_OPEN,
    )
}

GROUPS: dict[str, tuple[str, ...]] = {"vcgbench": ("generic", "temporal", "consistency")}


def get(name: str) -> Benchmark:
    """Return the benchmark with a name.

    Raises:
        ConfigError: The name is unknown; the message suggests the nearest.
    """
    if name not in BENCHMARKS:
        raise unknown("benchmark", name, BENCHMARKS)
    return BENCHMARKS[name]


def expand(name: str, qa_file: str | Path | None = None) -> tuple[str, ...]:
    """Return the names of a group of benchmarks: "vcgbench" is three question files.

    Args:
        name: A benchmark or a group.
        qa_file: The question file, if given; for a group the folder of all files.

    Raises:
        ConfigError: The name is unknown.
        DatasetError: A single file was given for a group.

    Example:
        >>> expand("vcgbench")
        ('generic', 'temporal', 'consistency')
    """
    if name not in BENCHMARKS and name not in GROUPS:
        raise unknown("benchmark", name, [*BENCHMARKS, *GROUPS])
    parts = GROUPS.get(name, (name,))
    if len(parts) > 1 and qa_file is not None and Path(qa_file).is_file():
        raise DatasetError(
            f"{qa_file} is one file, and {name} has {len(parts)} ({', '.join(parts)}): give the folder of them "
            f"all, or name the one that it belongs to instead of {name}"
        )
    return parts
