"""From a chat with a video in it to a question for the engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dyto.errors import ConfigError, unknown
from dyto.models.endpoint.passing import VIDEO
from dyto.prompts import write_turns
from dyto.serving.events import EngineQuestion
from dyto.serving.media import FindMedia, Reader
from dyto.serving.messages import ChatRequest, DytoOptions, FilePart, Message, PicturePart, TextPart, VideoPart
from dyto.serving.refusing import Refusal
from dyto.serving.storing import Media
from dyto.strategies import PRESETS, STRATEGIES, Strategy, build_strategy, chosen_name
from dyto.strategies.published import is_named
from dyto.strategies.targets import with_budget

DEFAULT_TOKENS = 128

MOST_LETTERS = 1_000_000
"""Letters of all texts of a request together: they are tokenized before anybody knows that they do not fit."""


@dataclass(frozen=True)
class AskedRequest:
    """A question about a video.

    Attributes:
        media: The video, to be released after the answer; or what finds it, which may wait for a disk.
        about: Makes the question for the engine, given the video.
    """

    media: Media | FindMedia
    about: Callable[[Media], EngineQuestion]


async def read_chat(chat: ChatRequest, owner: str, reader: Reader, usual: Strategy) -> AskedRequest:
    """Turn a chat into a question for the engine.

    Args:
        chat: The request.
        owner: Who sends it.
        reader: Reader of its media.
        usual: The strategy of requests that name none.

    Raises:
        Refusal: A field is not offered or wrong, or the policy forbids its media.
        ConfigError: An option is impossible; some are checked when the question is made.
    """
    options = chat.dyto or DytoOptions()
    strategy = chosen_strategy(options, usual)
    sampling = sampling_of(chat, options)
    words = conversation(chat.messages)
    letters = len(words) + sum(map(len, options.choices or ()))
    if letters > MOST_LETTERS:
        raise Refusal(
            400, f"the texts have {letters:,} letters, expected {MOST_LETTERS:,} at most: ask a shorter question",
            code="context_length_exceeded", param="messages",
        )  # fmt: skip
    if chat.max_tokens is not None and chat.max_completion_tokens is not None:
        raise Refusal(400, "found max_tokens and max_completion_tokens, expected one of them", param="max_tokens")

    def about(media: Media) -> EngineQuestion:
        return EngineQuestion(
            video=media.path,
            question=words,
            choices=options.choices,
            strategy=strategy,
            sampling=sampling,
            max_new_tokens=chat.max_completion_tokens or chat.max_tokens or DEFAULT_TOKENS,
            temperature=chat.temperature or 0.0,
            top_p=1.0 if chat.top_p is None else chat.top_p,
            seed=chat.seed,
            stop=[chat.stop] if isinstance(chat.stop, str) else chat.stop or [],
            evidence=options.evidence,
            pieces=bool(chat.stream),
            content=media.content,
            subtitles=options.subtitles,
            messages=passed_on(chat.messages) if not options.choices and options.subtitles == "none" else None,
        )

    return AskedRequest(await media_of(chat.messages, owner, reader), about)


def chosen_strategy(options: DytoOptions, usual: Strategy) -> Strategy:
    """Return the strategy that a request names: one of ours, and never a file.

    Args:
        options: Its options.
        usual: The strategy if it names none.

    Raises:
        ConfigError: It is unknown, or takes no such preset or budget.
    """
    name, preset, budget = options.strategy, options.preset, options.token_budget
    if name is None and preset is None:
        return usual if budget is None else with_budget(usual, budget)
    if name in PRESETS:
        if preset is not None:
            raise ConfigError(f"found strategy {name!r} and preset {preset!r}, expected one of them")
        name, preset = "dyto", name
    name = chosen_name(name, preset)
    if not is_named(name):
        raise unknown("strategy", name, [*STRATEGIES, *PRESETS])
    return build_strategy(name, preset=preset, token_budget=budget)


def sampling_of(chat: ChatRequest, options: DytoOptions) -> dict[str, Any]:
    """Return the options of `dyto.sample_frames` in a request; the same thing may be said in one place only.

    Raises:
        Refusal: Two places contradict each other.
    """
    places = {"dyto": options}
    if chat.media_io_kwargs is not None and chat.media_io_kwargs.video is not None:
        places["media_io_kwargs.video"] = chat.media_io_kwargs.video  # type: ignore[assignment]
    if chat.mm_processor_kwargs is not None:
        places["mm_processor_kwargs"] = chat.mm_processor_kwargs  # type: ignore[assignment]
    found: dict[str, Any] = {}
    for place, said in places.items():
        for name in ("num_frames", "fps"):
            value = getattr(said, name)
            if value is not None and found.setdefault(name, value) != value:
                raise Refusal(
                    400, f"{place}.{name} is {value}, but another field says {found[name]}", param=f"{place}.{name}"
                )
    return found | {name: value for name in ("start", "end") if (value := getattr(options, name)) is not None}


def conversation(messages: Sequence[Message]) -> str:
    """Return the question: the words of the last turn, behind the words of the turns before.

    Raises:
        Refusal: The last turn is not the user's.
    """
    if messages[-1].role != "user":
        raise Refusal(400, f"the last message is of role {messages[-1].role!r}, expected 'user'", param="messages")
    return write_turns([(message.role, _words(message)) for message in messages])


def _words(message: Message) -> str:
    if isinstance(message.content, str):
        return message.content.strip()
    return "\n".join(part.text.strip() for part in message.content if isinstance(part, TextPart))


def passed_on(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Return a conversation for a model that answers elsewhere, with one mark in the place of its video."""
    found: list[dict[str, Any]] = []
    marked = False
    for message in messages:
        content: str | list[dict[str, Any]] = message.content if isinstance(message.content, str) else []
        for part in () if isinstance(message.content, str) else message.content:
            assert isinstance(content, list)
            if isinstance(part, TextPart):
                content.append({"type": "text", "text": part.text})
            elif not marked:
                content.append(VIDEO)
                marked = True
        found.append({"role": message.role, "content": content, **({"name": message.name} if message.name else {})})
    return found


async def media_of(messages: Sequence[Message], owner: str, reader: Reader) -> Media | FindMedia:
    """Return the video of a conversation, or what finds it: one video, or pictures as its frames.

    Raises:
        Refusal: There is none, or more than one.
    """
    videos: list[tuple[VideoPart | FilePart, str]] = []
    pictures: list[tuple[PicturePart, str]] = []
    for number, message in enumerate(messages):
        if isinstance(message.content, str):
            continue
        for place, part in enumerate(message.content):
            param = f"messages.{number}.content.{place}"
            if message.role != "user" and not isinstance(part, TextPart):
                raise Refusal(400, f"a video in a message of role {message.role!r}, expected 'user'", param=param)
            if isinstance(part, PicturePart):
                pictures.append((part, f"{param}.image_url"))
            elif not isinstance(part, TextPart):
                videos.append((part, f"{param}.{part.type}"))
    if len(videos) + bool(pictures) != 1:
        found = f"{len(videos)} videos and {len(pictures)} pictures"
        raise Refusal(400, f"found {found}, expected one video, or pictures as its frames", param="messages")
    if pictures:
        return await reader.pictures([part for part, _ in pictures], [param for _, param in pictures])
    return await reader.video(videos[0][0], owner, videos[0][1])
