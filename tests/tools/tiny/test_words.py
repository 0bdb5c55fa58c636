"""The words that tokens show: truth per patch, directions, and the embeddings of the untrained language model."""

from __future__ import annotations

import numpy as np
import torch

from dyto.models.adapters.tiny import build_tokenizer, vocabulary
from dyto.synthetic.world import BACKGROUND_NAMES, KINDS, draw_scene
from dyto_tiny.lessons import draw_question
from dyto_tiny.model import build_model
from dyto_tiny.pages import token_ids
from dyto_tiny.tiles import IGNORE, NONE
from dyto_tiny.words import LENGTH, WORDS, directions, shown_words, teach_words


def test_patches_show_colour_shape_background_and_side() -> None:
    kinds = torch.full((1, 36), NONE)
    kinds[0, 0] = KINDS.index("yellow ring")
    kinds[0, 35] = KINDS.index("red cross")
    kinds[0, 17] = IGNORE
    backgrounds = torch.full((1, 36), BACKGROUND_NAMES.index("teal"))
    words = shown_words(kinds, backgrounds)[0]

    def said(patch: int) -> set[str]:
        return {word for word, shown in zip(WORDS, words[patch].tolist(), strict=True) if shown}

    assert said(0) == {"yellow", "ring", "teal", "top", "left"}
    assert said(35) == {"red", "cross", "teal", "bottom", "right"}
    assert said(17) == said(5) == {"teal"}


def test_merged_tokens_show_the_union() -> None:
    ring, cross = directions()[WORDS.index("ring")], directions()[WORDS.index("cross")]
    for merged in (torch.maximum(ring, cross), (ring + cross) / 2):
        found = directions() @ merged
        assert {WORDS[i] for i in found.topk(2).indices.tolist()} == {"ring", "cross"}
        assert found.topk(3).values[2] == 0


def test_the_language_model_starts_with_them() -> None:
    model = build_model(0)
    teach_words(model, seed=0)
    table, ids = model.get_input_embeddings().weight, {word: i for i, word in enumerate(vocabulary())}
    lengths = table.norm(dim=1)
    torch.testing.assert_close(lengths, torch.full_like(lengths, LENGTH))
    teal = WORDS.index("teal")
    assert (model.lm_head.weight @ directions()[teal]).argmax() == ids["teal"]
    again = build_model(0)
    teach_words(again, seed=0)
    assert torch.equal(again.get_input_embeddings().weight, table)


def test_questions_use_known_words_only_and_tokenize_as_the_tokenizer_does():
    tokenizer = build_tokenizer()
    rng = np.random.default_rng(3)
    texts = set()
    for _ in range(400):
        scenes = [draw_scene(rng, things=int(rng.integers(1, 5)))]
        if rng.random() < 0.5:
            scenes = [draw_scene(rng, not_background=None) for _ in range(4)]
            if len({kind for scene in scenes for kind in scene.kinds}) < 4:
                continue
        question = draw_question(rng, scenes)
        texts |= {question.text, question.right, *question.wrong}
    assert len(texts) > 150
    for text in texts:
        ids = tokenizer(text, add_special_tokens=False).input_ids
        assert list(token_ids(text)) == ids
        assert tokenizer.unk_token_id not in ids
