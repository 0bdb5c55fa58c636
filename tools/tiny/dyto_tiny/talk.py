"""Teaching the language model: what the eye saw of a gallery, packed as images, with pages of questions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AttentionInterface, LlavaNextForConditionalGeneration

from dyto.merge import merge_tokens
from dyto.models.adapters.tiny import GRID
from dyto.synthetic.render import Pixels, draw_accidents, render
from dyto_tiny.eye import look
from dyto_tiny.lessons import VIEWS, Picture, gallery
from dyto_tiny.pages import IGNORE, token_ids
from dyto_tiny.tiles import shrink, soften, tiled

ATTENTION = "dyto_page"
"""Under which name transformers knows `page_attention`."""
POOLS = ((5, 5), (4, 5), (4, 4), (3, 4), (3, 3), (2, 3), (2, 2), (1, 2), (1, 1))


class Bank:
    """What the eye saw of one gallery: encoded once, shown many times.

    Args:
        model: The tiny model, its eye trained.
        seed: Of the recipe.
        epoch: Which gallery.
        device: Where the features live.
        chunk: Images encoded at a time.
    """

    def __init__(
        self, model: LlavaNextForConditionalGeneration, seed: int, epoch: int, device: torch.device, chunk: int = 256
    ) -> None:
        views, composites = gallery(seed, epoch)
        rng = np.random.default_rng((seed, 4, epoch))
        images: list[Pixels] = []
        for moments in views:
            for scene in moments:
                image = render(scene, draw_accidents(rng, len(scene.things)))[0]
                images.append(soften(rng, image) if rng.random() < 0.5 else image)
        for rows, columns, members in composites:
            panels = [images[member * VIEWS] for member in members]
            images.append(shrink(tiled(panels, columns), rows, columns))
        seen = []
        with torch.no_grad():
            for i in range(0, len(images), chunk):
                stack = torch.from_numpy(np.stack(images[i : i + chunk])).permute(0, 3, 1, 2).to(device)
                seen.append(look(model, stack)[:, 1:].to(torch.bfloat16))
        features = torch.cat(seen)  # (views + composites, 36, D)
        self.views = features[: len(views) * VIEWS].reshape(-1, VIEWS, *features.shape[1:])  # (SCENES, VIEWS, 36, D)
        self.composites = features[len(views) * VIEWS :]
        self.shapes = [(rows, columns) for rows, columns, _ in composites]

    def tokens(self, picture: Picture, newline: Tensor) -> Tensor:
        """The visual tokens of a picture as the language model gets them.

        Args:
            picture: What it shows.
            newline: (D,) the model's token between rows of a packed image.

        Returns:
            (L, D) float32.
        """
        numbers, moments = zip(*picture.views, strict=True)
        frames = self.views[list(numbers), list(moments)].float()  # (N, 36, D)
        if picture.packing == "flat":
            return reduce_tokens(frames, picture).flatten(0, 1)
        if picture.packing == "stock":
            return pack(frames[0], frames, 1, 1, newline)
        rows, columns = self.shapes[picture.composite]
        return pack(self.composites[picture.composite].float(), frames, rows, columns, newline)


def pack(base: Tensor, tiles: Tensor, rows: int, columns: int, newline: Tensor) -> Tensor:
    """Pack a base and its tiles as stock LLaVA-NeXT does: rows of patches across tiles, a newline after each.

    Args:
        base: (36, D) features of the whole image.
        tiles: (rows * columns, 36, D) features of the tiles, row by row.
        rows: Of tiles.
        columns: Of tiles.
        newline: (D,)

    Returns:
        (36 + rows * 6 * (columns * 6 + 1), D).
    """
    dim = base.shape[-1]
    lines = tiles.view(rows, columns, GRID, GRID, dim).permute(0, 2, 1, 3, 4).reshape(rows * GRID, columns * GRID, dim)
    lines = torch.cat([lines, newline.expand(rows * GRID, 1, dim)], 1)
    return torch.cat([base, lines.flatten(0, 1)])


def reduce_tokens(frames: Tensor, picture: Picture) -> Tensor:
    """Leave `picture.keep` tokens of every frame, dropping, pooling or merging.

    Args:
        frames: (N, 36, D).
        picture: How.

    Returns:
        (N, at most keep, D).
    """
    if picture.reduction == "none":
        return frames
    rng = np.random.default_rng(picture.seed)
    if picture.reduction == "drop":
        order = torch.from_numpy(rng.random(frames.shape[:2]).argsort(1)[:, : picture.keep]).sort(1).values
        return frames.gather(1, order[..., None].expand(-1, -1, frames.shape[2]).to(frames.device))
    if picture.reduction == "pool":
        shape = next((r, c) for r, c in POOLS if r * c <= picture.keep)
        planes = frames.transpose(1, 2).reshape(len(frames), -1, GRID, GRID)  # (N, D, 6, 6)
        return F.adaptive_avg_pool2d(planes, shape).flatten(2).transpose(1, 2)
    return merge_tokens(frames, picture.keep, reduce="max" if rng.random() < 0.7 else "mean")


def talk_loss(
    model: LlavaNextForConditionalGeneration, visual: Sequence[Tensor], pages: dict[str, Tensor]
) -> tuple[Tensor, Tensor, Tensor]:
    """Loss of the answers on the pages below some images.

    Args:
        model: The tiny model; its language model must attend by `page_attention`.
        visual: (L_i, D) visual tokens of every page; none at all for pages without an image.
        pages: Stacked `Page` fields, (B, columns, width) each.

    Returns:
        The mean loss, and for each answer token but `</s>` whether it was right (n,) bool and its kind (n,).
    """
    tokens, exercise = pages["tokens"], pages["exercise"]
    batch, columns, width = tokens.shape
    embed = model.get_input_embeddings()
    prefix = embed(torch.tensor([1, *token_ids("USER:")], device=tokens.device))  # (3, D)
    images = [torch.cat([prefix, v]) for v in visual] or [prefix] * batch
    lengths = torch.tensor([len(image) for image in images], device=tokens.device)
    longest = int(lengths.max())
    before = torch.stack([F.pad(image, (0, 0, 0, longest - len(image))) for image in images])  # (B, P, D)
    steps = torch.arange(longest, device=tokens.device)
    position = torch.cat([steps.expand(batch, -1), (lengths[:, None, None] + pages["place"]).flatten(1)], 1)
    own = (exercise[..., None] == exercise[..., None, :]).tril()  # (B, columns, width, width)
    seen = (steps < lengths[:, None])[:, None, None].expand(-1, columns, width, -1)
    hidden = model.model.language_model(
        inputs_embeds=torch.cat([before, embed(tokens).flatten(1, 2)], 1),
        attention_mask=torch.cat([seen, own], 3),  # (B, columns, width, P + width)
        position_ids=position,
        use_cache=False,
    ).last_hidden_state[:, longest:]
    asked = pages["target"] != IGNORE
    target = pages["target"][asked]
    logits = model.lm_head(hidden[asked.flatten(1)]).float()  # (n, vocabulary)
    told = target != model.config.text_config.eos_token_id
    right = (logits.argmax(-1) == target)[told]
    return F.cross_entropy(logits, target), right, pages["kind"][asked][told]


def page_attention(
    module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Tensor, **_: Any
) -> tuple[Tensor, None]:
    """Attention on a page: causal within the image; each column of text sees the image and itself.

    Exactly what dense attention with the same mask gives, at less than half its cost.

    Args:
        module: Unused; the signature is that of transformers.
        query: (B, heads, S, d), the image first, then the columns one after another.
        key: As `query`.
        value: As `query`.
        attention_mask: (B, columns, width, P + width) bool: what each token of text may see.

    Returns:
        (B, S, heads, d), and no weights.
    """
    batch, heads, dim = query.shape[0], query.shape[1], query.shape[3]
    columns, width = attention_mask.shape[1:3]
    image = attention_mask.shape[3] - width

    def per_column(x: Tensor) -> Tensor:
        folded = x[:, :, image:].reshape(batch, heads, columns, width, dim)
        return folded.transpose(1, 2).flatten(0, 1)  # (B * columns, heads, width, d)

    def with_image(x: Tensor) -> Tensor:
        shared = x[:, None, :, :image].expand(-1, columns, -1, -1, -1).flatten(0, 1)
        return torch.cat([shared, per_column(x)], 2)  # (B * columns, heads, P + width, d)

    causal = torch.ones(image, image, dtype=torch.bool, device=query.device).tril()
    first = _attend(query[:, :, :image], key[:, :, :image], value[:, :, :image], causal)
    mask = attention_mask.flatten(0, 1)[:, None]  # (B * columns, 1, width, P + width)
    text = _attend(per_column(query), with_image(key), with_image(value), mask)
    text = text.view(batch, columns, heads, width, dim).transpose(1, 2).flatten(2, 3)  # (B, heads, columns * width, d)
    return torch.cat([first, text], 2).transpose(1, 2), None


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor) -> Tensor:
    """Plain attention; on a CPU its backward pass takes half the time of the fused one."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(2, 3)
    bias = torch.zeros(mask.shape, dtype=scores.dtype, device=mask.device).masked_fill_(~mask, -1e4)
    return scores.add_(bias).softmax(-1) @ value


AttentionInterface.register(ATTENTION, page_attention)
