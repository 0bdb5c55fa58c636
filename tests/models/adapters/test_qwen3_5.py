"""Qwen3.5: three of four layers keep a state instead of keys and values, which is copied and never cut."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from transformers import Qwen3_5Config, Qwen3_5ForConditionalGeneration

import dyto
from dyto.models.adapters.qwen3_5 import Qwen35
from dyto.models.generation.prefix import Batch
from dyto.models.generation.states import tensors_of
from dyto.models.loading.claims import checked_claims
from dyto.models.pixels import NativeSize, Normalization
from dyto.prompts import prompt_for
from models.adapters.test_qwen import film, plain_answer, stock_inputs

from forge_qwen import FAMILIES, TEXT, loud, qwen_adapter, qwen_tokenizer

HYBRID = [name for name, (_, adapter, _) in FAMILIES.items() if adapter is Qwen35]
QUESTIONS = ["why", "what is shown ?", "is there a red circle at the end of the video ?", "who"]


@pytest.fixture(scope="module", params=HYBRID)
def model(request):
    return qwen_adapter(request.param)


def asked(model, question):
    return model.tokenize(*prompt_for(model.chat, False).fill(question))


def test_its_cache_holds_states_and_they_are_counted(model):
    short, long = (
        model.prefill(asked(model, "why").before, dyto.VideoQA(model, "concat").encode(film(count)))
        for count in (2, 20)
    )
    for prefix in (short, long):
        held = [tensors_of(layer) for layer in prefix.cache.layers]
        names = [{name for name, _ in own} for own in held]
        assert names == [{"conv_states", "recurrent_states"}] * 3 + [{"keys", "values"}]
        assert prefix.nbytes == sum(part.nbytes for own in held for part in own.values())
    states = [sum(part.nbytes for layer in one.cache.layers[:3] for part in tensors_of(layer).values())
              for one in (short, long)]  # fmt: skip
    assert states[0] == states[1]  # however much was read
    assert long.nbytes - short.nbytes == (len(long) - len(short)) * 2 * 2 * 16 * 4  # two heads of 16, keys and values


def test_two_long_videos_in_turn_are_answered_as_by_one_pass_through_each(model):
    """A question leaves the state at the end of a video as it was, for the next one."""
    qa = dyto.VideoQA(model, "concat")
    videos = [qa.encode(film(26, seed=1)), qa.encode(film(17, seed=2, size=(60, 30)))]
    assert min(map(len, videos)) > 300  # more than one chunk of 64 places, and of unequal length
    plain = {(n, q): plain_answer(model, tokens, q) for n, tokens in enumerate(videos) for q in QUESTIONS[:2]}
    assert len(set(plain.values())) > 2
    for order in ((0, 1), (1, 0)):
        for number, question in zip(order, QUESTIONS, strict=False):
            assert qa.ask(videos[number], question, max_new_tokens=8).text == plain[number, question]


def test_batches_of_unequal_videos_and_questions_are_answered_as_one_by_one(model):
    qa = dyto.VideoQA(model, dyto.DyTo(token_budget=40))
    videos = [qa.encode(film(count, seed=count)) for count in (3, 9, 14)]
    assert len({len(tokens) + model.count_text(tokens) for tokens in videos}) > 1
    pairs = [(tokens, question) for question in QUESTIONS for tokens in videos]
    alone = [qa.ask(*pair, max_new_tokens=5).text for pair in pairs]
    assert len(set(alone)) > len(QUESTIONS)
    for size in (None, 2):
        assert [answer.text for answer in qa.ask_batch(pairs, max_new_tokens=5, batch_size=size)] == alone


def test_padding_never_passes_through_a_recurrence(model, monkeypatch):
    seen = []
    of = Batch.of

    def watched(prefixes, questions):
        seen.append({len(question) for question in questions})
        return of(prefixes, questions)

    monkeypatch.setattr(Batch, "of", watched)
    qa = dyto.VideoQA(model, dyto.DyTo(token_budget=40))
    qa.ask_many(qa.encode(film(9)), QUESTIONS, max_new_tokens=2)
    assert len(seen) == 3  # "why" and "who" go together
    assert all(len(lengths) == 1 for lengths in seen)


@pytest.mark.parametrize("change", ["two tokens swapped", "rows and columns swapped", "one place later"])
def test_order_and_places_of_tokens_matter(model, change):
    tokens, prompt = dyto.VideoQA(model, "concat").encode(film(6)), asked(model, QUESTIONS[1])
    expected = model.logits(model.prefill(prompt.before, tokens), prompt.after)[-1]
    if change == "two tokens swapped":
        order = np.arange(len(tokens))
        order[[5, 70]] = order[[70, 5]]
        found = model.logits(model.prefill(prompt.before, replace(tokens, data=tokens.data[order])), prompt.after)[-1]
    else:
        layout = model.lay_out(tokens)
        places = layout.positions[[0, 2, 1]] if change.startswith("rows") else layout.positions + layout.visual.long()
        wrong = type(model)(
            model.name, model.model, model.tokenizer, normalization=model.normalization, chat=model.chat
        )
        wrong.lay_out = lambda video: replace(layout, positions=places)
        found = wrong.logits(wrong.prefill(prompt.before, tokens), prompt.after)[-1]
    assert (found - expected).abs().max() > 1e-3


def test_option_scores_are_those_of_one_pass(model):
    from dyto.models.generation.likelihood import OptionScorer

    tokens = dyto.VideoQA(model, dyto.DyTo(token_budget=40)).encode(film(9))
    options = ["red", "a blue square", "no"]
    scorer = OptionScorer(model, prompt_for(model.chat, False))
    together = scorer.scores(tokens, QUESTIONS[1], options)
    for option, score in zip(options, together, strict=True):
        fresh = OptionScorer(model, prompt_for(model.chat, False)).scores(tokens, QUESTIONS[1], [option, "x"])[0]
        assert score == pytest.approx(fresh, abs=1e-4)
    assert len(set(together)) == 3


def test_the_published_shape_is_read_as_by_stock_transformers(shared):
    """The config of the 9B model, four of its layers, fewer and narrower parts; rotary positions as they are."""
    real = json.loads((shared / "configs" / "qwen3.5-9b" / "config.json").read_text())
    real["text_config"] |= {
        **{name: TEXT[name] for name in ("vocab_size", "hidden_size", "intermediate_size")},
        "num_hidden_layers": 4, "layer_types": real["text_config"]["layer_types"][:4], "num_attention_heads": 2,
        "num_key_value_heads": 1, "linear_num_key_heads": 1, "linear_num_value_heads": 2, "eos_token_id": 258,
        "pad_token_id": 256,
    }  # fmt: skip
    real["vision_config"] |= {"depth": 2, "hidden_size": 32, "intermediate_size": 48, "num_heads": 2,
                              "out_hidden_size": 64, "num_position_embeddings": 36, "patch_size": 4}  # fmt: skip
    real |= {"image_token_id": 261, "video_token_id": 262, "vision_start_token_id": 259, "vision_end_token_id": 260}
    checked_claims("real", real)
    stock = loud(Qwen3_5ForConditionalGeneration, Qwen3_5Config.from_dict(real)).float()
    assert stock.config.text_config.head_dim == 256
    model = Qwen35("qwen3_5", stock, qwen_tokenizer(), normalization=Normalization(), chat="qwen3.5")
    model.image_size = NativeSize(8, least=4, most=24)
    frames, (before, after) = film(3), prompt_for(model.chat, False).fill(QUESTIONS[1])
    prompt = model.tokenize(before, after)
    with torch.no_grad():
        expected = stock(**stock_inputs(model, frames, before, after)).logits[0, -len(prompt.after) :]
    tokens = dyto.VideoQA(model, "concat").encode(frames)
    found = model.logits(model.prefill(prompt.before, tokens), prompt.after)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-3)
