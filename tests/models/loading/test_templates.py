"""A checkpoint's own chat template: read in a process of its own, and never more than the format of a prompt."""

import time

import pytest

import dyto
from dyto.models.generation.chats import Chat
from dyto.models.loading import rendering
from dyto.models.loading.templates import chat_of, own_chat
from dyto.models.stock_classes import marks_around
from forge_stock import save, tokenizer

PLAIN = (
    "{{ bos_token }}{% for message in messages %}<|im_start|>{{ message.role }}\n{% for part in message.content %}"
    "{% if part.type == 'image' %}<|start|><|picture|><|end|>{% else %}{{ part.text }}{% endif %}{% endfor %}<|im_end|>\n"
    "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@pytest.fixture(scope="module")
def own():
    return tokenizer()


def conversation(question, pictures):
    return [{"role": "user", "content": [{"type": "image"}] * pictures + [{"type": "text", "text": question}]}]


TEMPLATES = {
    "plain": PLAIN,
    "pictures on lines of their own": PLAIN.replace("<|end|>", "<|end|>\n"),
    "a line break before each picture": PLAIN.replace("<|start|>", "\n<|start|>"),
    "a mark alone": PLAIN.replace("<|start|><|picture|><|end|>", "<|picture|>"),
    "text around a picture": PLAIN.replace("<|start|><|picture|>", "<|start|>image: <|picture|>"),
    "a system message of its own": PLAIN.replace("{{ bos_token }}", "{{ bos_token }}You are kind.\n"),
    "a block for training": PLAIN.replace("assistant\n", "assistant\n{% generation %}{% endgeneration %}"),
    "no beginning": PLAIN.replace("{{ bos_token }}", ""),
    "thinking": PLAIN + "{% if enable_thinking is defined and not enable_thinking %}<think></think>{% endif %}",
    "loops that end early": PLAIN.replace("<|im_end|>", "{% for a in 'abc' %}{% break %}{% endfor %}<|im_end|>"),
    "all of it in JSON": PLAIN.replace("{{ message.role }}", "{{ message.role | tojson }}"),
}


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("name", TEMPLATES)
def test_the_prompt_is_that_of_stock_transformers(name, count, own):
    """Character by character, for any number of pictures."""
    found = own_chat("m", TEMPLATES[name], own)
    stock = own.apply_chat_template(
        conversation("what is it ?", count), tokenize=False, add_generation_prompt=True, enable_thinking=False,
        chat_template=TEMPLATES[name],
    )  # fmt: skip
    pictures = found.picture * count
    ours = f"{found.chat.before}{found.chat.video.replace('<image>', pictures)}what is it ?{found.chat.after}"
    assert ours == stock.removeprefix("<s>")  # which the tokenizer writes itself
    start, end = marks_around(found.picture, 5, object(), own)
    assert start + "<|picture|>" + end == found.picture


UNUSABLE = {
    "{{ 1 / 0 }}": "ZeroDivisionError",
    "{% for": "TemplateSyntaxError",
    "{{ raise_exception('no pictures') }}": "no pictures",
    "hello": "does not write the question once",
    "{{ messages[0].content[-1].text * 2 }}": "does not write the question once",
    "{{ messages[0].content[-1].text }}": "not written alike",
    "{% for p in messages[0].content %}{{ p.text or loop.index }}{% endfor %}": "not written alike",
    "{% for p in messages[0].content %}{{ p.text or 'one' }}{% endfor %}<image>": "not written alike",
    "{{ ().__class__.__bases__[0].__subclasses__() }}": "SecurityError",
    "{{ messages.append(1) }}": "SecurityError",
    "{{ 'a' * 10 ** 10 }}": "MemoryError",
    "{{ 'a' * 10 ** 6 }}": "letters for one question",
    "{% include '/etc/passwd' %}": "TypeError",
    "{{ cycler.__init__.__globals__.os.system('touch /tmp/x') }}": "SecurityError",
}


@pytest.mark.parametrize("template", UNUSABLE)
def test_a_template_that_cannot_be_used_is_told_of_and_the_usual_format_taken(template, own, tmp_path):
    (tmp_path / "chat_template.jinja").write_text(template)
    chat, picture, notice = chat_of("m", str(tmp_path), None, object(), own, "vicuna")
    assert (chat, picture) == ("vicuna", "")
    assert UNUSABLE[template] in notice
    assert notice.endswith("its chat format is assumed to be 'vicuna'")
    assert "\n" not in notice


def test_a_template_without_end_is_ended(own, tmp_path, monkeypatch):
    monkeypatch.setattr("dyto.models.loading.templates.START_SECONDS", 1 - rendering.SECONDS)
    nested = "".join(f"{{% for a{depth} in range(99999) %}}" for depth in range(4)) + "{% endfor %}" * 4
    (tmp_path / "chat_template.jinja").write_text(nested)
    begun = time.monotonic()
    assert "it does not end" in chat_of("m", str(tmp_path), None, object(), own, "vicuna")[2]
    assert time.monotonic() - begun < 30


def test_templates_are_found_where_processors_find_them(own, tmp_path):
    assert "assumed" in chat_of("m", str(tmp_path), None, object(), own, "vicuna")[2]
    own_one = tokenizer()
    own_one.chat_template = {"default": PLAIN.replace("assistant", "tokenizer"), "tools": "hello"}
    places = {
        "processor_config.json": '{"chat_template": "%s"}',
        "chat_template.json": '{"chat_template": "%s"}',
        "chat_template.jinja": "%s",
    }

    def after():
        chat = chat_of("m", str(tmp_path), None, object(), own_one, "vicuna")[0]
        assert isinstance(chat, Chat)
        return chat.after

    assert "tokenizer" in after()
    for file, form in places.items():
        text = PLAIN.replace("assistant", file)
        (tmp_path / file).write_text(form % (text.replace("\n", "\\n") if "json" in file else text))
        assert file in after()


def test_a_prompt_of_this_package_in_a_config_comes_first(own, tmp_path):
    (tmp_path / "chat_template.jinja").write_text(PLAIN)
    config = type("Config", (), {"dyto_prompt": "tiny"})()
    assert chat_of("m", str(tmp_path), None, config, own, "tiny")[0] == "tiny"


def test_questions_options_and_other_prompts_go_into_the_format(tmp_path):
    """Of a whole checkpoint: open questions, multiple choice, and what lmms-eval asks."""
    from dyto.lmms.requests import plain_prompt

    folder = save("GLM-4.6V", tmp_path)
    (folder / "chat_template.jinja").write_text(PLAIN)
    model = dyto.load_model(folder, device="cpu")
    assert isinstance(model.chat, Chat)
    qa = dyto.VideoQA(model)
    for choices in (None, ["yes", "no"]):
        before, after = qa.prompt_for(choices).fill("is it red ?", choices)
        assert before == "<|im_start|>user\n"
        assert "is it red ?" in after
        assert "<|im_end|>\n<|im_start|>assistant\nAnswer:" in after
    assert plain_prompt(model.chat).text == "<|im_start|>user\n<image>{question}<|im_end|>\n<|im_start|>assistant\n"
