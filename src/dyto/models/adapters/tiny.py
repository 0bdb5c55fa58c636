"""The bundled tiny LLaVA-NeXT: a stock architecture, small enough for any laptop.

A CLIP tower of 36 patches and a CLS, a projector of two layers, a Llama of six. Everything is a stock class of
transformers, so the checkpoint loads without this package. `tools/tiny` in the repository trains it.
"""

from __future__ import annotations

from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaNextConfig,
    LlavaNextProcessor,
    PreTrainedTokenizerFast,
)
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil

IMAGE_SIZE = 84
PATCH_SIZE = 14
GRID = IMAGE_SIZE // PATCH_SIZE
PINPOINTS = [[84, 84], [84, 168], [168, 84], [168, 168], [84, 252], [252, 84], [168, 252], [252, 168]]
ROPE_THETA = 1e6
"""Base of RoPE, chosen so that half of a head's entries hardly rotate within the context: position matters little."""
OPTION_LETTERS = "ABCDEFGH"
CHAT_TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'user' %}USER: {% for part in message['content'] %}"
    "{% if part['type'] == 'image' %}<image>\n{% else %}{{ part['text'] }}{% endif %}{% endfor %} ASSISTANT:"
    "{% else %} {% for part in message['content'] %}{{ part['text'] }}{% endfor %}</s>{% endif %}{% endfor %}"
)

_SPECIAL = ("<pad>", "<s>", "</s>", "<unk>", "<image>")
_WORDS = """
user assistant : . , ? ! ; - ' " ( ) / answer : option options one of these
red green blue yellow purple white black gray brown navy teal orange pink cyan
circle square triangle cross ring star diamond
yes no and or not none nothing
a an the is are was were there in on of at to it its this that these those with from by for as
what which who where when why how many much does do did can could you see show shown shows appear appears appearing
image picture photo video clip frame frames scene scenes panel panels moment moments
object objects thing things shape shapes color colour colors colours background backgrounds behind
first last second third next previous then before after during while start end begin beginning ending
left right top bottom middle center centre upper lower corner position side
describe name tell say count number short sentence word words please only
come comes coming follow follows visible seen contain contains have has same different
moves moving still most least more less than big small large tiny bright dark
0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20
zero two four five six seven eight nine ten
"""


def vocabulary() -> tuple[str, ...]:
    """Return every token of the tiny tokenizer, special tokens first, in the order of their ids.

    Returns:
        Special tokens, words and punctuation, then the option letters "(A)" to "(H)".

    Example:
        >>> vocabulary()[:5]
        ('<pad>', '<s>', '</s>', '<unk>', '<image>')
    """
    letters = (f"({letter})" for letter in OPTION_LETTERS)
    return tuple(dict.fromkeys((*_SPECIAL, *_WORDS.split(), *letters)))


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build a word-level tokenizer: lower case, separate punctuation, `<unk>` for unknown words.

    Option letters are separate tokens and keep their case, so that "(A)" and the article "a" differ.

    Returns:
        The fast tokenizer; it puts `<s>` in front of every text.

    Example:
        >>> tokenizer = build_tokenizer()
        >>> tokenizer.decode(tokenizer("Is it RED, (A) or zebra?").input_ids)
        '<s> is it red , (A) or <unk> ?'
    """
    ids = {token: index for index, token in enumerate(vocabulary())}
    tokenizer = Tokenizer(models.WordLevel(ids, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Punctuation("isolated")]
    )
    tokenizer.decoder = decoders.WordPiece(prefix="##", cleanup=False)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", ids["<s>"])]
    )
    tokenizer.add_special_tokens([AddedToken(token, normalized=False) for token in _SPECIAL])
    tokenizer.add_tokens([AddedToken(f"({letter})", normalized=False) for letter in OPTION_LETTERS])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        padding_side="left",
        model_max_length=2048,
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
    fast.add_special_tokens({"additional_special_tokens": ["<image>"]})
    return fast


def build_processor() -> LlavaNextProcessor:
    """Build the stock LLaVA-NeXT processor (PIL backend) for images of 84 x 84 and grids of up to six tiles.

    Returns:
        The processor, with the tokenizer and a chat template.
    """
    size = {"height": IMAGE_SIZE, "width": IMAGE_SIZE}
    images = LlavaNextImageProcessorPil(
        size={"shortest_edge": IMAGE_SIZE},
        crop_size=size,
        image_grid_pinpoints=PINPOINTS,
        do_convert_rgb=True,
    )
    return LlavaNextProcessor(
        image_processor=images,
        tokenizer=build_tokenizer(),
        patch_size=PATCH_SIZE,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        chat_template=CHAT_TEMPLATE,
    )


def build_config() -> LlavaNextConfig:
    """Build the config: CLIP 5 x 128 (the last layer unused, as in LLaVA), projector to 192, Llama 6 x 192.

    Returns:
        The config; `dyto_prompt` names the prompt format ("tiny") and survives saving.

    Example:
        >>> build_config().vision_feature_layer
        -2
    """
    ids = {token: index for index, token in enumerate(vocabulary())}
    vision = CLIPVisionConfig(
        hidden_size=128,
        intermediate_size=512,
        num_hidden_layers=5,
        num_attention_heads=2,
        image_size=IMAGE_SIZE,
        patch_size=PATCH_SIZE,
        projection_dim=128,
    )
    text = LlamaConfig(
        vocab_size=len(ids),
        hidden_size=192,
        intermediate_size=512,
        num_hidden_layers=6,
        num_attention_heads=6,
        num_key_value_heads=6,
        max_position_embeddings=2048,
        rope_parameters={"rope_type": "default", "rope_theta": ROPE_THETA},
        pad_token_id=ids["<pad>"],
        bos_token_id=ids["<s>"],
        eos_token_id=ids["</s>"],
    )
    config = LlavaNextConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=ids["<image>"],
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        image_grid_pinpoints=PINPOINTS,
        image_seq_length=GRID * GRID,
    )
    config.dyto_prompt = "tiny"
    return config
