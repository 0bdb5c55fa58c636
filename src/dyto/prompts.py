"""Named prompt templates, and the chat formats they are built from.

A prompt is a text with exactly one `<image>`, which the video's tokens replace, with `{question}` and, for
multiple choice, `{choices}`. It ends with the beginning of the answer, which the model continues. The names are
the published `CONV_MODE` values; the wording is our own, with the same structure.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from dyto.choices import format_choices
from dyto.errors import BadQuestionError, ConfigError, unknown
from dyto.models.families import FAMILIES
from dyto.models.generation.chats import OTHER_CHATS, Chat

IMAGE = "<image>"
SAID = "What is said in the video, each with its time:"

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
"""Chat formats of language models, and formats that families were trained with."""

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
    """A prompt template.

    Attributes:
        name: The name of the template.
        text: The whole prompt with `<image>`, `{question}` and, for multiple choice, `{choices}`.
        separator: The text between two options.
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
        """Whether the template is for multiple choice."""
        return "{choices}" in self.text

    @property
    def answer_start(self) -> str:
        """The beginning of the answer at the end of the prompt: an opening bracket, or nothing."""
        return "(" if self.text.endswith("(") else ""

    def fill(self, question: str, choices: Sequence[str] | None = None, lines: str = "") -> tuple[str, str]:
        """Fill in the template and split it at the video.

        Args:
            question: The question; it must not contain `<image>`.
            choices: The options, for a template that takes them.
            lines: What is said in the video, see `spoken_text`; it stands before the line of the question.

        Returns:
            The text before and the text after the video.

        Raises:
            BadQuestionError: The question is empty or contains a reserved mark, or there are too few, too many or
                empty options.
            ConfigError: The template takes options but there are none, or the other way round.

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
        for what, text in (("question", question), ("choices", options), ("subtitles", lines)):
            if any("\ud800" <= letter <= "\udfff" for letter in text):
                raise BadQuestionError(f"the {what} holds bytes that are no UTF-8 text: check the terminal's encoding")
            if IMAGE in text:
                raise BadQuestionError(
                    f"the {what} holds {IMAGE!r}, which marks the video's place: write it another way"
                )
        asked = self.text.index("{question}")
        line = self.text.rfind("\n", 0, asked) + 1
        at = line if self.text.find(IMAGE) < line else asked
        # one pass over the template, so that braces in a question stay unchanged
        parts = _substitute(self.text[:at], question, options), _substitute(self.text[at:], question, options)
        before, after = f"{lines}\n".join(parts).split(IMAGE) if lines else "".join(parts).split(IMAGE)
        return before, after


def _substitute(text: str, question: str, options: str) -> str:
    parts = []
    for piece in text.split("{question}"):
        parts.append(options.join(piece.split("{choices}")))
    return question.strip().join(parts)


def spoken_text(lines: Iterable[tuple[float, str]]) -> str:
    """Return what is said in a video, for `Prompt.fill`: a line for each, with its second.

    Example:
        >>> print(spoken_text([(1.5, "Hello there."), (75.25, "Who are you?")]))
        What is said in the video, each with its time:
        1.5 s: Hello there.
        75.2 s: Who are you?
    """
    return "\n".join([SAID, *(spoken_line(second, words) for second, words in lines)])


def spoken_line(second: float, words: str) -> str:
    """Return one line of `spoken_text`."""
    return f"{second:.1f} s: {words}"


def _chat(name: str, chat: str | Chat, body: str, start: str) -> Prompt:
    form = chat if isinstance(chat, Chat) else CHAT_FORMATS[chat]
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
        Prompt("endpoint", f"<image>\n{_OPEN}"),
        Prompt("endpoint_choice", f"<image>\n{_CHOICE}\nAnswer with the letter of that option only."),
        Prompt("nouns", "<image>\n{question}\nAnswer:"),
        Prompt("nouns_choice", "<image>\n{question}\n{choices}\nAnswer:"),
        Prompt("tiny_choice", "USER: <image>\n{question} {choices} ASSISTANT:", separator=" "),
    )
}
"""All templates by name."""

PROMPT_PAIRS: dict[str, tuple[str, str]] = {
    "vicuna": ("image_seq_v3", "multiple_choice_allvideo_v4"),
    "mistral": ("image_seq_mistral_v3", "multiple_choice_allvideo_mistral_v4"),
    "chatml": ("image_seq_34b_v3", "multiple_choice_allvideo_34b_v4"),
    **{chat: (f"image_seq_{chat}_v3", f"multiple_choice_allvideo_{chat}_v4") for chat in _OTHERS},
    "tiny": ("tiny", "tiny_choice"),
    "nouns": ("nouns", "nouns_choice"),
    "endpoint": ("endpoint", "endpoint_choice"),
}
"""The templates for open questions and for multiple choice, by chat format."""


ALONE = frozenset({"tiny", "nouns"})
"""Chat formats of models that read one question, and nothing that was said before it."""


def write_turns(turns: Sequence[tuple[str, str]]) -> str:
    """Write a conversation as the question of a template, so that the text before the video is the same in all turns.

    Args:
        turns: The role ("user", "assistant", or another) and the text of each turn; the last is the new question.

    Returns:
        The question: alone, or behind the turns before it.

    Example:
        >>> print(write_turns([("user", "Who enters?"), ("assistant", "A dog."), ("user", "Which colour is it?")]))
        Who enters?
        Answer: A dog.
        Question: Which colour is it?
    """
    labels = {"user": "Question: ", "assistant": "Answer: "}
    said = [(role, text) for role, text in turns if text]
    lines = [f"{labels.get(role, '')}{text}" for role, text in said]
    if said and said[0][0] == "user":
        lines[0] = said[0][1]  # most templates write the label of the first question
    return "\n".join(lines)


def get_prompt(name: str | Path) -> Prompt:
    """Find a template by name, or read one from a file.

    Args:
        name: One of `PROMPTS`, or the path of a UTF-8 text file with a whole prompt: `<image>`, `{question}` and, for
            multiple choice, `{choices}`. A line break at the very end is ignored.

    Returns:
        The template.

    Raises:
        ConfigError: The name is unknown, the file is not readable, or the text lacks a mark.
    """
    if str(name) in PROMPTS:
        return PROMPTS[str(name)]
    path = Path(name)
    if os.path.isfile(path):  # unlike the method, it accepts a text that is too long for a path
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as err:
            raise ConfigError(f"prompt file {path} cannot be read as UTF-8 text: {err}") from err
        return Prompt(path.name, text.removesuffix("\n"))
    if IMAGE in str(name):
        raise ConfigError("found a prompt's text, expected a name or a file: save it to a file and give its path")
    if path.suffix or len(path.parts) > 1:
        raise ConfigError(f"prompt file {path} does not exist: give a text file, or one of {', '.join(PROMPTS)}")
    raise unknown("prompt", str(name), PROMPTS)


def prompt_for(chat: str | Chat, choices: bool) -> Prompt:
    """Return the template for a chat format.

    Args:
        chat: A key of `PROMPT_PAIRS`, or a format of a checkpoint's own.
        choices: Whether the question is multiple choice.
    """
    if isinstance(chat, Chat):
        return _chat(chat.name, chat, *((_CHOICE, _BEST) if choices else (_OPEN, _ANSWER)))
    return PROMPTS[PROMPT_PAIRS[chat][int(choices)]]


def choose_prompt(prompt: str | Path | Prompt | None, chat: str | Chat, choices: bool) -> Prompt:
    """Return the requested template, or by default the template for a chat format.

    Args:
        prompt: A template, its name or its file; None for the template of the chat format.
        chat: A key of `PROMPT_PAIRS`, or a format of a checkpoint's own.
        choices: Whether the question is multiple choice.

    Returns:
        The template.

    Raises:
        ConfigError: The template is unknown, or for the other kind of question.
    """
    if prompt is None:
        return prompt_for(chat, choices)
    chosen = prompt if isinstance(prompt, Prompt) else get_prompt(prompt)
    if chosen.takes_choices != choices:
        wanted = "multiple choice, with {choices}" if choices else "open questions, without {choices}"
        raise ConfigError(f"found prompt {chosen.name!r}, expected one for {wanted}: choose another")
    return chosen
