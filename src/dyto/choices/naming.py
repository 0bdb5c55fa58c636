"""Options named by their text in an answer."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from dyto.choices.cleaning import ENDED, clean
from dyto.choices.wording import CORRECTION

SEVERAL = -1
"""Index that stands for several options, or for one that does not exist."""

_HAN = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_TOKEN = re.compile(
    rf"[{_HAN}]|(?<![\w)])-?\d+(?:[.,:/-]\d+)*(?![^\W{_HAN}])|[^\W{_HAN}]+(?:['-][^\W{_HAN}]+)*|[%$€£°+=<>#&@√×÷]"
)
_ARTICLES = ("a", "an", "the")
_NEGATIVE = re.compile(r"not|neither|nor|never|cannot|[a-z]+n't|nicht|kein\w*|weder|pas|ni|不|没|沒", re.IGNORECASE)
_WITHOUT = ("no", "without", "kein", "keine", "ohne", "sans", "sin", "没有")
_CLAUSE_END = re.compile(rf"[ )'\"]*(?:[.!](?!\w)|[;,:\n{ENDED}。、]|-\s|[—–]|\Z)")
_YES_NO = re.compile(r"(?<![\w'-])(?:yes|no)(?![\w'-])", re.IGNORECASE)
_SUBJECT = re.compile(
    r"\s+(?:it|he|she|they|there|this|that|these|those|the|i|we|you|because|since|as|nothing|nobody|his|her|their)\b",
    re.I,
)
_SAID_BEFORE = re.compile(r"(?:\A|[.,;:!\n]|\b(?:is|be|say|answer|clearly|definitely|therefore))\s*\Z", re.IGNORECASE)


@dataclass(frozen=True)
class _Token:
    text: str
    start: int
    end: int


def _tokens(text: str, most: int | None = None) -> list[_Token]:
    return [_Token(m[0].casefold(), *m.span()) for m in islice(_TOKEN.finditer(text), most)]


def _without_article(tokens: Sequence[str]) -> tuple[str, ...]:
    return tuple(tokens[1:] if len(tokens) > 1 and tokens[0] in _ARTICLES else tokens)


class Options:
    """The texts of a question's options.

    Args:
        texts: The options, in the order of their letters.
    """

    def __init__(self, texts: Sequence[str]) -> None:
        self._full = [tuple(token.text for token in _tokens(clean(text))) for text in texts]
        self._plain = [_without_article(full) for full in self._full]
        self._reach = 1 + max(map(len, self._full), default=0)  # an article, and the longest option
        self._found: dict[tuple[str, int], dict[int, int]] = {}
        firsts = [full[0] if full else "" for full in self._full]
        self._yes_no = {word: firsts.index(word) for word in ("yes", "no") if firsts.count(word) == 1}

    def __len__(self) -> int:
        return len(self._full)

    def verbatim(self, text: str) -> int | None:
        """Return the option that equals a text, ignoring punctuation and a leading article."""
        said = tuple(token.text for token in _tokens(text))
        plain = _without_article(said) if re.match(r"\W*\w+\s+\w", text) else said
        for form, options in ((said, self._full), (plain, self._plain)):
            if form and options.count(form) == 1:
                return options.index(form)
        return None

    def behind(self, text: str, at: int) -> dict[int, int]:
        """Return the options whose text begins at a position, and where each ends."""
        if (text, at) in self._found:
            return self._found[text, at]
        tokens = _tokens(text[at:], self._reach)
        skipped = bool(tokens) and tokens[0].text in _ARTICLES
        found = {}
        for index, plain in enumerate(self._plain):
            for first in (0, 1) if skipped else (0,):
                own = tokens[first : first + len(plain)]
                if plain and tuple(token.text for token in own) == plain:
                    found[index] = at + own[-1].end
        return self._found.setdefault((text, at), found)

    def spelled(self, text: str) -> Iterator[tuple[int, int]]:
        """Return where an option of several words, such as "vitamin C", occurs verbatim in a text."""
        for full in self._full:
            if len(full) > 1:
                pattern = r"(?<!\w)" + r"\s+".join(map(re.escape, full)) + r"(?!\w)"
                yield from (match.span() for match in re.finditer(pattern, text, re.IGNORECASE))

    def named(self, text: str) -> int | None:
        """Return the option named in words; `SEVERAL` for several, None for none or a denied one."""
        tokens = _tokens(text)
        denials = {i for i, token in enumerate(tokens) if _NEGATIVE.fullmatch(token.text)}
        spans, spent = list[tuple[frozenset[int], int]](), set[int]()
        for index, plain in enumerate(self._plain):
            if not plain or index in self._yes_no.values():
                continue
            for i in range(len(tokens)):
                if tuple(token.text for token in tokens[i : i + len(plain)]) == plain:
                    spans.append((frozenset(range(i, i + len(plain))), index))
        named = set()
        for span, index in spans:
            if any(span < other for other, _ in spans):
                continue  # "cat" in "black cat"
            before = [token.text for token in tokens[: min(span)]]
            if before and before[-1] in _ARTICLES:
                before.pop()
            last = len(before) - 1
            if before and (last in denials or before[-1] in _WITHOUT):
                spent.add(last)
                continue
            named.add(index)
            spent |= span
            if not before and _CLAUSE_END.match(text, tokens[max(span)].end):
                spent |= denials  # "A dog, because it is not ...": the rest is the reason
        if len(named) > 1:
            return SEVERAL
        return named.pop() if named and denials <= spent else None

    def yes_or_no(self, text: str) -> int | None:
        """Return the option that begins with the yes or no at the start of a text or of a separate clause."""
        if not self._yes_no:
            return None
        turns = [turn.end() for turn in CORRECTION.finditer(text) if turn[0].lower() != "no"]
        found = self._clear(text[turns[-1] :].lstrip(" ,.!…")) if turns else None
        return self._clear(text) if found is None else found

    def _clear(self, text: str) -> int | None:
        said = set[str]()
        for match in _YES_NO.finditer(text):
            ends = _CLAUSE_END.match(text, match.end()) is not None
            if not text[: match.start()].strip() and (ends or _SUBJECT.match(text, match.end())):
                rest = re.match(r"[\s,/]*(?:and|or)?[\s,/]*(?:yes|no)\b\s*(?:[.,!]|\Z)", text[match.end() :], re.I)
                return SEVERAL if rest else self._yes_no.get(match[0].lower())
            if ends and _SAID_BEFORE.search(text[: match.start()]):
                said.add(match[0].lower())
        if len(said) > 1:
            return SEVERAL
        return self._yes_no.get(said.pop()) if said else None
