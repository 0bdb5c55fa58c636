"""Qwen-VL in somebody else's code: patches of two frames, positions of three axes, DeepStack."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

import dyto
from dyto.dropin import compressing
from dyto.video import Frames

from forge_qwen import FAMILIES, SIDE, qwen_adapter

QUESTIONS = ["what is shown ?", "is there a red circle at the end of the video ?"]
GREEDY = {"max_new_tokens": 8, "do_sample": False}


@pytest.fixture(scope="module", params=FAMILIES)
def model(request):
    return qwen_adapter(request.param)


@pytest.fixture(scope="module")
def processor():
    area = SIDE * SIDE
    return Qwen2VLImageProcessorPil(
        size={"shortest_edge": 4 * area, "longest_edge": 24 * area}, patch_size=4, merge_size=2
    )


def film(count, seed=0, size=(32, 40)):
    return np.random.default_rng(seed).integers(0, 255, (count, *size, 3), dtype=np.uint8)


def paired(processor, frames, others):
    """Patches of two frames each, as the stock video processor makes them, and their grid."""
    first, second = (processor([Image.fromarray(f) for f in film], return_tensors="pt") for film in (frames, others))
    patches = [part["pixel_values"].unflatten(1, (3, 2, 4, 4)) for part in (first, second)]
    both = torch.stack([patches[0][:, :, 0], patches[1][:, :, 1]], 2).flatten(1)
    return both, [len(frames), *first["image_grid_thw"][0, 1:].tolist()]


def prepare(model, processor, frames, question, kind="video", others=None):
    """What the stock processor makes of a video, or of the frames as images, in the prompt of `VideoQA`."""
    pixels, (count, rows, cols) = paired(processor, frames, frames if others is None else others)
    before, after = dyto.prompts.prompt_for(model.chat, False).fill(question)
    start, end, mark = "<|vision_start|>", "<|vision_end|>", f"<|{kind}_pad|>" * (rows * cols // 4)
    if kind == "image":
        shown = (start + mark + end) * count
    elif model.time_text:
        shown = "".join(f"<{second:.1f} seconds>{start}{mark}{end}" for second in range(count))
    else:
        shown = start + mark * count + end
    ids = model.tokenizer(before + shown + after, return_tensors="pt").input_ids
    number = model.tokenizer.convert_tokens_to_ids(f"<|{kind}_pad|>")
    inputs = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == number).int() * (2 if kind == "video" else 1),
    }
    if kind == "image":
        return {**inputs, "pixel_values": pixels, "image_grid_thw": torch.tensor([[1, rows, cols]] * count)}
    has_times = model.model.config.model_type == "qwen2_5_vl"
    times = {"second_per_grid_ts": torch.tensor([1.0])} if has_times else {}
    return {**inputs, "pixel_values_videos": pixels, "video_grid_thw": torch.tensor([[count, rows, cols]]), **times}


def stacked(made):
    """A batch of several, padded on the left."""
    longest = max(inputs["input_ids"].shape[1] for inputs in made)
    batch = {}
    for key in made[0]:
        parts = [inputs[key] for inputs in made]
        if key in ("input_ids", "attention_mask", "mm_token_type_ids"):
            parts = [torch.nn.functional.pad(part, (longest - part.shape[1], 0)) for part in parts]
        batch[key] = torch.cat(parts)
    return batch


@pytest.mark.parametrize("kind", ["video", "image"])
def test_uncompressed_logits_and_answers_are_those_of_the_stock_model(model, processor, kind):
    others = film(5, seed=1) if kind == "video" else None  # an image is repeated, of a video two frames are joined
    inputs, stock = prepare(model, processor, film(5), QUESTIONS[0], kind, others), model.model
    with torch.no_grad():
        stock.model.rope_deltas = None
        expected, ids = stock(**inputs).logits, stock.generate(**inputs, **GREEDY)
        with compressing(stock, "concat", processor=processor):
            found, same = stock(**inputs).logits, stock.generate(**inputs, **GREEDY)
    assert found.shape == expected.shape
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    assert torch.equal(ids, same)


@pytest.mark.sampled(4)
@pytest.mark.parametrize("strategy", [dyto.DyTo(token_budget=60), dyto.SlowFast(), dyto.Uniform()])
def test_compressed_answers_are_those_of_video_qa(model, processor, strategy):
    frames = film(14, seed=2)
    clip = Frames(frames, np.arange(14), np.arange(14.0), source_size=(32, 40))
    question = QUESTIONS[1]
    inputs = prepare(model, processor, frames, question)
    with compressing(model.model, strategy, processor=processor) as compression:
        ids = model.model.generate(**inputs, **GREEDY)
    expected = dyto.VideoQA(model, strategy).ask(clip, question, max_new_tokens=8)
    new = ids[0, inputs["input_ids"].shape[1] :]
    assert model.tokenizer.decode(new, skip_special_tokens=True).strip() == expected.text
    assert len(compression.tokens[0]) == expected.num_visual_tokens


@pytest.mark.sampled(3)
def test_batches_and_beams_give_the_answers_of_one_by_one(model, processor):
    made = [prepare(model, processor, film(n, seed=n), q) for n, q in zip((6, 12), QUESTIONS, strict=True)]
    batch, stock = stacked(made), model.model
    with compressing(stock, token_budget=40, processor=processor) as compression:
        for options in (GREEDY, {**GREEDY, "num_beams": 2}):
            together = stock.generate(**batch, **options)[:, batch["input_ids"].shape[1] :]
            assert all(0 < len(tokens) <= 40 for tokens in compression.tokens)
            for row, inputs in enumerate(made):
                alone = stock.generate(**inputs, **options)[0, inputs["input_ids"].shape[1] :]
                assert together[row, : len(alone)].tolist() == alone.tolist()


def test_the_model_is_the_same_afterwards(model, processor):
    stock, inputs = model.model, prepare(model, processor, film(6), QUESTIONS[0])
    with torch.no_grad():
        before = stock(**inputs).logits
        attributes = [{key: id(value) for key, value in vars(part).items()} for part in stock.modules()]
        hooks = [list(part._forward_pre_hooks) for part in stock.modules()]
        with compressing(stock, token_budget=40, processor=processor):
            stock.generate(**inputs, **GREEDY)
        assert [{key: id(value) for key, value in vars(part).items()} for part in stock.modules()] == attributes
        assert [list(part._forward_pre_hooks) for part in stock.modules()] == hooks
        assert torch.equal(stock(**inputs).logits, before)


def test_frames_in_their_marks_leave_with_them(model, processor):
    inputs = prepare(model, processor, film(12, seed=3), QUESTIONS[0])
    with compressing(model.model, token_budget=30, processor=processor) as compression:
        seen = []
        handle = model.language_model().register_forward_pre_hook(
            lambda module, args, kwargs: seen.append(kwargs["inputs_embeds"].shape[1]), with_kwargs=True
        )
        model.model.generate(**inputs, **GREEDY)
        handle.remove()
    (tokens,) = compression.tokens
    text = model.count_text(tokens)
    before, after = dyto.prompts.prompt_for(model.chat, False).fill(QUESTIONS[0])
    prompt = model.tokenize(before, after)
    assert seen[0] == len(prompt.before) + len(tokens) + text + len(prompt.after)


@pytest.mark.parametrize(
    ("missing", "said"), [("video_grid_thw", "their grid_thw"), ("input_ids", "without input_ids")]
)
def test_inputs_that_are_not_whole_are_refused(model, processor, missing, said):
    inputs = prepare(model, processor, film(6), QUESTIONS[0])
    del inputs[missing]
    with pytest.raises(dyto.ConfigError, match=said), compressing(model.model, processor=processor):
        model.model.generate(**inputs, **GREEDY)


def test_images_beside_a_video_are_videos_of_their_own(model, processor):
    video, image = (prepare(model, processor, film(6), QUESTIONS[0], kind) for kind in ("video", "image"))
    both = {**image, **video}
    for key in ("input_ids", "attention_mask", "mm_token_type_ids"):
        both[key] = torch.cat([video[key], image[key]], 1)
    with compressing(model.model, token_budget=40, processor=processor) as compression, torch.no_grad():
        model.model(**video)
        alone = compression.tokens
        model.model(**image)
        alone += compression.tokens
        model.model(**both)
        for found, expected in zip(compression.tokens, alone, strict=True):
            assert torch.equal(found.data, expected.data)
    with pytest.raises(dyto.ConfigError, match="no placeholder"), compressing(model.model, processor=processor):
        model.model.generate(**{**image, **video}, **GREEDY)


def test_uncompressed_images_beside_a_video_are_read_as_the_stock_model_reads_them(model, processor):
    stock = model.model
    video, image = (prepare(model, processor, film(3), QUESTIONS[0], kind) for kind in ("video", "image"))
    both = {**image, **video}
    for key in ("input_ids", "attention_mask", "mm_token_type_ids"):
        both[key] = torch.cat([video[key], image[key]], 1)
    with torch.no_grad():
        stock.model.rope_deltas = None
        expected, ids = stock(**both).logits, stock.generate(**both, **GREEDY)
        with compressing(stock, "concat", processor=processor):
            torch.testing.assert_close(stock(**both).logits, expected, rtol=1e-4, atol=1e-4)
            assert torch.equal(stock.generate(**both, **GREEDY), ids)


class Both:
    """An image processor and a tokenizer, as a stock processor holds them."""

    def __init__(self, image_processor, tokenizer):
        self.image_processor, self.tokenizer = image_processor, tokenizer


def timed(model, processor, seconds, between=""):
    """A video of which each frame has its time before it."""
    inputs = prepare(model, processor, film(len(seconds)), QUESTIONS[0])
    count = int((inputs["input_ids"] == 262).sum()) // len(seconds)
    place = "<|vision_start|>" + "<|video_pad|>" * count + "<|vision_end|>"
    before, after = dyto.prompts.prompt_for(model.chat, False).fill(QUESTIONS[0])
    text = before + between.join(f"<{second} seconds>{place}" for second in seconds) + after
    ids = model.tokenizer(text, return_tensors="pt").input_ids
    return {
        **inputs,
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mm_token_type_ids": (ids == 262).int() * 2,
    }


@pytest.mark.parametrize("seconds", [(0.5, 4.5, 9.0), (0.0, 61.2), (12.3, 14.0, 14.5, 80.0)])
def test_times_in_the_prompt_are_those_of_the_frames(processor, seconds):
    model = qwen_adapter("qwen3_vl")
    inputs = timed(model, processor, seconds)
    with compressing(model.model, dyto.Concat(), processor=Both(processor, model.tokenizer)) as compression:
        model.model(**inputs)
        (tokens,) = compression.tokens
        assert tokens.keyframes.seconds.tolist() == list(seconds)
        assert not tokens.warnings
    with compressing(model.model, dyto.Concat(), processor=processor) as compression:
        model.model(**inputs)  # without a tokenizer they stay in the prompt, but nobody can read them
        (tokens,) = compression.tokens
        assert tokens.keyframes.seconds.tolist() == list(range(len(seconds)))
        assert any("not known" in warning for warning in tokens.warnings)


def test_times_of_dropped_frames_go_with_them_with_a_tokenizer_and_without(processor):
    from dropin.reading import read_by

    model = qwen_adapter("qwen3_vl")
    inputs = timed(model, processor, (0.5, 4.5, 9.0, 12.5))
    for images in (processor, Both(processor, model.tokenizer)):
        strategy = dyto.Uniform(token_budget=30)
        with compressing(model.model, strategy, processor=images) as compression:
            with read_by(model.model, model.language_model()) as calls:
                model.model(**inputs)
            (tokens,) = compression.tokens
        said = model.tokenizer.decode([number for number in calls[0][0] if number is not None])
        times = [(0.5, 4.5, 9.0, 12.5)[place] for place in tokens.keyframes.positions]
        assert 0 < len(times) < 4
        assert [time for time in (0.5, 4.5, 9.0, 12.5) if f"<{time} seconds>" in said] == times
        assert QUESTIONS[0] in said


def test_words_among_the_times_of_a_video_are_an_error(processor):
    model = qwen_adapter("qwen3_vl")
    inputs = timed(model, processor, (0.5, 4.5, 9.0), between="look here")
    for images in (processor, Both(processor, model.tokenizer)):
        said = pytest.raises(dyto.ConfigError, match="words between the frames|without a tokenizer")
        with said, compressing(model.model, processor=images):
            model.model(**inputs)


def test_times_that_the_processor_of_qwen2_5_tells(processor):
    model = qwen_adapter("qwen2_5_vl")
    inputs = prepare(model, processor, film(4), QUESTIONS[0])
    inputs["second_per_grid_ts"] = torch.tensor([2.5])
    with compressing(model.model, dyto.Concat(), processor=processor) as compression:
        model.model(**inputs)
    assert compression.tokens[0].keyframes.seconds.tolist() == [0.0, 2.5, 5.0, 7.5]
