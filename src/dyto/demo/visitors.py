"""Visitors, identified by an unguessable cookie, with their pages and private pictures."""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from dyto.demo.uploads import UploadedVideo, Uploads

PAGE = re.compile(r"[A-Za-z0-9_-]{4,64}")
"""Pattern of a page's id; gradio draws it at random, but a stranger may send anything."""

MOST_PAGES = 2048
MOST_PICTURE_BYTES = 256_000_000


@dataclass
class _Page:
    """A page of a visitor, with its number of open heartbeats and its pictures."""

    visitor: str
    beats: int = 0
    pictures: list[str] = field(default_factory=list)


class Visitors:
    """All visitors and their pages.

    Args:
        uploads: Their files.
    """

    def __init__(self, uploads: Uploads) -> None:
        self.uploads = uploads
        self._secret = secrets.token_bytes(32)
        self._pages: OrderedDict[str, _Page] = OrderedDict()
        self._pictures: OrderedDict[str, tuple[str, bytes]] = OrderedDict()
        self._bytes = 0
        self._lock = threading.RLock()

    def mint(self) -> str:
        """Make a cookie for a new visitor."""
        name = secrets.token_urlsafe(24)
        return f"{name}.{self._sign(name)}"

    def of_cookie(self, cookie: str | None) -> str | None:
        """Return the visitor with this cookie, or None if the cookie is not ours."""
        name, _, signature = (cookie or "").partition(".")
        honest = hmac.compare_digest(signature.encode("utf-8", "replace"), self._sign(name).encode())
        return name if name and honest else None

    def _sign(self, name: str) -> str:
        return hmac.new(self._secret, name.encode("utf-8", "replace"), hashlib.sha256).hexdigest()

    def admit(self, visitor: str, page: str) -> bool:
        """Return whether this page belongs to the visitor; a new page is assigned to the visitor."""
        with self._lock:
            known = self._pages.get(page)
            if known is None:
                if not PAGE.fullmatch(page):
                    return False
                self._make_room()
                known = self._pages[page] = _Page(visitor)
            self._pages.move_to_end(page)
            return known.visitor == visitor

    def _make_room(self) -> None:
        while len(self._pages) >= MOST_PAGES:
            closed = (name for name, page in self._pages.items() if not page.beats)
            self._close(next(closed, next(iter(self._pages))))

    def of_page(self, page: str | None) -> str | None:
        """Return the visitor who has this page open."""
        with self._lock:
            known = self._pages.get(page or "")
            return known.visitor if known else None

    def beat(self, page: str) -> None:
        """Record that a page opens a heartbeat."""
        with self._lock:
            if page in self._pages:
                self._pages[page].beats += 1

    def rest(self, page: str) -> None:
        """Record that a heartbeat ends; the last one closes the page, and the last page means the visitor has left."""
        with self._lock:
            known = self._pages.get(page)
            if known is None:
                return
            known.beats -= 1
            if known.beats > 0:
                return
            self._close(page)
            if not any(other.visitor == known.visitor and other.beats for other in self._pages.values()):
                self.uploads.leave(known.visitor)

    def _close(self, page: str) -> None:
        self.clear(page)
        self._pages.pop(page, None)
        self.uploads.show(page)

    def clips(self, page: str | None, *tokens: object) -> list[UploadedVideo | None]:
        """Return the files that this page names, a video and its subtitles, which it shows from now on.

        Args:
            page: The page.
            *tokens: What the page names; nothing for no file.

        Raises:
            ConfigError: There is no such file of this visitor.
        """
        owner = self.of_page(page)
        found = [self.uploads.find(owner, token) if token else None for token in tokens]
        self.uploads.show(str(page), *filter(None, found))
        return found

    def clear(self, page: str) -> None:
        """Drop the pictures of a page."""
        with self._lock:
            known = self._pages.get(page)
            for token in known.pictures if known else ():
                self._drop(token)
            if known:
                known.pictures = []

    def _drop(self, token: str) -> None:
        _, picture = self._pictures.pop(token, ("", b""))
        self._bytes -= len(picture)

    def show(self, page: str, pictures: Sequence[bytes], ending: str = ".jpg") -> list[str]:
        """Keep pictures for a page until it shows others or is closed.

        Args:
            page: The page.
            pictures: JPEG files, or others.
            ending: Ending of their names.

        Returns:
            The name under which this visitor, and nobody else, can fetch each picture.
        """
        with self._lock:
            known = self._pages.get(page)
            if known is None:
                return []
            names = [f"{secrets.token_urlsafe(18)}{ending}" for _ in pictures]
            for name, picture in zip(names, pictures, strict=True):
                self._pictures[name] = (known.visitor, picture)
                self._bytes += len(picture)
            known.pictures += names
            while self._bytes > MOST_PICTURE_BYTES:
                self._drop(next(iter(self._pictures)))
            return names

    def picture(self, visitor: str, name: str) -> bytes | None:
        """Return a picture that this visitor may see, or None."""
        owner, picture = self._pictures.get(name, (None, b""))
        return picture if owner == visitor else None

    def watch(self, ended: threading.Event, seconds: float) -> None:
        """Remove old files regularly, in a separate thread, until the end."""

        def look() -> None:
            while not ended.wait(seconds):
                self.uploads.sweep()

        threading.Thread(target=look, name="dyto-sweep", daemon=True).start()
