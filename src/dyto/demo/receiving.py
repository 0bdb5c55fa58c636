"""Receiving of an upload: written piece by piece, counted as it grows, deleted if it is refused."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from importlib import import_module
from typing import Any, BinaryIO

from dyto.demo.limits import DemoLimits
from dyto.demo.uploads import RefusedError, UploadedVideo, Uploads, too_large

FRAME_BYTES = 64_000
"""Size limit of the form around a file, in bytes."""

STALL_SECONDS, WHOLE_SECONDS = 30, 1800
"""Seconds allowed without data, and for the whole upload."""

LOOK_SECONDS, PATIENCE_SECONDS = 0.2, 3.0
"""Seconds between progress checks, and seconds to wait for a transfer to begin."""

NO_FORM = "this is not an upload: expected one file in a form (multipart/form-data), in its field 'files'"


async def receive_upload(
    headers: dict[str, str],
    chunks: AsyncIterator[bytes],
    uploads: Uploads,
    limits: DemoLimits,
    visitor: str,
    sending: str = "",
) -> UploadedVideo:
    """Take one file out of a form.

    Args:
        headers: Headers of the request, with names in lower case.
        chunks: Body of the request.
        uploads: The uploads to add to.
        limits: Limits on its size.
        visitor: The owner.
        sending: The page's id of the transfer.

    Returns:
        The clip.

    Raises:
        RefusedError: The form is invalid, over a limit or too slow, or the disk is full; nothing is kept.
    """
    if _declared(headers) > limits.file_bytes + FRAME_BYTES:
        raise RefusedError(413, too_large(limits))
    form = _Form(headers.get("content-type", ""), uploads, visitor, sending)
    arrived = 0
    until = time.monotonic() + WHOLE_SECONDS
    taken = False
    try:
        async for chunk in _in_time(chunks, until):
            arrived += len(chunk)
            if arrived > limits.file_bytes + FRAME_BYTES:
                raise RefusedError(413, too_large(limits))
            await asyncio.to_thread(form.write, chunk)
        clip = form.end()
        uploads.finish(clip)
        taken = True
        return clip
    finally:
        form.close(keep=taken)


def _declared(headers: dict[str, str]) -> int:
    length = headers.get("content-length", "0")
    return int(length) if length.isdecimal() and len(length) < 20 else 0


async def _in_time(chunks: AsyncIterator[bytes], until: float) -> AsyncIterator[bytes]:
    """Iterate over the chunks, and fail if they stop arriving."""
    while True:
        try:
            left = min(STALL_SECONDS, until - time.monotonic())
            yield await asyncio.wait_for(anext(chunks), max(0.0, left))
        except StopAsyncIteration:
            return
        except (asyncio.TimeoutError, TimeoutError) as err:
            raise RefusedError(408, "the upload came too slowly, or stopped: try again") from err


async def tell_progress(uploads: Uploads, visitor: str, sending: str) -> AsyncIterator[str]:
    """Report how much of a transfer has arrived, in the format of the page's progress bar.

    Yields:
        Server-sent events.
    """
    told, patience = 0, PATIENCE_SECONDS
    while (clip := uploads.arriving(visitor, sending)) is None and patience > 0:
        await asyncio.sleep(LOOK_SECONDS)
        patience -= LOOK_SECONDS
    while clip and not clip.whole and uploads.arriving(visitor, sending):
        if clip.size > told:
            step = {"msg": "update", "orig_name": clip.name, "chunk_size": clip.size - told}
            yield f"data: {json.dumps(step)}\n\n"
            told = clip.size
        await asyncio.sleep(LOOK_SECONDS)
    yield f"data: {json.dumps({'msg': 'done'})}\n\n"


class _Form:
    """A form with one file in it."""

    def __init__(self, kind: str, uploads: Uploads, visitor: str, sending: str) -> None:
        library = import_module("python_multipart.multipart")
        self._broken: type[Exception] = import_module("python_multipart.exceptions").FormParserError
        self._options = library.parse_options_header
        name, options = self._options(kind)
        if name != b"multipart/form-data" or not options.get(b"boundary"):
            raise RefusedError(400, NO_FORM)
        self._uploads, self._visitor, self._sending = uploads, visitor, sending
        self._header = [b"", b""]
        self._disposition = b""
        self._clip: UploadedVideo | None = None
        self._file: BinaryIO | None = None
        self._inside = self._ended = False
        self._parser: Any = library.MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._begin,
                "on_header_field": lambda data, start, end: self._add(0, data[start:end]),
                "on_header_value": lambda data, start, end: self._add(1, data[start:end]),
                "on_header_end": self._header_ends,
                "on_headers_finished": self._open,
                "on_part_data": self._data,
                "on_part_end": self._part_ends,
                "on_end": self._form_ends,
            },
        )

    def write(self, chunk: bytes) -> None:
        """Parse the next piece of the body."""
        try:
            self._parser.write(chunk)
        except self._broken as err:
            raise RefusedError(400, NO_FORM) from err

    def end(self) -> UploadedVideo:
        """Finish after the last piece."""
        if self._clip is None or not self._ended:
            raise RefusedError(400, NO_FORM if self._clip is None else "the upload broke off: try again")
        return self._clip

    def close(self, keep: bool) -> None:
        """Close the file, and delete it unless it is kept."""
        if self._file:
            self._file.close()
        if self._clip and not keep:
            self._uploads.remove(self._clip)

    def _begin(self) -> None:
        self._disposition = b""

    def _add(self, place: int, data: bytes) -> None:
        self._header[place] += data
        if len(self._header[place]) > FRAME_BYTES:
            raise RefusedError(400, NO_FORM)

    def _header_ends(self) -> None:
        name, value = self._header
        if name.lower() == b"content-disposition":
            self._disposition = value
        self._header = [b"", b""]

    def _open(self) -> None:
        _, options = self._options(self._disposition)
        if b"filename" not in options:
            return
        if self._clip is not None:
            raise RefusedError(400, "more than one file in one upload: send them one by one")
        self._clip, self._file = self._uploads.begin(
            self._visitor, options[b"filename"].decode("utf-8", errors="replace"), self._sending
        )
        self._inside = True

    def _data(self, data: bytes, start: int, end: int) -> None:
        if self._inside and self._clip and self._file:
            self._uploads.write(self._clip, self._file, data[start:end])

    def _part_ends(self) -> None:
        self._inside = False

    def _form_ends(self) -> None:
        self._ended = True
