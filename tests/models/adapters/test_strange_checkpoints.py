"""Checkpoints without an adapter that are broken, or not what they say: one clear line each."""

import json
import shutil

import pytest

import dyto
from forge_stock import save


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return save("VideoLLaMA 3", tmp_path_factory.mktemp("whole"))


@pytest.fixture
def folder(whole, tmp_path):
    return shutil.copytree(whole, tmp_path / "m")


def says(file="config.json", **values):
    def change(folder):
        path = folder / file
        said = json.loads(path.read_text())
        for key, value in values.items():
            part, last = (said, key) if "__" not in key else (said[key.split("__")[0]], key.split("__")[1])
            part[last] = value
        path.write_text(json.dumps(said))

    return change


def lacks(*names):
    return lambda folder: [(folder / name).unlink() for name in names]


def without_head(folder):
    from safetensors.torch import load_file, save_file

    weights = load_file(folder / "model.safetensors")
    del weights["lm_head.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


SAID = {
    "no image processor": (
        lacks("preprocessor_config.json"), "neither preprocessor_config.json nor processor_config.json, expected one"
    ),
    "no image token": (says(image_token_id=100_000), "image_token_id = 100000, expected the id of a token of its"),
    "a word as image token": (says(image_token_id="<image>"), "field 'image_token_id': TypeError"),
    "weights of another family": (says(model_type="glm46v"), "36 missing weights"),
    "a family with an adapter": (says(model_type="qwen3_vl"), "describes .* billion weights, but its files hold"),
    "text alone": (says(model_type="llama"), "is of type 'llama', expected one of .*get_image_features"),
    "a language model's own type": (says(model_type="qwen3_5_text"), "is of type 'qwen3_5_text', expected one of"),
    "video alone": (says(model_type="vjepa2"), "is of type 'vjepa2', expected one of .*get_image_features"),
    "a list as type": (says(model_type=["a"]), r"is of type \['a'\], expected one of"),
    "no type": (says(model_type=None), "is of type None, expected one of"),
    "an unknown language model": (says(text_config__model_type="nonsense"), "cannot be loaded .*nonsense"),
    "a head that is missing and not said to be tied": (without_head, "1 missing weights .first: lm_head.weight"),
    "no tokenizer": (lacks("tokenizer.json", "tokenizer_config.json"), "backend tokenizer .*expected config.json, a"),
    "patches of no size": (
        says("preprocessor_config.json", patch_size=0), "preprocessor_config.json of model .* says patch_size = 0"
    ),
    "patches of another size": (says("preprocessor_config.json", patch_size=8), "could not read two pictures"),
    "an image processor of text": (
        says("preprocessor_config.json", image_processor_type="BertModel", size=7), "expected"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", SAID)
def test_what_is_wrong_is_said_in_one_line(what, folder):
    change, said = SAID[what]
    change(folder)
    with pytest.raises(dyto.ModelError, match=said) as error:
        dyto.load_model(folder, device="cpu")
    assert "\n" not in str(error.value)
    assert len(str(error.value)) < 700


def test_a_head_that_is_said_to_be_tied_need_not_be_there(folder):
    without_head(folder)
    says(tie_word_embeddings=True, text_config__tie_word_embeddings=True)(folder)
    model = dyto.load_model(folder, device="cpu").model
    assert model.lm_head.weight is model.get_input_embeddings().weight
