"""Preparing questions: a filled template as token ids, with what is said in the video."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from dyto.errors import ConfigError
from dyto.features import VisualTokens
from dyto.models.base import Encoded, VideoModel
from dyto.prompts import SAID, Prompt, spoken_line, spoken_text
from dyto.subtitles.choosing import Spoken, choose_lines
from dyto.subtitles.finding import AUTO, SubtitleChoice, Subtitles, find_subtitles
from dyto.subtitles.parsing import Subtitle


@dataclass(frozen=True)
class PreparedQuestion:
    """A question, ready to answer.

    Attributes:
        tokens: The encoded video.
        prompt: The tokenized prompt.
        spoken: What the prompt holds of the video's subtitles; None if it has none.
    """

    tokens: VisualTokens
    prompt: Encoded
    spoken: Spoken | None = None


def said_in(
    video: Any, which: SubtitleChoice, model: VideoModel, sampling: Mapping[str, Any] | None = None
) -> Subtitles | None:
    """Find what is said in a video, and check that the model reads it, unless it may be left out.

    Args:
        video: The video; None for one that is encoded.
        which: As for `dyto.find_subtitles`.
        model: Who is asked.
        sampling: Options of `dyto.sample_frames`; `limits` and `guarded` are those of `dyto.find_subtitles`, too.

    Raises:
        VideoError: They cannot be read.
        ConfigError: There is no such choice, or the model reads only its own questions.
    """
    own = {name: value for name, value in (sampling or {}).items() if name in ("limits", "guarded")}
    if video is None and which == AUTO:
        raise ConfigError("found tokens encoded before, expected a file for subtitles 'auto': find them first")
    found = find_subtitles(video, which, **own)
    if found is not None and not found.optional:
        model.check_subtitles()
    return found


def tokenize_question(
    model: VideoModel, template: Prompt, question: str, choices: Sequence[str] | None, max_new_tokens: int
) -> Encoded:
    """Return the prompt of a question as token ids, after checking that it fits without a video.

    Raises:
        ModelError: The question does not fit the context.
        ConfigError: The question is empty, or holds a mark of the prompt.
    """
    before, after = template.fill(question, choices)
    model.check_words(question, choices)
    prompt = model.tokenize(before, after)
    model.check_fit(prompt, None, max_new_tokens)
    return prompt


def with_subtitles(
    model: VideoModel,
    template: Prompt,
    one: PreparedQuestion,
    question: str,
    choices: Sequence[str] | None,
    max_new_tokens: int,
) -> PreparedQuestion:
    """Put what is said in the video into the prompt of a question, as far as there is room.

    Args:
        model: The model.
        template: The template of the question.
        one: The question, prepared without subtitles.
        question: Its text.
        choices: Its options.
        max_new_tokens: Largest number of tokens in the answer.

    Returns:
        The question; unchanged if the video has no subtitles, or the model reads none.
    """
    said = one.tokens.subtitles
    if said is None or not said.lines or not model.reads_subtitles:
        return one

    @cache
    def cost(line: Subtitle) -> int:
        return model.count_words(f"{spoken_line(line.start, model.without_marks(line.text))}\n")

    limit = _limit(model, one, max_new_tokens)
    room = limit - model.expected(one.prompt, one.tokens, max_new_tokens) - model.count_words(f"{SAID}\n")
    while True:
        spoken = choose_lines(said, one.tokens.keyframes.seconds.tolist(), room, cost)
        if not spoken.lines:
            return replace(one, spoken=spoken)
        before, after = template.fill(question, choices, text_of(model, spoken.lines))
        prompt = model.tokenize(before, after)
        over = model.expected(prompt, one.tokens, max_new_tokens) - limit
        if over <= 0:
            return replace(one, prompt=prompt, spoken=spoken)
        room = min(room, sum(map(cost, spoken.lines))) - over  # words together may cost more than one by one


def text_of(model: VideoModel, lines: Sequence[Subtitle]) -> str:
    """Return lines as the text of a prompt, without marks that could change its structure."""
    return spoken_text((line.start, model.without_marks(line.text)) for line in lines)


def _limit(model: VideoModel, one: PreparedQuestion, max_new_tokens: int) -> int:
    """Return the length that a prompt may have: subtitles alone are no reason to scale positions."""
    scaled = model.check_fit(one.prompt, one.tokens, max_new_tokens)
    return model.context_length if scaled else int(model.context_length / model.rope_factor)
