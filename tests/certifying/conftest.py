"""A model that looks and answers in no time."""

from __future__ import annotations

import pytest
from transformers import LlavaNextForConditionalGeneration

import dyto
from dyto.models.adapters.tiny import build_config, build_processor


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """The tiny model's architecture with fewer layers, untrained."""
    folder = tmp_path_factory.mktemp("small")
    config = build_config()
    config.vision_config.num_hidden_layers = 2
    config.text_config.num_hidden_layers = 1
    if getattr(config.text_config, "layer_types", None):
        config.text_config.layer_types = config.text_config.layer_types[:1]
    LlavaNextForConditionalGeneration(config).eval().save_pretrained(folder)
    build_processor().save_pretrained(folder)
    return dyto.load_model(folder, device="cpu")
