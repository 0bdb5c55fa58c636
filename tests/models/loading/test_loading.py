"""From a name to a model: both layouts, short names, and every way in which a checkpoint can be wrong."""

import json
import shutil

import numpy as np
import pytest
import torch

import dyto
from dyto.models.catalog import CATALOG
from dyto.models.loading.files import read_normalization
from dyto.models.loading.placement import Placement

from forge import forge_model, save_original, save_stock


@pytest.fixture(scope="module")
def model():
    return forge_model(seed=1, prompt=None)


@pytest.fixture(scope="module")
def stock(model, tmp_path_factory):
    return save_stock(model, tmp_path_factory.mktemp("stock"))


@pytest.fixture(scope="module")
def original(model, tmp_path_factory):
    return save_original(model, tmp_path_factory.mktemp("original"))


def video(frames=14, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (frames, 40, 52, 3), dtype=np.uint8)


def ask(folder, question="what color is the star ?", **options):
    qa = dyto.VideoQA.from_pretrained(folder, device="cpu", **options)
    return qa.ask(video(), question, max_new_tokens=24).text


def test_both_layouts_hold_the_same_model(stock, original, model):
    a, b = (dyto.load_model(folder, device="cpu").model for folder in (stock, original))
    expected = model.state_dict()
    for loaded in (a.state_dict(), b.state_dict()):
        assert loaded.keys() == expected.keys()
        assert all(torch.equal(loaded[key], expected[key]) for key in expected)
    assert ask(stock) == ask(original) != ask(stock, "is there a circle ?")


def test_mistral_in_the_original_layout(tmp_path):
    model = forge_model(seed=2, text="mistral", prompt=None)
    a, b = save_stock(model, tmp_path / "stock"), save_original(model, tmp_path / "original")
    assert dyto.load_model(b, device="cpu").chat == "mistral"
    assert ask(a) == ask(b)


def test_a_tower_in_a_local_folder_says_how_many_heads_it_has(model, tmp_path):
    tower = tmp_path / "tower"
    tower.mkdir()
    (tower / "config.json").write_text(json.dumps({"vision_config": {"num_attention_heads": 4}}))
    folder = save_original(model, tmp_path / "m", config_changes={"mm_vision_tower": str(tower)})
    assert dyto.load_model(folder, device="cpu").model.config.vision_config.num_attention_heads == 4


def test_the_shapes_of_the_tower_are_read_off_its_weights(original, model):
    found, expected = (
        dyto.load_model(original, device="cpu").model.config.vision_config,
        model.config.vision_config,
    )
    for key in ("hidden_size", "intermediate_size", "num_hidden_layers", "image_size", "patch_size",
                "num_attention_heads"):  # fmt: skip
        assert getattr(found, key) == getattr(expected, key)


def test_a_missing_tower_is_refused(model, tmp_path):
    folder = save_original(model, tmp_path, drop=["vision_tower"])
    with pytest.raises(dyto.ModelError, match="no weights of a vision tower.*llava-v1.6"):
        dyto.load_model(folder)


def test_missing_weights_are_refused(model, tmp_path):
    folder = save_original(model, tmp_path / "original", drop=[r"layers\.1\.mlp\.up_proj"])
    with pytest.raises(dyto.ModelError, match="2 missing weights|1 missing weights"):
        dyto.load_model(folder)
    complete = save_stock(model, tmp_path / "stock")
    smaller = forge_model(seed=1, prompt=None)
    del smaller.lm_head
    smaller.save_pretrained(complete)
    with pytest.raises(dyto.ModelError, match="1 missing weights .first: lm_head.weight"):
        dyto.load_model(complete)


def test_a_missing_shard_is_refused(original, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(original, folder)
    (folder / "model-00002-of-00003.safetensors").unlink()
    with pytest.raises(dyto.ModelError):
        dyto.load_model(folder)


@pytest.mark.parametrize("keep", [0, 5, 100, 5000])
def test_broken_weights_are_refused(stock, tmp_path, keep):
    folder = tmp_path / "m"
    shutil.copytree(stock, folder)
    file = next(folder.glob("*.safetensors"))
    file.write_bytes(file.read_bytes()[:keep])
    with pytest.raises(dyto.ModelError, match="m cannot be loaded"):
        dyto.load_model(folder)


def test_pickled_weights_are_never_read(stock, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(stock, folder)
    next(folder.glob("*.safetensors")).unlink()
    torch.save({}, folder / "pytorch_model.bin")
    with pytest.raises(dyto.ModelError, match="safetensors"):
        dyto.load_model(folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"model_type": "bert"}', '{"model_type": 3}', "{}"])
def test_a_config_that_says_nothing_useful_is_refused(stock, tmp_path, text):
    folder = tmp_path / "m"
    shutil.copytree(stock, folder)
    (folder / "config.json").write_text(text)
    with pytest.raises(dyto.ModelError):
        dyto.load_model(folder)


def test_remote_code_is_never_run(stock, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(stock, folder)
    config = json.loads((folder / "config.json").read_text())
    config["auto_map"] = {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')")
    dyto.load_model(folder, device="cpu")
    assert not (tmp_path / "ran").exists()


def test_names_that_lead_nowhere(tmp_path, monkeypatch):
    with pytest.raises(dyto.ConfigError, match="did you mean 'llava-next-34b'"):
        dyto.load_model("llava-next-34")
    with pytest.raises(dyto.ModelError, match="does not exist"):
        dyto.load_model(tmp_path / "nowhere")
    file = tmp_path / "file"
    file.write_text("x")
    with pytest.raises(dyto.ModelError, match="is a file, expected a folder"):
        dyto.load_model(file)
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(dyto.ModelError, match="config.json"):
        dyto.load_model(empty)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(dyto.ModelError, match="owner/none cannot be loaded.*the network"):
        dyto.load_model("owner/none")


def test_the_environment_names_the_default(stock, monkeypatch):
    monkeypatch.setenv("DYTO_MODEL", str(stock))
    assert dyto.load_model().name == str(stock)
    monkeypatch.delenv("DYTO_MODEL")
    assert dyto.load_model().name == "tiny"


@pytest.mark.parametrize(
    ("option", "message"),
    [({"device": "gpu"}, "expected cpu, cuda"), ({"dtype": "bf16"}, "did you mean 'bfloat16'"),
     ({"attn_implementation": "flash"}, "did you mean 'flash_attention_2'"),
     ({"rope_scaling_factor": 0.5}, "expected 1 .none. or more")],
)  # fmt: skip
def test_unknown_options_are_errors(option, message):
    with pytest.raises(dyto.ConfigError, match=message):
        dyto.load_model("tiny", **option)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_an_error():
    with pytest.raises(dyto.ConfigError, match="0 CUDA devices: use cpu"):
        dyto.load_model("tiny", device="cuda")


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_dtype_can_be_chosen(dtype, stock):
    qa = dyto.VideoQA.from_pretrained(stock, device="cpu", dtype=dtype)
    assert qa.model.dtype == getattr(torch, dtype)
    assert qa.ask(video(), "which ?", max_new_tokens=3).num_visual_tokens > 0


def test_large_models_are_half_precision_and_small_ones_are_not():
    placement = Placement(None, torch.device("cpu"), None, None)
    assert placement.pick_dtype(4_000_000) == torch.float32
    assert placement.pick_dtype(7_000_000_000) == torch.bfloat16


def test_eager_attention_gives_the_same_answer(stock):
    assert ask(stock, attn_implementation="eager") == ask(stock)


def test_mean_and_deviation_are_the_checkpoints(stock, original, tmp_path):
    assert read_normalization(str(original), None).mean[0] == 0.48145466  # none there: CLIP's
    (tmp_path / "preprocessor_config.json").write_text('{"image_mean": [0.5, 0.5, 0.5], "image_std": [1, 1, 1]}')
    assert read_normalization(str(tmp_path), None).mean == (0.5, 0.5, 0.5)
    assert read_normalization(str(stock), None).std[2] == 0.27577711


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"image_mean": "x", "image_std": 1}', '{"image_mean": [0, 0], "image_std": [1, 1]}']
)
def test_mean_and_deviation_that_cannot_be_read_are_an_error(tmp_path, text):
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(dyto.ModelError, match="preprocessor_config.json of model .* cannot be read"):
        read_normalization(str(tmp_path), None)


def test_weights_of_another_shape_are_refused(stock, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(stock, folder)
    config = json.loads((folder / "config.json").read_text())
    config["vision_feature_layer"] = [-2, -1]
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(
        dyto.ModelError, match="1 mismatched weights .first: model.multi_modal_projector.linear_1.weight."
    ):
        dyto.load_model(folder, device="cpu")


def test_an_unknown_prompt_format_in_a_config_is_an_error(stock, tmp_path):
    folder = tmp_path / "m"
    shutil.copytree(stock, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "dyto_prompt": "vicunna"}))
    with pytest.raises(dyto.ConfigError, match="did you mean 'vicuna'"):
        dyto.load_model(folder, device="cpu")


def test_real_models_state_size_and_licence():
    for name, entry in CATALOG.items():
        assert entry.licence
        assert name in ("tiny", "nouns") or (entry.size > 1 and "/" in entry.source)


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    """A small sentencepiece model, as Llama has one: no normalisation, bytes for what it does not know."""
    sentencepiece = pytest.importorskip("sentencepiece", reason="needs the extra 'original'")
    folder = tmp_path_factory.mktemp("pieces")
    (folder / "corpus.txt").write_text("what color is the star in the video\nis there a red circle\n" * 50)
    sentencepiece.SentencePieceTrainer.train(
        input=str(folder / "corpus.txt"), model_prefix=str(folder / "tokenizer"), vocab_size=310, model_type="bpe",
        byte_fallback=True, normalization_rule_name="identity", hard_vocab_limit=False, minloglevel=2,
        unk_id=0, bos_id=1, eos_id=2, pad_id=-1,
    )  # fmt: skip
    return folder / "tokenizer.model"


def test_a_sentencepiece_model_alone_is_read_as_its_makers_read_it(pieces, tmp_path):
    pytest.importorskip("google.protobuf", reason="needs the extra 'original'")
    import sentencepiece

    big = forge_model(seed=1, prompt=None)
    big.resize_token_embeddings(320)
    folder = save_original(big, tmp_path, config_changes={"vocab_size": 320})
    for file in folder.glob("tokenizer*"):
        file.unlink()
    shutil.copy(pieces, folder / "tokenizer.model")
    (folder / "tokenizer_config.json").write_text(
        '{"tokenizer_class": "LlamaTokenizer", "legacy": false, "add_bos_token": true}'
    )
    model = dyto.load_model(folder, device="cpu")
    own = sentencepiece.SentencePieceProcessor(model_file=str(pieces))
    text = "what color is it? Über 3"
    prompt = model.tokenize(text, "\nis there")
    assert prompt.before.tolist() == [1, *own.encode(text)]
    assert own.decode(prompt.after.tolist()) == "\nis there"
    assert dyto.VideoQA(model).ask(video(), "what color is it ?", max_new_tokens=3).num_visual_tokens > 0


def test_a_tokenizer_that_needs_the_extra_names_it(pieces, tmp_path, monkeypatch):
    folder = save_original(forge_model(seed=1, prompt=None), tmp_path)
    for file in folder.glob("tokenizer*"):
        file.unlink()
    shutil.copy(pieces, folder / "tokenizer.model")
    monkeypatch.setattr("dyto.models.loading.load.find_spec", lambda name: None)
    with pytest.raises(dyto.MissingExtraError, match=r"pip install '.\[original\]'"):
        dyto.load_model(folder)
