"""Memories of films of photographs by the bundled eye, and a small pair of towers."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import CLIPConfig, CLIPModel, SiglipConfig, SiglipModel

import dyto
from dyto.models.adapters.tiny import build_tokenizer, vocabulary
from dyto.synthetic.photographs import filmed, plan

PHOTOGRAPHS = Path(__file__).parents[1] / "photographs"
FILMS = {"birds": ("macaw", "hen"), "places": ("mosque", "giant_panda", "dam"), "stone": ("obelisk", "palace")}
SMALL = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def film(number, names):
    pictures = [np.asarray(Image.open(PHOTOGRAPHS / f"{name}.jpg").convert("RGB")) for name in names]
    shots = plan(np.random.default_rng(number), len(names), 6)
    return filmed(pictures, shots, 12, (224, 224)), shots


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """Three memories by the model `nouns`."""
    found = tmp_path_factory.mktemp("memories")
    qa = dyto.VideoQA.from_pretrained("nouns")
    for number, (name, shown) in enumerate(FILMS.items()):
        qa.remember(film(number, shown)[0]).save(found / f"{name}.dyto")
    return found


@pytest.fixture(scope="session")
def index(folder):
    return dyto.MemoryIndex.open([folder])


def make_towers(where, seed):
    config = CLIPConfig(
        text_config={**SMALL, "vocab_size": len(vocabulary()), "max_position_embeddings": 12, "eos_token_id": 2},
        vision_config={**SMALL, "image_size": 28, "patch_size": 7},
        projection_dim=8,
    )
    torch.manual_seed(seed)
    CLIPModel(config).eval().save_pretrained(where)
    build_tokenizer().save_pretrained(where)
    return str(where)


@pytest.fixture(scope="session")
def towers(tmp_path_factory):
    """Folders of two CLIP of equal shapes and different weights."""
    return [make_towers(tmp_path_factory.mktemp(f"towers{seed}") / "clip", seed) for seed in (0, 1)]


@pytest.fixture(scope="session")
def siglip(tmp_path_factory):
    """A folder of a small SigLIP, whose texts are padded to its length."""
    where = tmp_path_factory.mktemp("siglip") / "siglip"
    text = {**SMALL, "vocab_size": len(vocabulary()), "max_position_embeddings": 12, "projection_size": 16}
    torch.manual_seed(2)
    towers = SiglipModel(SiglipConfig(text_config=text, vision_config={**SMALL, "image_size": 28, "patch_size": 7}))
    towers.eval().save_pretrained(where)
    build_tokenizer().save_pretrained(where)
    return str(where)


@pytest.fixture(scope="session")
def seen(towers, tmp_path_factory):
    """The file of a memory of twelve random frames by `tiny`, whose vectors are those of the first towers."""
    path = tmp_path_factory.mktemp("seen") / "noise.dyto"
    frames = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
    dyto.VideoQA.from_pretrained("tiny", eye=towers[0]).remember(frames).save(path)
    return path
