"""Qwen2.5-VL and Qwen3-VL against stock transformers fed the same frames as a video."""

import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

import dyto
from dyto.features import KeyFrames, Sources, VisualTokens
from dyto.models import towers
from dyto.models.adapters.qwen3_vl import Qwen3VL
from dyto.prompts import CHAT_FORMATS, PROMPTS, prompt_for
from dyto.strategies import STRATEGIES
from dyto.video import Frames

from forge_qwen import FAMILIES, IDS, SIDE, qwen_adapter

QUESTIONS = ["what is shown ?", "is there a red circle at the end of the video ?", "why"]
LACKING = ("downsample", "image_grid")
"""Strategies that want other resolutions, or a path for single pictures."""

some = pytest.mark.parametrize("family", ["qwen3_vl", "qwen2_5_vl", "qwen3_5"])
every = pytest.mark.parametrize("family", FAMILIES)


def film(count=5, size=(30, 44), step=1.0, seed=0):
    """Frames of noise, a whole number of seconds apart: what all stock versions can place."""
    data = np.random.default_rng(seed).integers(0, 255, (count, *size, 3), dtype=np.uint8)
    return Frames(data, np.arange(count), np.arange(count) * step, size, count)


@pytest.fixture(scope="module")
def models():
    return {family: qwen_adapter(family) for family in FAMILIES}


def stock_pixels(frames, least=4, most=24):
    """What the stock image processor makes of the frames: each repeated to fill a patch of two frames."""
    pixels = SIDE * SIDE
    processor = Qwen2VLImageProcessorPil(
        size={"shortest_edge": least * pixels, "longest_edge": most * pixels}, patch_size=4, merge_size=2
    )
    return processor([Image.fromarray(frame) for frame in frames.data], return_tensors="pt")


def stock_inputs(model, frames, before, after, step=1.0):
    """A prompt with the frames as a video, as the stock model takes it: ids, pixels, grids, times."""
    pixels = stock_pixels(frames)
    grid = pixels["image_grid_thw"]
    per_frame = int(grid[0].prod()) // 4
    pad = "<|video_pad|>" * per_frame
    if model.time_text:
        shown = "".join(f"<{second:.1f} seconds><|vision_start|>{pad}<|vision_end|>" for second in frames.seconds)
    else:
        shown = f"<|vision_start|>{pad * len(frames)}<|vision_end|>"
    ids = model.tokenizer(before + shown + after, return_tensors="pt").input_ids
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == IDS["video_token_id"]).int() * 2,
        "pixel_values_videos": pixels["pixel_values"],
        "video_grid_thw": torch.tensor([[len(frames), *grid[0, 1:].tolist()]]),
    }
    return inputs | ({"second_per_grid_ts": torch.tensor([step])} if model.name == "qwen2_5_vl" else {})


@every
@pytest.mark.parametrize("size", [(30, 44), (90, 20), (8, 150)])
def test_features_are_those_of_the_stock_tower_at_native_resolution(models, family, size):
    model, frames = models[family], film(size=size)
    features = model.encode(frames)
    pixels = stock_pixels(frames)
    with torch.no_grad():
        stock = model.model.model.visual(pixels["pixel_values"], grid_thw=pixels["image_grid_thw"])
    assert (features.grid[0] * 2, features.grid[1] * 2) == tuple(pixels["image_grid_thw"][0, 1:].tolist())
    assert 4 <= features.num_patches <= 24
    expected = stock.pooler_output.view(len(frames), features.num_patches, -1)
    torch.testing.assert_close(features.patches(), expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(features.summary, expected.mean(1), rtol=1e-4, atol=1e-4)
    assert features.summary_source == "mean patch"
    if issubclass(FAMILIES[family][1], Qwen3VL):
        deep = torch.stack(list(stock.deepstack_features)).view(2, len(frames), features.num_patches, -1)
        torch.testing.assert_close(features.load_deep(torch.tensor([1, 4])), deep[:, [1, 4]], rtol=1e-4, atol=1e-4)


@some
def test_tower_output_that_is_too_large_to_keep_is_computed_again(models, family, monkeypatch):
    expected = models[family].encode(film())
    monkeypatch.setattr(towers, "KEEP_BYTES", 1)
    features = models[family].encode(film())
    torch.testing.assert_close(features.patches([1, 4]), expected.patches([1, 4]), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("family", "layer"),
    [
        ("qwen3_vl", 0),
        ("qwen3_vl", -1),
        ("qwen2_vl", 1),
        ("qwen2_5_vl", 1),
        ("qwen2_5_vl", 0),
        ("qwen3_5", 1),
    ],
)
def test_attention_is_what_the_eager_tower_pays(family, layer, monkeypatch):
    model, frames = qwen_adapter(family), film(3)
    features = model.encode(frames, attention_layer=layer)
    source, paid = sys.modules[type(model.model).__module__], []
    eager = source.eager_attention_forward

    def recorded(*args, **kwargs):
        output, weights = eager(*args, **kwargs)  # (1, h, m, m)
        paid.append((args[0], weights[0].mean(0)))
        return output, weights

    monkeypatch.setattr(source, "eager_attention_forward", recorded)
    model.model.model.visual.set_attn_implementation("eager")
    again = model.encode(frames)
    attn = model.model.model.visual.blocks[layer].attn
    blocks = [weights for module, weights in paid if module is attn]
    assert len(blocks) == (18 if (family, layer) == ("qwen2_5_vl", 0) else 3)  # six windows a frame, or whole frames
    received = torch.cat([weights.sum(0) for weights in blocks]).view(-1, 4).mean(1)  # a token's four patches
    if family == "qwen2_5_vl":  # all its layers have the tokens window by window: 2 x 2 of a grid of 4 x 6
        received = received.view(3, 2, 3, 2, 2).transpose(2, 3)
    torch.testing.assert_close(features.attention, received.reshape(3, 24) / 96, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(features.attention.sum(1), torch.full((3,), 0.25), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(again.summary, features.summary, rtol=1e-4, atol=1e-4)
    assert not attn._forward_pre_hooks
    with pytest.raises(dyto.ConfigError, match="attention layer 9, but the tower has layers 0 to 2"):
        model.encode(frames, attention_layer=9)


@every
@pytest.mark.parametrize("size", [(30, 44), (90, 20)])
def test_uncompressed_logits_and_answers_equal_stock_transformers(models, family, size):
    model, frames = models[family], film(size=size, step=2.0)
    qa = dyto.VideoQA(model, dyto.Concat())
    tokens = qa.encode(frames)
    before, after = prompt_for(model.chat, False).fill(QUESTIONS[0])
    prompt = model.tokenize(before, after)
    inputs = stock_inputs(model, frames, before, after, step=2.0)
    with torch.no_grad():
        model.model.model.rope_deltas = None
        stock = model.model(**inputs).logits[0, -len(prompt.after) :]
        ids = model.model.generate(**inputs, max_new_tokens=12, do_sample=False)[0, inputs["input_ids"].shape[1] :]
    prefix = model.prefill(prompt.before, tokens)
    assert len(prefix) + len(prompt.after) == inputs["input_ids"].shape[1]
    torch.testing.assert_close(model.logits(prefix, prompt.after), stock, rtol=1e-4, atol=1e-4)
    answer = qa.ask(frames, QUESTIONS[0], max_new_tokens=12)
    assert answer.text == model.tokenizer.decode(ids, skip_special_tokens=True).strip()
    assert answer.num_time_tokens == inputs["input_ids"].shape[1] - len(tokens) - len(prompt.before) - len(prompt.after)


@every
def test_two_tokens_that_are_swapped_change_what_is_read(models, family):
    model = models[family]
    tokens = dyto.VideoQA(model, "concat").encode(film())
    order = np.arange(len(tokens))
    order[[3, -4]] = order[[-4, 3]]
    before, after = prompt_for(model.chat, False).fill(QUESTIONS[0])
    prompt = model.tokenize(before, after)
    ours, other = (
        model.logits(model.prefill(prompt.before, own), prompt.after)
        for own in (tokens, replace(tokens, data=tokens.data[order]))
    )
    assert (ours - other).abs().max() > 1e-2


@every
def test_positions_are_those_of_the_stock_model(models, family):
    model, frames = models[family], film(step=3.0)
    tokens = dyto.VideoQA(model, dyto.Concat()).encode(frames)
    prompt = model.tokenize("before: ", "after")
    inputs = stock_inputs(model, frames, "before: ", "after", step=3.0)
    names = ("input_ids", "mm_token_type_ids", "video_grid_thw", "second_per_grid_ts")
    stock, _ = model.model.model.get_rope_index(**{name: inputs[name] for name in names if name in inputs})
    layout, start = model.lay_out(tokens), len(prompt.before)
    assert torch.equal(layout.positions + start, stock[:, 0, start : start + len(layout)])
    assert int(stock[0, 0, start + len(layout)]) == start + layout.advance


@some
def test_merged_tokens_keep_the_places_and_times_of_their_frames(models, family):
    model, frames = models[family], film(12)
    tokens = dyto.VideoQA(model, dyto.DyTo(token_budget=30)).encode(frames)
    whole = dyto.VideoQA(model, dyto.Concat()).encode(frames[tokens.keyframes.positions])
    assert len(tokens) <= 30 < len(whole)
    kept = tokens.keyframe * whole.grid[0] * whole.grid[1] + tokens.patch  # their places in the full layout
    ours, full = model.lay_out(tokens), model.lay_out(whole)
    assert torch.equal(ours.positions[:, ours.visual], full.positions[:, full.visual][:, kept])
    assert ours.advance == full.advance  # the question stands where it would without merging
    for token in range(len(tokens)):
        assert (tokens.keyframe[token], tokens.patch[token]) in tokens.patches_of(token)


def test_time_is_absolute_in_qwen2_5_and_text_in_qwen3(models):
    frames = film()
    uneven = Frames(frames.data, frames.indices, np.array([1.0, 1.5, 4.0, 4.25, 60.0]), frames.source_size, len(frames))
    old, new = (models[family] for family in ("qwen2_5_vl", "qwen3_vl"))
    layout = old.lay_out(dyto.VideoQA(old, dyto.Concat()).encode(uneven))
    assert (layout.positions[0, layout.visual].unique() - 1).tolist() == [0, 1, 6, 118]  # two a second
    tokens = dyto.VideoQA(new, dyto.Concat()).encode(uneven)
    text = new.tokenizer.decode(torch.cat([run.text for run in new._runs(tokens)]))
    marks = "<|vision_start|><|vision_end|>"
    assert text == "".join(f"<{second} seconds>{marks}" for second in ("1.0", "1.5", "4.0", "4.2", "60.0"))
    assert new.count_text(tokens) == len(new.tokenizer(text).input_ids)


def plain_answer(model, tokens, question):
    """The stock model reads prompt, video and question in one pass, without any kept prefix, token by token."""
    prompt = model.tokenize(*prompt_for(model.chat, False).fill(question))
    embed, layout = model.model.get_input_embeddings(), model.lay_out(tokens)
    start, written = len(prompt.before), []
    while len(written) < 8:
        after = torch.cat([prompt.after, torch.tensor(written, dtype=torch.int64)])
        embeds = torch.cat([embed(prompt.before), layout.embeds, embed(after)])[None]
        counted = torch.arange(start), layout.advance + start + torch.arange(len(after))
        axes = [counted[0].expand(3, -1), layout.positions + start, counted[1].expand(3, -1)]
        deep = {}
        if layout.deep is not None:
            visual = torch.zeros(embeds.shape[:2], dtype=torch.bool)
            visual[0, start : start + len(layout)] = layout.visual
            deep = {"visual_pos_masks": visual, "deepstack_visual_embeds": list(layout.deep)}
        with torch.no_grad():
            states = model.model.model.language_model(
                inputs_embeds=embeds, position_ids=torch.cat(axes, 1)[:, None], use_cache=False, **deep
            )[0]
            written.append(int(model.model.lm_head(states[0, -1]).argmax()))
        if written[-1] == model.tokenizer.eos_token_id:
            break
    return model.tokenizer.decode(written, skip_special_tokens=True).strip()


@pytest.mark.sampled(2)
@pytest.mark.parametrize(
    ("family", "strategy"),
    [*((family, dyto.DyTo(token_budget=30)) for family in FAMILIES), ("qwen2_5_vl", dyto.SlowFast(token_budget=60))],
)
def test_compressed_kept_batched_and_streamed_answers_equal_plain_ones(models, family, strategy):
    model = models[family]
    qa = dyto.VideoQA(model, strategy)
    videos = [qa.encode(film(12, seed=1)), qa.encode(film(9, seed=2, size=(60, 30)))]
    assert all(len(tokens) <= strategy.token_budget for tokens in videos)
    plain = [[plain_answer(model, tokens, question) for question in QUESTIONS] for tokens in videos]
    assert len({text for texts in plain for text in texts}) > len(QUESTIONS)  # they depend on video and question
    for tokens, texts in zip(videos, plain, strict=True):
        assert [qa.ask(tokens, q, max_new_tokens=8).text for q in QUESTIONS] == texts
        assert [a.text for a in qa.ask_many(tokens, QUESTIONS, max_new_tokens=8)] == texts
    pairs = [(tokens, question) for question in QUESTIONS for tokens in videos]
    expected = [plain[video][question] for question in range(len(QUESTIONS)) for video in range(2)]
    for size in (None, 4):
        assert [a.text for a in qa.ask_batch(pairs, max_new_tokens=8, batch_size=size)] == expected
    assert "".join(qa.stream(videos[0], QUESTIONS[1], max_new_tokens=8)).strip() == plain[0][1]


@some
def test_what_was_asked_before_through_the_stock_model_changes_nothing(models, family):
    model = models[family]
    qa = dyto.VideoQA(model, dyto.DyTo(token_budget=30))
    tokens = qa.encode(film(8))
    fresh = qa.ask(tokens, QUESTIONS[0], max_new_tokens=8).text
    model.model.generate(**stock_inputs(model, film(2), "a", "b"), max_new_tokens=2)  # leaves its own rope_deltas
    qa.forget()
    assert qa.ask(tokens, QUESTIONS[0], max_new_tokens=8).text == fresh


def test_deepstack_features_of_a_merged_token_are_the_mean_over_its_patches(models):
    model, frames = models["qwen3_vl"], film(12)
    features = model.encode(frames)
    tokens = dyto.VideoQA(model, dyto.DyTo(token_budget=30)).encode(frames)
    deep = features.load_deep(torch.from_numpy(tokens.keyframes.positions))  # (levels, K, N, D)
    assert tokens.deep.shape == (2, len(tokens), 64)
    for token in range(len(tokens)):
        expected = torch.stack([deep[:, frame, patch] for frame, patch in tokens.patches_of(token)]).mean(0)
        torch.testing.assert_close(tokens.deep[:, token], expected, rtol=1e-4, atol=1e-4)


def test_deepstack_features_matter_and_are_never_left_out(models):
    model = models["qwen3_vl"]
    tokens = dyto.VideoQA(model, dyto.Concat()).encode(film(3))
    prompt = model.tokenize("before", "after")

    def last(deep):
        changed = VisualTokens(
            tokens.data, tokens.keyframes, tokens.keyframe, tokens.sources, tokens.grid, None, 0, deep=deep
        )  # fmt: skip
        return model.logits(model.prefill(prompt.before, changed), prompt.after)[-1]

    assert not torch.allclose(last(tokens.deep), last(torch.zeros_like(tokens.deep)), atol=1e-2)
    with pytest.raises(dyto.ModelError, match="no DeepStack features, but model qwen3_vl reads them"):
        last(None)
    with pytest.raises(dyto.ModelError, match=r"DeepStack features are \(1, 72, 64\), expected \(2, 72, 64\)"):
        last(tokens.deep[:1])
    with pytest.raises(dyto.ModelError, match="DeepStack features hold NaN or infinity"):
        last(tokens.deep / 0)


def test_a_strategy_that_hides_where_tokens_come_from_is_refused(models):
    def secretive(frames, encode, question=None):
        features = encode(list(frames.data))  # as pictures, not as frames
        return VisualTokens(
            features.summary[:1], KeyFrames.of(features, np.array([0])), np.array([0]),
            Sources.from_owners(np.zeros((1, 1), np.int64), 1), (1, 1), 1, 1,
        )  # fmt: skip

    tokens = dyto.VideoQA(models["qwen2_5_vl"], secretive).encode(film())
    assert tokens.deep is None  # a family without DeepStack asks for nothing
    with pytest.raises(dyto.ModelError, match="no DeepStack features"):
        dyto.VideoQA(models["qwen3_vl"], secretive).ask(film(), "what ?", max_new_tokens=2)

    def elsewhere(frames, encode, question=None):
        encode(frames[:1])
        return secretive(frames[1:], encode)

    def unplaced(frames, encode, question=None):
        whole = dyto.Concat()(frames, encode)
        nothing = np.zeros(0, np.int64)
        return VisualTokens(
            whole.data, whole.keyframes, whole.keyframe, Sources(nothing, nothing, nothing), whole.grid, None, 1
        )  # fmt: skip

    with pytest.raises(dyto.ConfigError, match="did not encode its key frames as frames"):
        dyto.VideoQA(models["qwen3_vl"], elsewhere).encode(film())
    with pytest.raises(dyto.ConfigError, match="120 of 120 tokens come from no patch"):
        dyto.VideoQA(models["qwen3_vl"], unplaced).encode(film())
    with pytest.raises(dyto.ModelError, match="needs the places of tokens in their frames, but 120 of 120"):
        dyto.VideoQA(models["qwen2_5_vl"], unplaced).ask(film(), "what ?", max_new_tokens=2)
    with pytest.raises(dyto.ModelError, match="expected VisualTokens"):
        models["qwen2_5_vl"].prefill(torch.tensor([1]), torch.zeros(3, 64))


@some
@pytest.mark.sampled(4)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_keeps_its_budget_or_says_what_the_family_lacks(models, family, strategy):
    qa = dyto.VideoQA(models[family], strategy)
    if strategy in LACKING:
        with pytest.raises(dyto.ConfigError, match=rf"strategy '{strategy}' needs .* model {family} does not offer it"):
            qa.ask(film(14), QUESTIONS[0], max_new_tokens=3)
        return
    answer = qa.ask(film(14), QUESTIONS[0], max_new_tokens=3)
    assert 0 < answer.num_visual_tokens <= (answer.token_budget or answer.uncompressed_tokens)
    assert answer.uncompressed_tokens == 14 * 24
    assert answer.num_time_tokens > 0


@some
def test_frames_are_decoded_in_their_own_aspect(models, family, clip):
    tokens = dyto.VideoQA(models[family], dyto.DyTo(token_budget=40)).encode(clip)
    assert tokens.grid == (4, 6)  # 64 x 96 pixels; the most is 24 tokens of 8 x 8
    assert tokens.uncompressed == 65 * 24
    assert len(tokens) <= 40


@some
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_answers(family, dtype):
    model = qwen_adapter(family, dtype=dtype)
    qa = dyto.VideoQA(model, dyto.DyTo(token_budget=30))
    tokens = qa.encode(film(8))
    assert tokens.data.dtype == dtype
    answers = qa.ask_batch([(tokens, QUESTIONS[0]), (film(3), QUESTIONS[1])], max_new_tokens=4)
    assert all(answer.text for answer in answers)


def test_times_can_be_written_otherwise_or_left_out():
    frames = film(3)
    quiet = qwen_adapter("qwen3_vl", time_text="")
    tokens = dyto.VideoQA(quiet, dyto.Concat()).encode(frames)
    assert quiet.count_text(tokens) == 2  # start and end of one block
    spoken = qwen_adapter("qwen2_5_vl", time_text="second {seconds:.0f}: ")
    tokens = dyto.VideoQA(spoken, dyto.Concat()).encode(frames)
    text = spoken.tokenizer.decode(torch.cat([run.text for run in spoken._runs(tokens)]))
    assert text == "".join(f"second {n}: <|vision_start|><|vision_end|>" for n in range(3))
    with pytest.raises(dyto.ConfigError, match=r"time_text '\{minutes\}' cannot be filled"):
        qwen_adapter("qwen2_5_vl", time_text="{minutes}")


def test_time_tokens_are_counted_into_the_context_and_reported(models):
    model = models["qwen3_vl"]
    qa = dyto.VideoQA(model, dyto.Concat())
    tokens = qa.encode(film(60))
    with pytest.raises(dyto.ModelError, match=r"video 1440 \+ times 9\d\d \+ new 9 = .* the context is 2048"):
        qa.ask(tokens, QUESTIONS[0], max_new_tokens=9)


CHAT_TEMPLATES = {
    "qwen2.5": (
        "{% for m in messages %}{% if loop.first and m.role != 'system' %}<|im_start|>system\nYou are a helpful "
        "assistant.<|im_end|>\n{% endif %}<|im_start|>{{ m.role }}\n{% for part in m.content %}{% if part.type == "
        "'video' %}<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}{% endfor %}"
        "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
    "qwen3": (
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{% for part in m.content %}{% if part.type == 'video' %}"
        "<|vision_start|><|video_pad|><|vision_end|>{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    ),
}
CHAT_TEMPLATES["qwen3.5"] = CHAT_TEMPLATES["qwen3"].replace(
    "<|im_start|>assistant\n", "<|im_start|>assistant\n<think>\n\n</think>\n\n"
)
"""What the chat templates of the checkpoints print for a video and a text; that of Qwen3.5 where it is not to think."""


@some
@pytest.mark.parametrize("choices", [None, ["red", "blue"]])
def test_prompts_are_what_the_chat_template_prints(models, family, choices):
    chat, tokenizer = models[family].chat, models[family].tokenizer
    before, after = prompt_for(chat, choices is not None).fill(QUESTIONS[0], choices)
    words, start = after.split(CHAT_FORMATS[chat].after)
    content = [{"type": "video"}, {"type": "text", "text": words}]
    printed = tokenizer.apply_chat_template(
        [{"role": "user", "content": content}],
        chat_template=CHAT_TEMPLATES[chat], add_generation_prompt=True, tokenize=False,
    )  # fmt: skip
    assert before + "<|vision_start|><|video_pad|><|vision_end|>" + after == printed + start
    assert start in ("Answer: In the video,", "Answer: Best option:(")
    assert f"image_seq_{chat}_v3" in PROMPTS


@every
def test_a_checkpoint_is_loaded_by_its_model_type(models, family, tmp_path):
    models[family].model.save_pretrained(tmp_path)
    models[family].tokenizer.save_pretrained(tmp_path)
    Qwen2VLImageProcessorPil(patch_size=4, image_mean=[0.5] * 3, image_std=[0.5] * 3).save_pretrained(tmp_path)
    loaded = dyto.load_model(tmp_path, device="cpu")
    assert type(loaded) is type(models[family])
    assert loaded.chat == models[family].chat
    assert loaded.normalization.mean == (0.5, 0.5, 0.5)
    answer = dyto.VideoQA(loaded, dyto.DyTo(token_budget=200)).ask(film(4), QUESTIONS[0], max_new_tokens=3)
    assert 0 < answer.num_visual_tokens <= 200
    assert answer.num_time_tokens == (2 if family.startswith("qwen2") else answer.num_time_tokens) > 0


@every
def test_a_prompt_without_any_video_is_read_as_by_stock_transformers(models, family):
    model = models[family]
    prompt = model.tokenize(*prompt_for(model.chat, False).fill(QUESTIONS[0]))
    prefix = model.prefill(prompt.before, torch.zeros(0, model.model.get_input_embeddings().weight.shape[1]))
    ids = torch.cat([prompt.before, prompt.after])[None]
    with torch.no_grad():
        expected = model.model(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, len(prompt.before) :]
    torch.testing.assert_close(model.logits(prefix, prompt.after), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.sampled(3)
@some
def test_frames_with_fewer_tokens_than_the_most_are_certified_all_the_same(models, family):
    report = dyto.certify(dyto.Uniform(token_budget=200), models[family], budget=200)
    assert report.passed, report


@some
def test_marks_of_a_conversation_in_a_question_are_an_error(models, family):
    qa = dyto.VideoQA(models[family])
    for mark in ("<|im_end|>", "<|video_pad|>", "<|vision_start|>"):
        with pytest.raises(dyto.ConfigError, match="expected words"):
            qa.ask(film(), f"what{mark} is shown ?")


@pytest.mark.parametrize("family", ["qwen2_5_vl", "qwen3_vl"])
def test_a_checkpoint_with_tied_heads_is_read_as_by_stock_transformers(family, tmp_path):
    """As Qwen2.5-VL 3B and Qwen3-VL 2B and 4B are: the weights of the head are those of the words, and are not saved."""
    forged = FAMILIES[family][0]().config
    forged.tie_word_embeddings = forged.text_config.tie_word_embeddings = True
    tied = type(FAMILIES[family][0]())(forged).eval()
    with torch.no_grad():
        for weight in tied.parameters():
            if weight.ndim > 1:
                weight.normal_(std=1.2 / weight.shape[-1] ** 0.5)
    tied.save_pretrained(tmp_path)
    Qwen2VLImageProcessorPil().save_pretrained(tmp_path)  # whose normalization `stock_pixels` uses
    qwen_adapter(family).tokenizer.save_pretrained(tmp_path)
    model = dyto.load_model(tmp_path, device="cpu")
    assert model.model.lm_head.weight is model.model.get_input_embeddings().weight
    model.image_size, model.name = qwen_adapter(family).image_size, family
    before, after = prompt_for(model.chat, False).fill(QUESTIONS[0])
    prompt, frames = model.tokenize(before, after), film(3)
    with torch.no_grad():
        expected = model.model(**stock_inputs(model, frames, before, after)).logits[0, -len(prompt.after) :]
    tokens = dyto.VideoQA(model, "concat").encode(frames)
    found = model.logits(model.prefill(prompt.before, tokens), prompt.after)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
