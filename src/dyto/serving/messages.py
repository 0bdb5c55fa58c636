"""What a client sends: the fields of OpenAI's chat protocol that are offered, those of vLLM for videos, and ours."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dyto.serving.refusing import Refusal

MOST_MESSAGES, MOST_PARTS = 256, 4096
MOST_LETTERS = 200_000

Text = Annotated[str, Field(max_length=MOST_LETTERS)]
StopText = Annotated[str, Field(min_length=1, max_length=1000)]


class Strict(BaseModel):
    """A message in which every unknown field is an error, unless it is null.

    Clients that keep requests in tables (Arrow) send every field that one of their rows has, null where it has none.
    """

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)

    @model_validator(mode="before")
    @classmethod
    def without_unknown_nulls(cls, data: Any) -> Any:
        """Leave out fields that are unknown and null."""
        if not isinstance(data, dict):
            return data
        return {name: value for name, value in data.items() if value is not None or name in cls.model_fields}


class Address(Strict):
    """The address of a picture or video: `data:`, `http(s):` or `file:`."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class FileName(Strict):
    """The id of an uploaded file."""

    file_id: Annotated[str, Field(max_length=100)]


class TextPart(Strict):
    """A piece of text."""

    type: Literal["text"]
    text: Text


class VideoPart(Strict):
    """A video; or its frames, as `data:video/jpeg;base64,FRAME,FRAME,...`."""

    type: Literal["video_url"]
    video_url: Address


class PicturePart(Strict):
    """A picture. Several of them are the frames of a video, in order."""

    type: Literal["image_url"]
    image_url: Address


class FilePart(Strict):
    """A video that was uploaded to `/v1/files`."""

    type: Literal["file"]
    file: FileName


Part = Annotated[TextPart | VideoPart | PicturePart | FilePart, Field(discriminator="type")]


class Message(Strict):
    """A turn of the conversation."""

    role: Literal["system", "developer", "user", "assistant"]
    content: Text | Annotated[list[Part], Field(max_length=MOST_PARTS)]
    name: Annotated[str, Field(max_length=200)] | None = None


class StreamOptions(Strict):
    """Options of a streamed answer."""

    include_usage: bool = False


class FramesPart(Strict):
    """How many frames of a video are sampled, in vLLM's words."""

    num_frames: Annotated[int, Field(ge=1, le=100_000)] | None = None
    fps: Annotated[float, Field(gt=0, le=1000)] | None = None


class MediaOptions(Strict):
    """`media_io_kwargs` of vLLM."""

    video: FramesPart | None = None


class DytoOptions(Strict):
    """Our own options, for this question alone."""

    strategy: Annotated[str, Field(max_length=300)] | None = None
    preset: Annotated[str, Field(max_length=100)] | None = None
    token_budget: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    num_frames: Annotated[int, Field(ge=1, le=100_000)] | None = None
    fps: Annotated[float, Field(gt=0, le=1000)] | Literal["auto"] | None = None
    start: Annotated[float, Field(ge=0, le=1e7)] | None = None
    end: Annotated[float, Field(gt=0, le=1e7)] | None = None
    choices: Annotated[list[Text], Field(min_length=2, max_length=26)] | None = None
    evidence: bool = False
    subtitles: Literal["auto", "none"] = "none"


class ChatRequest(Strict):
    """A question, as a chat with a video in it."""

    model: Annotated[str, Field(max_length=500)]
    messages: Annotated[list[Message], Field(min_length=1, max_length=MOST_MESSAGES)]
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: StopText | Annotated[list[StopText], Field(max_length=16)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    media_io_kwargs: MediaOptions | None = None
    mm_processor_kwargs: FramesPart | None = None
    dyto: DytoOptions | None = None
    user: Annotated[str, Field(max_length=1000)] | None = None
    n: Literal[1] | None = None
    presence_penalty: Literal[0] | None = None
    frequency_penalty: Literal[0] | None = None


class ErrorWords(BaseModel):
    """What is said of an error."""

    message: str
    type: str
    param: str | None
    code: str


class ErrorReply(BaseModel):
    """An error."""

    error: ErrorWords


def read_body(kind: str, body: bytes) -> ChatRequest:
    """Read the chat in a body.

    Args:
        kind: The header `Content-Type`.
        body: The body.

    Raises:
        Refusal: It is no chat, or one of its fields is not offered or wrong.
    """
    kind = kind.partition(";")[0].strip().lower()
    if kind != "application/json" and not (kind.startswith("application/") and kind.endswith("+json")):
        words = f"is of type {kind[:100]!r}" if kind else "has no type"
        raise Refusal(415, f"the body {words}, expected the header 'Content-Type: application/json'")
    try:
        found = json.loads(body)
    except json.JSONDecodeError as err:
        raise Refusal(400, f"the body is not JSON ({err.msg} at {err.pos}), expected a chat") from err
    except (ValueError, RecursionError) as err:  # bytes that are no text, a number without end, a list in a list in ...
        raise Refusal(400, "the body is JSON that cannot be read, expected a chat") from err
    if not isinstance(found, dict):
        raise Refusal(400, "the body is JSON, but no object, expected a chat: an object with model and messages")
    try:
        return ChatRequest.model_validate(found)
    except ValidationError as err:
        words, field = explain(err.errors())
        raise Refusal(400, words, param=field or None) from err


def where(place: tuple[int | str, ...]) -> str:
    """Return the name of a field as a client writes it.

    Example:
        >>> where(("messages", 0, "content", "list[tagged-union[...]]", 1, "video_url", "video_url", "url"))
        'messages.0.content.1.video_url.url'
    """
    kinds = {"text", "video_url", "image_url", "file"}
    found: list[str] = []
    for number, part in enumerate(place):
        text = str(part)
        after_index = number > 0 and isinstance(place[number - 1], int)
        tag = text in kinds and after_index and "content" in found
        union = any(mark in text for mark in "[(") or text in ("str", "int", "float") or text.startswith("constrained-")
        if not (tag or union or text.startswith("literal")):
            found.append(text)
    return ".".join(found)


def explain(errors: list[Any]) -> tuple[str, str]:
    """Return words for the first thing that is wrong with a request, and the field that it is about.

    Args:
        errors: The errors of pydantic.
    """

    def weight(error: Any) -> tuple[bool, bool, int]:
        another_kind = error["type"].endswith("_type")  # of what is text or a list, one always says so
        return error["type"] == "extra_forbidden", not another_kind, len(error["loc"])

    first = max(errors, key=weight)
    field = where(tuple(part for part in first["loc"] if part != "body"))
    if first["type"] == "extra_forbidden":
        return f"{field} is not offered here: leave it out", field
    said = str(first["msg"])
    said = said[:1].lower() + said[1:]
    return (f"{field}: {said}" if field else said), field
