"""Compiled layers and steps against plain ones: the same answers, and a model that is left as it was."""

import functools
import logging
import threading

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

import dyto
from dyto import Savings
from dyto.errors import ModelError
from dyto.models.generation import compiling
from dyto.models.generation.compiling import CompiledBlocks, blocks_of, can_compile, compiled_steps
from dyto.models.towers import CHUNK_FRAMES, look

import forge_qwen
from forge_families import FAMILIES

pytestmark = pytest.mark.filterwarnings("ignore:.*script_method. is deprecated:DeprecationWarning")  # of torch's own
QUESTIONS = ["what color is the star", "is there a red circle at the end of the video", "how many"]


def video(frames=14, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (frames, 70, 96, 3), dtype=np.uint8)


@pytest.fixture
def tiny():
    """A bundled model of one's own: what was compiled stays with it."""
    return dyto.load_model("tiny", device="cpu")


@pytest.fixture
def traced(monkeypatch):
    """What torch compiled, traced by it but run as it is: compiling to machine code takes too long for every family."""
    names = []

    def traced(function, **options):
        names.append(getattr(function, "__qualname__", "other"))
        return functools.partial(torch_compile, backend="eager")(function)

    torch_compile = torch.compile
    torch.compiler.reset()
    monkeypatch.setattr(compiling.torch, "compile", traced)
    monkeypatch.setattr(compiling, "CompileConfig", functools.partial(compiling.CompileConfig, backend="eager"))
    yield names
    torch.compiler.reset()


def both(model, frames):
    sides = []
    for compiled in (False, True):
        qa = dyto.VideoQA(model, savings=Savings(compiled=compiled))
        tokens = qa.encode(frames)
        texts = [answer.text for answer in qa.ask_many(tokens, QUESTIONS, max_new_tokens=10)]
        texts.append(qa.ask(tokens, QUESTIONS[0], max_new_tokens=10).text)
        texts.append("".join(qa.stream(tokens, QUESTIONS[1], max_new_tokens=10)))
        sides.append((tokens, texts))
    return sides


OF_EACH_KIND = ("llava_next", "gemma3", "qwen3_5")
"""Families that are compiled in every run: a plain cache; windows; states, and several axes of positions."""


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.soak] * (name not in OF_EACH_KIND))
        for name in [*FAMILIES, *forge_qwen.FAMILIES]
    ],
)
def test_every_family_answers_the_same_compiled(name, tmp_path, traced):
    own = name in forge_qwen.FAMILIES
    model = forge_qwen.qwen_adapter(name) if own else dyto.load_model(FAMILIES[name].forge(tmp_path), device="cpu")
    (plain, expected), (tokens, texts) = both(model, video())
    torch.testing.assert_close(tokens.data, plain.data, rtol=1e-4, atol=1e-4)
    assert texts == expected
    assert len(set(expected)) > 1
    depth = len(model._compiled_blocks._blocks)
    assert depth > 1
    assert sum(one.endswith("Layer.forward") or one.endswith("Block.forward") for one in traced) >= depth, traced
    windows_or_states = name in ("gemma3", "qwen3_5", "qwen3_5_moe")  # then the cache is not a static one
    assert ("Module._wrapped_call_impl" in traced) is not windows_or_states
    assert not any("forward" in vars(block) for block in model._compiled_blocks._blocks)


@pytest.mark.soak  # the compiler takes most of a minute
def test_machine_code_gives_the_same_answers(tiny, clip):
    if not can_compile("cpu"):
        pytest.skip("there is no C++ compiler, which torch needs to compile for a CPU")
    (plain, expected), (tokens, texts) = both(tiny, clip)
    torch.testing.assert_close(tokens.data, plain.data, rtol=0, atol=5e-5)
    assert np.array_equal(tokens.keyframes.indices, plain.keyframes.indices)
    assert texts == expected


def test_a_prefix_is_left_as_it_was(tiny, clip, traced):
    qa = dyto.VideoQA(tiny, savings=Savings(compiled=True))
    tokens = qa.encode(clip)
    first = [qa.ask(tokens, question, max_new_tokens=6).text for question in QUESTIONS]
    assert [qa.ask(tokens, question, max_new_tokens=6).text for question in reversed(QUESTIONS)] == first[::-1]


def test_a_forward_that_was_there_before_is_there_again():
    blocks = torch.nn.ModuleList([torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)])
    own = blocks[1].forward
    blocks[1].forward = own
    with pytest.raises(RuntimeError, match="stop"), CompiledBlocks(blocks).running():
        assert vars(blocks[0])["forward"] is not None
        raise RuntimeError("stop")
    assert "forward" not in vars(blocks[0])
    assert vars(blocks[1])["forward"] == own


def test_where_torch_cannot_compile_nothing_changes_and_it_is_said_once(tiny, clip, monkeypatch, caplog):
    def fails(function, **options):
        raise RuntimeError("no C++ compiler\nand more")

    monkeypatch.setattr(compiling.torch, "compile", fails)
    can_compile.cache_clear()
    with caplog.at_level(logging.WARNING, "dyto"):
        (plain, expected), (tokens, texts) = both(tiny, clip)
    can_compile.cache_clear()
    assert texts == expected
    assert torch.equal(tokens.data, plain.data)
    assert [record.message for record in caplog.records if "compiled" in record.message] == [
        "torch cannot compile on this machine (no C++ compiler): the saving 'compiled' has no effect"
    ]


@pytest.mark.soak
def test_what_torch_cannot_compile_is_told_with_what_to_do(tiny, clip, monkeypatch):
    def broken(graph, inputs):
        raise ValueError("an operator that nobody knows")

    plain = torch.compile
    torch.compiler.reset()
    assert can_compile("cpu")
    monkeypatch.setattr(compiling.torch, "compile", lambda function, **options: plain(function, backend=broken))
    monkeypatch.setattr(compiling, "CompileConfig", functools.partial(compiling.CompileConfig, backend="eager"))
    qa = dyto.VideoQA(tiny, savings=Savings(compiled=True))
    with pytest.raises(ModelError, match=r"leave out the saving 'compiled'"):
        qa.encode(clip)
    tokens = dyto.VideoQA(tiny).encode(clip)
    with pytest.raises(ModelError, match=r"leave out the saving 'compiled'"):
        qa.ask(tokens, QUESTIONS[0])
    torch.compiler.reset()
    assert dyto.VideoQA(tiny).ask(clip, QUESTIONS[0], max_new_tokens=3).text


def test_graphs_are_recorded_in_a_thread_that_may_and_steps_compiled_without_in_another():
    def asked(found):
        options = GenerationConfig()
        compiled_steps(options, torch.device("cuda"))
        found.append(options.compile_config)

    found = []
    asked(found)
    thread = threading.Thread(target=asked, args=(found,))
    thread.start()
    thread.join()
    assert found[0] is None  # stock generate's own: as a graph
    assert found[1].mode == "default"


def test_a_model_on_several_devices_is_left_alone(tiny, clip, traced, monkeypatch):
    monkeypatch.setattr(tiny.model, "hf_device_map", {"model.vision_tower": 0, "lm_head": "cpu"}, raising=False)
    dyto.VideoQA(tiny, savings=Savings(compiled=True)).ask(clip, QUESTIONS[0], max_new_tokens=3)
    assert traced == []


def test_layers_are_found_whatever_they_are_called(tiny):
    assert len(blocks_of(tiny.tower())) == tiny.model.config.vision_config.num_hidden_layers
    assert blocks_of(torch.nn.Linear(2, 2)) == []


# --- memory ------------------------------------------------------------------------------------------------


def test_where_memory_is_short_fewer_frames_pass_together():
    sizes = []

    def see(pictures):
        if len(pictures) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        sizes.append(len(pictures))
        return torch.tensor([[float(picture[0, 0, 0])] for picture in pictures])

    pictures = np.arange(40, dtype=np.uint8)[:, None, None, None].repeat(3, 3)
    summary, load = look(pictures, see, lambda seen: seen, CHUNK_FRAMES)
    assert summary[:, 0].tolist() == list(range(40))
    assert load(torch.tensor([3, 39]))[:, 0].tolist() == [3.0, 39.0]
    assert set(sizes) == {4}


def test_where_there_is_no_memory_for_one_frame_the_error_comes_through():
    def see(pictures):
        raise torch.OutOfMemoryError("CUDA out of memory")

    with pytest.raises(torch.OutOfMemoryError):
        look(np.zeros((3, 4, 4, 3), np.uint8), see, lambda seen: seen, CHUNK_FRAMES)
