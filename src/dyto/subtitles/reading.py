"""Reading subtitle files of any usual kind and encoding."""

from __future__ import annotations

from pathlib import Path

from dyto.errors import VideoError
from dyto.subtitles.parsing import Subtitle, parse_srt
from dyto.subtitles.styled import parse_styled

MOST_BYTES = 32 << 20
"""Size above which a file holds no real subtitles."""

PLAIN, STYLED = (".srt", ".vtt"), (".ass", ".ssa")
ENDINGS = (*PLAIN, *STYLED)
"""Endings of files that can be read, in the order in which they are looked for beside a video."""


def read_lines(path: Path) -> list[Subtitle]:
    """Read the lines of a subtitle file in UTF-8, UTF-16 or, if it is neither, Windows-1252.

    Args:
        path: An `.srt`, `.vtt`, `.ass` or `.ssa` file; the content decides which.

    Returns:
        The lines, as they stand in the file; none if nothing in it is a line with times.

    Raises:
        VideoError: The file cannot be read, or is larger than any real subtitles.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(MOST_BYTES + 1)
    except OSError as err:
        raise VideoError(f"subtitles {path} cannot be read ({err.strerror or err}): check the path") from err
    if len(raw) > MOST_BYTES:
        raise VideoError(
            f"subtitles {path} have more than {MOST_BYTES >> 20} MB, expected a text file with the endings "
            f"{', '.join(ENDINGS)}: give another file"
        )
    text = decoded(raw)
    return parse_styled(text) if is_styled(text) else parse_srt(text)


def is_styled(text: str) -> bool:
    """Return whether a text is a file of SubStation Alpha."""
    return "[script info]" in text[:4096].lower() or "[events]" in text[: 1 << 20].lower()


def decoded(raw: bytes) -> str:
    """Decode bytes in their likely encoding."""
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        return raw.decode("utf-16", errors="replace")
    head = raw[:1000]
    if head.count(0) * 3 > len(head):  # every other byte of Latin text in UTF-16 is 0
        return raw.decode("utf-16-be" if head[::2].count(0) > head[1::2].count(0) else "utf-16-le", errors="replace")
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        return raw.decode("cp1252", errors="replace")
