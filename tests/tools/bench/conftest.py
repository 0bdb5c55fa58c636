"""One small measurement that several tests look at."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

import dyto
from dyto.video import sample_frames
from dyto_bench import floors, setup
from dyto_bench.plan import Plan, Subject
from dyto_bench.processors import find_processor
from dyto_bench.running import bench
from dyto_bench.stock import Stock

MEASURE = floors.measure_rates
BENCH = Path(__file__).resolve().parents[3] / "tools" / "bench" / "scripts"


@pytest.fixture(scope="session")
def rates():
    """What this machine reaches, measured once: each measurement takes seconds."""
    return MEASURE(torch.device("cpu"), torch.float32)


@pytest.fixture(scope="session", autouse=True)
def measured_once(rates):
    """No measurement but that of `document` measures the machine again."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(floors, "measure_rates", lambda device, dtype: dict(rates))
        yield


@pytest.fixture(scope="session")
def published():
    """The side of bench/ that follows the published pipeline."""
    sys.path.insert(0, str(BENCH))
    try:
        import bench_pipeline
    finally:
        sys.path.remove(str(BENCH))
    return bench_pipeline.Published


@pytest.fixture(scope="session")
def subject(tiny, clip):
    plan = Plan(num_frames=12, runs=2, questions=(1, 3), batch_sizes=(1, 2), new_tokens=4)
    indices = tuple(sample_frames(clip, num_frames=12, size=32).indices.tolist())
    return Subject(tiny, find_processor("tiny", None, tiny), dyto.DyTo(), clip, plan, (), 230, indices)


@pytest.fixture(scope="session")
def document(subject, published, measured_once):
    """All kinds of sides, measured for real."""
    sides = setup.our_sides(subject, setup.versions(True, "overlap,keep_prefix", "overlap"))
    with pytest.MonkeyPatch.context() as patch:  # its floors are held against its seconds: of the same minute
        patch.setattr(floors, "measure_rates", MEASURE)
        return bench(subject, [*sides, Stock(subject), published(subject)])
