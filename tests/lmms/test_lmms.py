"""The plugin for lmms-eval: by the calls that it makes, and in its own registry where it is installed."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import dyto
from dyto.lmms import manifest, model_class
from dyto.lmms.model import LmmsModel, _local
from dyto.lmms.requests import plain_prompt

QUESTIONS = ["what color is the star ?", "is there a circle ?", "how many ?"]


@dataclass
class Instance:
    """As lmms-eval has it: what a model reads of it."""

    args: tuple[Any, ...]


@pytest.fixture(scope="module")
def model(clip):
    made = LmmsModel(pretrained="tiny", strategy="dyto", token_budget=100, num_frames=20, device="cpu")
    pictures = np.random.default_rng(0).integers(0, 255, (6, 40, 52, 3), dtype=np.uint8)
    documents = [{"video": str(clip)}, {"images": [Image.fromarray(p) for p in pictures]}, {"none": None}]
    made.task_dict = {"task": {"test": documents}}
    return made


def visual(document):
    return [document["video"]] if "video" in document else document.get("images")


def ask(question, document=0, **options):
    return Instance((question, options, visual, document, "task", "test"))


def test_answers_come_in_the_order_of_the_requests_and_are_those_of_video_qa(model, clip):
    requests = [ask(QUESTIONS[i % 3], document=i % 2, max_new_tokens=8) for i in range(6)]
    answers = model.generate_until(requests)
    qa = dyto.VideoQA.from_pretrained("tiny", dyto.DyTo(token_budget=100), device="cpu")
    videos = [str(clip), visual(model.task_dict["task"]["test"][1])]
    expected = [qa.ask(videos[i % 2], QUESTIONS[i % 3], max_new_tokens=8, num_frames=20).text for i in range(6)]
    assert answers == expected
    assert model.generate_until([requests[4], requests[1]]) == [expected[4], expected[1]]


def test_a_video_is_encoded_once_for_all_its_questions(model, monkeypatch):
    calls = []
    encode = type(model.qa.model).encode
    monkeypatch.setattr(type(model.qa.model), "encode", lambda *a, **k: calls.append(1) or encode(*a, **k))
    model.generate_until([ask(q, max_new_tokens=count) for q in QUESTIONS for count in (2, 3)])
    assert len(calls) == 1


def test_what_a_task_says_of_generation_is_kept_or_told(model, caplog):
    whole = model.generate_until([ask(QUESTIONS[0], max_new_tokens=8)])[0]
    cut = whole[len(whole) // 2]
    options = {"max_new_tokens": 8, "until": [cut], "temperature": 0, "top_p": None, "num_beams": 1}
    assert model.generate_until([ask(QUESTIONS[0], **options)])[0] == whole[: whole.index(cut)].rstrip()
    assert model.generate_until([ask(QUESTIONS[0], max_new_tokens=8, until=cut, do_sample=False)])
    assert not caplog.records
    model.generate_until([ask(QUESTIONS[0], max_new_tokens=2, image_aspect_ratio="original")])
    assert "image_aspect_ratio" in caplog.text
    with pytest.raises(dyto.ConfigError, match="num_beams"):
        model.generate_until([ask(QUESTIONS[0], num_beams=4)])
    torch.manual_seed(0)
    drawn = {model.generate_until([ask(QUESTIONS[0], max_new_tokens=6, temperature=5.0)])[0] for _ in range(4)}
    assert len(drawn) > 1


def test_marks_for_pictures_in_a_context_are_not_read_as_text(model):
    plain = model.generate_until([ask(QUESTIONS[0], max_new_tokens=8)])
    assert model.generate_until([ask(f"<image>\n<image> {QUESTIONS[0]}", max_new_tokens=8)]) == plain
    assert model.generate_until([ask(f"<video>{QUESTIONS[0]}", max_new_tokens=8)]) == plain


def test_the_least_loss_is_what_the_model_would_write(model):
    answer = model.generate_until([ask(QUESTIONS[0], max_new_tokens=4)])[0]
    others = ["triangle", "not the same"]
    requests = [
        Instance((QUESTIONS[0], target, visual, 0, "task", "test"))
        for target in (answer, lambda document: others[0], others[1])
    ]
    losses, greedy = zip(*model.loglikelihood(requests), strict=True)
    assert losses[0] == min(losses)
    assert greedy[0] is True
    assert not all(greedy)
    assert all(loss >= 0 for loss in losses)


def test_requests_without_a_video_are_refused(model):
    with pytest.raises(dyto.ConfigError, match="a task shows 1 of NoneType, expected one video file"):
        model.generate_until([ask(QUESTIONS[0], document=2)])
    with pytest.raises(dyto.ConfigError, match="drop acc_mutual_info"):
        model.loglikelihood([Instance(("", "yes"))])
    with pytest.raises(dyto.ConfigError, match="several rounds"):
        model.generate_until_multi_round([])


def test_a_strategy_that_looks_at_the_question_is_asked_for_each(clip):
    asked = []

    class Looks(dyto.DyTo):
        uses_question = True

        def __call__(self, frames, encode, question=None):
            asked.append(question)
            return super().__call__(frames, encode, question)

    made = LmmsModel(num_frames=10, device="cpu")
    made.task_dict = {"task": {"test": [{"video": str(clip)}]}}
    made.qa.strategy = Looks()
    answers = made.generate_until([ask(question, max_new_tokens=3) for question in QUESTIONS])
    assert asked == QUESTIONS
    assert len(answers) == 3
    made.loglikelihood([Instance((question, "yes", visual, 0, "task", "test")) for question in QUESTIONS[:2]])
    assert asked[3:] == QUESTIONS[:2]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"token_budgt": 3}, "unknown model argument 'token_budgt': did you mean 'token_budget'"),
        ({"strategy": "dito"}, "did you mean 'dyto'"),
        ({"strategy_options": "{"}, "expected JSON of fields"),
        ({"strategy_options": "[1]"}, "expected JSON of fields"),
        ({"strategy": "dyto", "strategy_options": '{"partitio": "finest"}'}, "did you mean 'partition'"),
        ({"preset": "relaese"}, "did you mean 'release'"),
        ({"quantization": "3bit"}, "did you mean '8bit'"),
    ],
)
def test_model_arguments_that_mean_nothing_are_refused(options, message):
    with pytest.raises(dyto.ConfigError, match=message):
        LmmsModel(pretrained="tiny", **options)


def test_arguments_reach_the_strategy():
    made = LmmsModel(
        model="tiny", preset="finest", token_budget=50, strategy_options='{"member": "first"}', device="cpu"
    )
    assert (made.qa.strategy.partition, made.qa.strategy.token_budget, made.qa.strategy.member) == (  # type: ignore[attr-defined]
        "finest",
        50,
        "first",
    )


def test_each_process_takes_a_device_of_its_own(monkeypatch):
    assert _local("cpu") == "cpu"
    monkeypatch.setenv("LOCAL_RANK", "5")
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 4)
    assert [_local(None), _local("cuda"), _local("cuda:0")] == ["cuda:1", "cuda:1", "cuda:0"]


def test_prompts_of_every_chat_format_hold_a_video_and_a_question():
    for chat in dyto.prompts.PROMPT_PAIRS:
        assert plain_prompt(chat).fill("why ?")


def test_without_lmms_eval_it_says_so(monkeypatch):
    model_class.cache_clear()
    monkeypatch.setitem(__import__("sys").modules, "lmms_eval", None)
    with pytest.raises(dyto.ConfigError, match="pip install lmms-eval"):
        model_class()


@pytest.mark.soak  # which installs lmms-eval
@pytest.mark.filterwarnings("ignore")  # of lmms-eval
def test_its_registry_finds_the_model_and_makes_one(clip):
    from lmms_eval.api.instance import Instance as Stock
    from lmms_eval.api.model import lmms
    from lmms_eval.models.registry_v2 import ModelRegistryV2

    model_class.cache_clear()
    registry = ModelRegistryV2()
    registry.register_manifest(manifest())
    found = registry.get_model_class("dyto")  # checks that it is one of its models, and of which kind
    made = found.create_from_arg_string(
        "pretrained=tiny,token_budget=60,num_frames=8,dtype=float32", {"batch_size": 1, "device": "cpu"}
    )
    assert isinstance(made, lmms)
    made.task_dict["task"] = {"test": [{"video": str(clip)}]}
    arguments = (QUESTIONS[0], {"max_new_tokens": 4, "until": ["\n\n"]}, visual, 0, "task", "test")
    request = Stock("generate_until", arguments, 0, metadata={"task": "task", "doc_id": 0, "repeats": 1})
    assert made.generate_until([request]) == made.generate_until([request])
    assert (made.rank, made.world_size, str(made.device)) == (0, 1, "cpu")
    made.clean()


@pytest.mark.soak  # which installs lmms-eval
@pytest.mark.filterwarnings("ignore")
def test_the_entry_point_is_found():
    from importlib.metadata import entry_points

    from lmms_eval.models.registry_v2 import ModelRegistryV2

    assert "dyto" in [point.name for point in entry_points(group="lmms_eval.models")]
    registry = ModelRegistryV2()
    registry.load_entrypoint_manifests()
    assert "dyto" in registry.list_model_names()
