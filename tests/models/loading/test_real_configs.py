"""Checkpoints of real configs, widths cut: true names and ids of weights and words, heads, ends, contexts."""

import json

import pytest
import torch
from safetensors import safe_open

import dyto
from dyto.models.generation.decoding import end_ids
from dyto.models.loading.files import parse_json
from dyto.models.loading.load import read_config
from forge_real import SPECIALS, cut, forge_real, named, rename_weights

TIED = ("gemma3-12b", "gemma3-4b", "llava-onevision-0.5b-hf", "qwen3-vl-2b", "qwen3-vl-4b")
"""Those whose config, or whose language model's, says that the head is the embeddings."""

UNTIED = (
    "internvl3-1b-hf", "llava-next-video-7b-hf", "llava-onevision-7b-hf", "llava-v1.6-34b-hf",
    "llava-v1.6-mistral-7b-hf", "llava-v1.6-vicuna-13b-hf", "llava-v1.6-vicuna-7b-hf", "qwen2.5-vl-7b", "qwen3-vl-8b",
    "smolvlm2-500m",
)  # fmt: skip
FAST = ("gemma3-4b", "internvl3-1b-hf", "llava-onevision-0.5b-hf", "llava-v1.6-vicuna-7b-hf", "smolvlm2-500m")


def some(names):
    """All of them when there is time, one of each kind of file otherwise."""
    return [pytest.param(name, marks=() if name in FAST else pytest.mark.soak) for name in names]


@pytest.fixture(scope="module")
def forged(request, tmp_path_factory):
    """Folders of real configs, each written once."""
    made = {}

    def of(name):
        if name not in made:
            source = request.getfixturevalue("shared") / "configs" / name
            made[name] = forge_real(source, tmp_path_factory.mktemp(name))
        return made[name]

    return of


def held(folder):
    with safe_open(folder / "model.safetensors", "pt") as file:
        return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict


def test_every_real_config_is_of_one_kind_or_the_other(shared):
    there = {folder.name for folder in (shared / "configs").iterdir() if folder.is_dir()}
    assert there >= {*TIED, *UNTIED}
    assert there - {*TIED, *UNTIED} <= {"llava-v1.6-vicuna-7b-original", "qwen3.5-9b"}


@pytest.mark.parametrize("name", some(TIED + UNTIED))
def test_every_weight_of_the_files_is_in_the_model_bit_by_bit(forged, name):
    folder = forged(name)
    model = dyto.load_model(folder, device="cpu", dtype=str(next(iter(held(folder).values())).dtype)[6:]).model
    ours = {id(weight): weight for weight in [*model.state_dict().values()]}
    sums = sorted((tuple(weight.shape), float(weight.double().sum())) for weight in ours.values())
    theirs = {key: (tuple(weight.shape), float(weight.double().sum())) for key, weight in held(folder).items()}
    left = [key for key, one in theirs.items() if one not in sums]
    assert not left
    tied = model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    assert tied == (name in TIED)
    assert any("lm_head" in key for key in theirs) == (name not in TIED)


@pytest.mark.parametrize("name", some(UNTIED))
def test_a_head_that_is_missing_is_never_made_up(forged, tmp_path, name):
    folder = tmp_path / "m"
    folder.mkdir()
    for file in forged(name).iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    rename_weights(folder, "$^", "", drop="lm_head")
    with pytest.raises(dyto.ModelError, match="1 missing weights .first: lm_head.weight"):
        dyto.load_model(folder, device="cpu")


@pytest.mark.parametrize("name", some(TIED + UNTIED))
def test_true_ids_ends_and_words_are_kept(forged, shared, name):
    model = dyto.load_model(forged(name), device="cpu")
    config = parse_json(name, shared / "configs" / name / "config.json")
    specials = named(SPECIALS, name)
    for word, number in specials.items():
        assert model.tokenizer.convert_tokens_to_ids(word) == number
    vocabulary = config.get("vocab_size") or config.get("text_config", {}).get("vocab_size")
    if vocabulary:
        assert model.model.get_input_embeddings().weight.shape[0] == config.get("text_config", config)["vocab_size"]
    said = config.get("eos_token_id", config.get("text_config", {}).get("eos_token_id"))
    if said is not None:
        assert {*([said] if isinstance(said, int) else said)} <= {*end_ids(model.model, model.tokenizer)}
    assert model.model.generation_config.do_sample in (None, False)  # what the checkpoint says of sampling is not read


@pytest.mark.parametrize("factor", [None, 2.0])
def test_internvl_is_read_to_its_own_context_and_its_positions_are_not_scaled_twice(forged, factor):
    folder = forged("internvl3-1b-hf")
    assert read_config(str(folder), None)["text_config"]["rope_scaling"]["rope_type"] == "dynamic"
    if factor:
        with pytest.raises(dyto.ConfigError, match="scales its positions already.*dynamic"):
            dyto.load_model(folder, device="cpu", rope_scaling_factor=factor)
        return
    model = dyto.load_model(folder, device="cpu")
    assert model.context_length == 32768
    rotary = model.language_model().rotary_emb
    width = model.language_model().config.hidden_size // model.language_model().config.num_attention_heads
    plain = 1e6 ** (-torch.arange(0, width, 2) / width)
    torch.testing.assert_close(rotary.inv_freq.float(), plain.float(), rtol=1e-4, atol=1e-7)
    rotary(torch.zeros(1, 1, 48), torch.arange(32768)[None])
    torch.testing.assert_close(rotary.inv_freq.float(), plain.float(), rtol=1e-4, atol=1e-7)


def test_cutting_leaves_all_but_sizes_as_it_was(shared):
    for folder in sorted((shared / "configs").iterdir()):
        if (folder / "config.json").is_file() and folder.name in TIED + UNTIED:
            real = json.loads((folder / "config.json").read_text())
            small = cut(real)
            for key in ("model_type", "eos_token_id", "vision_feature_layer", "tie_word_embeddings", "vocab_size"):
                assert small.get(key) == real.get(key)
            assert small.get("text_config", {}).get("vocab_size") == real.get("text_config", {}).get("vocab_size")
