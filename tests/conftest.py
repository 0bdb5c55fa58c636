"""Fixtures that several tests share: the bundled model, a small clip, and the shared data where it is there."""

from __future__ import annotations

import gc
import importlib
import os
import sys
import zlib
from collections import Counter
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import av
import numpy as np
import pytest
import torch

import dyto

from installed import write_down_bench

GOLDEN = Path(__file__).parent / "golden"
"""A small part of the golden files: its README says where the values come from."""

os.environ.setdefault("DYTO_MODEL", "tiny")  # what a command asks where a test names no model: always the same

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items):
    """Leave to the soak what the marker `sampled` leaves out: of n cases of a test, all but one."""
    seen: Counter[str] = Counter()
    for item in items:
        if marker := item.get_closest_marker("sampled"):
            name = item.nodeid.partition("[")[0]
            if seen[name] % marker.args[0]:
                item.add_marker(pytest.mark.soak)
            seen[name] += 1


def pytest_collection_finish():
    """What was imported lives to the end: the collector of garbage need not look through it again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def bench_is_found(tmp_path_factory) -> None:
    """`dyto bench` is there in every environment, also where dyto-bench is not installed beside dyto."""
    try:
        distribution("dyto-bench")
    except PackageNotFoundError:
        folder = tmp_path_factory.mktemp("installed")
        write_down_bench(folder)
        sys.path.append(str(folder))
        importlib.invalidate_caches()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of golden files, question files and real clips."""
    if not SHARED.is_dir():
        pytest.skip(f"no shared test data at {SHARED}")
    return SHARED


@pytest.fixture(scope="session", params=["small part", "whole"])
def golden(request):
    """Reads a golden file, case by case: the part in this repository and, where it is there, the whole."""
    folder = GOLDEN if request.param == "small part" else request.getfixturevalue("shared") / "golden"
    return lambda name: golden_cases(folder / name)


def golden_cases(path: Path) -> list[dict[str, np.ndarray]]:
    """The values of each case by their names; tokens that are kept as a seed are made."""
    cases: dict[int, dict[str, np.ndarray]] = {}
    with np.load(path) as file:
        for key in file.files:
            number, name = key.split("_", 1)
            cases.setdefault(int(number), {})[name] = file[key]
    for case in cases.values():
        if "seed" in case:
            case["tokens"] = np.random.default_rng(int(case["seed"])).standard_normal(case["shape"]).astype(np.float32)
            assert zlib.crc32(case["tokens"].tobytes()) == case["checksum"], "numpy draws other numbers than it did"
    return [cases[number] for number in sorted(cases)]


@pytest.fixture(scope="session")
def tiny() -> dyto.models.VideoModel:
    """The bundled model, loaded once; tests must not change it."""
    return dyto.load_model("tiny", device="cpu")


@pytest.fixture
def one_thread():
    """Torch with one thread while a test runs: on a busy machine more of them mostly wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def qa(tiny) -> dyto.VideoQA:
    return dyto.VideoQA(tiny)


def scenes(lengths=(9, 14, 7, 20, 4, 11), size=(64, 96), seed=3) -> np.ndarray:
    """(T, H, W, 3) uint8: coloured scenes of unequal lengths, a bright square moving through each."""
    rng = np.random.default_rng(seed)
    frames = []
    for length in lengths:
        background = rng.integers(0, 200, 3)
        for step in range(length):
            frame = np.full((*size, 3), background, np.uint8)
            x = (step * 4) % (size[1] - 12)
            frame[20:32, x : x + 12] = 255 - background
            frames.append(frame)
    return np.stack(frames)


def write_clip(path: Path) -> Path:
    """Write a real H.264 file of 65 frames at 10 per second."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10, options={"g": "12"})
        pixels = scenes()
        stream.height, stream.width = pixels.shape[1:3]
        stream.pix_fmt = "yuv420p"
        for frame in pixels:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode())
    return path


@pytest.fixture(scope="session")
def clip(tmp_path_factory) -> Path:
    """A clip of `write_clip`."""
    return write_clip(tmp_path_factory.mktemp("clip") / "clip.mp4")
