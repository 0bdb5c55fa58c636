"""Models over several places, in fewer bits, by other kernels: what works is the same, what does not says why."""

import gc
import importlib.util
import tempfile

import numpy as np
import pytest
import torch

import dyto
from dyto.models.loading.placement import Placement, device_of
from dyto.models.loading.quantizing import quantizer

from forge import forge_model, save_stock
from forge_qwen import forge_qwen3_vl_moe, qwen_tokenizer

ON_DISK = {
    "model.vision_tower": "disk",
    "model.image_newline": "cpu",
    "model.multi_modal_projector": "cpu",
    "model.language_model": "disk",
    "lm_head": "cpu",
}
ONE_LAYER_ON_DISK = {
    "model.visual": "cpu",
    "lm_head": "cpu",
    **{
        f"model.language_model.{part}": "cpu" for part in ("embed_tokens", "norm", "rotary_emb", "layers.0", "layers.2")
    },
    "model.language_model.layers.1": "disk",
}
needs_accelerate = pytest.mark.skipif(not importlib.util.find_spec("accelerate"), reason="needs the extra 'large'")


@pytest.fixture(scope="module")
def stock(tmp_path_factory):
    return save_stock(forge_model(seed=1), tmp_path_factory.mktemp("stock"))


def video(frames=14, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (frames, 40, 52, 3), dtype=np.uint8)


def answers(folder, **options):
    qa = dyto.VideoQA.from_pretrained(folder, **options)
    asked = ["what color is the star ?", "is there a circle ?"]
    return qa, [answer.text for answer in qa.ask_many(video(), asked, max_new_tokens=16)]


@pytest.fixture(scope="module")
def plain(stock):
    return answers(stock, device="cpu")[1]


@needs_accelerate
@pytest.mark.parametrize("spread", ["auto", "sequential", {"": "cpu"}])
def test_a_model_that_fits_is_loaded_as_ever(stock, plain, spread):
    qa, texts = answers(stock, device_map=spread)
    assert texts == plain
    assert str(qa.model.device) == ("cuda:0" if torch.cuda.is_available() and spread != {"": "cpu"} else "cpu")


@needs_accelerate
@pytest.mark.filterwarnings("ignore:The following device_map keys")
@pytest.mark.filterwarnings("ignore:You are calling .generate")  # 5.17 takes weights that wait on disk for a device
@pytest.mark.parametrize("spread", [ON_DISK, {"": "disk"}])
def test_parts_on_disk_answer_as_those_in_memory(stock, plain, spread):
    qa, texts = answers(stock, device_map=spread)
    assert texts == plain
    language_model = qa.model.model.model.language_model
    assert {weight.device.type for weight in language_model.parameters()} == {"meta"}
    assert device_of(language_model) == qa.model.device == torch.device("cpu")


@needs_accelerate
@pytest.mark.filterwarnings("ignore:The following device_map keys")
def test_positions_can_be_scaled_under_a_device_map(stock):
    options = {"rope_scaling_factor": 4.0, "dtype": "float32"}
    long = dyto.DyTo(token_budget=5000)
    texts = []
    for placed in ({"device": "cpu"}, {"device_map": ON_DISK}):
        qa = dyto.VideoQA.from_pretrained(stock, long, **placed, **options)
        texts.append(qa.ask(np.concatenate([video(40)] * 2), "how many ?", max_new_tokens=8, num_frames=80).text)
    assert texts[0] == texts[1]


@needs_accelerate
@pytest.mark.parametrize(
    ("spread", "message"),
    [
        ("balance", "did you mean 'balanced'"),
        ({}, "device_map is empty"),
        ({"model.language": "cpu"}, "unknown part in device_map.*did you mean 'model.language_model'"),
        ({"model.vision_tower": "cpu"}, "gives no device to 'model.image_newline'"),
        ({"": "gpu"}, "device_map puts 'everything' on 'gpu': device 'gpu' is unknown"),
        ({"lm_head": 77, "": "cpu"}, "device_map puts 'lm_head' on 77: found device 'cuda:77'"),
    ],
)
def test_device_maps_that_do_not_fit_are_errors(stock, spread, message):
    with pytest.raises(dyto.ConfigError, match=message):
        dyto.load_model(stock, device_map=spread)


def test_a_device_and_a_device_map_exclude_each_other():
    with pytest.raises(dyto.ConfigError, match="leave one out"):
        dyto.load_model("tiny", device="cpu", device_map="auto")


@pytest.mark.parametrize(
    ("options", "extra", "package"),
    [
        ({"device_map": "auto"}, "large", "accelerate"),
        ({"quantization": "4bit"}, "quantized", "bitsandbytes and accelerate"),
    ],
)
def test_what_is_not_installed_is_named_with_its_extra(monkeypatch, options, extra, package):
    for module in ("placement", "quantizing"):
        monkeypatch.setattr(f"dyto.models.loading.{module}.find_spec", lambda name: None)
    with pytest.raises(dyto.MissingExtraError, match=rf"needs {package}.*pip install '.\[{extra}\]'"):
        dyto.load_model("tiny", **options)


def test_an_unknown_quantization_is_an_error():
    with pytest.raises(dyto.ConfigError, match="did you mean '4bit'"):
        dyto.load_model("tiny", quantization="4bits")


@pytest.mark.parametrize(
    ("name", "device", "there", "expected"),
    [
        ("8bit", "cuda", ("bitsandbytes", "torchao"), "bitsandbytes"),
        ("8bit", "cpu", ("bitsandbytes", "torchao"), "torchao"),
        ("8bit", "cpu", ("bitsandbytes",), "bitsandbytes"),
        ("8bit", "cuda", ("torchao",), "torchao"),
        ("4bit", "cpu", ("bitsandbytes", "torchao"), "bitsandbytes"),
        ("4bit", "cpu", ("torchao",), None),
    ],
)
def test_bits_are_left_out_by_a_package_that_is_there_and_fast_on_the_device(
    monkeypatch, name, device, there, expected
):
    monkeypatch.setattr(
        "dyto.models.loading.quantizing.find_spec", lambda package: package in (*there, "accelerate") or None
    )
    if expected is None:
        with pytest.raises(dyto.MissingExtraError, match="4bit needs bitsandbytes"):
            quantizer(name, torch.device(device))
        return
    assert quantizer(name, torch.device(device)) == expected
    placement = Placement(None, torch.device(device), None, None, quantization=name)
    if name == "8bit" and expected == "bitsandbytes":
        assert placement.pick_dtype(1) == torch.float16
    elif device == "cpu":
        assert placement.pick_dtype(1) == torch.float32


@pytest.fixture(scope="module")
def experts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("experts")
    forge_qwen3_vl_moe().save_pretrained(folder)
    qwen_tokenizer().save_pretrained(folder)
    return folder


def test_quantization_that_would_leave_most_weights_as_they_are_is_refused(experts, monkeypatch):
    monkeypatch.setattr("dyto.models.loading.quantizing.find_spec", lambda package: True)
    with pytest.raises(
        dyto.ConfigError,
        match=r"reaches only 33% of this language model, expected 50% or more: its experts.*device_map='auto'",
    ):
        dyto.load_model(experts, device="cpu", quantization="8bit")


@needs_accelerate
@pytest.mark.filterwarnings("ignore:The following device_map keys")
@pytest.mark.filterwarnings("ignore:You are calling .generate")
@pytest.mark.parametrize("spread", ["auto", {"": "disk"}, ONE_LAYER_ON_DISK])
def test_a_mixture_of_experts_is_spread_as_well(experts, spread, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))

    def logits(**options):
        model = dyto.load_model(experts, dtype="float32", **options)
        prompt = model.tokenize(*dyto.prompts.prompt_for(model.chat, choices=False).fill("why"))
        tokens = dyto.VideoQA(model, "uniform").encode(video(4))
        return model, model.logits(model.prefill(prompt.before, tokens), prompt.after)

    model, found = logits(device_map=spread)
    if isinstance(spread, dict):
        assert "meta" in {weight.device.type for weight in model.model.parameters()}
        assert len([*tmp_path.glob("dyto-*")]) == 1  # experts are of another shape in the files
    torch.testing.assert_close(found, logits(device="cpu")[1], rtol=1e-4, atol=1e-4)
    del model
    gc.collect()
    assert not [*tmp_path.glob("dyto-*")]


@pytest.mark.soak  # which installs the extra `quantized`
@pytest.mark.filterwarnings("ignore")  # of bitsandbytes
@pytest.mark.parametrize(("name", "kept", "dtype"), [("8bit", "int8", "float16"), ("4bit", "uint8", "float32")])
def test_the_language_model_is_kept_in_fewer_bits_and_the_vision_side_is_not(stock, name, kept, dtype, monkeypatch):
    bitsandbytes = pytest.importorskip("bitsandbytes").__name__
    monkeypatch.setattr(
        "dyto.models.loading.quantizing.find_spec", lambda package: package in (bitsandbytes, "accelerate")
    )
    qa, texts = answers(stock, device="cpu", quantization=name)
    core = qa.model.model.model
    assert str(core.language_model.layers[0].mlp.up_proj.weight.dtype) == f"torch.{kept}"
    for part in (core.vision_tower, core.multi_modal_projector, qa.model.model.lm_head):
        assert {str(weight.dtype) for weight in part.parameters()} == {f"torch.{dtype}"}
    assert all(texts)


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore")  # of torchao
def test_torchao_keeps_the_language_model_in_8_bit_on_a_cpu(stock):
    pytest.importorskip("torchao")
    qa, texts = answers(stock, device="cpu", quantization="8bit")
    core = qa.model.model.model
    assert type(core.language_model.layers[0].mlp.up_proj.weight).__name__ == "Int8Tensor"
    assert core.vision_tower.dtype == core.multi_modal_projector.linear_1.weight.dtype == torch.float32
    assert all(texts)


def test_flash_attention_is_never_needed_and_asking_for_it_says_what_is_missing(monkeypatch):
    cuda = Placement(None, torch.device("cuda"), None, None)
    monkeypatch.setattr("dyto.models.loading.placement.find_device", lambda device: cuda.device)
    monkeypatch.setattr("transformers.utils.is_flash_attn_2_available", lambda: False)
    with pytest.raises(dyto.ConfigError, match="flash-attn, which is not installed.*pip install flash-attn.*SDPA"):
        dyto.load_model("tiny", attn_implementation="flash_attention_2")
    monkeypatch.setattr("transformers.utils.is_flash_attn_2_available", lambda: True)
    with pytest.raises(dyto.ConfigError, match="with float32, expected bfloat16"):
        dyto.load_model("tiny", attn_implementation="flash_attention_2", dtype="float32")
    monkeypatch.setattr("dyto.models.loading.placement.find_device", lambda device: torch.device("cpu"))
    with pytest.raises(dyto.ConfigError, match="found flash_attention_2 on cpu, expected a CUDA device"):
        dyto.load_model("tiny", attn_implementation="flash_attention_2")


def test_the_commands_take_the_same_options(clip, capsys):
    from dyto.cli.app import run

    assert run(["ask", str(clip), "what ?", "--quantization", "3bit"], debug=False) == 2
    assert "did you mean '8bit'" in capsys.readouterr().err
    assert run(["ask", str(clip), "what ?", "--device-map", "auot"], debug=False) == 2
    assert "did you mean 'auto'" in capsys.readouterr().err


def test_one_model_over_all_devices_means_one_worker():
    from dyto.evaluation.settings import Settings
    from dyto.evaluation.workers import worker_devices
    from dyto.models.loading.options import Loading

    assert worker_devices(Settings("nextqa", loading=Loading(device_map="auto"))) == [None]


def test_precision_follows_device_size_and_bits():
    cpu = torch.device("cpu")
    assert Placement(None, cpu, None, None).pick_dtype(7_000_000_000) == torch.bfloat16
    assert Placement(None, cpu, None, None, quantization="8bit").pick_dtype(1) == torch.float16
    assert Placement(None, cpu, torch.float32, None, quantization="8bit").pick_dtype(1) == torch.float32
