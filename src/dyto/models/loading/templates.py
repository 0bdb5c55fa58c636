"""A checkpoint's own chat template, turned into a chat format and the text around each picture."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dyto.errors import ModelError
from dyto.models.generation.chats import Chat
from dyto.models.generation.tokenizing import token_ids
from dyto.models.loading import rendering
from dyto.models.loading.files import find_file, read_json
from dyto.models.stock import Tokenizer
from dyto.prompts import IMAGE
from dyto.system.children import deaf_children

OWN = "its own template"
"""Name of the chat format of a checkpoint's own template."""

ASKED = "WHATISASKED"
"""The question in a rendered conversation."""

START_SECONDS = 60
"""Seconds to wait for a child in addition to its computing time."""


@dataclass(frozen=True)
class OwnChat:
    """A chat format and its pictures.

    Attributes:
        chat: The format.
        picture: The text of one picture, including its placeholder.
    """

    chat: Chat
    picture: str


def chat_of(
    name: str, source: str, revision: str | None, config: Any, tokenizer: Tokenizer, usual: str
) -> tuple[str | Chat, str, str]:
    """Choose the chat format of a checkpoint without an adapter: that of its own template, if it has one.

    Args:
        name: Name of the model, for notices.
        source: Its folder or hub name.
        revision: Branch, tag or commit.
        config: Config of the model; `dyto_prompt` in it comes first.
        tokenizer: Its tokenizer.
        usual: The chat format to use otherwise.

    Returns:
        The format; the text of a picture in it, or ""; and a notice that says which it is.
    """
    template = None if getattr(config, "dyto_prompt", None) else find_template(source, revision, tokenizer)
    if template is None:
        return usual, "", f"its chat format is assumed to be {usual!r}"
    try:
        own = own_chat(name, template, tokenizer)
    except ModelError as err:
        return usual, "", f"{err}: its chat format is assumed to be {usual!r}"
    return own.chat, own.picture, "its prompts follow its own chat template"


def find_template(source: str, revision: str | None, tokenizer: Tokenizer) -> str | None:
    """Return the chat template of a checkpoint, as its processor would choose it; None if there is none.

    Args:
        source: Its folder or hub name.
        revision: Branch, tag or commit.
        tokenizer: Its tokenizer.
    """
    path = find_file(source, "chat_template.jinja", revision)
    if path is not None:
        try:
            return Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as err:
            raise ModelError(
                f"chat_template.jinja of model {source} cannot be read as UTF-8 text ({err}): download it again"
            ) from err
    for file in ("chat_template.json", "processor_config.json"):
        own = (read_json(source, file, revision) or {}).get("chat_template")
        if isinstance(own, str):
            return own
    own = getattr(tokenizer, "chat_template", None)
    own = own.get("default") if isinstance(own, dict) else own
    return own if isinstance(own, str) else None


def own_chat(name: str, template: str, tokenizer: Tokenizer) -> OwnChat:
    """Read the chat format from a template, by rendering a question about one picture and about two.

    Thinking is turned off if the template knows `enable_thinking`.

    Args:
        name: Name of the model, for errors.
        template: The template.
        tokenizer: The tokenizer; what it puts before every text is not part of the format.

    Raises:
        ModelError: The template fails, takes too long, or has no plain place for pictures.
    """
    picture = {"type": "image"}
    asked = {"type": "text", "text": ASKED}
    conversations = [[{"role": "user", "content": [*[picture] * count, asked]}] for count in (1, 2)]
    one, two = _rendered(name, template, conversations, tokenizer)
    if one.count(ASKED) != 1 or two.count(ASKED) != 1:
        raise _unusable(name, "it does not write the question once")
    (before, after), more = one.split(ASKED), two.split(ASKED)[0]
    place = next((at for at in range(len(before)) if _is_repeated(before, more, at)), None)
    if place is None or len(more) == len(before) or IMAGE in before[:place] + after:
        raise _unusable(name, "its pictures are not written alike, one after the other")
    stop = place + len(more) - len(before)
    added = str(tokenizer.decode(token_ids(tokenizer, "")))
    head = before[:place].removeprefix(added)
    return OwnChat(Chat(OWN, head, IMAGE + before[stop:], after), before[place:stop])


def _is_repeated(one: str, two: str, place: int) -> bool:
    """Return whether `two` is `one` with the part from this place on written twice."""
    size = len(two) - len(one)
    part = one[place : place + size]
    return len(part) == size > 0 and two == one[:place] + part + one[place:]


def _rendered(name: str, template: str, conversations: list[Any], tokenizer: Tokenizer) -> tuple[str, str]:
    """Render two conversations in a child process."""
    marks = getattr(tokenizer, "special_tokens_map", {})
    names = {kind: str(mark) for kind, mark in marks.items() if not isinstance(mark, list)}
    job = {"template": template, "conversations": conversations, "names": {**names, "enable_thinking": False}}
    words = [sys.executable, rendering.__file__]
    with deaf_children():
        child = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    with child:
        try:
            told, _ = child.communicate(json.dumps(job).encode(), rendering.SECONDS + START_SECONDS)
            said = json.loads(told)
            one, two = map(str, said["texts"])
        except subprocess.TimeoutExpired as err:
            raise _unusable(name, "it does not end") from err
        except (ValueError, LookupError, TypeError) as err:
            error = said.get("error") if child.returncode == 0 and isinstance(said, dict) else None
            raise _unusable(name, str(error or "it takes too much time or memory")) from err
        finally:
            child.kill()
    return one, two


def _unusable(name: str, why: str) -> ModelError:
    return ModelError(f"the chat template of model {name} cannot be used ({why})")
