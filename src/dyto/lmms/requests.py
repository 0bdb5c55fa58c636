"""Translation of lmms-eval's requests to our terms."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from typing import Any

from PIL import Image

from dyto.errors import ConfigError
from dyto.models.generation.chats import Chat
from dyto.prompts import CHAT_FORMATS, IMAGE, Prompt, prompt_for

logger = logging.getLogger(__name__)

SHAPING = ("do_sample", "temperature", "top_p", "top_k", "repetition_penalty", "length_penalty", "num_beams")
"""Generation options that a task may set, besides `max_new_tokens` and `until`."""

MAX_NEW_TOKENS = 1024
"""Default number of new tokens, as in lmms-eval's own models."""


def plain_prompt(chat: str | Chat) -> Prompt:
    """Return a prompt with only the video and the task's question.

    Example:
        >>> plain_prompt("vicuna").text
        'USER: <image>\\n{question} ASSISTANT:'
    """
    if isinstance(chat, str) and chat not in CHAT_FORMATS:
        return prompt_for(chat, False)
    form = CHAT_FORMATS[chat] if isinstance(chat, str) else chat
    return Prompt(f"plain {form.name}", f"{form.before}{form.video}{{question}}{form.after}")


def question_of(context: str) -> str:
    """Return a task's question without marks for pictures, because the video comes before it."""
    for mark in (IMAGE, "<video>"):
        context = context.replace(mark, "")
    return context.strip()


def name_of(visuals: Any, document: str) -> str:
    """Return the key of a video: its path, or else its document."""
    return visuals[0] if isinstance(visuals, (list, tuple)) and visuals and isinstance(visuals[0], str) else document


def video_of(visuals: Any) -> Any:
    """Return the video of a task as a path or pictures."""
    shown = list(visuals) if isinstance(visuals, (list, tuple)) else [visuals]
    if len(shown) == 1 and isinstance(shown[0], (str, os.PathLike)):
        return shown[0]
    if shown and all(isinstance(picture, Image.Image) for picture in shown):
        return [picture.convert("RGB") for picture in shown]
    kinds = ", ".join(sorted({type(one).__name__ for one in shown})) or "nothing"
    raise ConfigError(f"a task shows {len(shown)} of {kinds}, expected one video file, or images")


def generation_of(options: Mapping[str, Any]) -> tuple[list[str], int, dict[str, Any]]:
    """Split a task's options into stop texts, the largest number of tokens, and generation options."""
    left = dict(options)
    until = left.pop("until", None) or []
    count = int(left.pop("max_new_tokens", None) or left.pop("max_gen_toks", None) or MAX_NEW_TOKENS)
    shaping = {key: left.pop(key) for key in SHAPING if key in left}
    if left:
        logger.warning("this model ignores these options of the task: %s", ", ".join(sorted(left)))
    shaping = {key: value for key, value in shaping.items() if value is not None}
    if shaping.get("num_beams") == 1:
        del shaping["num_beams"]
    warm = float(shaping.get("temperature", 0.0)) > 0
    if not shaping.setdefault("do_sample", warm) or not warm:
        shaping = {key: v for key, v in shaping.items() if key not in ("temperature", "top_p", "top_k", "do_sample")}
    return [until] if isinstance(until, str) else list(until), count, shaping


def cut(text: str, until: Iterable[str]) -> str:
    """Cut a text at the first of the given ends."""
    ends = [place for end in until if end and (place := text.find(end)) >= 0]
    return text[: min(ends)].rstrip() if ends else text
