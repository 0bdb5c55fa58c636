"""Every word of a prompt reaches the model, wherever it stands between pictures, or there is an error."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import dyto
from dropin.reading import read_by
from dyto.dropin import compressing
from dyto.dropin.captions import Captions
from dyto.dropin.guard import Guard
from dyto.models.adapters.tiny import build_processor
from dyto.strategies.uniform import whole_frames

from forge import forge_model
from forge_families import FAMILIES

GREEDY = {"max_new_tokens": 2, "do_sample": False, "pad_token_id": 0}
TURNS = "USER: ###### what color is the star ? ASSISTANT: red USER: ###### is there a ring ? ASSISTANT:"


@pytest.fixture(scope="module")
def processor():
    return build_processor()


@pytest.fixture(scope="module")
def model():
    return forge_model(seed=3, context=8192)


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    """A LLaVA whose single images are no tiles."""
    return dyto.load_model(FAMILIES["llava"].forge(tmp_path_factory.mktemp("llava")), device="cpu")


def picture(number, side=84):
    return Image.fromarray(np.random.default_rng(number).integers(0, 255, (side, side, 3), dtype=np.uint8))


def prepare(processor, text):
    images = [picture(number) for number in range(text.count("#"))]
    return processor(images=images or None, text=text.replace("#", "<image>"), return_tensors="pt")


def words_read(model, inputs, strategy="dyto", **options):
    """The words that reach the model, without visual tokens, and what was compressed."""
    with compressing(model, strategy, **options) as compression, read_by(model, model.model.language_model) as calls:
        model.generate(**inputs, **GREEDY)
    return [number for number in calls[0][0] if number is not None], compression


@pytest.mark.parametrize("given_processor", [True, False])
@pytest.mark.parametrize(
    ("text", "videos"), [(TURNS, 2), ("first #### then ####", 2), ("why ###", 1), ("## a ## b ##", 3)]
)
def test_words_between_images_stay(model, processor, text, videos, given_processor):
    inputs = prepare(processor, text)
    options = {"processor": processor} if given_processor else {}
    read, compression = words_read(model, inputs, token_budget=50, **options)
    assert read == processor.tokenizer(text.replace("#", "")).input_ids
    assert len(compression.tokens) == videos
    assert all(len(tokens) <= 50 for tokens in compression.tokens)


def test_each_of_several_videos_is_compressed_as_if_it_were_alone(model, processor):
    _, both = words_read(model, prepare(processor, "first ###### then ####"), token_budget=50)
    _, alone = words_read(model, prepare(processor, "first ######"), token_budget=50)
    assert torch.equal(both.tokens[0].data, alone.tokens[0].data)


def test_images_with_words_between_them_are_videos_of_one_frame(llava):
    text = "USER: # is the first . # is the second . what is the same ? ASSISTANT:"
    read, compression = words_read(llava.model, llava_inputs(llava, text), token_budget=40)
    assert (
        read
        == llava.tokenizer(text.replace("#", "<image>"), return_tensors="pt")
        .input_ids[0][
            llava.tokenizer(text.replace("#", "<image>"), return_tensors="pt").input_ids[0] != llava._image_id
        ]
        .tolist()
    )
    assert [len(tokens.keyframes) for tokens in compression.tokens] == [1, 1]


def llava_inputs(llava, text):
    ids = llava.tokenizer(text.replace("#", "<image>" * 64), return_tensors="pt").input_ids
    images = [picture(number, 56) for number in range(text.count("#"))]
    pixels = FAMILIES["llava"].images()(images, return_tensors="pt").pixel_values if images else None
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids), "pixel_values": pixels}


PIECES = st.sampled_from(
    ["#", "##", "####", "what", "then", "the star ?", "red", ".", "\n", " ", "Frame 2:", "[0.5s]", "at 3", "is there"]
)


@given(pieces=st.lists(PIECES, min_size=1, max_size=9).filter(lambda pieces: any("#" in piece for piece in pieces)))
@settings(max_examples=40, derandomize=True, deadline=None, database=None)
def test_in_any_prompt_the_words_stay_in_their_order(llava, pieces):
    inputs = llava_inputs(llava, " ".join(pieces))
    captions = {number for text in ("Frame 2:", "[0.5s]", " Frame 2:", " [0.5s]") for number in encoded(llava, text)}
    try:
        read, _ = words_read(llava.model, inputs, dyto.Uniform(token_budget=64))  # one frame of each video
    except dyto.errors.DytoError:
        return
    asked = [number for number in inputs["input_ids"][0].tolist() if number != llava._image_id]
    spaces = {number for number in range(len(llava.tokenizer)) if not llava.tokenizer.decode([number]).strip()}
    assert essential(read, captions | spaces) == essential(asked, captions | spaces)
    for word in ("what", "then", "star", "red", "there"):
        said = llava.tokenizer.decode(read).count(word)
        assert said == llava.tokenizer.decode(asked).count(word)


def encoded(llava, text):
    return llava.tokenizer(text, add_special_tokens=False).input_ids


def essential(ids, loose):
    return [number for number in ids if number not in loose]


@pytest.mark.parametrize("number", ["first", "last"])
def test_captions_of_dropped_frames_go_with_them_and_those_of_key_frames_stay(llava, number):
    captions = [f"Frame {place}: " for place in range(1, 9)]
    text = "USER: look at it\n" + "\n".join(caption + "#" for caption in captions) + "\nwhat is red ? ASSISTANT:"
    strategy = dyto.Uniform(token_budget=2 * 64)
    read, compression = words_read(llava.model, llava_inputs(llava, text), strategy)
    (tokens,) = compression.tokens
    said = llava.tokenizer.decode(read)
    kept = [captions[place] for place in tokens.keyframes.positions]
    assert [caption for caption in captions if caption in said] == kept
    assert said.index("look at it") < said.index(kept[0]) < said.index("what is red")
    assert any("not known" in warning for warning in tokens.warnings)


def test_captions_that_not_all_frames_have_are_words(llava):
    text = "USER: ## Frame 3: ### what is red ? ASSISTANT:"
    read, compression = words_read(llava.model, llava_inputs(llava, text), token_budget=100)
    assert "Frame 3:" in llava.tokenizer.decode(read)
    assert len(compression.tokens) == 2


def test_text_that_nobody_can_read_between_all_images_is_an_error(processor):
    with pytest.raises(dyto.ConfigError, match="without a tokenizer captions of frames cannot be told"):
        words_read(forge_model(seed=3), prepare(processor, "## then ##".replace("##", "#")))


def test_words_among_the_placeholders_of_one_picture_are_an_error(llava):
    inputs = llava_inputs(llava, "USER: # # why ASSISTANT:")
    ids = inputs["input_ids"][0].tolist()
    place = ids.index(llava._image_id)
    ids.insert(place + 63, ids.pop(place + 64))  # what stood between the two images
    with pytest.raises(dyto.ConfigError, match="expected them side by side"):
        words_read(llava.model, {**inputs, "input_ids": torch.tensor([ids])})


def test_padding_and_several_videos_in_a_batch(model, processor):
    texts = ["USER: ### then ## why ASSISTANT:", "USER: #### is there a ring ? ASSISTANT:", "USER: why ASSISTANT:"]
    images = [[picture(number) for number in range(text.count("#"))] for text in texts]
    for side in ("left", "right"):
        batch = processor(
            images=images, text=[text.replace("#", "<image>") for text in texts], padding=True, padding_side=side,
            return_tensors="pt",
        )  # fmt: skip
        with compressing(model, token_budget=50) as compression, read_by(model, model.model.language_model) as calls:
            ids = model.generate(**batch, **GREEDY)
        assert torch.equal(ids[:, : batch.input_ids.shape[1]], batch.input_ids)
        assert [tokens is None for tokens in compression.tokens] == [False, False, False, True]
        for row, text in zip(calls[0], texts, strict=True):
            read = [number for number in row if number not in (None, 0)]
            assert read == processor.tokenizer(text.replace("#", "")).input_ids


def test_the_guard_finds_what_a_mistake_would_lose(model, processor, monkeypatch):
    from dyto.dropin import calls

    splice = calls.splice
    inputs = prepare(processor, TURNS)

    def losing(sample, tokens, lost):
        row = splice(sample, tokens)
        kept = torch.ones_like(row.ids, dtype=torch.bool)
        kept[(row.ids == lost).nonzero()[0]] = False
        return calls.PromptRow(row.ids[kept], row.clip[kept])

    for word in ("color", "red", "ring"):
        lost = processor.tokenizer.convert_tokens_to_ids(word)
        monkeypatch.setattr(calls, "splice", lambda sample, tokens, lost=lost: losing(sample, tokens, lost))
        with pytest.raises(dyto.errors.DytoError, match="would reach the model"), compressing(model):
            model.generate(**inputs, **GREEDY)


def test_the_guard_looks_at_what_the_language_model_is_given(model, processor):
    inputs = prepare(processor, TURNS)

    def other(module, args, kwargs):
        embeds = kwargs["inputs_embeds"].clone()
        embeds[:, -1] = embeds[:, -2]
        return args, {**kwargs, "inputs_embeds": embeds}

    handle = model.model.language_model.register_forward_pre_hook(other, with_kwargs=True)
    try:
        with pytest.raises(dyto.errors.DytoError, match="other text is read"), compressing(model):
            model(**inputs)
    finally:
        handle.remove()


def guard_of(tokenizer=None, between=()):
    return Guard(Captions(frozenset({1, 2}), lambda: tokenizer), frozenset(between))


def test_the_guard_without_a_tokenizer():
    guard = guard_of()
    guard.check([[5, 1], [2, 1], [2, 6]], [[5, 1], [2, 6]])
    with pytest.raises(dyto.errors.ModelError, match="2 tokens of text were asked and 1 would"):
        guard.check([[5, 1], [2, 6]], [[5, 1], [2]])
    with pytest.raises(dyto.errors.ModelError):
        guard.check([[5, 1], [7], [2, 6]], [[5, 1], [2, 6]])


@pytest.mark.parametrize("lost", ["3", ".", ": -", "at", "time", "of", "frame", "3 seconds", "1,2,3"])
def test_the_guard_sees_any_word_that_is_no_caption(llava, lost):
    guard = guard_of(llava.tokenizer)
    start, word, end = encoded(llava, "look"), encoded(llava, lost), encoded(llava, "why")
    first, second = encoded(llava, " 0.5s: "), encoded(llava, " 1.5s: ")
    guard.check([start + first, second, end], [start + second, end])
    for asked, read in (
        ([start, word, end], [start, end]),
        ([start + word, end], [start, end]),
        ([start, word + end], [start, end]),
        ([start + word + first, second, end], [start + second, end]),
        ([start + first, second + word, end], [start + first, end]),
        ([start + first, second, word + end], [start + first, end]),
    ):
        with pytest.raises(dyto.errors.ModelError, match="tokens of text were asked"):
            guard.check(asked, read)


BESIDE = [
    ("why # 3 # . # ?", "why 3 . ?", "why 3 . ?"),
    ("why # , # , # ?", "why , , ?", "why , , ?"),
    ("why in frame 3 0.5s:# 1.5s:# 2.5s:# ?", "why in frame 3 0.5s: ?", "why in frame 3 2.5s: ?"),
    ("what was at that time 0:01:# 0:02:# ?", "what was at that time 0:01: ?", "what was at that time 0:02: ?"),
    ("0.5s:# 1.5s:# frame 3 2.5s:# ?", "0.5s: 1.5s: frame 3 2.5s: ?", "0.5s: 1.5s: frame 3 2.5s: ?"),
    ("see Frame 1:# Frame 2:# Frame 9 is odd", "see Frame 1: Frame 9 is odd", "see Frame 2: Frame 9 is odd"),
    ("see <0.5 seconds># <1.5 seconds># <b> ?", "see <0.5 seconds> <b> ?", "see <1.5 seconds> <b> ?"),
]
"""A prompt, and what is read of it where the first frame of a video is kept, or the last."""


@pytest.mark.parametrize(("text", "first", "last"), BESIDE)
def test_words_that_look_like_a_piece_of_a_caption_stay(llava, text, first, last):
    for place, expected in ((0, first), (-1, last)):

        def one_frame(frames, encode, question=None, place=place):
            chosen = np.array([place % len(frames)])
            return whole_frames(encode(frames[chosen]), chosen, None, 64 * len(frames))

        read, _ = words_read(llava.model, llava_inputs(llava, text), one_frame)
        said = llava.tokenizer.decode(read, skip_special_tokens=True)
        assert "".join(said.split()) == "".join(expected.split())
