"""Prompts: the published names, their structure, and files in their place."""

import pytest

from dyto import ConfigError
from dyto.prompts import PROMPT_PAIRS, PROMPTS, Prompt, get_prompt, prompt_for

PUBLISHED = {
    "image_seq_v3": ("USER: ", "ASSISTANT: Answer: In the video,"),
    "image_seq_34b_v3": ("<|im_start|>system\n", "<|im_start|>assistant\nAnswer: In the video,"),
    "multiple_choice_allvideo_v4": ("USER: ", "ASSISTANT: Answer: Best option:("),
    "multiple_choice_allvideo_34b_v4": (
        "<|im_start|>system\n",
        "<|im_start|>assistant\nAnswer: Best option:(",
    ),
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_names_have_the_published_structure(name):
    prompt = get_prompt(name)
    begin, end = PUBLISHED[name]
    assert prompt.text.startswith(begin)
    assert prompt.text.endswith(end)
    choices = ["a", "b"] if prompt.takes_choices else None
    before, after = prompt.fill("Why?", choices)
    assert before + "<image>" + after == prompt.text.format(question="Why?", choices="(A) a\n(B) b")
    assert after.startswith("\n")


@pytest.mark.parametrize("chat", PROMPT_PAIRS)
def test_every_chat_format_has_both_kinds(chat):
    assert not prompt_for(chat, choices=False).takes_choices
    assert prompt_for(chat, choices=True).takes_choices


def test_the_bundled_model_is_asked_as_it_was_trained():
    before, after = PROMPTS["tiny_choice"].fill("which ?", ["red", "blue"])
    assert before + "<image>" + after == "USER: <image>\nwhich ? (A) red (B) blue ASSISTANT:"


def test_braces_and_marks_in_a_question_stay_what_they_are():
    assert PROMPTS["tiny"].fill("what is {question} or {choices}?")[1] == (
        "\nwhat is {question} or {choices}? ASSISTANT:"
    )
    assert "{question}" in PROMPTS["tiny_choice"].fill("q", ["{question}", "b"])[1]


def test_a_file_may_be_given_instead(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("\ufeffSay <image> {question}\nOptions {choices}:(\n", encoding="utf-8")
    prompt = get_prompt(path)
    assert prompt.takes_choices
    assert prompt.answer_start == "("
    assert prompt.fill("q", ["x", "y"]) == ("Say ", " q\nOptions (A) x\n(B) y:(")


@pytest.mark.parametrize(
    ("text", "message"),
    [("no image {question}", "0 times <image>"), ("<image><image>{question}", "2 times <image>"),
     ("<image> only", "0 times {question}")],
)  # fmt: skip
def test_a_template_without_its_marks_is_an_error(text, message):
    with pytest.raises(ConfigError, match=message):
        Prompt("bad", text)


def test_what_cannot_be_found_or_read_is_an_error(tmp_path):
    with pytest.raises(ConfigError, match="did you mean 'image_seq_v3'"):
        get_prompt("image_sec_v3")
    with pytest.raises(ConfigError, match="does not exist"):
        get_prompt("missing.txt")
    broken = tmp_path / "latin.txt"
    broken.write_bytes(b"\xff\xfe\x00 <image> {question}")
    with pytest.raises(ConfigError, match="UTF-8"):
        get_prompt(broken)


@pytest.mark.parametrize("question", ["", "  \n"])
def test_an_empty_question_is_an_error(question):
    with pytest.raises(ConfigError, match="question is empty"):
        PROMPTS["tiny"].fill(question)


def test_the_mark_of_the_video_cannot_be_smuggled_in():
    with pytest.raises(ConfigError, match="question holds '<image>'"):
        PROMPTS["tiny"].fill("what is <image> ?")
    with pytest.raises(ConfigError, match="choices holds '<image>'"):
        PROMPTS["tiny_choice"].fill("q", ["<image>", "b"])


def test_choices_go_with_templates_that_take_them():
    with pytest.raises(ConfigError, match="takes no choices"):
        PROMPTS["tiny"].fill("q", ["a", "b"])
    with pytest.raises(ConfigError, match="needs choices"):
        PROMPTS["tiny_choice"].fill("q")
