"""The tiny model before training, and how it is written to disk; its parts are in `dyto.models.adapters.tiny`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from transformers import GenerationConfig, LlavaNextForConditionalGeneration

from dyto.models.adapters.tiny import build_config, build_processor
from dyto.models.stock import StockModel


def build_model(seed: int = 0) -> LlavaNextForConditionalGeneration:
    """The model with random weights, the same for the same seed whatever was drawn before.

    The tower's unused last layer is set to the identity. Needs nothing from the network; the global random
    state is left as it was.

    Args:
        seed: Of the weights.

    Returns:
        The model in float32 and evaluation mode, on the CPU.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlavaNextForConditionalGeneration(build_config())
        torch.nn.init.normal_(model.model.image_newline, std=0.02)
    last: Any = tower_layers(model)[-1]
    with torch.no_grad():
        for linear in (last.self_attn.out_proj, last.mlp.fc2):
            linear.weight.zero_()
            linear.bias.zero_()
    model.generation_config = _generation_config(model.config)
    return model.eval()


def tower_layers(model: StockModel) -> torch.nn.ModuleList:
    """The transformer layers of the CLIP tower, wherever this version of transformers keeps them.

    Args:
        model: A LLaVA-NeXT model.

    Returns:
        The layers, first to last.
    """
    tower = model.model.vision_tower
    layers: torch.nn.ModuleList = getattr(tower, "vision_model", tower).encoder.layers
    return layers


def save_tiny(model: StockModel, folder: str | Path) -> None:
    """Write everything that stock transformers needs to load the model: weights in bfloat16, tokenizer, processor.

    Args:
        model: What `build_model` made, trained or not; it is left as it is.
        folder: Where to write; made if missing.
    """
    state = {name: tensor.detach().to("cpu", torch.bfloat16) for name, tensor in model.state_dict().items()}
    with torch.device("meta"):
        shell = LlavaNextForConditionalGeneration(build_config())
    shell.load_state_dict(state, strict=True, assign=True)
    shell.config.dtype = torch.bfloat16
    shell.generation_config = _generation_config(shell.config)
    shell.save_pretrained(folder)
    build_processor().save_pretrained(folder)


def _generation_config(config: Any) -> GenerationConfig:
    text = config.text_config
    return GenerationConfig(
        do_sample=False,
        max_new_tokens=32,
        bos_token_id=text.bos_token_id,
        eos_token_id=text.eos_token_id,
        pad_token_id=text.pad_token_id,
    )
