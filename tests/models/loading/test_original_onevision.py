"""LLaVA-OneVision and LLaVA-Video in the layout of their authors: the same weights, the newlines where they belong."""

import json

import numpy as np
import pytest
import torch
import transformers

import dyto
from dyto.models.adapters.llava_onevision import NEWLINES
from dyto.models.loading import original_towers
from dyto.models.loading.original_llava import stock_config
from dyto.prompts import PROMPT_PAIRS, PROMPTS, prompt_for

from forge import save_original
from forge_families import FAMILIES

SIDE = 63  # 9 x 9 patches of 7 pixels, pooled to 5 x 5, or 4 x 4 without the row that is over
QUESTION = "what color is the star"
TOWER = "google/siglip-so400m-patch7-66"  # 66 pixels, of which three belong to no patch
LIKE_VIDEO = {"mm_newline_position": "grid", "mm_spatial_pool_mode": "average", "mm_spatial_pool_stride": 2}


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    """A checkpoint in the Hugging Face layout."""
    return FAMILIES["llava_onevision"].forge(tmp_path_factory.mktemp("onevision"))


@pytest.fixture(scope="module")
def stock(converted):
    return transformers.LlavaOnevisionForConditionalGeneration.from_pretrained(converted).eval()


@pytest.fixture(scope="module")
def save(stock, tmp_path_factory):
    """Writes the same weights as their authors do, with some settings of the config changed."""

    def write(drop=(), **changes):
        vision = stock.config.vision_config
        tower = tmp_path_factory.mktemp("tower")  # a small tower has other heads than a large one
        (tower / "config.json").write_text(json.dumps({"num_attention_heads": vision.num_attention_heads}))
        config = {
            "mm_vision_tower": str(tower), "mm_patch_merge_type": "spatial_unpad", "mm_vision_select_layer": -2,
            "image_aspect_ratio": "anyres_max_9", **changes,
        }  # fmt: skip
        folder = save_original(stock, tmp_path_factory.mktemp("original"), drop=drop, config_changes=config)
        FAMILIES["llava_onevision"].tokenizer().save_pretrained(folder)
        return folder

    return write


def video(frames=5, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (frames, 70, 96, 3), dtype=np.uint8)


def logits(model, tokens, question=QUESTION):
    prompt = model.tokenize(*PROMPTS[PROMPT_PAIRS["onevision"][0]].fill(question))
    return model.logits(model.prefill(prompt.before, tokens), prompt.after)


def test_both_layouts_hold_the_same_model_and_answer_alike(converted, save, stock):
    a, b = dyto.load_model(converted, device="cpu"), dyto.load_model(save(), device="cpu")
    assert type(a) is type(b)
    expected = stock.state_dict()
    assert b.model.state_dict().keys() == expected.keys()
    assert all(torch.equal(value, expected[key]) for key, value in b.model.state_dict().items())
    assert b.normalization == a.normalization
    assert b.chat == a.chat == "onevision"
    for strategy in ("concat", "dyto"):
        both = [dyto.VideoQA(model, strategy) for model in (a, b)]
        seen = [qa.encode(video()) for qa in both]
        assert torch.equal(logits(a, seen[0]), logits(b, seen[1]))
        answers = [qa.ask(tokens, QUESTION, max_new_tokens=12).text for qa, tokens in zip(both, seen, strict=True)]
        assert answers[0] == answers[1]
    assert not torch.equal(logits(b, seen[1]), logits(b, seen[1], "why"))


def by_hand(stock, model, frames, pooling, position):
    """The embeddings of a video as the authors' code strings them together, row by row."""
    pixels = FAMILIES["llava_onevision"].images()(list(frames), return_tensors="pt").pixel_values
    core, newline = stock.model, stock.model.image_newline
    with torch.no_grad():
        seen = core.multi_modal_projector(core.vision_tower(pixels, output_hidden_states=True).hidden_states[-1])
        square = seen.view(len(frames), 9, 9, -1).permute(0, 3, 1, 2)
        pooled = {
            "average": lambda: torch.nn.functional.avg_pool2d(square, 2),
            "max": lambda: torch.nn.functional.max_pool2d(square, 2),
            "bilinear": lambda: torch.nn.functional.interpolate(square, size=[5, 5], mode="bilinear"),
        }[pooling]().permute(0, 2, 3, 1)  # (T, rows, cols, D)
        parts = []
        for frame in pooled:
            for row in frame:
                parts += [*row, *([newline] if position == "grid" else [])]
            parts += [newline] if position == "frame" else []
        parts += [newline] if position == "one_token" else []
    return torch.stack(parts)


@pytest.mark.parametrize("pooling", ["average", "max", "bilinear"])
@pytest.mark.parametrize("position", NEWLINES)
def test_whole_frames_are_written_as_their_authors_write_them(save, stock, pooling, position):
    model = dyto.load_model(save(mm_newline_position=position, mm_spatial_pool_mode=pooling), device="cpu")
    frames = video(3)
    tokens = dyto.VideoQA(model, "concat").encode(frames, num_frames=3)
    expected = by_hand(stock, model, frames, pooling, position)
    layout = model.lay_out(tokens)
    assert len(tokens) == 3 * (25 if pooling == "bilinear" else 16)
    torch.testing.assert_close(layout.embeds, expected, rtol=1e-4, atol=1e-4)
    assert int(layout.visual.sum()) == len(tokens)
    assert model.count_text(tokens) == len(layout) - len(tokens) == len(expected) - len(tokens)
    assert layout.advance == len(layout)


def test_logits_are_those_of_the_stock_model_given_the_authors_embeddings(save, stock):
    model = dyto.load_model(save(**LIKE_VIDEO), device="cpu")
    frames = video(3)
    tokens = dyto.VideoQA(model, "concat").encode(frames, num_frames=3)
    prompt = model.tokenize(*prompt_for(model.chat, False).fill(QUESTION))
    embed = stock.get_input_embeddings()
    rows = [embed(prompt.before), by_hand(stock, model, frames, "average", "grid"), embed(prompt.after)]
    with torch.no_grad():
        expected = stock(inputs_embeds=torch.cat(rows)[None]).logits[0, -len(prompt.after) :]
    ours = model.logits(model.prefill(prompt.before, tokens), prompt.after)
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-4)
    swapped = by_hand(stock, model, frames[[1, 0, 2]], "average", "grid")
    with torch.no_grad():
        other = stock(inputs_embeds=torch.cat([rows[0], swapped, rows[2]])[None]).logits[0, -1]
    assert (other - expected[-1]).abs().max() > 0.01  # the order of frames makes a difference


@pytest.mark.parametrize("strategy", ["dyto", "slowfast", "uniform"])
def test_compressed_videos_keep_a_newline_for_every_row_or_frame_that_is_left(save, strategy):
    model = dyto.load_model(save(**LIKE_VIDEO), device="cpu")
    qa = dyto.VideoQA(model, strategy)
    tokens = qa.encode(video(12))
    layout = model.lay_out(tokens)
    frames = len(np.unique(tokens.keyframe))
    newline = model.model.model.image_newline
    assert len(tokens) <= tokens.budget
    assert frames <= model.count_text(tokens) <= 4 * frames + len(tokens)
    assert all(torch.equal(row, newline) for row in layout.embeds[~layout.visual])
    assert torch.equal(layout.embeds[layout.visual], tokens.data)
    assert not layout.visual[-1]
    alone = [qa.ask(tokens, question, max_new_tokens=8).text for question in (QUESTION, "why")]
    assert [one.text for one in qa.ask_many(tokens, [QUESTION, "why"], max_new_tokens=8)] == alone
    assert qa.ask(tokens, QUESTION, max_new_tokens=1).num_time_tokens == model.count_text(tokens)


def test_tokens_in_raster_order_have_a_newline_behind_each_row_that_is_left(save):
    model = dyto.load_model(save(**LIKE_VIDEO), device="cpu")
    tokens = dyto.VideoQA(model, "concat").encode(video(2), num_frames=2)
    kept = [0, 3, 5, 12, 16, 31]  # rows 0 0 1 3 of the first frame, 0 and 3 of the second
    few = dyto.VisualTokens(
        data=tokens.data[kept],
        keyframes=tokens.keyframes,
        keyframe=tokens.keyframe[kept],
        sources=dyto.features.Sources(
            np.arange(6), np.array([0, 0, 0, 0, 1, 1]), np.array([kept[i] % 16 for i in range(6)])
        ),
        grid=tokens.grid,
        budget=tokens.budget,
        uncompressed=tokens.uncompressed,
    )
    assert model.lay_out(few).visual.tolist() == [
        True, True, False, True, False, True, False, True, False, True, False,
    ]  # fmt: skip


def test_llava_video_is_asked_in_the_words_it_was_trained_with(save):
    model = dyto.load_model(save(**LIKE_VIDEO), device="cpu")
    before, after = prompt_for(model.chat, False).fill("why")
    assert before == "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n"
    assert after.startswith("\n")
    assert "<|im_end|>\n<|im_start|>assistant\n" in after


def test_a_tower_is_as_large_as_its_name_says_where_its_patches_agree(save):
    folder = save()
    config = json.loads((folder / "config.json").read_text())
    for name, side in ((TOWER, 66), ("google/siglip-so400m-patch14-384", 63), ("unnamed", 63)):
        vision = stock_config(str(folder), {**config, "mm_vision_tower": name}).vision_config
        assert (vision.image_size, vision.patch_size, vision.num_hidden_layers) == (side, 7, 3)
        assert vision.hidden_act == "gelu_pytorch_tanh"


@pytest.mark.parametrize(("width", "cls", "heads"), [(1152, False, 16), (768, False, 12), (1024, True, 16), (32, 0, 1)])
def test_heads_of_towers_are_those_of_their_kind(width, cls, heads):
    assert original_towers._heads(width, bool(cls)) == heads


@pytest.mark.parametrize(
    ("merge", "position", "expected"),
    [
        ("spatial", "one_token", "no_token"),
        ("spatial", "frame", "frame"),
        ("flat", "grid", "no_token"),
        (None, None, "no_token"),
        ("spatial_unpad", None, "one_token"),
    ],
)
def test_newlines_are_left_out_where_their_authors_leave_them_out(save, merge, position, expected):
    config = json.loads((save() / "config.json").read_text())
    changed = {**config, "mm_patch_merge_type": merge, "mm_newline_position": position}
    assert stock_config(str(save()), changed).mm_newline_position == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mm_newline_position": "row"}, "mm_newline_position = 'row', expected 'one_token'"),
        ({"mm_projector_type": "mlp3x_gelu"}, "mm_projector_type = 'mlp3x_gelu', expected 'mlp2x_gelu'"),
        ({"mm_resampler_type": "qformer"}, "mm_resampler_type = 'qformer', expected none"),
        ({"add_faster_video": True}, "add_faster_video = True"),
        ({"mm_spatial_pool_mode": "conv"}, "mm_spatial_pool_mode = 'conv', expected 'bilinear'"),
        ({"mm_spatial_pool_stride": 40}, "by a stride of 40, expected 1 to 9"),
    ],
)
def test_other_kinds_of_llava_are_refused(save, changes, message):
    with pytest.raises(dyto.ModelError, match=message):
        dyto.load_model(save(**changes), device="cpu")


def test_a_head_that_is_missing_is_tied_only_where_the_config_says_so(save, stock):
    folder = save(drop=["lm_head"])
    with pytest.raises(dyto.ModelError, match="1 missing weights .first: lm_head.weight"):
        dyto.load_model(folder, device="cpu")
    tied = dyto.load_model(save(drop=["lm_head"], tie_word_embeddings=True), device="cpu").model
    assert tied.lm_head.weight is tied.get_input_embeddings().weight


def test_an_embedding_alone_is_not_enough_for_newlines(save):
    model = dyto.load_model(save(**LIKE_VIDEO), device="cpu")
    tokens = dyto.VideoQA(model, "concat").encode(video(2), num_frames=2)
    with pytest.raises(dyto.ModelError, match="writes between the tokens"):
        model.lay_out(tokens.data)


def test_a_vocabulary_with_merges_is_read_as_qwen_s(save):
    """As the authors' folders hold it; some have no tokenizer.json."""
    from tokenizers import pre_tokenizers

    folder = save()
    own = FAMILIES["llava_onevision"].tokenizer()
    for file in folder.glob("tokenizer*"):
        file.unlink()
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {letter: number for number, letter in enumerate([*letters, "st", "ar"])}
    (folder / "vocab.json").write_text(json.dumps(vocabulary))
    (folder / "merges.txt").write_text("#version: 0.2\ns t\na r\n")
    added = {
        str(300 + number): {"content": mark, "special": True} for number, mark in enumerate(own.all_special_tokens)
    }
    told = {
        "tokenizer_class": "Qwen2Tokenizer",
        "added_tokens_decoder": added,
        "eos_token": "</s>",
        "pad_token": "<pad>",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(told))
    model = dyto.load_model(folder, device="cpu")
    ids = model.tokenizer("star", add_special_tokens=False).input_ids
    assert ids == [vocabulary["st"], vocabulary["ar"]]
    assert model.tokenizer.decode(model.tokenizer("what color\nÜber").input_ids) == "what color\nÜber"
