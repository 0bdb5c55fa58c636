"""SubStation Alpha (`.ass`, `.ssa`), read by `pysubs2`: words without override tags, drawings and comments."""

from __future__ import annotations

import logging

from dyto.subtitles.parsing import Subtitle

log = logging.getLogger(__name__)


def parse_styled(text: str) -> list[Subtitle]:
    r"""Read the lines of an `.ass` or `.ssa` file.

    Args:
        text: The file.

    Returns:
        The lines, as they stand in the file; none if it is damaged beyond reading.

    Example:
        >>> head = "[Events]\nFormat: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text\n"
        >>> parse_styled(head + r"Dialogue: 0,0:00:01.50,0:00:02.00,Default,,0,0,0,,{\b1}Hello\Nthere")
        [Subtitle(start=1.5, end=2.0, text='Hello there')]
    """
    import pysubs2

    body = text.replace("\r\n", "\n").replace("\r", "\n")
    version = "ssa" if "[v4 styles]" in body[: 1 << 16].lower() else "ass"
    try:
        events = pysubs2.SSAFile.from_string(body, format_=version).events
    except Exception as err:  # noqa: BLE001 - whatever a damaged file makes of the reader, it has no lines
        log.info("subtitles cannot be read: %s: %s", type(err).__name__, err)
        return []
    return [
        Subtitle(event.start / 1000, event.end / 1000, words)
        for event in events
        if not event.is_comment and event.end >= event.start and (words := styled_words(event.text))
    ]


def styled_words(text: str) -> str:
    r"""Return the words of a line of SubStation Alpha; none for a drawing.

    Example:
        >>> styled_words(r"{\an8\i1}So {\b1}this{\b0}\Nis\hit"), styled_words(r"{\p1}m 0 0 l 9 9")
        ('So this is it', '')
    """
    import pysubs2

    event = pysubs2.SSAEvent(text=text)
    return "" if event.is_drawing else " ".join(event.plaintext.split())
