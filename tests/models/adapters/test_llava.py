"""LLaVA 1.5: which checkpoints of its shape are taken, and from which layers their features come."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from transformers import LlavaForConditionalGeneration

import dyto
from dyto.models.framing import center_cropped
from dyto.models.loading.load import chat_format
from dyto.models.pixels import resize_pictures

from forge_families import FAMILIES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return FAMILIES["llava"].forge(tmp_path_factory.mktemp("llava"))


def changed(folder, target, **changes):
    """A copy of a checkpoint with another config."""
    config = json.loads((folder / "config.json").read_text())
    for key, value in changes.items():
        config[key] = {**config[key], **value} if isinstance(value, dict) else value
    target.mkdir()
    for file in folder.iterdir():
        (target / file.name).write_bytes(file.read_bytes())
    (target / "config.json").write_text(json.dumps(config))
    return target


def test_a_tower_of_another_kind_is_refused(folder, tmp_path):
    model = dyto.load_model(folder, device="cpu")
    model.model.config.vision_config.model_type = "pixtral"
    with pytest.raises(dyto.ModelError, match="tower of type 'pixtral', expected 'clip_vision_model' or 'siglip"):
        type(model)("m", model.model, model.tokenizer, normalization=model.normalization, chat="vicuna")


def test_a_layer_that_the_tower_does_not_have_is_refused(folder, tmp_path):
    with pytest.raises(dyto.ModelError, match="from layer -7, but its tower has 3"):
        dyto.load_model(changed(folder, tmp_path / "m", vision_feature_layer=-7), device="cpu")


def test_a_cls_among_the_patches_is_refused(folder, tmp_path):
    with pytest.raises(dyto.ModelError, match="'full' for its clip_vision_model, expected 'default'"):
        dyto.load_model(changed(folder, tmp_path / "m", vision_feature_select_strategy="full"), device="cpu")


@pytest.mark.parametrize(
    ("marks", "language", "family", "chat"),
    [((), "llama", "llava", "vicuna"), ((), "mistral", "llava_next_video", "mistral"),
     (("<|im_start|>",), "llama", "llava_next_video", "chatml"), (("<|im_start|>",), "qwen2", "llava", "onevision"),
     (("<|im_start|>",), "qwen2", "llava_next", "internvl"), (("<|start_header_id|>",), "llama", "llava", "llama3")],
)  # fmt: skip
def test_the_chat_format_is_that_of_the_language_model(marks, language, family, chat):
    config = SimpleNamespace(model_type=family, get_text_config=lambda: SimpleNamespace(model_type=language))
    assert chat_format(config, SimpleNamespace(get_vocab=lambda: dict.fromkeys(marks, 0))) == chat


def test_features_of_several_layers_are_those_of_stock_transformers(tmp_path):
    from transformers import LlamaConfig, LlavaConfig

    from forge_families import _llava

    base = FAMILIES["llava"]
    several = type(base)(
        **{**base.__dict__, "config": _llava(LlavaConfig, LlamaConfig, vision_feature_layer=[-2, 0, 1])}
    )
    folder = several.forge(tmp_path)
    frames = list(np.random.default_rng(0).integers(0, 255, (3, 70, 96, 3), dtype=np.uint8))
    features = dyto.load_model(folder, device="cpu").encode(frames)
    pixels = base.images()(frames, return_tensors="pt").pixel_values
    with torch.no_grad():
        stock = LlavaForConditionalGeneration.from_pretrained(folder).get_image_features(pixels, return_dict=True)
    torch.testing.assert_close(features.patches(), torch.stack(list(stock.pooler_output)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("family", ["llava", "llava-siglip"])
@pytest.mark.parametrize("grid", [(8, 8), (4, 4), (3, 5)])
def test_frames_at_another_resolution_are_those_of_the_stock_tower(tmp_path, family, grid):
    model = dyto.load_model(FAMILIES[family].forge(tmp_path), device="cpu")
    frames = list(np.random.default_rng(0).integers(0, 255, (3, 70, 96, 3), dtype=np.uint8))
    features = model.encode_grid(frames, grid)  # type: ignore[attr-defined]
    assert features.grid == grid
    assert features.summary_source == FAMILIES[family].summary
    if grid == model.grid:  # type: ignore[attr-defined]
        torch.testing.assert_close(features.patches(), model.encode(frames).patches(), rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(features.summary, model.encode(frames).summary, rtol=1e-4, atol=1e-4)
    square = center_cropped(frames, 7 * max(grid)) if family == "llava" else frames
    pixels = model.normalization.apply(
        resize_pictures(list(square), (7 * grid[0], 7 * grid[1])), torch.device("cpu"), torch.float32
    )
    stock, (layer,) = model.model.model, model._layers  # type: ignore[attr-defined]
    with torch.no_grad():
        states = stock.vision_tower(pixels, output_hidden_states=True, interpolate_pos_encoding=True)
        patches = stock.multi_modal_projector(states.hidden_states[layer])[:, -grid[0] * grid[1] :]
    torch.testing.assert_close(features.patches([2]), patches[2:], rtol=1e-4, atol=1e-4)
