"""The lines of `.srt` and `.vtt` files.

Such files vary widely, so they are read line by line, and any line of times begins a cue: with or without a number or
an empty line before it, and with any line ends. (`pysubs2` finds no cue behind lone carriage returns, takes "a<b and
c>d" for a tag, leaves entities as they are, and keeps cues that end before they begin.)
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass

_TIME = r"(?:(\d{1,4})\s?:\s?)?(\d{1,4})\s?:\s?(\d{1,2})(?:\s?[.,:]\s?(\d{1,9}))?"
_TIMES = re.compile(rf"\s*(?:\d{{1,9}}\s+)?{_TIME}\s*-{{1,3}}>\s*{_TIME}(?![\d.,:])(.*)")
_NUMBER = re.compile(r"\s*\d{1,9}\s*")
_SETTINGS = re.compile(r"(?:\s*\b(?:align|position|line|size|vertical|region|[XY][12]):\S+)+\s*")
_ENDS = re.compile(r"\r+\n|[\r\n\x0b\x0c\x85\u2028\u2029]")
_TAG = re.compile(
    r"</?(?:i|b|u|s|em|strong|small|big|sub|sup|tt|center|ruby|rt|c|v|lang|font|span|p|div|br)(?:\.[\w.#-]{1,99})?\s?/?>"
    r"|<(?:v|lang|c)(?:\.[\w.#-]{1,99})?\s[^<>=]{1,200}>"
    r"|<(?:font|span|p|div|a|c|v|i|b|u)\s[^<>=]{1,99}=[^<>]{0,300}>|</a>"
    r"|<(?:\d{1,4}:)?\d{1,2}:\d{1,2}[.,]\d{1,9}>"
    r"|\{\\[^{}]{0,200}\}",
    re.IGNORECASE,
)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#x[0-9a-f]{1,6}|[a-z]{2,8}\d?);", re.IGNORECASE)


@dataclass(frozen=True)
class Subtitle:
    """One line of speech, from `start` to `end` in seconds."""

    start: float
    end: float
    text: str


def parse_srt(text: str) -> list[Subtitle]:
    r"""Read the cues of an `.srt` or `.vtt` file, in order.

    Markup is removed and entities are decoded, but text that merely looks like markup ("3 < 5 and 7 > 2") stays. Cues
    without words, cues that end before they begin, notes and styles are skipped.

    Example:
        >>> parse_srt("1\n00:00:01,500 --> 00:00:02,000\n<i>Hello</i>\nthere")[0]
        Subtitle(start=1.5, end=2.0, text='Hello there')
    """
    lines = _ENDS.split(text.lstrip("\ufeff"))
    cues = [(number, times) for number, line in enumerate(lines) if (times := _TIMES.fullmatch(line))]
    numbered = bool(cues) and cues[0][0] > 0 and bool(_NUMBER.fullmatch(lines[cues[0][0] - 1]))
    web = text.lstrip("\ufeff").startswith("WEBVTT")
    found = []
    ends = [*(number for number, _ in cues), len(lines)][1:]
    for (number, times), end in zip(cues, ends, strict=bool(cues)):
        beside = times[9]
        spoken = [] if _SETTINGS.fullmatch(beside) else [beside]
        spoken += _spoken(lines[number + 1 : end], numbered, web, last=end == len(lines))
        cue = Subtitle(_seconds(times.groups()[:4]), _seconds(times.groups()[4:8]), plain("\n".join(spoken)))
        if cue.text and cue.end >= cue.start:
            found.append(cue)
    return found


def _spoken(lines: list[str], numbered: bool, web: bool, last: bool) -> list[str]:
    """Return the words among the lines between the times of two cues.

    Args:
        lines: The lines in between.
        numbered: Whether the cues of the file have numbers, one before each line of times.
        web: Whether an empty line ends a cue, as in WebVTT; in `.srt` files empty lines may occur within a cue.
        last: Whether this is the last cue, so that the last line is not the number of the next cue.
    """
    blocks: list[list[str]] = [[]]
    for line in lines:
        if line.strip():
            blocks[-1].append(line)
        else:
            blocks.append([])
    filled = [block for block in blocks if block]
    if filled and not last and _NUMBER.fullmatch(filled[-1][-1]) and (numbered or len(filled[-1]) == 1 < len(filled)):
        filled[-1] = filled[-1][:-1]
    if web:
        return blocks[0]
    # A number after an empty line begins a cue without times.
    return [
        line
        for place, block in enumerate(filled)
        if place == 0 or not (block and (_NUMBER.fullmatch(block[0]) or any("-->" in line for line in block)))
        for line in block
    ]


def plain(text: str) -> str:
    """Return the words of a cue without its markup."""
    words = _TAG.sub(lambda tag: " " if tag[0][:3].lower() == "<br" else "", text).replace(r"\N", " ")
    return " ".join(_ENTITY.sub(lambda entity: html.unescape(entity[0]), words).replace("\ufeff", "").split())


def _seconds(parts: Sequence[str | None]) -> float:
    hours, minutes, seconds, fraction = parts
    return int(hours or 0) * 3600 + int(minutes or 0) * 60 + int(seconds or 0) + float(f"0.{fraction or 0}")
