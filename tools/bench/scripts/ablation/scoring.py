"""Exact answers of a model, for all questions about a video in one pass.

Greedy decoding writes an answer exactly if, along that answer and its end, every next token is the most likely one: no
text needs to be generated. Each question sees the video and itself, at the positions that it would have alone.
"""

from collections import defaultdict

import numpy as np
import torch

from dyto.choices import LETTERS
from dyto.prompts import prompt_for


def exactly_right(model, data, asked):
    """Find the questions that the model answers exactly right.

    Args:
        model: The bundled model, or another whose language model takes positions and a mask of its own.
        data: (L, D) visual tokens.
        asked: Questions with their true answers; one with options is answered by its letter.

    Returns:
        (Q,) bool.
    """
    texts, starts, targets = [], [], []
    for a in asked:
        template = prompt_for(model.chat, a.choices is not None)
        head, tail = template.fill(a.question, a.choices)
        answer = f"({LETTERS[a.choices.index(a.answer)]})" if a.choices else a.answer
        prompt, full = model.tokenize(head, tail), model.tokenize(head, f"{tail} {answer}")
        target = full.after[len(prompt.after) :].tolist() + ([] if a.choices else [model.tokenizer.eos_token_id])
        texts.append(full.after)
        starts.append(len(prompt.after) - 1)
        targets.append(target)
    said = likeliest(model, full.before, data, texts)
    return np.array(
        [ids[start : start + len(target)].tolist() == target
         for ids, start, target in zip(said, starts, targets, strict=True)]
    )  # fmt: skip


@torch.inference_mode()
def right_by_type(model, data, asked, answered):
    """Group the exactly right answers by type of question.

    Args:
        model: As for `exactly_right`.
        data: Likewise.
        asked: Likewise.
        answered: Answers by tokens, kept by the caller: the same tokens are asked about once.

    Returns:
        {type: [right or not, ...]}.
    """
    key = data.numpy().tobytes()
    if key not in answered:
        answered[key] = exactly_right(model, data, asked).tolist()
    right = defaultdict(list)
    for a, r in zip(asked, answered[key], strict=True):
        right[a.type].append(r)
    return dict(right)


def likeliest(model, before, data, texts):
    """Return, for each text after the same video, the likeliest token after each of its tokens."""
    embed = model.model.get_input_embeddings()
    lengths = [len(ids) for ids in texts]
    start, total = len(before) + len(data), len(before) + len(data) + sum(lengths)
    owner = torch.repeat_interleave(torch.arange(len(texts)), torch.tensor(lengths))  # (S,)
    seen = torch.zeros(total, total, dtype=torch.bool)
    seen[:, :start] = True
    seen[start:, start:] = owner[:, None] == owner
    positions = torch.cat([torch.arange(start), *(start + torch.arange(n) for n in lengths)])
    hidden = model.model.model.language_model(
        inputs_embeds=torch.cat([embed(before), data.to(model.dtype), embed(torch.cat(texts))])[None],
        attention_mask=seen.tril()[None, None],
        position_ids=positions[None],
        use_cache=False,
    ).last_hidden_state[0, start:]
    return model.model.lm_head(hidden).argmax(-1).split(lengths)
