"""Named prompt templates, and the chat formats they are built from.

A prompt is a text with exactly one `<image>`, which the video's tokens replace, with `{question}` and, for
multiple choice, `{choices}`. It ends with the beginning of the answer, which the model continues. The names are
the published `CONV_MODE` values; the sentences are our own, with the same structure.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dyto.choices import format_choices
from dyto.errors import BadQuestionError, ConfigError, unknown
from dyto.models.chats import OTHER_CHATS, Chat
from dyto.models.families import FAMILIES

IMAGE = "<image>"

_FAMILIES_CHATS = {
    **{family.chat.name: family.chat for family in FAMILIES.values() if family.chat},
    **{chat.name: chat for chat in OTHER_CHATS.values()},
}

CHAT_FORMATS: dict[str, Chat] = {
    "vicuna": Chat("vicuna", "USER: ", "<image>\n", " ASSISTANT:"),
    "mistral": Chat("mistral", "[INST] ", "<image>\n", " [/INST]"),
    "chatml": Chat(
        "chatml",
        "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n",
        "<image>\n",
        "<|im_end|><|im_start|>assistant\n",
    ),
    "llama3": Chat(
        "llama3",
        "<|start_header_id|>user<|end_header_id|>\n\n",
        "<image>\n",
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\n",
    ),
    "llava-video": Chat(
        "llava-video",
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n<|im_start|>user\n",
        "<image>\n",
        "<|im_end|>\n<|im_start|>assistant\n",
    ),
    **_FAMILIES_CHATS,
}
"""Those of language models, and those that families were trained with."""

_OPEN = (
    "The pictures above are frames of one video, in the order in which they were filmed. "
    "Watch what happens from the first to the last, then answer the question about the video.\n"
    "Question: {question}"
)
_CHOICE = (
    "The pictures above are frames of one video, in the order in which they were filmed. "
    "Watch what happens from the first to the last, then pick the one option that answers the question "
    "about the video best.\nQuestion: {question}\nOptions:\n{choices}"
)


@dataclass(frozen=True)
class Prompt:
    """A template.

    Attributes:
        name: Under which it is known.
        text: The whole prompt with `<image>`, `{question}` and, for multiple choice, `{choices}`.
        separator: What stands between the options.
    """

    name: str
    text: str
    separator: str = "\n"

    def __post_init__(self) -> None:
        for mark in (IMAGE, "{question}"):
            if self.text.count(mark) != 1:
                raise ConfigError(
                    f"prompt {self.name!r} has {self.text.count(mark)} times {mark}, expected it exactly once"
                )

    @property
    def takes_choices(self) -> bool:
        """Whether it is for multiple choice."""
        return "{choices}" in self.text

    @property
    def answer_start(self) -> str:
        """The part of the prompt that already belongs to the answer: an opening bracket, or nothing."""
        return "(" if self.text.endswith("(") else ""

    def fill(self, question: str, choices: Sequence[str] | None = None) -> tuple[str, str]:
        """The text before and after the video.

        Args:
            question: The question; it must not hold `<image>`.
            choices: The options, for a template that takes them.

        Raises:
            BadQuestionError: An empty question, a reserved mark in it, or options that are too few, too many or empty.
            ConfigError: The template takes options and there are none, or the other way round.

        Example:
            >>> PROMPTS["tiny"].fill("what color is the star ?")
            ('USER: ', '\\nwhat color is the star ? ASSISTANT:')
        """
        if not question.strip():
            raise BadQuestionError("the question is empty, expected a text: ask something about the video")
        if self.takes_choices != (choices is not None):
            needs = "needs choices" if self.takes_choices else "takes no choices"
            raise ConfigError(f"prompt {self.name!r} {needs}: see `dyto list prompts` for the others")
        try:
            options = format_choices(choices, separator=self.separator) if choices is not None else ""
        except ConfigError as err:
            raise BadQuestionError(str(err)) from err
        for what, text in (("question", question), ("choices", options)):
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                raise BadQuestionError(f"the {what} holds bytes that are no UTF-8 text: check the terminal's encoding")
            if IMAGE in text:
                raise BadQuestionError(
                    f"the {what} holds {IMAGE!r}, which marks the video's place: write it another way"
                )
        before, after = self.text.split(IMAGE)
        # one pass over the template, so that braces in a question stay what they are
        return _substitute(before, question, options), _substitute(after, question, options)


def _substitute(text: str, question: str, options: str) -> str:
    parts = []
    for piece in text.split("{question}"):
        parts.append(options.join(piece.split("{choices}")))
    return question.strip().join(parts)


def _chat(name: str, chat: str, body: str, start: str) -> Prompt:
    form = CHAT_FORMATS[chat]
    gap = "" if form.after.endswith("\n") else " "
    return Prompt(name, f"{form.before}{form.video}{body}{form.after}{gap}{start}")


_ANSWER, _BEST = "Answer: In the video,", "Answer: Best option:("
_OTHERS = ("llama3", "llava-video", *_FAMILIES_CHATS)

PROMPTS: dict[str, Prompt] = {
    prompt.name: prompt
    for prompt in (
        _chat("image_seq_v3", "vicuna", _OPEN, _ANSWER),
        _chat("image_seq_mistral_v3", "mistral", _OPEN, _ANSWER),
        _chat("image_seq_34b_v3", "chatml", _OPEN, _ANSWER),
        _chat("multiple_choice_allvideo_v4", "vicuna", _CHOICE, _BEST),
        _chat("multiple_choice_allvideo_mistral_v4", "mistral", _CHOICE, _BEST),
        _chat("multiple_choice_allvideo_34b_v4", "chatml", _CHOICE, _BEST),
        *(_chat(f"image_seq_{chat}_v3", chat, _OPEN, _ANSWER) for chat in _OTHERS),
        *(_chat(f"multiple_choice_allvideo_{chat}_v4", chat, _CHOICE, _BEST) for chat in _OTHERS),
        Prompt("tiny", "USER: <image>\n{question} ASSISTANT:"),
        Prompt("tiny_choice", "USER: <image>\n{question} {choices} ASSISTANT:", separator=" "),
    )
}
"""Every template by its name."""

PROMPT_PAIRS: dict[str, tuple[str, str]] = {
    "vicuna": ("image_seq_v3", "multiple_choice_allvideo_v4"),
    "mistral": ("image_seq_mistral_v3", "multiple_choice_allvideo_mistral_v4"),
    "chatml": ("image_seq_34b_v3", "multiple_choice_allvideo_34b_v4"),
    **{chat: (f"image_seq_{chat}_v3", f"multiple_choice_allvideo_{chat}_v4") for chat in _OTHERS},
    "tiny": ("tiny", "tiny_choice"),
}
"""The templates for open questions and for multiple choice that go with each chat format."""


def get_prompt(name: str | Path) -> Prompt:
    """Find a template by name, or read one from a file.

    Args:
        name: One of `PROMPTS`, or the path of a UTF-8 text file that holds a whole prompt with `<image>`,
            `{question}` and, for multiple choice, `{choices}`. A line break at its very end is ignored.

    Raises:
        ConfigError: Neither a known name nor a readable file, or a text without its marks.
    """
    if str(name) in PROMPTS:
        return PROMPTS[str(name)]
    path = Path(name)
    if os.path.isfile(path):  # unlike the method, it takes a text too long for a path
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError(f"prompt file {path} cannot be read as UTF-8 text: {err}") from err
        return Prompt(path.name, text.removesuffix("\n"))
    if IMAGE in str(name):
        raise ConfigError("a prompt was given as text, expected a name or a file: save it to a file and give its path")
    if path.suffix or len(path.parts) > 1:
        raise ConfigError(f"prompt file {path} does not exist: give a text file, or one of {', '.join(PROMPTS)}")
    raise unknown("prompt", str(name), PROMPTS)


def prompt_for(chat: str, choices: bool) -> Prompt:
    """The template that goes with a chat format.

    Args:
        chat: A key of `PROMPT_PAIRS`.
        choices: Whether the question is multiple choice.
    """
    return PROMPTS[PROMPT_PAIRS[chat][int(choices)]]


def choose_prompt(prompt: str | Path | Prompt | None, chat: str, choices: bool) -> Prompt:
    """The template that was asked for, or the one that goes with a chat format.

    Args:
        prompt: A template, or its name or file; None for that of the chat format.
        chat: A key of `PROMPT_PAIRS`.
        choices: Whether the question is multiple choice.

    Raises:
        ConfigError: An unknown template, or one for the other kind of question.
    """
    if prompt is None:
        return prompt_for(chat, choices)
    chosen = prompt if isinstance(prompt, Prompt) else get_prompt(prompt)
    if chosen.takes_choices != choices:
        wanted = "multiple choice, with {choices}" if choices else "open questions, without {choices}"
        raise ConfigError(f"prompt {chosen.name!r} given where one for {wanted}, is expected")
    return chosen
