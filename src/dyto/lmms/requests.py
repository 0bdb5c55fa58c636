"""What lmms-eval's requests hold, in our terms."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from typing import Any

from PIL import Image

from dyto.errors import ConfigError
from dyto.prompts import CHAT_FORMATS, IMAGE, Prompt, prompt_for

logger = logging.getLogger(__name__)

SHAPING = ("do_sample", "temperature", "top_p", "top_k", "repetition_penalty", "length_penalty", "num_beams")
"""Options of a task that say how an answer is written, beside `max_new_tokens` and `until`."""

MAX_NEW_TOKENS = 1024
"""Where a task does not say, as in lmms-eval's own models."""


def plain_prompt(chat: str) -> Prompt:
    """A prompt that holds the video and what a task asks, and not a word more.

    Example:
        >>> plain_prompt("vicuna").text
        'USER: <image>\\n{question} ASSISTANT:'
    """
    if chat not in CHAT_FORMATS:
        return prompt_for(chat, False)
    form = CHAT_FORMATS[chat]
    return Prompt(f"plain {chat}", f"{form.before}{form.video}{{question}}{form.after}")


def question_of(context: str) -> str:
    """What a task asks, without the marks that it may hold for pictures: the video stands before it."""
    for mark in (IMAGE, "<video>"):
        context = context.replace(mark, "")
    return context.strip()


def name_of(visuals: Any, document: str) -> str:
    """Under which a video is known again: its path, or else the document it belongs to."""
    return visuals[0] if isinstance(visuals, (list, tuple)) and visuals and isinstance(visuals[0], str) else document


def video_of(visuals: Any) -> Any:
    """A path, or pictures, of what a task shows."""
    shown = list(visuals) if isinstance(visuals, (list, tuple)) else [visuals]
    if len(shown) == 1 and isinstance(shown[0], (str, os.PathLike)):
        return shown[0]
    if shown and all(isinstance(picture, Image.Image) for picture in shown):
        return [picture.convert("RGB") for picture in shown]
    kinds = ", ".join(sorted({type(one).__name__ for one in shown})) or "nothing"
    raise ConfigError(f"a task shows {len(shown)} of {kinds}, expected one video file, or images")


def generation_of(options: Mapping[str, Any]) -> tuple[list[str], int, dict[str, Any]]:
    """Of a task's options: where an answer ends, its most tokens, and how it is written."""
    left = dict(options)
    until = left.pop("until", None) or []
    count = int(left.pop("max_new_tokens", None) or left.pop("max_gen_toks", None) or MAX_NEW_TOKENS)
    shaping = {key: left.pop(key) for key in SHAPING if key in left}
    if left:
        logger.warning("options of the task that say nothing to this model: %s", ", ".join(sorted(left)))
    shaping = {key: value for key, value in shaping.items() if value is not None}
    if shaping.get("num_beams") == 1:
        del shaping["num_beams"]
    warm = float(shaping.get("temperature", 0.0)) > 0
    if not shaping.setdefault("do_sample", warm) or not warm:
        shaping = {key: v for key, v in shaping.items() if key not in ("temperature", "top_p", "top_k", "do_sample")}
    return [until] if isinstance(until, str) else list(until), count, shaping


def cut(text: str, until: Iterable[str]) -> str:
    """A text up to the first of the ends in it."""
    ends = [place for end in until if end and (place := text.find(end)) >= 0]
    return text[: min(ends)].rstrip() if ends else text
