"""Small checkpoints of the families of LLaVA's shape, and how stock transformers is asked about the same frames.

Each family is a folder as a hub gives it: config, safetensors, tokenizer and image processor of stock classes, the true
architecture at a small size, with weights that make a difference. `Family.inputs` is what its own processor makes of
frames and text; where that needs torchvision (every video processor does), the ids are written out as it writes them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import transformers as stock
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers.models.gemma3.image_processing_pil_gemma3 import Gemma3ImageProcessorPil
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from transformers.models.smolvlm.processing_smolvlm import (
    DEFAULT_MEDIA_OUTTRO,
    DEFAULT_VIDEO_INTRO,
    FRAME_TIMESTAMP_MESSAGE,
)

PATCH = 7
SIDE = 56
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight")
HALVES = [0.5, 0.5, 0.5]
CORPUS = [
    "You are provided the following series of frames from a video. Frame from 00:01: Answer: In the video,",
    "The pictures above are frames of one video, in the order in which they were filmed. Best option:(",
    "USER: what color is the star ? ASSISTANT: user assistant model Frame1: Frame12: is there a red circle",
] * 20


@dataclass(frozen=True)
class Family:
    """How one family is forged and asked.

    Attributes:
        stock: Name of its class in transformers.
        config: Makes its config, given the tokenizer.
        specials: Special tokens of its tokenizer, beyond the beginning and the end of a text.
        images: Its own image processor, for one tile.
        inputs: Given tokenizer, images, frames, the text before and after the video: what the stock model takes.
        chat: The chat format that is found for it.
        summary: What its frames are compared by.
        bos: Whether a text begins with a token of its own.
    """

    stock: str
    config: Callable[[Any], Any]
    specials: tuple[str, ...]
    images: Callable[[], Any]
    inputs: Callable[..., dict[str, Any]]
    chat: str
    summary: str
    bos: bool = False

    def tokenizer(self):
        """Its tokenizer."""
        return build_tokenizer(self.specials, self.bos)

    def forge(self, folder, seed=0):
        """Write the checkpoint."""
        tokenizer = self.tokenizer()
        config = self.config(tokenizer)
        loud = 0.1 if config.get_text_config().tie_word_embeddings else 0.7  # tied, a loud token repeats itself
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model = getattr(stock, self.stock)(config).eval()
            with torch.no_grad():
                for name, weight in model.named_parameters():
                    if "embed" in name or "token" in name or "newline" in name:
                        weight.normal_(std=loud)
                    elif weight.ndim > 1:
                        weight.normal_(std=1.4 / weight[0].numel() ** 0.5)
                if model.lm_head.weight is not model.get_input_embeddings().weight:
                    model.lm_head.weight.normal_(std=1.4 / config.get_text_config().hidden_size ** 0.5)
        model.generation_config = stock.GenerationConfig(
            eos_token_id=[tokenizer.eos_token_id, tokenizer.convert_tokens_to_ids("?")],
            pad_token_id=tokenizer.pad_token_id,
            bos_token_id=tokenizer.bos_token_id,
        )
        model.save_pretrained(folder)
        tokenizer.save_pretrained(folder)
        self.images().save_pretrained(folder)
        return folder


def build_tokenizer(specials, bos):
    """A byte-level tokenizer trained on a few sentences, with line breaks as Gemma has them, up to four in a token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=420,
        special_tokens=["<pad>", "<s>", "</s>", *specials],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(CORPUS, trainer)
    tokenizer.add_tokens([AddedToken("\n" * count, normalized=False) for count in (2, 3, 4)])
    if bos:
        tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    return stock.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        pad_token="<pad>",
        additional_special_tokens=list(specials),
        clean_up_tokenization_spaces=False,
    )


# --- configs -------------------------------------------------------------------------------------------------


def _vision(kind, side=SIDE, **more):
    return kind(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=2, image_size=side,
        patch_size=PATCH, **more,
    )  # fmt: skip


def _text(kind, tokenizer, **more):
    sizes = {
        "vocab_size": len(tokenizer), "hidden_size": 48, "intermediate_size": 96, "num_hidden_layers": 2,
        "num_attention_heads": 3, "num_key_value_heads": 3, "max_position_embeddings": 2048, "pad_token_id": 0,
        "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    return kind(**{**sizes, **more})


def _llava(kind, text, tower=stock.CLIPVisionConfig, side=SIDE, **more):
    def config(tokenizer):
        return kind(
            vision_config=_vision(tower, side),
            text_config=_text(text, tokenizer),
            image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
            **more,
        )

    return config


def _video_llava(kind, text, **more):
    def config(tokenizer):
        return _llava(kind, text, video_token_index=tokenizer.convert_tokens_to_ids("<video>"), **more)(tokenizer)

    return config


def _internvl(tokenizer):
    return stock.InternVLConfig(
        vision_config=_vision(stock.InternVLVisionConfig, layer_scale_init_value=0.7),
        text_config=_text(stock.Qwen2Config, tokenizer),
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=16,
        tie_word_embeddings=False,
    )


def _smolvlm(tokenizer):
    return stock.SmolVLMConfig(
        vision_config=_vision(stock.models.smolvlm.SmolVLMVisionConfig).to_dict(),
        text_config=_text(stock.LlamaConfig, tokenizer).to_dict(),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )


def _idefics3(tokenizer):
    return stock.Idefics3Config(
        vision_config=_vision(stock.models.idefics3.Idefics3VisionConfig).to_dict(),
        text_config=_text(stock.LlamaConfig, tokenizer).to_dict(),
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
    )


def _vipllava(tokenizer):
    layers = (
        "vision_feature_layer" if hasattr(stock.VipLlavaConfig(), "vision_feature_layer") else "vision_feature_layers"
    )
    return _llava(stock.VipLlavaConfig, stock.LlamaConfig, **{layers: [-2, 1, 0]})(tokenizer)


def _gemma3(tokenizer):
    text = _text(
        stock.Gemma3TextConfig, tokenizer, num_hidden_layers=3, head_dim=16, sliding_window=32,
        query_pre_attn_scalar=16, layer_types=["sliding_attention", "sliding_attention", "full_attention"],
    )  # fmt: skip
    ids = [tokenizer.convert_tokens_to_ids(t) for t in ("<start_of_image>", "<end_of_image>", "<image_soft_token>")]
    return stock.Gemma3Config(
        text_config=text,
        vision_config=_vision(stock.SiglipVisionConfig, vision_use_head=False),
        mm_tokens_per_image=16,
        boi_token_index=ids[0],
        eoi_token_index=ids[1],
        image_token_index=ids[2],
    )


# --- what the stock model takes --------------------------------------------------------------------------------


def _ids(tokenizer, text):
    ids = tokenizer(text, return_tensors="pt").input_ids
    return {"input_ids": ids, "attention_mask": torch.ones_like(ids)}


def _images(token, count):
    """One image after the other, their places side by side."""

    def inputs(tokenizer, images, frames, seconds, before, after):
        pixels = images(list(frames), return_tensors="pt").pixel_values
        return {**_ids(tokenizer, before + token * count * len(frames) + after), "pixel_values": pixels}

    return inputs


def _video(count, end=0):
    """A video, and where a family closes it with a token, that too."""

    def inputs(tokenizer, images, frames, seconds, before, after):
        pixels = images(list(frames), return_tensors="pt").pixel_values[None]  # (1, T, 3, H, W)
        places = "<video>" * (count * len(frames) + end)
        return {**_ids(tokenizer, before + places + after), "pixel_values_videos": pixels}

    return inputs


def _internvl_inputs(tokenizer, images, frames, seconds, before, after):
    pixels = images(list(frames), return_tensors="pt").pixel_values
    places = "<IMG_CONTEXT>" * 16
    video = "\n".join(f"Frame{number + 1}: <img>{places}</img>" for number in range(len(frames)))
    return {**_ids(tokenizer, before + video + after), "pixel_values": pixels}


def _smolvlm_inputs(tokenizer, images, frames, seconds, before, after):
    pixels = images([list(frames)], return_tensors="pt").pixel_values  # (1, T, 3, H, W)
    last = int(seconds[-1])
    length = f"{last // 3600}:{last // 60 % 60:02d}:{last % 60:02d}"
    mark, places = "<fake_token_around_image>", "<image>" * 16
    video = " " + DEFAULT_VIDEO_INTRO.format(frame_count=WORDS[len(frames)], video_duration=length)
    for second in seconds:
        time = FRAME_TIMESTAMP_MESSAGE.format(timestamp=f"{int(second // 60):02d}:{int(second % 60):02d}")
        video += f"{time}{mark}<global-img>{places}{mark}"
    after = DEFAULT_MEDIA_OUTTRO + after.removeprefix("\n\n")
    return {**_ids(tokenizer, before + video + after), "pixel_values": pixels}


def _idefics3_inputs(tokenizer, images, frames, seconds, before, after):
    pixels = images([list(frames)], return_tensors="pt").pixel_values  # (1, T, 3, H, W)
    mark = "<fake_token_around_image>"
    video = f"{mark}<global-img>{'<image>' * 16}{mark}" * len(frames)
    return {**_ids(tokenizer, before + video + after), "pixel_values": pixels}


def _gemma3_inputs(tokenizer, images, frames, seconds, before, after):
    for name in ("boi", "eoi", "image"):
        token = {"boi": "<start_of_image>", "eoi": "<end_of_image>", "image": "<image_soft_token>"}[name]
        setattr(tokenizer, f"{name}_token", token)
        setattr(tokenizer, f"{name}_token_id", tokenizer.convert_tokens_to_ids(token))
    processor = stock.Gemma3Processor(images, tokenizer, image_seq_length=16)
    text = before + "\n" + "<start_of_image>" * len(frames) + after.removeprefix("\n\n")
    return dict(processor(text=text, images=[list(frames)], return_tensors="pt"))


def _clip_images():
    return LlavaImageProcessorPil(size={"shortest_edge": SIDE}, crop_size={"height": SIDE, "width": SIDE})


def _siglip_images(side):
    size = {"height": side, "width": side}
    return SiglipImageProcessorPil(size=size, image_mean=HALVES, image_std=HALVES, resample=3)


def _idefics3_images():
    return Idefics3ImageProcessorPil(
        size={"longest_edge": 4 * SIDE}, max_image_size={"longest_edge": SIDE}, do_image_splitting=False
    )


def _smolvlm_images():
    return SmolVLMImageProcessorPil(
        size={"longest_edge": SIDE}, max_image_size={"longest_edge": SIDE}, do_image_splitting=False
    )


FAMILIES: dict[str, Family] = {
    "llava": Family(
        "LlavaForConditionalGeneration", _llava(stock.LlavaConfig, stock.LlamaConfig), ("<image>",), _clip_images,
        _images("<image>", 64), "vicuna", "CLS", bos=True,
    ),
    "llava-siglip": Family(
        "LlavaForConditionalGeneration",
        _llava(
            stock.LlavaConfig, stock.Qwen2Config, stock.SiglipVisionConfig, vision_feature_layer=-1,
            vision_feature_select_strategy="full",
        ),
        ("<image>", "<|im_start|>", "<|im_end|>"), lambda: _siglip_images(SIDE), _images("<image>", 64), "onevision",
        "mean patch",
    ),
    "llava_next_video": Family(
        "LlavaNextVideoForConditionalGeneration", _video_llava(stock.LlavaNextVideoConfig, stock.LlamaConfig),
        ("<image>", "<video>"), _clip_images, _video(16), "vicuna", "CLS", bos=True,
    ),
    "llava_onevision": Family(
        "LlavaOnevisionForConditionalGeneration",
        _video_llava(
            stock.LlavaOnevisionConfig, stock.Qwen2Config, tower=stock.SiglipVisionConfig, side=63,
            vision_feature_layer=-1,
        ),
        ("<image>", "<video>", "<|im_start|>", "<|im_end|>"), lambda: _siglip_images(63), _video(25, end=1),
        "onevision", "mean patch",
    ),
    "internvl": Family(
        "InternVLForConditionalGeneration", _internvl,
        ("<IMG_CONTEXT>", "<img>", "</img>", "<video>", "<|im_start|>", "<|im_end|>"),
        lambda: GotOcr2ImageProcessorPil(size={"height": SIDE, "width": SIDE}), _internvl_inputs, "internvl", "CLS",
    ),
    "smolvlm": Family(
        "SmolVLMForConditionalGeneration", _smolvlm,
        ("<image>", "<fake_token_around_image>", "<global-img>", "<|im_start|>", "<end_of_utterance>"),
        _smolvlm_images, _smolvlm_inputs, "smolvlm", "mean patch",
    ),
    "idefics3": Family(
        "Idefics3ForConditionalGeneration", _idefics3,
        ("<image>", "<fake_token_around_image>", "<global-img>", "<end_of_utterance>"),
        _idefics3_images, _idefics3_inputs, "idefics3", "mean patch", bos=True,
    ),
    "vipllava": Family(
        "VipLlavaForConditionalGeneration", _vipllava, ("<image>",), _clip_images, _images("<image>", 64), "vipllava",
        "CLS", bos=True,
    ),
    "gemma3": Family(
        "Gemma3ForConditionalGeneration", _gemma3,
        ("<start_of_image>", "<end_of_image>", "<image_soft_token>", "<start_of_turn>", "<end_of_turn>"),
        lambda: Gemma3ImageProcessorPil(size={"height": SIDE, "width": SIDE}), _gemma3_inputs, "gemma", "mean patch",
        bos=True,
    ),
}  # fmt: skip
