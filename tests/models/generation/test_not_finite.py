"""NaN and infinity in a model are errors that say where, never an empty answer."""

from contextlib import contextmanager

import numpy as np
import pytest
import torch

import dyto
from dyto.errors import BadFeaturesError, DoesNotFitError
from dyto.models.adapters.qwen2_5_vl import Qwen25VL
from dyto.models.adapters.qwen3_vl import Qwen3VL
from dyto.models.generation.finite import bad_weight
from dyto.models.generation.likelihood import OptionScorer
from dyto.models.pixels import NativeSize, Normalization
from dyto.prompts import prompt_for

from forge_families import FAMILIES
from forge_qwen import forge_qwen2_5_vl, forge_qwen3_vl, qwen_tokenizer

KINDS = ("llava", "gemma3", "internvl", "smolvlm", "qwen2.5", "qwen3")
PLACES = ("embed_tokens", "layers.0.self_attn.k_proj", "layers.1.mlp.down_proj", "norm", "lm_head")
QUESTION = "what color is the star ?"


def video(frames=4):
    return np.random.default_rng(0).integers(0, 255, (frames, 64, 96, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Each kind, loaded when it is asked for; tests put back what they break."""
    made = {}

    def get(kind):
        if kind not in made:
            if kind.startswith("qwen"):
                family, stock = {"qwen3": (Qwen3VL, forge_qwen3_vl), "qwen2.5": (Qwen25VL, forge_qwen2_5_vl)}[kind]
                made[kind] = family("forged", stock(), qwen_tokenizer(), normalization=Normalization(), chat="qwen3")
                made[kind].image_size = NativeSize(8, 4, 16)
            else:
                folder = FAMILIES[kind].forge(tmp_path_factory.mktemp(kind))
                made[kind] = dyto.load_model(folder, device="cpu")
        return made[kind]

    return get


def weight_of(model, place):
    """The name and the values of a weight of the language model, or of the head."""
    named = [
        (name, weight) for name, weight in model.model.named_parameters() if f".{name}".endswith(f".{place}.weight")
    ]
    name, weight = next(
        ((name, weight) for name, weight in named if "language_model" in name or "text_model" in name), (None, None)
    )
    if name is None:
        return ("lm_head.weight", model.model.lm_head.weight)
    return name, weight


@contextmanager
def broken(weight, value, rows=None):
    """One value of a weight is none for as long as the block lasts."""
    before = weight.detach().clone()
    with torch.no_grad():
        weight.view(len(weight), -1)[slice(None) if rows is None else rows, 0] = value
    try:
        yield
    finally:
        with torch.no_grad():
            weight.copy_(before)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_language_model_that_holds_none_is_an_error_that_names_the_weight(models, kind, place, value):
    model = models(kind)
    qa = dyto.VideoQA(model, "uniform")
    tokens = qa.encode(video())
    name, weight = weight_of(model, place)
    with broken(weight, value), pytest.raises(BadFeaturesError, match="hold.* some|NaN or infinity") as error:
        qa.ask(tokens, QUESTION, max_new_tokens=4)
    assert bad_weight(model.model) is None
    assert weight.shape == model.model.get_parameter(error.value.args[0].split("its weight ")[1].split()[0]).shape, name


def ways(qa, tokens):
    yield lambda: qa.ask(tokens, QUESTION, max_new_tokens=4)
    yield lambda: qa.ask_many(tokens, [QUESTION, "why"], max_new_tokens=4)
    yield lambda: qa.ask_batch([(tokens, QUESTION), (tokens, "why")], max_new_tokens=4)
    yield lambda: list(qa.stream(tokens, QUESTION, max_new_tokens=4))
    yield lambda: OptionScorer(qa.model, prompt_for(qa.model.chat, False)).scores(tokens, QUESTION, ["one", "two"])
    yield lambda: qa.ask(tokens, QUESTION, max_new_tokens=4, generation={"suppress_tokens": [5]})


@pytest.mark.parametrize("kind", ["llava", "qwen3"])
def test_every_way_of_asking_says_so(models, kind):
    qa = dyto.VideoQA(models(kind), "uniform")
    tokens = qa.encode(video())
    for ask in ways(qa, tokens):
        qa.forget()
        with broken(qa.model.model.lm_head.weight, float("nan"), rows=[3]), pytest.raises(BadFeaturesError):
            ask()


def test_a_prefix_that_was_read_before_does_not_hide_it(models):
    qa = dyto.VideoQA(models("llava"), "uniform")
    tokens = qa.encode(video())
    qa.ask(tokens, QUESTION, max_new_tokens=4)
    for ask in ways(qa, tokens):
        with broken(qa.model.model.lm_head.weight, float("inf")), pytest.raises(BadFeaturesError, match="lm_head"):
            ask()


def test_a_word_that_only_the_answer_holds_is_noticed_when_it_is_written(models):
    model = models("llava")
    qa = dyto.VideoQA(model, "uniform")
    tokens = qa.encode(video())
    prompt = qa.tokenize(QUESTION, None, 8)
    first = int(model.logits(model.prefill(prompt.before, tokens), prompt.after)[-1].argmax())
    assert first not in [*prompt.before.tolist(), *prompt.after.tolist()]
    with (
        broken(model.model.get_input_embeddings().weight, float("nan"), rows=[first]),
        pytest.raises(BadFeaturesError, match="while it wrote the answer.*embed_tokens"),
    ):
        qa.ask(tokens, QUESTION, max_new_tokens=8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn])
def test_a_weight_of_any_precision_is_looked_at_whole(dtype):
    layer = torch.nn.Linear(300, 7, bias=False).to(dtype)
    layer.empty = torch.nn.Parameter(torch.empty(0))
    layer.large = torch.nn.Parameter(torch.full((64,), 3e38))  # whose sum is no number
    assert bad_weight(layer) is None
    for place in (0, 150, 299):
        with torch.no_grad():
            layer.weight = torch.nn.Parameter(
                torch.zeros(7, 300).index_fill_(1, torch.tensor(place), torch.nan).to(dtype)
            )
        assert bad_weight(layer) == "weight"


@pytest.mark.parametrize("strategy", ["uniform", "dyto", "concat", "slowfast"])
@pytest.mark.parametrize("part", ["multi_modal_projector.linear_2", "embeddings.patch_embedding"])
def test_a_tower_or_projector_that_holds_none_is_an_error_too(models, part, strategy):
    model = models("llava")
    (weight,) = (weight for name, weight in model.model.named_parameters() if name.endswith(f"{part}.weight"))
    with broken(weight, float("nan")), pytest.raises(BadFeaturesError, match="NaN or infinity"):
        dyto.VideoQA(model, strategy).ask(video(), QUESTION, max_new_tokens=4)


def test_an_overflow_names_the_dtype_to_leave(tmp_path):
    model = dyto.load_model(FAMILIES["llava"].forge(tmp_path), device="cpu", dtype="float16")
    qa = dyto.VideoQA(model, "uniform")
    tokens = qa.encode(video())
    with torch.no_grad():
        weight_of(model, "layers.0.mlp.down_proj")[1].mul_(2e4)
    with pytest.raises(BadFeaturesError, match="overflows in float16; set dtype to bfloat16 or float32"):
        qa.ask(tokens, QUESTION, max_new_tokens=4)


def test_half_precision_on_a_cpu_answers(tmp_path):
    folder = FAMILIES["llava"].forge(tmp_path)
    for dtype in ("float16", "bfloat16"):
        qa = dyto.VideoQA(dyto.load_model(folder, device="cpu", dtype=dtype), "uniform")
        assert qa.ask(video(), QUESTION, max_new_tokens=4).num_visual_tokens


def test_what_does_not_fit_has_a_class_of_its_own_and_no_advice_that_was_taken(tmp_path):
    folder = FAMILIES["llava"].forge(tmp_path)
    plain, scaled = (dyto.load_model(folder, device="cpu", rope_scaling_factor=factor) for factor in (None, 2))
    for model, count, again in ((plain, 2048, True), (scaled, 4090, False)):
        with pytest.raises(DoesNotFitError) as error:
            dyto.VideoQA(model, "uniform").ask(video(), QUESTION, max_new_tokens=count)
        assert ("set rope_scaling_factor 2" in str(error.value)) == again
    prompt = scaled.tokenize("before", "after")
    scaled._rope.original_context = 4000  # what would fit twice as much, had it not been asked for
    with pytest.raises(DoesNotFitError) as error:
        scaled.rope_factor = 1.5
        scaled.check_fit(prompt, 100, 7000)
    assert "rope_scaling_factor" not in str(error.value)


@pytest.mark.parametrize("attention", [None, "eager"])
def test_a_tower_without_deepstack_features_works(attention):
    stock = forge_qwen3_vl()
    stock.config.vision_config.deepstack_visual_indexes = []
    stock.model.visual.deepstack_visual_indexes = []
    stock.model.visual.deepstack_merger_list = torch.nn.ModuleList()
    model = Qwen3VL("forged", stock, qwen_tokenizer(), normalization=Normalization(), chat="qwen3")
    model.image_size = NativeSize(8, 4, 16)
    for strategy in ("dyto", "uniform", "concat"):
        qa = dyto.VideoQA(model, strategy)
        tokens = qa.encode(video())
        assert tokens.deep is None
        assert qa.ask(tokens, QUESTION, max_new_tokens=4).text == qa.ask(video(), QUESTION, max_new_tokens=4).text


def test_an_answer_without_a_word_is_an_answer_that_says_so(models):
    qa = dyto.VideoQA(models("llava"), "uniform")
    silent = qa.ask(video(), QUESTION, max_new_tokens=4, generation={"sequence_bias": [[[2], 1e4]]})
    spoken = qa.ask(video(), QUESTION, max_new_tokens=4)
    assert silent.text == "" != spoken.text
    assert "before the first word" in silent.warnings[-1]
    assert spoken.warnings == ()
