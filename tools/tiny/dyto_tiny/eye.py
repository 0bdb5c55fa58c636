"""Teaching the eye: tower and projector learn what each patch, the CLS and merged tokens show."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import LlavaNextForConditionalGeneration

from dyto.merge import merge_with_owners
from dyto.models.adapters.tiny import GRID, build_config
from dyto.synthetic.world import BACKGROUND_NAMES, KINDS
from dyto_tiny.model import tower_layers
from dyto_tiny.tiles import NONE, TileBatch
from dyto_tiny.words import directions, shown_words

MEAN = (0.48145466, 0.4578275, 0.40821073)
STD = (0.26862954, 0.26130258, 0.27577711)
"""CLIP's, as the stock image processor applies them."""


def look(model: LlavaNextForConditionalGeneration, images: Tensor) -> Tensor:
    """Tower and projector, exactly the path of a stock model, less the tower's unused last layer.

    Args:
        model: The tiny model.
        images: (B, 3, 84, 84) uint8.

    Returns:
        (B, 37, D) projected features, CLS first.
    """
    mean = torch.tensor(MEAN, device=images.device)[:, None, None]
    std = torch.tensor(STD, device=images.device)[:, None, None]
    pixels = (images.float() / 255 - mean) / std
    tower = getattr(model.model.vision_tower, "vision_model", model.model.vision_tower)
    x = tower.pre_layrnorm(tower.embeddings(pixels))  # (B, 37, C)
    for layer in tower_layers(model)[:-1]:
        x = layer(x, attention_mask=None)
        x = x[0] if isinstance(x, tuple) else x
    projected: Tensor = model.model.multi_modal_projector(x)
    return projected


class Probes(nn.Module):
    """Linear readers of the projected features; used in training only, never shipped."""

    def __init__(self) -> None:
        super().__init__()
        dim = build_config().text_config.hidden_size
        things, contents = len(KINDS) + 1, len(KINDS) + len(BACKGROUND_NAMES)
        self.kind = nn.Linear(dim, things)
        self.background = nn.Linear(dim, len(BACKGROUND_NAMES))
        self.row = nn.Linear(dim, GRID)
        self.column = nn.Linear(dim, GRID)
        self.count = nn.Linear(dim, 4)
        self.merged = nn.Linear(dim, contents)
        self.cls = nn.Linear(dim, contents)


def eye_loss(
    model: LlavaNextForConditionalGeneration, probes: Probes, batch: TileBatch, step: int
) -> tuple[Tensor, dict[str, float]]:
    """How badly the features tell what is there.

    Args:
        model: The tiny model.
        probes: Its readers.
        batch: From `tile_batch`.
        step: Chooses by how much tokens are merged in this step.

    Returns:
        The loss, and measures of this batch: `patch` (accuracy on patches with an object), `cls` (tiles whose
        whole contents CLS tells), `count`, `words` (patches with an object that show their words and no others).
    """
    z = look(model, batch["images"]).float()  # (B, 37, D)
    cls, patches = z[:, 0], z[:, 1:]
    kinds, backgrounds = batch["kinds"], batch["backgrounds"]
    logits = probes.kind(patches)  # (B, 36, 31)
    words = shown_words(kinds, backgrounds)
    weight = torch.ones(NONE + 1, device=z.device)
    weight[NONE] = 0.3
    place = torch.arange(GRID * GRID, device=z.device).expand_as(kinds)
    counted = probes.count(patches.mean(1))
    seen = probes.cls(cls)
    loss = (
        F.cross_entropy(logits.flatten(0, 1), kinds.flatten(), weight)
        + 0.5 * F.cross_entropy(probes.background(patches).flatten(0, 1), backgrounds.flatten())
        + 0.1 * F.cross_entropy(probes.row(patches).flatten(0, 1), (place // GRID).flatten())
        + 0.1 * F.cross_entropy(probes.column(patches).flatten(0, 1), (place % GRID).flatten())
        + 0.3 * F.cross_entropy(counted, batch["counts"])
        + 8.0 * F.binary_cross_entropy_with_logits(seen, batch["contents"])
        + 4.0 * _merged_loss(probes, patches, kinds, backgrounds, step)
        + 8.0 * _word_loss(patches, words, kinds >= 0)
        + 0.002 * z.square().mean()
    )
    shown = (kinds >= 0) & (kinds < NONE)
    whole = batch["counts"] >= 0
    measures = {
        "patch": (logits.argmax(-1) == kinds)[shown].float().mean().item(),
        "cls": ((seen > 0) == (batch["contents"] > 0.5)).all(1)[whole].float().mean().item(),
        "count": (counted.argmax(-1) == batch["counts"])[whole].float().mean().item(),
    }
    right = (word_logits(patches) > 0) == (words > 0.5)
    measures["words"] = right[shown].all(-1).float().mean().item()
    return loss, measures


def word_logits(tokens: Tensor) -> Tensor:
    """How surely tokens (B, M, D) show each word, (B, M, W): they do from a length of 1 along its direction on."""
    return 3.0 * (tokens @ directions().to(tokens).T) - 3.0


def _word_loss(tokens: Tensor, truth: Tensor, sure: Tensor) -> Tensor:
    """How far tokens are from lying along the words that they show, and along no others."""
    return F.binary_cross_entropy_with_logits(word_logits(tokens)[sure], truth[sure])


def _merged_loss(probes: Probes, patches: Tensor, kinds: Tensor, backgrounds: Tensor, step: int) -> Tensor:
    """Merged tokens must still tell what all their patches showed; merged and pooled by turns."""
    keep = (18, 12, 9, 6, 4)[step // 2 % 5]
    truth = F.one_hot(kinds.clamp(min=0), NONE + 1)[..., :NONE] * (kinds >= 0)[..., None]  # (B, 36, 30)
    truth = torch.cat([truth, F.one_hot(backgrounds, len(BACKGROUND_NAMES))], -1).float()  # (B, 36, 35)
    words = shown_words(kinds, backgrounds)  # (B, 36, W)
    if step % 2:
        with torch.no_grad():
            owner = merge_with_owners(patches.detach(), keep)[1]  # (B, 36)
    else:
        block = 2 if keep > 6 else 3
        place = torch.arange(GRID * GRID, device=patches.device)
        owner = (place // GRID // block * (GRID // block) + place % GRID // block).expand(len(patches), -1)
        keep = (GRID // block) ** 2
    index = owner[..., None]
    pooled = patches.new_zeros(len(patches), keep, patches.shape[2])
    reduce = "amax" if step % 2 else "mean"
    pooled = pooled.scatter_reduce(1, index.expand_as(patches), patches, reduce, include_self=False)
    contents, said = _union(truth, owner, keep), _union(words, owner, keep)
    sure = torch.ones(said.shape[:2], dtype=torch.bool, device=said.device)
    return F.binary_cross_entropy_with_logits(probes.merged(pooled), contents) + _word_loss(pooled, said, sure)


def _union(truth: Tensor, owner: Tensor, keep: int) -> Tensor:
    """(B, keep, C): what any of the patches of each token showed, of (B, 36, C) and their owners (B, 36)."""
    index = owner[..., None].expand_as(truth)
    return truth.new_zeros(len(truth), keep, truth.shape[2]).scatter_reduce(1, index, truth, "amax")
