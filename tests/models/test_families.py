"""Every family of LLaVA's shape against stock transformers, by one set of checks."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers

import dyto
from dyto.models import families
from dyto.models.pixels import Normalization
from dyto.prompts import CHAT_FORMATS, PROMPT_PAIRS, PROMPTS
from dyto.strategies import STRATEGIES

from forge_families import FAMILIES

QUESTIONS = ["what color is the star", "is there a red circle at the end of the video", "how many", "why"]
NESTED = ("smolvlm", "idefics3")
"""Families whose image processor takes a list of images for each text."""


@pytest.fixture(scope="module", params=FAMILIES)
def name(request):
    return request.param


@pytest.fixture(scope="module")
def folder(name, tmp_path_factory):
    return FAMILIES[name].forge(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def model(folder):
    return dyto.load_model(folder, device="cpu")


@pytest.fixture(scope="module")
def stock(name, folder):
    """The stock model by itself, read from the same folder."""
    return getattr(transformers, FAMILIES[name].stock).from_pretrained(folder).eval()


def video(frames=5, seed=0, size=(70, 96)):
    return np.random.default_rng(seed).integers(0, 255, (frames, *size, 3), dtype=np.uint8)


def prompt_of(model, question):
    return PROMPTS[PROMPT_PAIRS[model.chat][0]].fill(question)


def stock_inputs(name, model, frames, question):
    before, after = prompt_of(model, question)
    seconds = np.arange(len(frames), dtype=float)
    images = FAMILIES[name].images()
    return FAMILIES[name].inputs(model.tokenizer, images, frames, seconds, before, after)


def test_uncompressed_logits_equal_those_of_stock_transformers(name, model, stock):
    frames = video()
    tokens = dyto.VideoQA(model, "concat").encode(frames)
    prompt = model.tokenize(*prompt_of(model, QUESTIONS[0]))
    prefix = model.prefill(prompt.before, tokens)
    ours = model.logits(prefix, prompt.after)
    inputs = stock_inputs(name, model, frames, QUESTIONS[0])
    with torch.no_grad():
        theirs = stock(**inputs).logits[0]
    assert len(theirs) == len(prefix) + len(prompt.after)
    assert len(theirs) == len(prompt.before) + len(prompt.after) + len(tokens) + model.count_text(tokens)
    torch.testing.assert_close(ours, theirs[-len(ours) :], rtol=1e-4, atol=1e-4)
    assert theirs.std() > 0.1  # weights that make a difference


@torch.no_grad()
def plain_answer(model, tokens, question, count=10):
    """A question without any kept prefix: all of it read anew for every token."""
    before, after = (model.tokenize(*prompt_of(model, question)).__dict__[side] for side in ("before", "after"))
    embed, layout = model.model.get_input_embeddings(), model.lay_out(tokens)
    embeds = torch.cat([embed(before), layout.embeds, embed(after)])[None]
    visual = torch.zeros(1, embeds.shape[1], dtype=torch.int64)
    visual[0, len(before) : len(before) + len(layout)] = layout.visual
    answer = []
    while len(answer) < count:
        types = {"token_type_ids": visual} if model.chat == "gemma" else {}
        answer.append(int(model.model(inputs_embeds=embeds, **types).logits[0, -1].argmax()))
        if answer[-1] in model.model.generation_config.eos_token_id:
            break
        embeds = torch.cat([embeds, embed(torch.tensor([[answer[-1]]]))], 1)
        visual = torch.cat([visual, visual.new_zeros(1, 1)], 1)
    return model.tokenizer.decode(answer, skip_special_tokens=True).strip()


def test_generated_tokens_equal_those_of_stock_transformers(name, model, stock):
    frames = video(seed=1)
    tokens = dyto.VideoQA(model, "concat").encode(frames)
    for question in QUESTIONS:
        inputs = stock_inputs(name, model, frames, question)
        ids = stock.generate(**inputs, max_new_tokens=12, do_sample=False)[0, inputs["input_ids"].shape[1] :]
        expected = model.tokenizer.decode(ids, skip_special_tokens=True).strip()
        assert dyto.VideoQA(model).ask(tokens, question, max_new_tokens=12).text == expected


def test_two_tokens_that_are_swapped_change_what_is_read(model):
    """So that a wrong order or a wrong place would be seen by the tests of this file."""
    tokens = dyto.VideoQA(model, "concat").encode(video())
    prompt, order = model.tokenize(*prompt_of(model, QUESTIONS[0])), np.arange(len(tokens))
    order[[3, -4]] = order[[-4, 3]]
    ours, other = (
        model.logits(model.prefill(prompt.before, own), prompt.after)
        for own in (tokens, replace(tokens, data=tokens.data[order]))
    )
    assert (ours - other).abs().max() > 1e-2  # the tolerance of these tests is a hundredth of that


def test_kept_batched_and_streamed_answers_equal_plain_ones(model):
    qa = dyto.VideoQA(model)
    tokens = qa.encode(video(14))
    assert len(tokens) < tokens.uncompressed
    plain = [plain_answer(model, tokens, question) for question in QUESTIONS]
    assert len(set(plain)) > 1  # they do depend on the question
    assert [qa.ask(tokens, q, max_new_tokens=10).text for q in QUESTIONS] == plain
    for size in (None, 3):
        assert [a.text for a in qa.ask_many(tokens, QUESTIONS, max_new_tokens=10, batch_size=size)] == plain
    assert "".join(qa.stream(tokens, QUESTIONS[1], max_new_tokens=10)).strip() == plain[1]


def test_videos_side_by_side_in_one_batch_are_answered_as_alone(model):
    tokens = [dyto.VideoQA(model).encode(video(frames, seed=frames)) for frames in (3, 9, 14)]
    prompts = [model.tokenize(*prompt_of(model, question)) for question in QUESTIONS[:3]]
    prefixes = [model.prefill(p.before, video) for p, video in zip(prompts, tokens, strict=True)]
    together = model.generate(prefixes, [p.after for p in prompts], max_new_tokens=10)
    assert together == [plain_answer(model, *pair) for pair in zip(tokens, QUESTIONS[:3], strict=True)]


def test_a_prompt_without_any_video_is_read_as_by_stock_transformers(model, stock):
    prompt = model.tokenize(*prompt_of(model, QUESTIONS[0]))
    prefix = model.prefill(prompt.before, torch.zeros(0, model.model.get_input_embeddings().weight.shape[1]))
    ids = torch.cat([prompt.before, prompt.after])[None]
    with torch.no_grad():
        expected = stock(input_ids=ids, attention_mask=torch.ones_like(ids)).logits[0, len(prompt.before) :]
    torch.testing.assert_close(model.logits(prefix, prompt.after), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_runs_within_its_budget_or_says_what_is_missing(model, strategy):
    qa = dyto.VideoQA(model, strategy)
    try:
        answer = qa.ask(video(14), QUESTIONS[0], max_new_tokens=3)
    except dyto.ConfigError as err:
        assert re.search("needs|expected|offers? none", str(err)), err
        assert strategy not in ("dyto", "uniform", "concat", "slowfast")
        return
    assert answer.num_visual_tokens <= (answer.token_budget or answer.uncompressed_tokens)
    assert answer.uncompressed_tokens == 14 * model.num_patches


def test_the_summary_is_cls_where_there_is_one(name, model):
    frames = video(3)
    features = model.encode(list(frames))
    assert features.summary_source == FAMILIES[name].summary
    if features.summary_source == "mean patch":
        torch.testing.assert_close(features.summary, features.patches().mean(1))
    assert features.patches([2, 0]).shape == (2, model.num_patches, 48)
    torch.testing.assert_close(features.patches([2, 0]), features.patches()[[2, 0]], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("layer", [0, -1])
def test_attention_is_that_of_the_eager_tower(name, model, layer):
    frames = video(3)
    features = model.encode(list(frames), attention_layer=layer)
    tower = copy.deepcopy(model.tower())
    tower.set_attn_implementation("eager")
    images = FAMILIES[name].images()
    pixels = images([list(frames)] if name in NESTED else list(frames), return_tensors="pt").pixel_values
    with torch.no_grad():
        weights = tower(pixels.view(3, *pixels.shape[-3:]), output_attentions=True).attentions[layer]  # (B, h, n, n)
    has_cls = FAMILIES[name].summary == "CLS"
    paid = weights.mean(1)[:, 0, 1:] if has_cls else weights.mean((1, 2))  # (B, P)
    side = int(paid.shape[1] ** 0.5)
    square = paid.view(3, 1, side, side)
    pooled = torch.nn.functional.interpolate(square, size=model.grid, mode="bilinear", antialias=False)
    if side % model.grid[0] == 0:
        pooled = torch.nn.functional.adaptive_avg_pool2d(square, model.grid)
    torch.testing.assert_close(features.attention, pooled.flatten(1), rtol=1e-4, atol=1e-5)
    with pytest.raises(dyto.ConfigError, match="attention layer 9"):
        model.encode(list(frames), attention_layer=9)


@pytest.mark.parametrize("size", [(56, 56), (41, 300), (300, 41), (8, 8), (57, 55)])
def test_frames_of_any_shape_are_brought_to_the_tower_as_its_own_image_processor_does(name, model, size):
    frames = list(video(2, size=size))
    images = FAMILIES[name].images()
    theirs = images([frames] if name in NESTED else frames, return_tensors="pt").pixel_values
    ours = model.normalization.apply(model.prepare(frames), torch.device("cpu"), torch.float32)
    torch.testing.assert_close(ours, theirs.view_as(ours), rtol=1e-4, atol=1e-5)


def test_a_video_is_decoded_in_a_size_from_which_its_frames_are_the_same(model, clip):
    exact = dyto.Savings(quick_resize=False)
    small = dyto.sample_frames(clip, num_frames=6, size=model.image_size, savings=exact)
    full = dyto.sample_frames(clip, num_frames=6)
    np.testing.assert_array_equal(model.prepare(list(small.data)), model.prepare(list(full.data)))


def test_time_may_be_told_as_text(name, model):
    assert model.chat == FAMILIES[name].chat
    model = type(model)(
        "told", model.model, model.tokenizer, normalization=model.normalization, chat=model.chat,
        time_text="<{seconds:.1f} seconds>",
    )  # fmt: skip
    qa = dyto.VideoQA(model, "uniform")
    tokens = qa.encode(video(8))
    told = model.tokenizer.decode(torch.cat([run.text for run in model._runs(tokens)]))
    assert all(f"<{second:.1f} seconds>" in told for second in tokens.keyframes.seconds)
    answer = qa.ask(tokens, QUESTIONS[0], max_new_tokens=3)
    assert answer.num_visual_tokens == len(tokens) <= tokens.budget


def test_half_precision_answers(folder):
    model = dyto.load_model(folder, device="cpu", dtype="bfloat16")
    assert dyto.VideoQA(model).ask(video(8), QUESTIONS[0], max_new_tokens=3).num_visual_tokens > 0


TEMPLATES = {
    "vicuna": "USER: <video>\nWhy? ASSISTANT:",
    "onevision": "<|im_start|>user <video>\nWhy?<|im_end|><|im_start|>assistant\n",
    "internvl": "<|im_start|>user\n<video>\nWhy?<|im_end|>\n<|im_start|>assistant\n",
    "smolvlm": "<|im_start|>User:<video>\n\nWhy?<end_of_utterance>\nAssistant:",
    "idefics3": "User:<video>Why?<end_of_utterance>\nAssistant:",
    "gemma": "<start_of_turn>user<video>\n\nWhy?<end_of_turn>\n<start_of_turn>model\n",
    "vipllava": "A chat between a curious human and an artificial intelligence assistant. The assistant gives helpful, "
    "detailed, and polite answers to the human's questions.###Human: <video>\nWhy?###Assistant:",
}
"""What the chat templates of the published checkpoints make of a video and a question; the frames' own text apart."""


def test_the_chat_format_is_that_of_the_published_checkpoints(name):
    chat = FAMILIES[name].chat
    form = CHAT_FORMATS[chat]
    before, video, after = form.before, form.video, form.after
    assert chat in TEMPLATES, f"TEMPLATES lacks {chat!r}: add what the published chat template writes"
    assert before + video.replace("<image>", "<video>") + "Why?" + after == TEMPLATES[chat]


def test_the_chat_format_of_smolvlm_is_that_of_its_processor():
    from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

    tokenizer = FAMILIES["smolvlm"].tokenizer()
    message = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "Why?"}]}
    text = tokenizer.apply_chat_template(
        [message], chat_template=DEFAULT_CHAT_TEMPLATE, tokenize=False, add_generation_prompt=True
    )
    told = " You are provided ...\n\n"  # as the processor writes a video: after the blank, before the question
    assert text.replace(" <video>", told) == TEMPLATES["smolvlm"].replace("<video>\n\n", told)


PUBLISHED_SIZES = {
    "llava": (576, {"hidden_size": 64, "image_size": 336, "patch_size": 14}, {}),
    "vipllava": (576, {"hidden_size": 64, "image_size": 336, "patch_size": 14}, {}),
    "llava_next_video": (144, {"hidden_size": 64, "image_size": 336, "patch_size": 14}, {"spatial_pool_stride": 2}),
    "llava_onevision": (196, {"hidden_size": 64, "image_size": 384, "patch_size": 14}, {}),
    "internvl": (256, {"hidden_size": 64, "image_size": [448, 448], "patch_size": [14, 14]}, {}),
    "smolvlm": (64, {"hidden_size": 64, "image_size": 512, "patch_size": 16}, {"scale_factor": 4}),
    "idefics3": (169, {"hidden_size": 64, "image_size": 364, "patch_size": 14}, {"scale_factor": 2}),
    "gemma3": (256, {"hidden_size": 64, "image_size": 896, "patch_size": 14}, {"mm_tokens_per_image": 256}),
}
"""Tokens of a frame in the published checkpoints, and the sizes that make them so."""


@pytest.mark.parametrize("family", PUBLISHED_SIZES)
def test_a_frame_has_as_many_tokens_as_the_published_checkpoints_give_it(family):
    count, vision, more = PUBLISHED_SIZES[family]
    tokenizer = FAMILIES[family].tokenizer()
    config = FAMILIES[family].config(tokenizer)
    for holder, changes in ((config.vision_config, vision), (config, more)):
        for key, value in changes.items():  # type: ignore[attr-defined]
            setattr(holder, key, value)
    model = getattr(transformers, FAMILIES[family].stock)(config).eval()
    build = families.FAMILIES[family].adapter_class
    model = build("sized", model, tokenizer, normalization=Normalization(), chat=FAMILIES[family].chat)
    features = model.encode(list(video(1)))
    assert features.patches().shape == (1, count, 48)
    assert model.num_patches == features.num_patches == count
