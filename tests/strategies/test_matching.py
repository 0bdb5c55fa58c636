"""The query-aware strategy with a checkpoint of two towers in one space."""

import numpy as np
import pytest
import torch
from transformers import CLIPConfig, CLIPModel, CLIPVisionConfig, CLIPVisionModel

from dyto import ConfigError, Frames, ModelError, build_strategy
from dyto.models.adapters.tiny import build_tokenizer, vocabulary
from dyto.models.pixels import Normalization
from dyto.strategies.matching import match_by_towers
from strategies.world import Model, scenes

CPU = torch.device("cpu")
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


@pytest.fixture(scope="module")
def towers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    config = CLIPConfig(
        text_config={**SMALL, "vocab_size": len(vocabulary()), "max_position_embeddings": 12, "eos_token_id": 2},
        vision_config={**SMALL, "image_size": 28, "patch_size": 7},
        projection_dim=8,
    )
    torch.manual_seed(0)
    model = CLIPModel(config).eval()
    model.save_pretrained(folder)
    build_tokenizer().save_pretrained(folder)
    return model, str(folder)


def clip(count=20):
    pixels = np.random.default_rng(0).integers(0, 255, (count, 28, 28, 3), dtype=np.uint8)
    return Frames(pixels, np.arange(count) * 3, np.arange(count) / 2, (28, 28))


def test_scores_are_those_of_the_stock_model(towers):
    model, folder = towers
    frames, question = clip(), "where is the red circle ?"
    ids = build_tokenizer()(question, return_tensors="pt").input_ids
    pixels = Normalization().apply(frames.data, CPU, torch.float32)
    with torch.no_grad():
        stock = model(input_ids=ids, pixel_values=pixels).logits_per_image[:, 0] / model.logit_scale.exp()
    scores = match_by_towers(folder, frames.data, question, CPU)
    np.testing.assert_allclose(scores, stock.numpy(), atol=1e-6)


def test_the_frames_that_match_best_are_the_key_frames(towers):
    _, folder = towers
    frames, question = clip(), "where is the red circle ?"
    scores = match_by_towers(folder, frames.data, question, CPU)
    strategy = build_strategy(f"query:num_frames=3,apart=0,towers={folder}")
    tokens = strategy(frames, Model(scenes(20, 36), (6, 6), without=("embed_text",)), question)
    assert tokens.keyframes.positions.tolist() == sorted(np.argsort(-scores)[:3].tolist())
    assert "select" in tokens.stages


def test_a_long_question_is_cut_to_the_length_of_the_text_tower(towers):
    assert np.isfinite(match_by_towers(towers[1], clip(2).data, "is it red " * 50, CPU)).all()


def test_what_is_no_pair_of_towers_is_an_error(tmp_path):
    with pytest.raises(ModelError, match="towers .*nowhere cannot be loaded.*expected a CLIP or SigLIP checkpoint"):
        match_by_towers(str(tmp_path / "nowhere"), clip(2).data, "q", CPU)
    CLIPVisionModel(CLIPVisionConfig(**SMALL, image_size=28, patch_size=7)).save_pretrained(tmp_path)
    build_tokenizer().save_pretrained(tmp_path)
    with pytest.raises(ConfigError, match="'clip_vision_model', expected a checkpoint with a text and an image tower"):
        match_by_towers(str(tmp_path), clip(2).data, "q", CPU)
