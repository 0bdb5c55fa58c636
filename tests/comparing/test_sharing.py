"""One encoding for all strategies: what is handed out, and what is charged."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from dyto.comparing.cells import Cell, attention_layer
from dyto.comparing.memory import PeakMemory
from dyto.errors import ConfigError
from dyto.models.generation.sharing import SharedVision
from dyto.strategies import Uniform, VisionZip
from dyto.video import sample_frames

from conftest import scenes


@pytest.fixture
def frames(tiny):
    return sample_frames(scenes(), num_frames=10, size=tiny.image_size)


@pytest.fixture
def passes(tiny, monkeypatch):
    """How many pictures passed the tower, time after time."""
    seen, real = [], type(tiny).encode

    def encode(self, images, *, attention_layer=None):
        seen.append((len(images), attention_layer))
        return real(self, images, attention_layer=attention_layer)

    monkeypatch.setattr(type(tiny), "encode", encode)
    return seen


def test_parts_are_those_of_the_one_pass(tiny, frames, passes):
    vision = SharedVision(tiny)
    vision.open(frames)
    whole = vision.model.encode(frames)
    for which in ([0], [3, 7, 8], slice(None, None, 2), [9, 2]):
        part = vision.model.encode(frames[which])
        positions = np.arange(10)[which]
        assert torch.equal(part.summary, whole.summary[positions])
        assert torch.equal(part.patches([0]), whole.patches(positions[:1]))
        assert np.array_equal(part.seconds, frames.seconds[positions])
    assert passes == [(10, None)]
    assert tiny.encode is not vision.model.encode, "the model itself is left alone"


def test_changed_frames_and_composed_pictures_pass_the_tower_by_themselves(tiny, frames, passes):
    vision = SharedVision(tiny)
    vision.open(frames)
    changed = dataclasses.replace(frames[[1, 2]], data=frames.data[[1, 2]] // 2)
    other = dataclasses.replace(frames[[1]], indices=np.array([10_000]))
    for images in (changed, other, [frames.data[0]]):
        vision.model.encode(images)
    assert passes == [(10, None), (2, None), (1, None), (1, None)]
    assert vision.take_charge() == 0


def test_each_is_charged_the_share_of_the_frames_that_it_asked_for(tiny, frames, monkeypatch):
    vision = SharedVision(tiny)
    monkeypatch.setattr(vision, "_now", iter([100.0, 110.0, 120.0, 121.5]).__next__)
    assert vision.open(frames) == 10
    vision.model.encode(frames[:3])
    assert vision.take_charge() == pytest.approx(0.3 * 10 - 1.5)  # what looking up took was measured by the caller
    assert vision.take_charge() == 0


def test_attention_comes_with_the_one_pass_where_it_is_known_to_be_needed(tiny, frames, passes):
    layer = attention_layer(
        [Cell("uniform", 72, "", Uniform(72)), Cell("visionzip", 72, "", VisionZip(token_budget=72))]
    )
    vision = SharedVision(tiny, layer)
    vision.open(frames)
    part = vision.model.encode(frames[[4]], attention_layer=layer)
    assert part.attention.shape == (1, 36)
    assert vision.model.encode(frames[[4]]).attention is not None
    assert passes == [(10, -2)]


def test_attention_that_a_model_cannot_give_is_refused_to_those_who_ask_and_to_nobody_else(tiny, frames, monkeypatch):
    real = type(tiny).encode

    def encode(self, images, *, attention_layer=None):
        if attention_layer is not None:
            raise ConfigError("this model offers no attention")
        return real(self, images)

    monkeypatch.setattr(type(tiny), "encode", encode)
    vision = SharedVision(tiny, -2)
    vision.open(frames)
    assert len(vision.model.encode(frames)) == 10
    with pytest.raises(ConfigError, match="offers no attention"):
        vision.model.encode(frames, attention_layer=-2)


def test_the_next_video_frees_the_one_before(tiny, frames, passes):
    vision = SharedVision(tiny)
    vision.open(frames)
    vision.open(frames[:4])
    assert len(vision.model.encode(frames[:4])) == 4
    vision.model.encode(frames[[8]])
    assert passes == [(10, None), (4, None), (1, None)]


def test_peak_memory_is_that_of_each_stage():
    memory = PeakMemory(torch.device("cpu"))
    memory.begin("large")
    if not memory.stages and memory._peak() is None:
        pytest.skip("this system does not tell the peak memory of a process")
    block = np.ones(40_000_000)  # 305 MiB
    del block
    memory.begin("small")
    memory.begin(None)
    assert memory.stages["large"] > memory.stages["small"] + 200
