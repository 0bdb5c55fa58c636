"""The benchmarks, one declarative file each.

Example:
    >>> get("nextqa").title
    'NExT-QA'
"""

from __future__ import annotations

from pathlib import Path

from dyto.benchmarks.base import Benchmark as Benchmark
from dyto.benchmarks.base import Sample as Sample
from dyto.errors import ConfigError, DatasetError
from dyto.system.objects import find_object

# One line per benchmark, in the order of the listing.
# isort: off
from dyto.benchmarks.msvd import MSVD as MSVD
from dyto.benchmarks.msrvtt import MSRVTT as MSRVTT
from dyto.benchmarks.tgif import TGIF as TGIF
from dyto.benchmarks.activitynet import ACTIVITYNET as ACTIVITYNET
from dyto.benchmarks.nextqa import NEXTQA as NEXTQA
from dyto.benchmarks.egoschema import EGOSCHEMA as EGOSCHEMA
from dyto.benchmarks.intentqa import INTENTQA as INTENTQA
from dyto.benchmarks.star import STAR as STAR
from dyto.benchmarks.videomme import VIDEOMME as VIDEOMME
from dyto.benchmarks.videomme import VIDEOMME_SUBTITLES as VIDEOMME_SUBTITLES
from dyto.benchmarks.mvbench import MVBENCH as MVBENCH
from dyto.benchmarks.vcgbench import GENERIC as GENERIC
from dyto.benchmarks.vcgbench import TEMPORAL as TEMPORAL
from dyto.benchmarks.vcgbench import CONSISTENCY as CONSISTENCY
from dyto.benchmarks.synthetic import SYNTHETIC as SYNTHETIC
from dyto.benchmarks.synthetic import SYNTHETIC_OPEN as SYNTHETIC_OPEN
# isort: on

BENCHMARKS: dict[str, Benchmark] = {
    value.name: value for value in list(globals().values()) if isinstance(value, Benchmark)
}
"""Every benchmark by its name. One of your own needs no entry here: name its file."""

GROUPS: dict[str, tuple[str, ...]] = {
    group: tuple(name for name, benchmark in BENCHMARKS.items() if benchmark.group == group)
    for group in {benchmark.group: None for benchmark in BENCHMARKS.values() if benchmark.group}
}
"""Names for several benchmarks together."""


def get(name: str) -> Benchmark:
    """Return the benchmark with a name.

    Args:
        name: A name of `BENCHMARKS`, "package.module:NAME" or "path/to/file.py:NAME". The module or file is run.

    Raises:
        ConfigError: There is no such benchmark, file, module or name (the message suggests the nearest), or what it
            names is no `Benchmark`, or its name is that of another benchmark, or its
            fields do not fit together.
    """
    if name in BENCHMARKS:
        return BENCHMARKS[name]
    found = find_object(name, "benchmark", [*BENCHMARKS, *GROUPS], lambda value: isinstance(value, Benchmark))
    if not isinstance(found, Benchmark):
        raise ConfigError(f"{name} is of type {type(found).__name__}, expected a dyto.benchmarks.Benchmark")
    if BENCHMARKS.get(found.name, found) is not found or found.name in GROUPS:
        raise ConfigError(f"{name} is called {found.name!r}, but that is another benchmark: choose a new name")
    found.check()
    return found


def expand(name: str, qa_file: str | Path | None = None) -> tuple[str, ...]:
    """Return the names of a group of benchmarks: "vcgbench" is three question files.

    Args:
        name: A group, or a benchmark as in `get`.
        qa_file: The question file, if given; for a group the folder of all files.

    Raises:
        ConfigError: There is no such benchmark.
        DatasetError: A single file was given for a group.

    Example:
        >>> expand("vcgbench")
        ('generic', 'temporal', 'consistency')
    """
    if name not in GROUPS:
        get(name)
    parts = GROUPS.get(name, (name,))
    if len(parts) > 1 and qa_file is not None and Path(qa_file).is_file():
        raise DatasetError(
            f"{qa_file} is one file, and {name} has {len(parts)} ({', '.join(parts)}): give the folder of them "
            f"all, or name the one that it belongs to instead of {name}"
        )
    return parts
