"""Greedy means greedy, whatever the checkpoint's own settings say; and nothing of transformers is printed."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import GenerationConfig

import dyto
from dyto.errors import ConfigError, DytoError
from dyto.models.generation.decoding import GREEDY, end_ids, generation_config, stated_options
from dyto.models.generation.rows import Row
from forge_real import forge_real

from forge_families import FAMILIES
from forge_qwen import forge_qwen3_vl, qwen_tokenizer

HOSTILE = {
    "do_sample": True, "num_beams": 4, "num_return_sequences": 2, "temperature": 3.0, "top_k": 3, "top_p": 0.5,
    "min_p": 0.2, "typical_p": 0.3, "epsilon_cutoff": 0.1, "eta_cutoff": 0.1, "repetition_penalty": 1.3,
    "encoder_repetition_penalty": 1.5, "no_repeat_ngram_size": 2, "encoder_no_repeat_ngram_size": 2,
    "length_penalty": 3.0, "early_stopping": "never", "max_length": 5, "min_length": 30, "min_new_tokens": 9,
    "bad_words_ids": [[5], [9, 3]], "suppress_tokens": list(range(3, 200)), "begin_suppress_tokens": list(range(90)),
    "forced_bos_token_id": 7, "forced_eos_token_id": 2, "sequence_bias": [[[7], -10.0]], "renormalize_logits": True,
    "exponential_decay_length_penalty": [1, 5.0], "guidance_scale": 4.0, "penalty_alpha": 0.6, "dola_layers": "low",
    "prompt_lookup_num_tokens": 3, "token_healing": True, "stop_strings": ["a", "e"], "use_cache": False,
    "cache_implementation": "static", "return_dict_in_generate": True, "output_scores": True, "max_time": 0.0,
    "watermarking_config": {"bias": 30.0}, "max_new_tokens": 1, "diversity_penalty": 0.5, "num_beam_groups": 2,
    "remove_invalid_values": True,
}  # fmt: skip
"""Settings of a checkpoint that would shape an answer, or break the way it is written."""

FAST = ("llava-v1.6-vicuna-13b-hf", "qwen2.5-vl-7b", "smolvlm2-500m")
NAMES = (
    "gemma3-12b", "gemma3-4b", "internvl3-1b-hf", "llava-next-video-7b-hf", "llava-onevision-0.5b-hf",
    "llava-onevision-7b-hf", "llava-v1.6-34b-hf", "llava-v1.6-mistral-7b-hf", "llava-v1.6-vicuna-13b-hf",
    "llava-v1.6-vicuna-7b-hf", "llava-v1.6-vicuna-7b-original", "qwen2.5-vl-7b", "qwen3-vl-2b", "qwen3-vl-4b",
    "qwen3-vl-8b", "smolvlm2-500m",
)  # fmt: skip
REAL = [pytest.param(name, marks=() if name in FAST else pytest.mark.soak) for name in NAMES]
QUESTION = "what color is the star ?"


def video(frames=4, size=(64, 96)):
    return np.random.default_rng(0).integers(0, 255, (frames, *size, 3), dtype=np.uint8)


def by_hand(qa, tokens, question=QUESTION, count=8):
    """The likeliest token, again and again, each from all that comes before it."""
    model, prompt = qa.model, qa.tokenize(question, None, count)
    prefix = model.prefill(prompt.before, tokens)
    written = []
    while len(written) < count:
        so_far = torch.cat([prompt.after, torch.tensor(written, dtype=prompt.after.dtype)])
        written.append(int(model.logits(prefix, so_far)[-1].argmax()))
        if written[-1] in end_ids(model.model, model.tokenizer):
            break
    return model.tokenizer.decode(written, skip_special_tokens=True).strip()


def every_way(qa, tokens, count=8):
    """The answer by every road that there is."""
    one = qa.ask(tokens, QUESTION, max_new_tokens=count).text
    streamed = "".join(qa.stream(tokens, QUESTION, max_new_tokens=count)).strip()
    many = qa.ask_many(tokens, [QUESTION, "why"], max_new_tokens=count)[0].text
    batch = qa.ask_batch([(tokens, "why"), (tokens, QUESTION)], max_new_tokens=count)[1].text
    return one, streamed, many, batch


@pytest.fixture(scope="module")
def llava(tmp_path_factory):
    return FAMILIES["llava"].forge(tmp_path_factory.mktemp("llava"))


@pytest.fixture(scope="module")
def plain(llava):
    qa = dyto.VideoQA(dyto.load_model(llava, device="cpu"), "uniform")
    tokens = qa.encode(video())
    return qa, tokens, by_hand(qa, tokens)


@pytest.mark.parametrize("option", HOSTILE)
def test_no_option_of_a_models_own_reaches_an_answer(plain, option, monkeypatch):
    qa, tokens, expected = plain
    own = GenerationConfig(eos_token_id=qa.model.model.generation_config.eos_token_id)
    setattr(own, option, HOSTILE[option])
    monkeypatch.setattr(qa.model.model, "generation_config", own)
    assert qa.ask(tokens, QUESTION, max_new_tokens=8).text == expected
    assert getattr(qa.model.model.generation_config, option) == HOSTILE[option]  # the owner's model is left alone


def test_no_option_in_a_checkpoints_files_reaches_an_answer(llava, plain, tmp_path):
    _, tokens, expected = plain
    for file in Path(llava).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    ids = json.loads((tmp_path / "generation_config.json").read_text())
    (tmp_path / "generation_config.json").write_text(json.dumps({**ids, **HOSTILE}))
    legacy = json.loads((tmp_path / "config.json").read_text())
    shaping = {"repetition_penalty": 1.9, "max_length": 4, "num_beams": 3, "temperature": 0.2, "min_length": 20}
    legacy = {**legacy, **shaping, "text_config": {**legacy["text_config"], **shaping}}
    (tmp_path / "config.json").write_text(json.dumps(legacy))
    qa = dyto.VideoQA(dyto.load_model(tmp_path, device="cpu"), "uniform")
    assert set(every_way(qa, tokens)) == {expected}


def test_an_option_that_is_asked_for_counts(plain):
    qa, tokens, expected = plain
    prompt = qa.tokenize(QUESTION, None, 8)
    first = int(qa.model.logits(qa.model.prefill(prompt.before, tokens), prompt.after)[-1].argmax())
    other = qa.ask(tokens, QUESTION, max_new_tokens=8, generation={"begin_suppress_tokens": [first]}).text
    assert other != expected


@pytest.mark.parametrize("option", ["max_length", "min_length", "cache_implementation", "prompt_lookup_num_tokens"])
def test_an_option_that_cannot_be_kept_is_refused(plain, option):
    qa, tokens, _ = plain
    with pytest.raises(ConfigError, match=f"{option}.*not supported"):
        qa.ask(tokens, QUESTION, generation={option: HOSTILE[option]})


def test_what_is_stated_can_be_written_down_and_is_all_there_is(plain):
    model = plain[0].model
    stated = stated_options(model.model, model.tokenizer, 32)
    assert stated.items() >= GREEDY.items()
    assert json.loads(json.dumps(stated)) == stated
    assert stated["max_new_tokens"] == 32
    assert stated["eos_token_id"] == end_ids(model.model, model.tokenizer)


@pytest.mark.parametrize(
    ("own", "config", "tokenizer", "expected"),
    [
        ([2, 7], None, 2, [2, 7]),
        (7, None, 2, [7]),
        (None, [1, 106], 1, [1, 106]),
        (None, None, 2, [2]),
        ("</s>", None, 2, [2]),
        ([], None, 2, [2]),
        ([[2], 7, True, -1, None], None, 9, [2, 7]),
        (None, None, None, [3]),
    ],
)
def test_the_tokens_that_end_an_answer_are_found_wherever_they_are_named(plain, own, config, tokenizer, expected):
    model = plain[0].model.model

    class Said:
        generation_config = type("Own", (), {"eos_token_id": own, "pad_token_id": None})()
        config = None

    class Text:
        eos_token_id = 3

    Said.config = type("Config", (), {"eos_token_id": config, "get_text_config": lambda self: Text()})()
    Said.get_input_embeddings = lambda self: model.get_input_embeddings()  # type: ignore[attr-defined]
    words = type("Words", (), {"eos_token_id": tokenizer, "pad_token_id": 1 << 20, "bos_token_id": None})()
    assert end_ids(Said(), words) == expected
    assert generation_config(Said(), words, 8, {}).pad_token_id == expected[0]  # the tokenizer's is not embedded


def test_answers_of_different_lengths_end_where_each_one_ends(plain, monkeypatch):
    qa, tokens, _ = plain
    questions = ["why", QUESTION, "is there a red circle", "what"]
    alone = [qa.ask(tokens, question, max_new_tokens=12).text for question in questions]
    own = qa.model.model.generation_config
    word = qa.model.tokenizer.convert_tokens_to_ids("a")  # a word, which must not be read for the padding it is
    monkeypatch.setattr(own, "pad_token_id", word)
    assert [one.text for one in qa.ask_many(tokens, questions, max_new_tokens=12)] == alone


def test_the_newer_families_are_greedy_too():
    from dyto.models.adapters.qwen3_vl import Qwen3VL
    from dyto.models.pixels import NativeSize, Normalization

    stock = forge_qwen3_vl()
    stock.generation_config = GenerationConfig(repetition_penalty=2.0, no_repeat_ngram_size=1, temperature=0.7)
    model = Qwen3VL("forged", stock, qwen_tokenizer(), normalization=Normalization(), chat="qwen3")
    model.image_size = NativeSize(8, 4, 16)
    qa = dyto.VideoQA(model, "uniform")
    tokens = qa.encode(video())
    assert set(every_way(qa, tokens, 12)) == {by_hand(qa, tokens, count=12)}


@pytest.mark.parametrize("name", REAL)
def test_real_configs_answer_as_greedy_decoding_does(shared, tmp_path, name):
    folder = forge_real(shared / "configs" / name, tmp_path / name)
    qa = dyto.VideoQA(dyto.load_model(folder, device="cpu"), "uniform")
    tokens = qa.encode(video(2))
    expected = by_hand(qa, tokens)
    assert expected
    assert set(every_way(qa, tokens)) == {expected}


SCRIPT = """
import sys, dyto
qa = dyto.VideoQA.from_pretrained(sys.argv[1], device="cpu")
tokens = qa.encode(sys.argv[2], num_frames=4)
print(qa.ask(tokens, "why", max_new_tokens=8).text)
assert "".join(qa.stream(tokens, "why", max_new_tokens=8)) is not None
qa.ask_many(tokens, ["why", "what color is it ?"], max_new_tokens=8)
"""


def told(*words):
    """What a child process prints on stdout and on stderr."""
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    child = subprocess.run([sys.executable, *map(str, words)], capture_output=True, text=True, env=environment)
    assert child.returncode == 0, child.stderr
    return child.stdout, child.stderr


@pytest.mark.soak
def test_nothing_of_transformers_is_printed(llava, clip, tmp_path):
    for file in Path(llava).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "generation_config.json").write_text(json.dumps({**HOSTILE, "eos_token_id": [2, 99999]}))
    out, err = told("-c", SCRIPT, tmp_path, clip)
    assert err == ""
    assert out.strip()


@pytest.mark.soak
@pytest.mark.parametrize("name", NAMES)
def test_nothing_of_transformers_is_printed_for_real_configs(shared, clip, tmp_path, name):
    folder = forge_real(shared / "configs" / name, tmp_path / name)
    said, err = told("-c", SCRIPT, folder, clip)
    assert err == ""
    command = ("-m", "dyto", "ask", clip, "why", "--model", folder, "--device", "cpu", "--max-new-tokens", 8)
    out, err = told(*command, "--num-frames", 4, "--json")
    assert err == ""
    assert json.loads(out)["answer"] == said.strip()


def test_a_generation_config_that_is_no_json_is_told_of(llava, tmp_path):
    for file in Path(llava).iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    (tmp_path / "generation_config.json").write_text("[1, 2]")
    with pytest.raises(DytoError, match="generation_config.json.*expected a JSON object"):
        dyto.load_model(tmp_path, device="cpu")


@pytest.mark.parametrize("temperature", [1e-7, 1e-40, 2.2250738585072014e-308, 5e-324])
def test_a_temperature_near_zero_gives_the_likeliest_token(plain, temperature):
    qa, tokens, _ = plain
    options = {"do_sample": True, "temperature": temperature}
    greedy = qa.ask(tokens, "what is shown ?", max_new_tokens=6)
    assert qa.ask(tokens, "what is shown ?", max_new_tokens=6, generation=options).text == greedy.text
    scores = torch.tensor([1.0, -torch.inf, 3.0, 2.999])
    for top_p in (1.0, temperature):
        assert Row(1, temperature=temperature, top_p=top_p, seed=0).choose(scores) == 2
