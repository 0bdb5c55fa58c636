"""True shapes with random weights: those of the published configs, and small cousins that work."""

import pytest
import torch

import dyto
from dyto.errors import ModelError
from dyto.models.adapters.tiny import build_tokenizer
from dyto.models.families import FAMILIES
from dyto.models.loading.placement import Placement
from dyto_bench import floors
from dyto_bench.clips import FPS, draw_clip
from dyto_bench.shapes import SHAPES, build_random, check_memory

from conftest import scenes

# What the checkpoints hold: 14.13, 69.5 and 17.53 GB in bfloat16.
PARAMETERS = {"llava-next-7b": 7.06e9, "llava-next-34b": 34.75e9, "qwen3-vl-8b": 8.77e9}


def on_cpu(dtype=None):
    return Placement.of(
        revision=None, device="cpu", dtype=dtype, attention=None, device_map=None, quantization=None
    )  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_the_true_size_is_that_of_the_checkpoint(name):

    tokenizer = build_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_end|>", "<|image_pad|>", "<|video_pad|>"]})
    config = SHAPES[name][0](tokenizer, 1)
    with torch.device("meta"):
        model = FAMILIES[config.model_type].stock_class(config)
    count = sum(weight.numel() for weight in model.parameters())
    assert count == pytest.approx(PARAMETERS[name], rel=0.005)


@pytest.mark.parametrize("name", SHAPES)
def test_a_small_cousin_answers_and_a_seed_repeats(name):
    texts = []
    for seed in (0, 0, 1):
        model, processor = build_random(name, on_cpu(), shrink=16, seed=seed)
        qa = dyto.VideoQA(model, dyto.DyTo(token_budget=200))
        answer = qa.ask(scenes((2, 2)), "is there a red circle ?", max_new_tokens=3, generation={"min_new_tokens": 3})
        texts.append((answer.text, next(model.model.parameters()).sum().item()))
        assert 0 < answer.num_visual_tokens <= 200
        assert processor is not None
    assert texts[0] == texts[1]
    assert texts[0][1] != texts[2][1]


def test_memory_is_checked_before_anything_is_allocated():
    with pytest.raises(ModelError, match=r"needs about 1200000.0 GB in all, but cpu has .* free"):
        check_memory("huge", 10**15, torch.device("cpu"))
    check_memory("small", 1000, torch.device("cpu"))


def test_the_tower_s_operations_are_those_that_torch_counts(tiny):
    from torch.utils.flop_counter import FlopCounterMode

    tower = tiny.model.model.vision_tower
    pixels = torch.zeros(2, 3, 84, 84)
    with torch.inference_mode(False), torch.no_grad(), FlopCounterMode(display=False) as counter:
        previous = tiny.model.config._attn_implementation
        tower.set_attn_implementation("eager")
        tower(pixels)
        tower.set_attn_implementation(previous)
    one, _, size = floors.tower_work(tiny, 36)
    depth = tiny.model.config.vision_config.num_hidden_layers
    layer = (counter.get_total_flops() / 2 - _embedding(tower)) / depth
    assert one == pytest.approx(_embedding(tower) + layer * (depth - 1), rel=1e-6)  # the last layer is not needed
    assert size == 3 * 84 * 84


def _embedding(tower):
    """Operations of the patches' embedding for one picture."""
    (convolution,) = [part for part in tower.modules() if isinstance(part, torch.nn.Conv2d)]
    return 2 * convolution.weight.numel() * 36


def test_a_drawn_clip_has_the_length_and_size_that_were_asked_for(tmp_path):
    film = draw_clip(tmp_path / "a.mp4", seconds=2, size=(96, 160))
    draw_clip(tmp_path / "b.mp4", seconds=2, size=(96, 160))
    frames = dyto.sample_frames(tmp_path / "a.mp4", num_frames=100)
    assert film.num_frames == frames.total == 2 * FPS
    assert frames.source_size == (96, 160)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_rates_are_plausible(rates):
    assert 1e9 < rates["operations"] < 1e14
    assert 1e8 < rates["bytes"] < 1e13
