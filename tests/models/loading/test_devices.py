"""Which device is taken, on machines that this one is not."""

import types

import pytest
import torch

import dyto
from dyto.evaluation.settings import Settings
from dyto.evaluation.workers import worker_devices
from dyto.models.loading import devices
from dyto.models.loading.options import Loading
from dyto.models.loading.placement import Placement
from dyto.timing import synchronize


@pytest.fixture
def machine(monkeypatch):
    """Gives this machine some kinds of devices and takes the others away."""

    def of(**counts):
        for kind in ("cuda", "xpu"):
            number = counts.get(kind, 0)
            monkeypatch.setattr(f"torch.{kind}.is_available", lambda number=number: number > 0)
            monkeypatch.setattr(f"torch.{kind}.device_count", lambda number=number: number)
        monkeypatch.setattr("torch.backends.mps.is_available", lambda: counts.get("mps", 0) > 0)

    return of


@pytest.mark.parametrize(
    ("there", "expected"),
    [
        ({}, "cpu"),
        ({"mps": 1}, "mps"),
        ({"xpu": 2}, "xpu"),
        ({"cuda": 1}, "cuda"),
        ({"cuda": 1, "xpu": 1, "mps": 1}, "cuda"),
        ({"xpu": 1, "mps": 1}, "xpu"),
    ],
)
@pytest.mark.parametrize("asked", [None, "auto"])
def test_the_fastest_kind_that_is_there_is_taken(machine, there, expected, asked):
    machine(**there)
    assert devices.find_device(asked) == torch.device(expected)
    placement = Placement.of(
        revision=None, device=asked, dtype=None, attention=None, device_map=None, quantization=None
    )
    assert placement.device.type == expected


@pytest.mark.parametrize(
    ("asked", "there", "message"),
    [
        ("cuda:2", {"cuda": 2}, "this machine has 2 CUDA devices.*use cuda"),
        ("xpu", {}, "this machine has 0 XPU devices.*use cpu"),
        ("mps", {"cuda": 1}, "this machine has 0 MPS devices.*use cuda"),
        ("mps:1", {"mps": 1}, "this machine has 1 MPS devices"),
        ("metal", {}, "device 'metal' is unknown, expected cpu, cuda, cuda:N, xpu, xpu:N, mps or auto"),
        ("", {}, "device '' is unknown"),
    ],
)
def test_a_device_that_is_not_there_is_an_error_that_names_one_that_is(machine, asked, there, message):
    machine(**there)
    with pytest.raises(dyto.ConfigError, match=message):
        devices.find_device(asked)


def test_auto_works_with_the_real_devices_of_this_machine():
    model = dyto.load_model("tiny", device="auto")
    assert model.device.type == devices.best_kind()
    assert dyto.load_model("tiny").device == model.device


@pytest.mark.parametrize(
    ("kind", "has", "expected"),
    [("mps", True, torch.bfloat16), ("mps", False, torch.float16), ("xpu", True, torch.bfloat16),
     ("xpu", False, torch.float16), ("cuda", False, torch.float16), ("cpu", None, torch.float32)],
)  # fmt: skip
def test_16_bits_are_those_that_a_device_computes_with(monkeypatch, kind, has, expected):
    monkeypatch.setattr("torch.backends.mps.is_macos_or_newer", lambda major, minor: has)
    monkeypatch.setattr("torch.xpu.is_bf16_supported", lambda: has)
    monkeypatch.setattr("torch.cuda.is_bf16_supported", lambda: has)
    assert Placement(None, torch.device(kind), None, None).pick_dtype(1000) == expected


def test_memory_and_time_are_those_of_the_device(monkeypatch):
    waited = []
    card = types.SimpleNamespace(total_memory=7 << 30)
    monkeypatch.setattr("torch.xpu.get_device_properties", lambda device: card)
    monkeypatch.setattr("torch.mps.recommended_max_memory", lambda: 5 << 30)
    monkeypatch.setattr("torch.xpu.synchronize", lambda device: waited.append(str(device)))
    monkeypatch.setattr("torch.mps.synchronize", lambda: waited.append("mps"))
    assert devices.memory_of(torch.device("xpu", 1)) == 7 << 30
    assert devices.memory_of(torch.device("mps")) == 5 << 30
    assert devices.memory_of(torch.device("cpu")) > 10**8
    for name in ("xpu:1", "mps", "cpu"):
        synchronize(torch.device(name))
    assert waited == ["xpu:1", "mps"]


@pytest.mark.parametrize(
    ("there", "device", "workers", "expected"),
    [
        ({"xpu": 2}, None, None, ["xpu:0", "xpu:1"]),
        ({"xpu": 2}, "auto", 3, ["xpu:0", "xpu:1", "xpu:0"]),
        ({"mps": 1}, "auto", None, [None]),
        ({"cuda": 2}, "cuda:1", None, ["cuda:1"]),
        ({}, "auto", 2, [None, None]),
    ],
)
def test_an_evaluation_takes_every_card(machine, there, device, workers, expected):
    machine(**there)
    assert worker_devices(Settings("nextqa", loading=Loading(device=device), workers=workers)) == expected


def test_auto_and_a_device_map_go_together():
    pytest.importorskip("accelerate")
    assert Placement.of(
        revision=None, device="auto", dtype=None, attention=None, device_map="auto", quantization=None
    ).device_map == "auto"  # fmt: skip


def test_the_command_takes_auto(clip, capsys):
    from dyto.cli.app import run

    assert run(["ask", str(clip), "what ?", "--device", "auto", "--num-frames", "4"], debug=False) == 0
    capsys.readouterr()
    assert run(["ask", str(clip), "what ?", "--device", "npu9", "--num-frames", "4"], debug=False) == 2
    assert "expected cpu, cuda, cuda:N, xpu, xpu:N, mps or auto" in capsys.readouterr().err
