"""A checkpoint without an adapter reads what its stock processor makes of a conversation with pictures: ids, pixels, logits.

Most processors of transformers need torchvision: `make test-vision` installs it and runs these tests.
"""

import inspect
from dataclasses import dataclass, field, replace
from importlib.util import find_spec

import numpy as np
import pytest
import torch
import transformers as stock
from PIL import Image

import dyto
from forge_stock import KINDS, SPECIALS

from forge_families import build_tokenizer

TEMPLATE = (
    "{{% for message in messages %}}<|im_start|>{{{{ message.role }}}}\n{{% for part in message.content %}}"
    "{{% if part.type == 'image' %}}{}{{% else %}}{{{{ part.text }}}}{{% endif %}}{{% endfor %}}<|im_end|>\n{{% endfor %}}"
    "{{% if add_generation_prompt %}}<|im_start|>assistant\n"
    "{{% if enable_thinking is defined and not enable_thinking %}}<think></think>{{% endif %}}{{% endif %}}"
)
"""A chat template as checkpoints have it, but for the text of a picture."""


@dataclass(frozen=True)
class Real:
    """How a family's own processor is made.

    Attributes:
        processor: Its class.
        picture: The text of one picture in the chat template.
        images: Its image processor and the settings that make it small.
        specials: Special tokens, from id 3 on; those of `KINDS` if there are none.
        names: What its tokenizer calls tokens.
        settings: Further arguments of the processor.
        one_tile: What to tell it so that it cuts no picture.
        config: What the small model must differ in, to read its pictures.
        left_out: Tokens that the processor writes and this package does not.
    """

    processor: str
    picture: str
    images: tuple = ()
    specials: tuple = SPECIALS
    names: dict = field(default_factory=dict)
    settings: dict = field(default_factory=dict)
    one_tile: dict = field(default_factory=dict)
    config: dict = field(default_factory=dict)
    left_out: tuple = ()


VISION = {"image_token": "<|picture|>", "video_token": "<|film|>"}
MARKED = "<|start|><|picture|><|end|>"
MINICPM = {
    **VISION, "image_start_token": "<image>", "image_end_token": "</image>", "slice_start_token": "<slice>",
    "slice_end_token": "</slice>", "image_id_start_token": "<image_id>", "image_id_end_token": "</image_id>",
}  # fmt: skip
MINICPM_TOKENS = (*SPECIALS, "<image>", "</image>", "<slice>", "</slice>", "<image_id>", "</image_id>")

REAL = {
    "VideoLLaMA 3": Real("VideoLlama3Processor", "<|picture|>\n", names=VISION),
    "GLM-4.1V": Real("Glm4vProcessor", MARKED, names=VISION),
    "GLM-4.6V": Real("Glm46VProcessor", MARKED, names=VISION),
    "MiniCPM-V 4.6": Real("MiniCPMV4_6Processor", "<|picture|>\n", specials=MINICPM_TOKENS, names=MINICPM,
                          one_tile={"use_image_id": False}),
    "MiniCPM-V 4.7": Real("MiniCPMV4_7Processor", "<|picture|>\n", specials=MINICPM_TOKENS, names=MINICPM,
                          one_tile={"use_image_id": False}, config={"image_start_id": 9, "image_end_id": 10}),
    "Ovis2": Real(
        "Ovis2Processor", "<image>\n", specials=("<image>", "<IMG_START>", "<IMG_ATOM>", "<IMG_GRID>", "<IMG_COL>",
                                                 "<IMG_ROW>", "<IMG_END>", "<|im_start|>", "<|im_end|>"),
        settings={"image_seq_length": 16}, config={"visual_indicator_token_ids": [4, 6, 7, 8, 9]},
        left_out=("<IMG_START>", "<IMG_GRID>", "<IMG_END>"),
    ),
    "LFM3-VL": Real("Lfm3VlProcessor", MARKED, names={**VISION, "vision_start_token": "<|start|>",
                                                      "vision_end_token": "<|end|>"}),
    "Cosmos 3 Edge": Real("Cosmos3EdgeProcessor", MARKED, names={**VISION, "vision_start_token": "<|start|>",
                                                                 "vision_end_token": "<|end|>"}),
    "LFM2-VL": Real(
        "Lfm2VlProcessor", "<|picture|>",
        ("Lfm2VlImageProcessor", {"encoder_patch_size": 4, "tile_size": 32, "downsample_factor": 2,
                                  "min_image_tokens": 4, "max_image_tokens": 24, "max_num_patches": 96}),
        specials=(*SPECIALS, "<|image_start|>", "<|image_end|>", "<|img_thumbnail|>"), names=VISION,
        one_tile={"do_image_splitting": False, "use_thumbnail": False},
    ),
    "Kimi K2.5": Real(
        "Kimi_K25Processor", "<|media_begin|>image<|media_content|><|picture|><|media_end|>",
        ("Kimi_K25ImageProcessor", {"patch_size": 4, "merge_size": 2}),
        specials=(*SPECIALS, "<|media_begin|>", "<|media_content|>", "<|media_end|>"), names=VISION,
    ),
    "Molmo 2": Real(
        "Molmo2Processor", "<|image|>",
        ("Molmo2ImageProcessor", {"size": {"height": 16, "width": 16}, "patch_size": 4, "overlap_margins": [1, 1]}),
        specials=("<low_res_im_start>", "<im_end>", "<im_patch>", "<|image|>", "<im_start>", "<im_col>", "<frame_start>",
                  "<frame_end>", "<|video|>", "<|im_start|>", "<|im_end|>"),
        names={"image_token": "<|image|>", "video_token": "<|video|>"}, settings={"use_single_crop_col_tokens": False},
        config={"vision_config": {**KINDS["Molmo 2"].config["vision_config"], "image_size": [16, 16],
                                  "num_position_embeddings": 16}},
        left_out=("<s>", "<im_start>", "<im_col>"),  # and the finer crops, with their end
    ),
    "Nemotron-H Omni": Real(
        "NemotronH_Omni_Reasoning_V3Processor", "<|picture|>\n",
        ("NemotronH_Omni_Reasoning_V3ImageProcessor", {"patch_size": 4, "min_num_patches": 16, "max_num_patches": 64}),
        specials=(*SPECIALS, "<img>", "</img>"), names=VISION,
    ),
    "PerceptionLM": Real(
        "PerceptionLMProcessor", "<|picture|>", ("PerceptionLMImageProcessor", {"tile_size": 32}), names=VISION,
        settings={"patch_size": 4}, one_tile={"vision_input_type": "vanilla"},
    ),
    "Ministral 3": Real(
        "PixtralProcessor", "[IMG]", specials=("[IMG_BREAK]", "[IMG_END]", "[IMG]", "<|film|>", "<|im_start|>",
                                               "<|im_end|>"),
        settings={"patch_size": 4, "spatial_merge_size": 2}, left_out=("[IMG_BREAK]", "[IMG_END]"),
    ),
    "Aya Vision": Real(
        "AyaVisionProcessor", "<image>", specials=("<|START_OF_IMG|>", "<|END_OF_IMG|>", "<|IMG_PATCH|>", "<image>",
                                                   "<|im_start|>", "<|im_end|>"),
        settings={"patch_size": 8, "img_size": 32}, one_tile={"crop_to_patches": False},
    ),
    "Exaone 4.5": Real("Exaone4_5_Processor", MARKED, names=VISION),
}  # fmt: skip
"""Every family of the table, but Gemma 3n, whose processor needs audio too."""


def build(name):
    """The processor, and the config of a model that reads what it makes; None where something is missing."""
    real, kind = REAL[name], KINDS[name]
    tokenizer = build_tokenizer(real.specials, bos=False)
    tokenizer = type(tokenizer)(
        tokenizer_object=tokenizer.backend_tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        extra_special_tokens=real.names,
    )  # fmt: skip
    images = real.images or kind.images
    assert isinstance(images, tuple)
    image_kind, settings = images[0].removesuffix("Pil"), images[1]
    parts = {"image_processor": getattr(stock, image_kind)(**settings), "tokenizer": tokenizer}
    processor = getattr(stock, real.processor)
    if "video_processor" in inspect.signature(processor.__init__).parameters:
        videos = {key: value for key, value in settings.items() if key in ("patch_size", "merge_size", "size")}
        name_of_videos = image_kind.replace("ImageProcessor", "VideoProcessor")
        parts["video_processor"] = getattr(stock, name_of_videos, stock.Qwen2VLVideoProcessor)(
            **({} if "Molmo" in name_of_videos else videos)
        )
    if "feature_extractor" in inspect.signature(processor.__init__).parameters:
        parts["feature_extractor"] = stock.ParakeetFeatureExtractor()
    return processor(**parts, **real.settings, chat_template=TEMPLATE.format(real.picture))


QUESTION = "is it red ?"


def is_there(name):
    classes = [getattr(stock, REAL[name].processor, None), *([getattr(stock, REAL[name].images[0], None)]
                                                             if REAL[name].images else [])]  # fmt: skip
    found = KINDS[name].is_there and all(kind is not None and type(kind).__name__ != "DummyObject" for kind in classes)
    return found and (find_spec("torchvision") is not None)


THERE = [name for name in REAL if is_there(name)]


def save(name, folder):
    processor = build(name)
    processor.save_pretrained(folder)
    kind = KINDS[name]
    replace(kind, config={**kind.config, **REAL[name].config}).build().save_pretrained(folder)
    return processor


def film(count=2):
    return np.random.default_rng(0).integers(0, 255, (count, 16, 24, 3), dtype=np.uint8)


def conversation(frames, question):
    pictures = [{"type": "image", "image": Image.fromarray(frame)} for frame in frames]
    return [{"role": "user", "content": [*pictures, {"type": "text", "text": question}]}]


@pytest.fixture(scope="module", params=THERE)
def both(request, tmp_path_factory):
    """Our model, the tokens of a film, and what the stock processor makes of the same pictures and question."""
    name, folder = request.param, tmp_path_factory.mktemp("stock")
    processor = save(name, folder)
    made = processor.apply_chat_template(
        conversation(film(), QUESTION), tokenize=True, return_dict=True, return_tensors="pt",
        add_generation_prompt=True, enable_thinking=False, processor_kwargs=REAL[name].one_tile,
    )  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:  # earlier than the fixture of every test
        patch.setattr("dyto.models.loading.records.folder", lambda: folder / "records")
        model = dyto.load_model(folder, device="cpu")
    return name, model, dyto.VideoQA(model, "concat").encode(film()), dict(made)


def asked(model):
    """The question in the format of the checkpoint's own chat template."""
    form = model.chat
    return model.tokenize(*f"{form.before}{form.video}{QUESTION}{form.after}".split("<image>"))


def ids_of(model, tokens):
    prompt, layout = asked(model), model.lay_out(tokens)
    return torch.cat([prompt.before, layout.ids.masked_fill(layout.ids < 0, model.image_token), prompt.after])


pytestmark = [
    pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning"),
    pytest.mark.skipif(not THERE, reason="most stock processors need torchvision: make test-vision"),
]


def test_the_prompt_is_that_of_the_stock_processor(both):
    name, model, tokens, made = both
    assert "its prompts follow its own chat template" in model.notices
    told = made["input_ids"][0]
    if name == "Molmo 2":  # first all of the picture, then finer crops: of those, nothing
        told = torch.cat(list(without_finer(told, model.tokenizer)))
    left_out = torch.tensor(model.tokenizer.convert_tokens_to_ids(list(REAL[name].left_out)) or [-1])
    assert ids_of(model, tokens).tolist() == told[~torch.isin(told, left_out)].tolist()


def without_finer(ids, tokenizer):
    """The parts of Molmo's ids between the finer crops of its pictures, which stand from one mark to the next."""
    start, end = (int(tokenizer.convert_tokens_to_ids(mark)) for mark in ("<im_start>", "<im_end>"))
    while (ids == start).any():
        at = int((ids == start).nonzero()[0])
        yield ids[:at]
        ids = ids[at + int((ids[at:] == end).nonzero()[0]) + 1 :]
    yield ids


def test_the_pixels_are_those_of_the_stock_processor(both):
    """To a level of brightness, because the processors of this package's choice resize with PIL where there are both."""
    name, model, _, made = both
    ours = model.pixels(list(film()))["pixel_values"]
    theirs = made["pixel_values"]
    if name == "Molmo 2":
        theirs = theirs[made["image_num_crops"].cumsum(0) - made["image_num_crops"]]
    assert ours.shape == theirs.shape
    apart = 0 if REAL[name].images else 3 / 255 / 0.22
    assert (ours.float() - theirs.float()).abs().max() <= apart


@pytest.mark.parametrize("both", [name for name in THERE if not REAL[name].left_out], indirect=True)
def test_the_logits_are_those_of_the_stock_model(both):  # where the prompt is the same
    _, model, tokens, made = both
    known = {*inspect.signature(model.model.forward).parameters, "mm_token_type_ids"}
    own = {key: value for key, value in made.items() if key in known}
    own |= {key: value for key, value in model.pixels(list(film())).items() if key in own}
    own["mm_token_type_ids"] = (own["input_ids"] == model.image_token).int()
    with torch.no_grad():
        expected = model.model(**own).logits[0]
    prompt = asked(model)
    found = model.logits(model.prefill(prompt.before, tokens), prompt.after)
    torch.testing.assert_close(found, expected[-len(found) :], rtol=1e-3, atol=1e-3)
