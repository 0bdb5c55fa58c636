"""What comes in: videos and frames by address, upload or inline, under one policy."""

from __future__ import annotations

import base64
import binascii
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from stat import S_ISREG
from typing import TypeAlias
from urllib.parse import unquote, urlsplit

import anyio

from dyto.demo.addresses import HOST
from dyto.errors import ConfigError, VideoError
from dyto.serving.fetching import Fetcher, too_large
from dyto.serving.messages import MOST_PARTS, FilePart, PicturePart, VideoPart
from dyto.serving.refusing import Refusal
from dyto.serving.storing import Files, Media, Store
from dyto.video.fingerprint import fingerprint

FindMedia: TypeAlias = Callable[[], Media]
"""What finds a video on a disk, or raises `Refusal`."""

MEGABYTES = 200
"""Default limit on one video, in MB (10^6 bytes)."""

PICTURES = ((b"\xff\xd8\xff", ".jpg"), (b"\x89PNG\r\n\x1a\n", ".png"), (b"GIF8", ".gif"), (b"BM", ".bmp"))


@dataclass(frozen=True)
class MediaPolicy:
    """What media a service accepts.

    Attributes:
        root: Folder whose files may be named by `file:` addresses; None for no such files.
        hosts: Hosts from which media may be downloaded.
        megabytes: Largest size of a video, in MB.

    Raises:
        ConfigError: A host is no name.
        VideoError: The folder does not exist.
    """

    root: Path | None = None
    hosts: tuple[str, ...] = ()
    megabytes: float = MEGABYTES

    def __post_init__(self) -> None:
        if self.root is not None and not self.root.is_dir():
            raise VideoError(f"media root {self.root} is no folder, expected one: give the folder of the videos")
        for host in self.hosts:
            if not HOST.fullmatch(host):
                raise ConfigError(f"found the host {host!r}, expected a name alone: give e.g. media.example.org")

    @property
    def most_bytes(self) -> int:
        """Largest size of a video, in bytes."""
        return int(self.megabytes * 1e6)


class Reader:
    """A reader of the parts of a message that are no text.

    Args:
        policy: What is accepted.
        store: Where contents are put.
        files: The uploaded files.
    """

    def __init__(self, policy: MediaPolicy, store: Store, files: Files) -> None:
        self._policy, self._store, self._files = policy, store, files
        self._fetcher = Fetcher(frozenset(host.lower() for host in policy.hosts), policy.most_bytes)

    async def video(self, part: VideoPart | FilePart, owner: str, param: str) -> Media | FindMedia:
        """Return the video of a part, or what finds it on a disk of the server; whoever calls releases it.

        Args:
            part: The part.
            owner: Who sends it.
            param: The field of the request, for messages.

        Raises:
            Refusal: The policy forbids it, or it cannot be read.
        """
        if isinstance(part, FilePart):
            file = self._files.find(owner, part.file.file_id)
            return self._store.hold(file.media.content, file.filename, _must_be_there)
        url = part.video_url.url
        if url[:5].lower() == "data:":
            kind, texts = _split_data(url, f"{param}.url")
            if kind.startswith("image/"):
                return await self._frames(_decoded(texts, self._policy.most_bytes, f"{param}.url"), f"{param}.url")
            if len(texts) != 1:
                raise Refusal(
                    400, "found several parts, expected one video: send frames as data:video/jpeg", param=param
                )
            (data,) = _decoded(texts, self._policy.most_bytes, f"{param}.url")
            return await anyio.to_thread.run_sync(self._keep, data)
        if _scheme(url) == "file":
            return partial(self._in_root, url, f"{param}.url")
        return await self._at(url, f"{param}.url")

    async def pictures(self, parts: Sequence[PicturePart], params: Sequence[str]) -> Media:
        """Return several pictures as the frames of a video; whoever calls releases it.

        Raises:
            Refusal: The policy forbids one, or it cannot be read.
        """
        found: list[bytes] = []
        for part, param in zip(parts, params, strict=True):
            url = part.image_url.url
            left = self._policy.most_bytes - sum(map(len, found))
            if url[:5].lower() == "data:":
                _, texts = _split_data(url, f"{param}.url")
                found += _decoded(texts, left, f"{param}.url")
            else:
                media = await self._at(url, f"{param}.url")
                try:
                    if media.path.stat().st_size > left:
                        raise too_large(self._policy.most_bytes, f"{param}.url")
                    found.append(await anyio.to_thread.run_sync(media.path.read_bytes))
                finally:
                    media.release()
        return await self._frames(found, params[0])

    async def _at(self, url: str, param: str) -> Media:
        scheme = _scheme(url)
        if scheme == "file":
            return await anyio.to_thread.run_sync(self._in_root, url, param)
        if scheme not in ("http", "https"):
            raise Refusal(400, "the address has another scheme, expected data:, https:, http: or file:", param=param)
        path = self._store.scratch()
        try:
            content = await self._fetcher.fetch(url, path, param)
            return self._store.hold(content, "the video", partial(os.replace, path))
        finally:
            path.unlink(missing_ok=True)

    def _in_root(self, url: str, param: str) -> Media:
        """Return a file below the media root, by its real path."""
        no_such = Refusal(404, "there is no such file in the media folder", code="no_such_file", param=param)
        if self._policy.root is None:
            raise Refusal(
                403, "files of the server are not offered here: upload the file", code="forbidden", param=param
            )
        try:
            parts = urlsplit(url)
            if parts.netloc not in ("", "localhost") or parts.query or parts.fragment:
                raise no_such
            text = unquote(parts.path, errors="strict")
            if "\0" in text or text.endswith("/"):
                raise no_such
            root = os.path.realpath(self._policy.root)
            path = Path(os.path.realpath(os.path.join(root, text), strict=True))  # an absolute path replaces the root
            info = path.stat()
            if not path.is_relative_to(root) or not S_ISREG(info.st_mode):
                raise no_such
            if info.st_size > self._policy.most_bytes:
                raise too_large(self._policy.most_bytes, param)
            return Media(path, sha256(f"{path!r} {fingerprint(path)}".encode()).hexdigest(), path.name)
        except (OSError, ValueError, RuntimeError, VideoError) as err:
            raise no_such from err

    def keep_upload(self, path: Path, name: str) -> Media:
        """Take a received file into the store.

        Args:
            path: The file; it is moved.
            name: What the client calls it.
        """
        digest = sha256()
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
        return self._store.hold(digest.hexdigest(), name, partial(os.replace, path))

    def _keep(self, data: bytes) -> Media:
        def write(path: Path) -> None:
            path.write_bytes(data)

        return self._store.hold(sha256(data).hexdigest(), "the video", write)

    async def _frames(self, pictures: Sequence[bytes], param: str) -> Media:
        endings = [_ending(data, param) for data in pictures]
        digest = sha256(b"frames")
        for data in pictures:
            digest.update(sha256(data).digest())

        def write(folder: Path) -> None:
            folder.mkdir()
            for number, (data, ending) in enumerate(zip(pictures, endings, strict=True)):
                (folder / f"{number:06d}{ending}").write_bytes(data)

        return await anyio.to_thread.run_sync(self._store.hold, digest.hexdigest(), "the frames", write)


def _scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def _must_be_there(path: Path) -> None:
    raise Refusal(404, "there is no file of that id: upload it again", code="no_such_file", param="file_id")


def _split_data(url: str, param: str) -> tuple[str, list[str]]:
    """Return the kind of a `data:` address, and its parts in base64."""
    head, comma, rest = url.partition(",")
    kind, *options = head[5:].lower().split(";")
    if not comma or "base64" not in options or not kind.startswith(("video/", "image/", "application/octet-stream")):
        raise Refusal(400, "the data cannot be read, expected data:video/mp4;base64,...", param=param)
    if kind == "video/jpeg":  # frames, in vLLM's words
        count = rest.count(",") + 1
        if count > MOST_PARTS:
            raise Refusal(
                400, f"found {count} frames, expected at most {MOST_PARTS}: send fewer, or a video", param=param
            )
        return "image/jpeg", rest.split(",")
    return kind, [rest]


def _decoded(texts: Sequence[str], most_bytes: int, param: str) -> list[bytes]:
    """Decode parts in base64, whose size is checked first."""
    if sum(map(len, texts)) // 4 * 3 > most_bytes + 3 * len(texts):
        raise too_large(most_bytes, param)
    try:
        found = [base64.b64decode(text, validate=True) for text in texts]
    except (binascii.Error, ValueError) as err:
        raise Refusal(400, "the data are not base64, expected data:video/mp4;base64,...", param=param) from err
    if not all(found):
        raise Refusal(400, "the data are empty, expected a video", param=param)
    return found


def _ending(data: bytes, param: str) -> str:
    """Return the usual ending of a picture's name."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return ".webp"
    for magic, ending in PICTURES:
        if data.startswith(magic):
            return ending
    raise Refusal(
        400, "the data are no picture, expected JPEG, PNG, WebP, GIF or BMP", code="invalid_media", param=param
    )
