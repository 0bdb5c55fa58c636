"""Removal of decoration from an answer: reasoning, emphasis, brackets of any kind, tags and boxes."""

from __future__ import annotations

import re
import unicodedata
from string import ascii_uppercase

TAGGED = "\ue000"
ENDED = "\ue001"
"""Marks in cleaned text where the contents of an `<answer>` or a box begin and end."""

LONGEST = 10_000
"""Number of characters of an answer that are read; the end of a longer answer."""

WORD = "0-9A-Za-z\u00c0-\u024f\u0370-\u04ff"
"""Characters of words between spaces. Chinese and Japanese characters are excluded: a letter may touch them."""


THINKING = re.compile(
    r"[<◁]\s*(/?)\s*(?:think|thinking|thoughts?|reasoning|reflection|scratchpad|seed:think)\s*[>▷]|\[(/?)THINK\]",
    re.IGNORECASE,
)
_BRACED = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}?"
_DECORATION = "*_`\"'$"
_ENCLOSED = {
    first + place: f"({letter})"
    for first in (0x249C, 0x24B6, 0x24D0, 0x1F110, 0x1F130, 0x1F150, 0x1F170)  # in brackets, a disc or a square
    for place, letter in enumerate(ascii_uppercase)
}


def without_reasoning(text: str) -> str:
    """Remove a model's reasoning, even if the block was opened in the prompt or never closed.

    Example:
        >>> without_reasoning("<think>A?</think>B"), without_reasoning("so A</think>B"), without_reasoning("B<think>A")
        ('B', 'B', 'B')
    """
    kept: list[str] = []
    thinks, start = False, 0
    for tag in THINKING.finditer(text):
        if tag[1] or tag[2]:
            if not thinks:
                kept.clear()
            thinks, start = False, tag.end()
        elif not thinks:
            kept.append(text[start : tag.start()])
            thinks = True
    return "".join(kept) + ("" if thinks else text[start:])


def clean(text: str) -> str:
    """Remove reasoning and decoration; wrappers of a single letter become brackets, and tags and boxes become marks.

    Example:
        >>> clean("The answer is **B**, 【C】 or Ｄ")
        'The answer is (B), (C) or D'
    """
    text = text.translate(_ENCLOSED)
    unseen = ("So", "Cf", "Cc")
    text = "".join(c for c in text if unicodedata.category(c) not in unseen or c in "°◁▷\n\r\t")
    text = unicodedata.normalize("NFKC", without_reasoning(text)[-LONGEST:])
    text = re.sub(r"[“”„«»‹›「」『』]", '"', re.sub(r"[‘’ʼ]", "'", text.replace("。", ". ")))
    text = re.sub(r"~~.*?~~|<(s|del|strike)>.*?</\1>", " ", text, flags=re.DOTALL | re.IGNORECASE)
    for _ in range(2):
        text = re.sub(r"\\(?:text|math)?(?:rm|bf|it|sf|tt|normal)?\s*\{([^{}]*)\}", r"\1", text)
    tag = r"answer|final_?answer|choice|option|ans"
    text = re.sub(rf"<({tag})>(.*?)(?:</\1>|\Z)", rf"\n{TAGGED}\2{ENDED}\n", text, flags=re.DOTALL | re.IGNORECASE)
    text = re.sub(r"<\|begin_of_box\|>(.*?)(?:<\|end_of_box\|>|\Z)", rf"{TAGGED}\1{ENDED}", text, flags=re.DOTALL)
    text = re.sub(rf"\\f?boxed\s*(?:{_BRACED}|([A-Za-z]))", rf"{TAGGED}\1\2{ENDED}", text)
    text = re.sub(r"<\|[^|<>]*\|>|</?s>|\\[()\[\]]", " ", text)
    for _ in range(2):
        text = re.sub(
            r"<(b|i|em|strong|u|span|p|div|code|mark|font)\b[^<>]*>(.*?)</\1>", r"\2", text, flags=re.DOTALL | re.I
        )
    text = re.sub(r"[\[{<【〔〈《⟨]\s*([A-Za-z])\s*[\]}>】〕〉》⟩]", r"(\1)", text)
    wraps = rf"[{re.escape(_DECORATION)}]{{1,6}}"
    text = re.sub(rf"(?<![{WORD}]){wraps}[\s(]*([A-Za-z])[\s).:,;、。]*{wraps}(?![{WORD}])", r"(\1)", text)
    text = re.sub(r"\$(?=\S)([^$\n]+?)(?<=\S)\$(?!\d)", r"\1", text)
    text = re.sub(rf"[*`\"]|(?<![{WORD}])_+|_+(?![{WORD}])", "", text)
    text = re.sub(r"^[ \t]*(?:(?:[>#•+→-]+|[-=]>)[ \t]+)+", "", text, flags=re.MULTILINE)
    return re.sub(r"[^\S\n]+", " ", text.replace("\r", "\n")).strip()
