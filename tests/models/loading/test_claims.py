"""What a checkpoint claims: absurd sizes are refused before anything is built, and the files must bear them out."""

import json
import os
import struct
import time
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import dyto
from dyto.errors import BadFeaturesError, ModelError
from dyto.models.families import FAMILIES
from dyto.models.loading import weights
from dyto.models.loading.claims import BOUNDS, NOT_ITS_OWN, checked_claims
from dyto.models.loading.files import read_ends, read_normalization
from dyto_tiny.model import build_model, save_tiny

SIZES = [
    ("text_config.hidden_size", 10**9), ("text_config.num_hidden_layers", 10**6), ("text_config.vocab_size", 2**40),
    ("vision_config.image_size", 10**6), ("vision_config.patch_size", 0), ("text_config.num_attention_heads", 0),
    ("text_config.num_attention_heads", -4), ("text_config.hidden_size", "64"), ("text_config.hidden_size", None),
    ("text_config.hidden_size", float("nan")), ("text_config.hidden_size", 64.0), ("text_config.hidden_size", True),
    ("text_config.hidden_size", [64]), ("text_config.hidden_size", {"a": 1}), ("vision_config.image_size", [10**6, 1]),
    ("text_config.max_position_embeddings", 10**12), ("text_config.num_attention_heads", 7),
    ("text_config.num_key_value_heads", 5), ("text_config.rms_norm_eps", float("inf")), ("image_token_index", 10**12),
    ("vision_config.num_channels", 10**5), ("vision_config", 3), ("text_config", [1]), ("image_seq_length", -1),
    ("image_grid_pinpoints", [[336, 10**9]]), ("vision_config.intermediate_size", 10**13),
    ("quantization_config", {"quant_method": "evil"}), ("quantization_config", {}), ("quantization_config", 4),
    ("vision_feature_layer", 10**6), ("text_config.head_dim", 10**6), ("text_config.n_layer", 10**9),
    ("text_config.num_experts", 10**9),
]  # fmt: skip


def change(folder, path, value, file="config.json"):
    config = json.loads((folder / file).read_text())
    *way, last = path.split(".")
    there = config
    for key in way:
        there = there[key]
    there[last] = value
    (folder / file).write_text(json.dumps(config))


@pytest.mark.parametrize(("path", "value"), SIZES)
def test_a_size_that_no_model_has_is_refused_before_anything_is_built(folder, path, value, monkeypatch):
    change(folder, path, value)
    monkeypatch.setattr(torch, "device", lambda *_: pytest.fail("it began to build"), raising=True)
    monkeypatch.setattr("dyto.models.loading.load.Placement.of", lambda **_: type("P", (), {"revision": None}))
    with pytest.raises(ModelError) as error:
        dyto.load_model(folder)
    assert path.split(".")[-1] in str(error.value)
    assert len(str(error.value)) < 400


@pytest.mark.parametrize("text", ["[" * 10_000, '{"a": ' * 10_000 + "1" + "}" * 10_000, "9" * 10**6, "\x00", '"x"'])
def test_a_config_that_is_no_object_or_a_well_is_refused(folder, text):
    (folder / "config.json").write_text(text)
    with pytest.raises(ModelError, match=r"config\.json of model .* expected"):
        dyto.load_model(folder)


def test_objects_in_one_another_have_a_bound():
    config = {}
    for _ in range(60):
        config = {"a": config}
    with pytest.raises(ModelError, match="32 objects inside one another"):
        checked_claims("m", config)


@pytest.mark.parametrize(
    "name", ["config.json", "tokenizer.json", "tokenizer_config.json", "preprocessor_config.json", "added_tokens.json",
             "generation_config.json", "chat_template.jinja", "special_tokens_map.json"]
)  # fmt: skip
def test_a_file_of_a_gigabyte_is_refused_unread(folder, name):
    with (folder / name).open("ab") as file:
        file.truncate(1 << 30)
    begun = time.monotonic()
    with pytest.raises(ModelError, match=f"{name} of model .* has 1024 MiB, expected (16|256) MiB at most"):
        dyto.load_model(folder, device="cpu")
    assert time.monotonic() - begun < 60


@pytest.mark.parametrize("kind", sorted(FAMILIES))
def test_what_the_families_are_by_default_is_within_the_bounds(kind):

    config = FAMILIES[kind].stock_class.config_class().to_dict()
    checked_claims(kind, json.loads(json.dumps(config)))


def test_the_largest_models_there_are_are_within_the_bounds():
    checked_claims("llama 405b", {"text_config": {
        "hidden_size": 16384, "intermediate_size": 53248, "num_hidden_layers": 126, "num_attention_heads": 128,
        "num_key_value_heads": 8, "vocab_size": 128256, "max_position_embeddings": 131072, "rope_theta": 5e5,
    }})  # fmt: skip
    checked_claims(
        "qwen3-vl 235b",
        {
            "text_config": {
                "hidden_size": 4096,
                "head_dim": 128,
                "num_hidden_layers": 94,
                "num_attention_heads": 64,
                "num_experts": 128,
                "num_key_value_heads": 4,
                "vocab_size": 151936,
                "max_position_embeddings": 262144,
                "rope_theta": 5000000,
                "moe_intermediate_size": 1536,
                "mlp_only_layers": [],
                "rope_scaling": {"mrope_section": [24, 20, 20]},
            },
            "vision_config": {"deepstack_visual_indexes": [8, 16, 24], "depth": 27, "num_position_embeddings": 2304},
        },
    )
    checked_claims("llava 34b", {"text_config": {
        "hidden_size": 7168, "intermediate_size": 20480, "num_hidden_layers": 60, "num_attention_heads": 56,
        "num_key_value_heads": 8, "vocab_size": 64064, "pad_token_id": None, "sliding_window": None,
    }, "image_grid_pinpoints": [[336, 1008], [1008, 336]], "vision_feature_layer": -2})  # fmt: skip


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(
    st.sampled_from(sorted({name.rstrip("?") for bound in BOUNDS for name in bound.exact})),
    st.one_of(st.integers(min_value=1 << 28), st.integers(max_value=-1), st.text(), st.floats(), st.booleans()),
    st.sampled_from(["", "text_config", "vision_config"]),
)
def test_no_named_size_is_anything_else_than_a_bounded_whole_number(name, value, inside):
    config = {name: value}
    with pytest.raises(ModelError, match=name):
        checked_claims("m", {inside: config} if inside else config)


NESTED = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda some: st.lists(some, max_size=3) | st.dictionaries(
        st.sampled_from(["hidden_size", "text_config", "quantization_config", "num_heads", "x", *NOT_ITS_OWN]), some,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(st.dictionaries(st.sampled_from(["vision_config", "auto_map", "patch_size", "y"]), NESTED, max_size=4))
def test_whatever_a_config_holds_it_is_refused_or_comes_back_without_code(config):
    try:
        left = checked_claims("m", config)
    except ModelError:
        return
    assert not any(f'"{key}":' in json.dumps(left) for key in NOT_ITS_OWN)


@pytest.mark.parametrize(
    "file", ["../../etc/passwd", "/etc/passwd", "a/b.safetensors", "..safetensors", 3, "x.bin", ""]
)
def test_an_index_names_files_of_its_own_folder(folder, file):
    (folder / "model.safetensors").rename(folder / "other.safetensors")
    (folder / weights.INDEX).write_text(json.dumps({"weight_map": {"lm_head.weight": file}}))
    with pytest.raises(ModelError, match="expected the name of a .*safetensors file of the same folder"):
        dyto.load_model(folder, device="cpu")


@pytest.mark.parametrize("said", [{}, {"weight_map": []}, {"weight_map": {}}, {"weight_map": {"a": "b.safetensors"}}])
def test_an_index_that_leads_to_no_file_is_refused(folder, said):
    (folder / "model.safetensors").unlink()
    (folder / weights.INDEX).write_text(json.dumps(said))
    with pytest.raises(ModelError, match="names no files|1 of 1 files of weights are missing .first: b.safetensors"):
        dyto.load_model(folder, device="cpu")


def head(said, body=b"", length=None):
    text = said if isinstance(said, bytes) else json.dumps(said).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + body


LIES = [
    head({"a": {"dtype": "F32", "shape": [4], "data_offsets": [0, 10**12]}}),
    head({"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
          "b": {"dtype": "F32", "shape": [1], "data_offsets": [2, 6]}}, b"\0" * 6),
    head({"a": {"dtype": "F32", "shape": [10**9, 10**9, 10**9], "data_offsets": [0, 4]}}, b"\0" * 4),
    head({"a": {"dtype": "F32", "shape": [-1], "data_offsets": [4, 0]}}, b"\0" * 4),
    head(b"{", length=10**9), head(b"{}", length=2**64 - 1), head(b"[" * 10**5), head(b'{"__metadata__": {"a": 1}}'),
]  # fmt: skip


@pytest.mark.parametrize("lie", range(len(LIES)))
def test_a_file_of_weights_that_lies_is_refused(folder, lie):
    (folder / "model.safetensors").write_bytes(LIES[lie])
    with pytest.raises(ModelError, match="m cannot be loaded|but its files hold"):
        dyto.load_model(folder, device="cpu")


def test_a_list_of_very_many_tensors_is_refused_unread(folder):
    with (folder / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 60 << 20))
        file.truncate(61 << 20)
    with pytest.raises(ModelError, match="claims a list of tensors of 62914560 bytes"):
        dyto.load_model(folder, device="cpu")


def test_a_model_that_its_files_cannot_hold_is_refused_before_it_takes_memory(folder, monkeypatch):
    change(folder, "text_config.intermediate_size", 1 << 20)
    change(folder, "text_config.num_hidden_layers", 500)
    change(folder, "text_config.layer_types", None)
    monkeypatch.setattr("transformers.PreTrainedModel.from_pretrained", lambda *_, **__: pytest.fail("it was loaded"))
    with pytest.raises(ModelError, match=r"describes .* billion weights, but its files hold"):
        dyto.load_model(folder, device="cpu")


def test_a_model_that_does_not_fit_the_memory_is_refused(folder, monkeypatch):
    monkeypatch.setattr(weights, "memory_of", lambda device: 10_000)
    with pytest.raises(ModelError, match=r"takes .* on cpu, expected no more than .* take a smaller model"):
        dyto.load_model(folder, device="cpu")
    monkeypatch.undo()
    assert weights.memory_of(torch.device("cpu")) > 10**8


@pytest.mark.parametrize("value", [10**12, -5, "x", [1, 10**12], 1.5, {"a": 1}, True])
def test_ends_of_texts_are_numbers_of_tokens(folder, value):
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": value}))
    with pytest.raises(ModelError, match="says eos_token_id = .* expected the number of a token"):
        read_ends(str(folder), None)


def test_how_answers_are_written_is_not_for_a_checkpoint_to_say(folder):
    said = {"max_new_tokens": 10**9, "num_beams": 10**6, "max_length": 10**12, "custom_generate": "evil/evil"}
    (folder / "generation_config.json").write_text(json.dumps(said))
    change(folder, "num_beams", 10**6)
    options = dyto.load_model(folder, device="cpu").model.generation_config
    assert options.num_beams in (None, 1)
    assert options.max_new_tokens is None


@pytest.mark.parametrize("said", [{"image_mean": [0, 0, 0], "image_std": [0, 1, 1]}, {"image_processor": [1]},
                                  {"image_mean": [float("nan"), 0, 0], "image_std": [1, 1, 1]}])  # fmt: skip
def test_mean_and_deviation_must_be_of_use(tmp_path, said):
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(said))
    with pytest.raises(ModelError, match="preprocessor_config.json of model .* cannot be read"):
        read_normalization(str(tmp_path), None)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_weight_that_is_no_number_is_told_when_it_is_loaded(tmp_path, value):
    model = build_model(0)
    with torch.no_grad():
        model.model.image_newline[3] = value  # which no answer of this package reads
    save_tiny(model, tmp_path)
    with pytest.raises(BadFeaturesError, match="weight model.image_newline of model .* holds NaN or infinity"):
        dyto.load_model(tmp_path, device="cpu")


def test_a_weight_that_float16_cannot_hold_says_so(tmp_path):
    model = build_model(0)
    with torch.no_grad():
        model.lm_head.weight[0, 0] = 1e6
    save_tiny(model, tmp_path)
    dyto.load_model(tmp_path, device="cpu")
    with pytest.raises(BadFeaturesError, match="lm_head.weight.*too large for float16: set dtype to bfloat16"):
        dyto.load_model(tmp_path, device="cpu", dtype="float16")


def test_a_device_file_in_a_checkpoint_is_not_opened(folder):
    (folder / "tokenizer_config.json").unlink()
    os.mkfifo(folder / "tokenizer_config.json")
    (folder / "preprocessor_config.json").unlink(missing_ok=True)
    (folder / "preprocessor_config.json").symlink_to("/dev/zero")
    dyto.load_model(folder, device="cpu")


def rules(folder, **said):
    file = folder / "tokenizer.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | said))


def replace(pattern, content, kind="String"):
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


@pytest.mark.parametrize("steps", [[replace("a", "aa")] * 40, [replace("a", "a" * 10**5)],
                                   [{"type": "Sequence", "normalizers": [replace("[a-z]", "bbbb", "Regex")] * 9}]])  # fmt: skip
def test_rules_that_make_a_text_grow_without_end_are_refused(folder, steps):
    rules(folder, normalizer={"type": "Sequence", "normalizers": steps})
    with pytest.raises(ModelError, match="has a normalizer that can make a text .* times as long, expected 64"):
        dyto.load_model(folder, device="cpu")


def test_a_pattern_that_takes_too_many_steps_is_an_error_of_its_own(folder):
    pattern = {"Regex": "(a|aa|[a ]+)+$"}
    rules(folder, pre_tokenizer={"type": "Split", "pattern": pattern, "behavior": "Isolated", "invert": False})
    model = dyto.load_model(folder, device="cpu")
    with pytest.raises(ModelError, match="the tokenizer cannot read a text of .* characters"):
        model.tokenize("", "a" * 200 + " b")
    with pytest.raises(ModelError, match="the tokenizer cannot read a text of .* characters"):
        model.embed_text("a" * 200 + " b")


def test_the_page_on_security_states_every_bound():
    page = Path(__file__).parents[3].joinpath("docs/security.md").read_text(encoding="utf-8")
    for bound in BOUNDS:
        assert f"| {bound.most:,.0f} |" in page, bound


@pytest.mark.parametrize("written", [float("inf"), {"__float__": "Infinity"}])
def test_a_state_space_model_may_have_no_longest_step(written):
    said = {"text_config": {"time_step_limit": [0.0, written]}}
    assert checked_claims("m", said) == {"text_config": {"time_step_limit": [0.0, float("inf")]}}
    with pytest.raises(ModelError, match=r"rms_norm_eps = inf, expected a finite number"):
        checked_claims("m", {"rms_norm_eps": written})


def test_a_written_number_is_one_of_three():
    with pytest.raises(ModelError, match="expected a finite number"):
        checked_claims("m", {"text_config": {"time_step_limit": [{"__float__": "NaN"}]}})
    for other in ({"__float__": "1e9999"}, {"__float__": {"a": 1}}, {"__float__": "Infinity", "b": 1}):
        found = {"text_config": {"time_step_limit": [other]}}
        assert checked_claims("m", found) == found  # left for the stock config to refuse
