"""Questions about several videos at a time: the same answers as one by one, and no video read twice."""

import numpy as np
import pytest
import torch
from transformers import MistralConfig

import dyto
from dyto.models.adapters.llava_next import LlavaNext
from dyto.models.adapters.tiny import build_tokenizer
from dyto.models.pixels import Normalization

from forge import forge_model

QUESTIONS = ["what color is the star ?", "is there a red circle at the end of the video ?", "why"]


def adapter(context=2048, factor=1.0, window=None):
    stock = forge_model(seed=3, context=context, text="mistral" if window else None)
    if window:
        config = stock.config
        config.text_config.sliding_window = window
        assert isinstance(config.text_config, MistralConfig)
        changed = type(stock)(config).eval()
        changed.load_state_dict(stock.state_dict())
        stock = changed
    return LlavaNext(
        "forged", stock, build_tokenizer(), normalization=Normalization(), chat="tiny", rope_factor=factor
    )  # fmt: skip


@pytest.fixture(scope="module")
def model():
    return adapter()


def film(frames=12, seed=0):
    return np.random.default_rng(seed).integers(0, 255, (frames, 40, 52, 3), dtype=np.uint8)


def one_by_one(qa, requests):
    texts = []
    for video, question, *choices in requests:
        qa.forget()
        texts.append(qa.ask(video, question, choices=choices[0] if choices else None, max_new_tokens=8).text)
    return texts


@pytest.mark.parametrize(("context", "window"), [(2048, None), (150, None), (2048, 40)])
def test_answers_about_several_videos_equal_those_one_by_one(context, window):
    model = adapter(context, factor=2.0 if context == 150 else 1.0, window=window)
    qa = dyto.VideoQA(model)
    videos = [
        qa.encode(film(30, 1)),
        qa.encode(film(1, 2)),
        dyto.VideoQA(model, dyto.DyTo(token_budget=60)).encode(film()),
    ]
    assert len({len(tokens) for tokens in videos}) == 3
    requests = [(tokens, question) for question in QUESTIONS for tokens in videos]
    requests.insert(4, (videos[0], QUESTIONS[0], ["red", "blue", "green"]))
    expected = one_by_one(qa, requests)
    assert len(set(expected)) >= len(requests) - 1
    for size in (None, 4):
        assert [answer.text for answer in qa.ask_batch(requests, max_new_tokens=8, batch_size=size)] == expected


def test_a_window_that_slides_is_shorter_than_the_videos_it_is_tested_with():
    model = adapter(window=40)
    qa = dyto.VideoQA(model)
    tokens = qa.encode(film(30, 1))
    prompt = model.tokenize("USER: ", " why ASSISTANT:")
    prefix = model.prefill(prompt.before, tokens)
    assert prefix.company(3) == prefix.company(3) != prefix.company(4)
    assert all(layer.keys.shape[2] == 39 < len(tokens) for layer in prefix.cache.layers)
    whole = adapter()  # the same weights without a window say something else
    assert (
        qa.ask(tokens, QUESTIONS[0], max_new_tokens=12).text
        != dyto.VideoQA(whole).ask(tokens, QUESTIONS[0], max_new_tokens=12).text
    )


def test_each_video_is_encoded_and_read_once_in_whatever_order_it_is_asked_about(model, clip, monkeypatch):
    qa = dyto.VideoQA(model)
    calls = {"encode": 0, "prefill": 0}
    for name in calls:
        plain = getattr(model, name)

        def counted(*args, _name=name, _plain=plain, **kwargs):
            calls[_name] += 1
            return _plain(*args, **kwargs)

        monkeypatch.setattr(model, name, counted)
    other = film()
    requests = [(clip, QUESTIONS[0]), (other, QUESTIONS[0]), (str(clip), QUESTIONS[1]), (other, QUESTIONS[1])]
    answers = qa.ask_batch(requests, max_new_tokens=3, num_frames=10)
    assert calls == {"encode": 2, "prefill": 2}
    assert [len(answer.keyframes) for answer in answers[:2]] == [len(answer.keyframes) for answer in answers[2:]]
    assert answers[0].uncompressed_tokens == 10 * 36
    assert answers[0].keyframes.indices.max() > 12  # of the file, not of the array
    calls.update(encode=0, prefill=0)
    qa.ask_batch([(film(4, seed), QUESTIONS[0]) for seed in range(5)], max_new_tokens=2, batch_size=2)
    assert calls == {"encode": 5, "prefill": 5}


def test_a_strategy_that_looks_at_the_question_encodes_for_each(model):
    class Asking:
        uses_question = True

        def __call__(self, frames, encode, question=None):
            asked.append(question)
            return dyto.DyTo(token_budget=20 + len(asked))(frames, encode)

    asked: list[str] = []
    qa = dyto.VideoQA(model, Asking())
    video = film()
    answers = qa.ask_batch([(video, question) for question in QUESTIONS], max_new_tokens=2)
    assert asked == QUESTIONS
    assert [answer.token_budget for answer in answers] == [21, 22, 23]


def test_what_cannot_be_asked_is_said_before_any_video_is_read(model):
    qa = dyto.VideoQA(model)
    with pytest.raises(dyto.ConfigError, match="question is empty"):
        qa.ask_batch([("never opened.mp4", QUESTIONS[0]), (film(), " ")])
    with pytest.raises(dyto.ConfigError, match="batch_size is 0"):
        qa.ask_batch([(film(), QUESTIONS[0])], batch_size=0)
    with pytest.raises(dyto.VideoError, match="does not exist"):
        qa.ask_batch([(film(), QUESTIONS[0]), ("no such film.mp4", QUESTIONS[0])])
    assert qa.ask_batch([]) == []


def test_times_can_be_written_before_the_frames_of_any_family(model):
    spoken = adapter()
    spoken.time_text = "frame {seconds:.0f} : "
    frames = dyto.sample_frames(film(6), source_fps=0.5)
    tokens = dyto.VideoQA(spoken, dyto.Concat()).encode(frames)
    qa = dyto.VideoQA(spoken)
    answer = qa.ask(tokens, QUESTIONS[0], max_new_tokens=12)
    embed = spoken.model.get_input_embeddings()
    parts = []
    for number in range(6):
        ids = spoken.tokenizer(f"frame {2 * number} : ", add_special_tokens=False, return_tensors="pt").input_ids[0]
        parts += [embed(ids), tokens.data[number * 36 : (number + 1) * 36]]
    prompt = spoken.tokenize(*dyto.prompts.PROMPTS["tiny"].fill(QUESTIONS[0]))
    embeds = torch.cat([embed(prompt.before), *parts, embed(prompt.after)])[None]
    with torch.no_grad():
        mask = torch.ones(embeds.shape[:2], dtype=torch.int64)
        ids = spoken.model.generate(
            inputs_embeds=embeds, attention_mask=mask, max_new_tokens=12, do_sample=False, pad_token_id=0
        )
    assert answer.text == spoken.tokenizer.decode(ids[0], skip_special_tokens=True).strip()
    assert answer.num_time_tokens == 6 * 3
    assert answer.to_dict()["tokens"] == {"uncompressed": 216, "budget": None, "used": 216, "times": 18}
    silent = dyto.VideoQA(model).ask(tokens, QUESTIONS[0], max_new_tokens=12)
    assert silent.num_time_tokens == 0
    assert silent.text != answer.text
    with pytest.raises(dyto.ModelError, match="so it needs VisualTokens"):
        spoken.prefill(prompt.before, tokens.data)
    spoken.time_text = ""  # what is kept of the video is not used again
    assert qa.ask(tokens, QUESTIONS[0], max_new_tokens=12).text == silent.text


def test_prefixes_that_do_not_go_with_the_questions_are_refused(model):
    qa = dyto.VideoQA(model)
    prompt = model.tokenize("USER: ", " why ASSISTANT:")
    prefix = model.prefill(prompt.before, qa.encode(film()))
    with pytest.raises(dyto.ConfigError, match="1 prefixes for 2 questions"):
        model.generate([prefix], [prompt.after] * 2, max_new_tokens=2)
    scaled = model.prefill(prompt.before, qa.encode(film()), scaled=True)
    with pytest.raises(dyto.ConfigError, match="scaled alike"):
        model.generate([prefix, scaled], [prompt.after] * 2, max_new_tokens=2)
    assert model.generate([], [], max_new_tokens=2) == []
