"""The letters of an answer, and how firmly each is named."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, auto
from itertools import pairwise

from dyto.choices import wording as words
from dyto.choices.cleaning import ENDED, WORD
from dyto.choices.naming import SEVERAL, Options

_WINDOW = 240
_SENTENCE = 1000
_LETTER = re.compile(
    rf"\(\s*(?:(?:option|choice)\s+)?(?P<closed>[A-Z])\s*[.:]?\s*\)"
    rf"|\(?(?<![{WORD}'])(?P<bare>[A-Z])(?![{WORD}]|'[A-Z]|-[A-Z]|\.[A-Z]\.)(?P<half>\s?\))?",
    re.IGNORECASE,
)
_MASK = "\ue002"
_CLAUSE_END = re.compile(rf"[ )]*(?:[.!?](?!\w)|[;,:\n{ENDED}。、]|[—–-]\s|\Z)|\s*(?:{words.REASON})", re.IGNORECASE)
_SENTENCE_END = re.compile(
    rf"[.!?](?!\w)|[;\n{ENDED}。]|{words.REASON}|[,，]\s*(?!no\b)(?:{words.CORRECTION.pattern})", re.IGNORECASE
)
_JOINED = re.compile(r"\b(?!option|choice|both|either|选项)[^\W\d_]|[/\\&+|、]", re.I)  # "and", a slash
_ASKS = re.compile(r"\s*(?:so |or |and |but )?(?:is|are|could|can|would|should|might|does|do|what|why|which)\b", re.I)


class Rank(IntEnum):
    """How firmly an option is named."""

    MENTIONED = auto()
    LEADING = auto()
    SAID = auto()
    ANNOUNCED = auto()
    FINAL = auto()


@dataclass(frozen=True)
class _Statement:
    """A statement that names an option, or `SEVERAL`."""

    start: int
    end: int
    rank: Rank
    option: int


@dataclass(frozen=True)
class _Mention:
    """Letters in one list, each optionally followed by its option's text."""

    named: set[int]
    bare_end: int  # of the last letter, before its option's text
    end: int
    told: int  # how many are followed by their text
    decorated: bool


def index_of(letter: str) -> int:
    """Return the index of a letter's option."""
    return ord(letter.upper()) - ord("A")


class Letters:
    """The letters of an answer with their context, and option texts that are announced like letters.

    Args:
        text: The answer, cleaned.
        options: The options.
    """

    def __init__(self, text: str, options: Options) -> None:
        self._plain, self._options = text, options
        self.denied = set[int]()
        initials = (found.span() for found in words.INITIALS.finditer(text))
        for start, end in (
            *options.spelled(text),
            *initials,
        ):  # the letter in "vitamin C" is part of an option, not an answer
            text = text[:start] + re.sub(r"(?<!\w)[A-Za-z](?!\w)", _MASK, text[start:end]) + text[end:]
        self._text = text

    def chosen(self) -> int | None:
        """Return the option named most firmly, `SEVERAL` if such statements differ, or None."""
        found = sorted([*self._lettered(), *self._worded()], key=lambda statement: statement.start)
        since = 0
        for number, (before, after) in enumerate(pairwise(found), 1):
            if after.rank >= Rank.SAID and self._takes_back(before.end, after.start):
                since = number
        named = defaultdict[Rank, list[int]](list)
        for statement in found[since:]:
            named[statement.rank].append(statement.option)
        if not named:
            return None
        rank = max(named)
        first, *others = named[rank]
        if rank == Rank.LEADING and re.match(r"[ (]*[A-Za-z][ ).:,]*(?:\n|\Z)", self._text):
            return first  # a line of its own, then the reasons
        return first if set(others) <= {first} else SEVERAL

    def _takes_back(self, last: int, start: int) -> bool:
        """Return whether the text between two statements cancels the first: "wait", "but the answer is"."""
        if words.CORRECTION.search(self._text, last, start):
            return True
        return any(
            words.ANNOUNCING.search(self._text, turn.end("turn"), start) and not words.HEDGED.search(turn[0])
            for turn in words.TURNING.finditer(self._text[:start], last)
        )

    def _lettered(self) -> Iterator[_Statement]:
        """Return the statements by letter."""
        end = 0
        for match in _LETTER.finditer(self._text):
            if match.start() < end:
                continue
            before = self._text[max(0, match.start() - _WINDOW) : match.start()]
            cue = _ANNOUNCING.search(before)
            begins = re.search(r"(?:\A|\n)[ (]*\Z", before) is not None
            alone = begins and re.match(r"[ ).:,;]*(?:\n|\Z)", self._text[match.end() :]) is not None
            lower = alone or _MENTIONING.search(before) is not None or (cue is not None and not cue["bare"])
            if _SAYING.search(before) and match[0].strip("() ") not in ("a", "i"):
                lower |= _CLAUSE_END.match(self._text, match.end()) is not None
            mention = self._mention(match, lower, whole_sentences=_DENYING.search(before) is not None)
            if mention is None:
                continue
            end = mention.end
            sentence = re.split(r"[.!?\n]", before[: cue.start() if cue else None])[-1]
            if _ASKS.match(sentence) and re.match(r"[^.!\n]*\?", self._text[end:]):
                continue
            if self._denied(mention, before, cue):
                self.denied |= mention.named
                continue
            rank = self._rank(mention, before, cue, sentence)
            if rank is not None and mention.told < len(self._options):  # otherwise the options are merely repeated
                yield _Statement(match.start(), end, rank, self._option(mention))

    def _mention(self, match: re.Match[str], lower: bool, whole_sentences: bool) -> _Mention | None:
        """Return the list of letters that begins here, or None if the letter is a word of a sentence."""
        named, told = set[int](), 0
        bare_end = end = match.start()
        upcoming: re.Match[str] | None = match
        while upcoming and (letter := self._letter(upcoming, lower)):
            one = words.ONE.match(self._text, upcoming.end())
            if named and one and words.DENIED.match(self._text, upcoming.end()):
                break
            named.add(index_of(letter))
            bare_end = upcoming.end()
            own = self._options.behind(self._plain, bare_end).get(index_of(letter))
            told += own is not None
            end = own or bare_end
            upcoming = self._next(end) if told < len(self._options) else None
            if upcoming and whole_sentences and re.search("[.!?]", self._text[end : upcoming.start()]):
                break
        decorated = bool(match["closed"] or match["half"])
        return _Mention(named, bare_end, end, told, decorated) if named else None

    def _letter(self, match: re.Match[str], lower: bool) -> str | None:
        """Return the letter in upper case, or None if it is a word, such as an article."""
        letter = match["closed"] or match["bare"]
        known = index_of(letter) < len(self._options)
        if match["closed"] or match["half"]:
            return letter.upper() if known or letter.isupper() else None
        if letter.islower() and not lower:
            return None
        follows = re.match(rf" ([{WORD}][{WORD}'-]*)", self._text[match.end() :])
        if letter in "Ii" and follows and (not known or words.VERBS.fullmatch(follows[1])):
            return None
        if follows and re.fullmatch("[A-Z]", follows[1]):
            return letter.upper()
        if follows and (letter in "AI" or letter.islower()) and not words.FOLLOWING.fullmatch(follows[1]):
            own = self._options.behind(self._plain, match.end())
            return letter.upper() if index_of(letter) in own else None
        return letter.upper()

    def _next(self, end: int) -> re.Match[str] | None:
        """Return the next letter of a list, or None if something else follows."""
        gap = words.BETWEEN.match(self._text, end)
        match = _LETTER.match(self._text, gap.end()) if gap else None
        if gap is None or match is None or _JOINED.search(gap[0]):
            return match
        rest = self._text[match.end() :]
        if "\n" in gap[0]:
            return match if re.match(r"[.) ]*(?:\n|\Z)", rest) else None
        if re.search("[.;:]", gap[0]):
            return match if re.match(rf"[) ]*(?:[.;,](?!\w)|\n|{ENDED}|\Z)", rest) else None
        further = words.BETWEEN.match(rest)
        joined = further is not None and _JOINED.search(further[0]) is not None
        joined |= re.match(rf"[\s,]*\(?[A-Z]\)?(?![{WORD}'])", rest) is not None
        letter = (match["closed"] or match["bare"]).upper()
        joined |= index_of(letter) in self._options.behind(self._plain, match.end())
        return match if joined or not re.match(rf"\s*[{WORD}]", rest) else None

    def _denied(self, mention: _Mention, before: str, cue: re.Match[str] | None) -> bool:
        """Return whether letters are denied: "not A", "A is wrong"."""
        if cue and words.NEGATION.search(cue["head"].replace(cue["gap"] or "\n", "")):
            return True
        if (_DENYING.search(before) or _DOUBTING.search(before)) and not (cue and cue["tag"]):
            return True
        behind = words.DENIED if mention.end == mention.bare_end else words.WRONG
        return behind.match(self._text, mention.end) is not None

    def _rank(self, mention: _Mention, before: str, cue: re.Match[str] | None, sentence: str) -> Rank | None:
        """Return how firmly letters are named; None if not at all."""
        text, end = self._text, mention.end
        closes = _CLAUSE_END.match(text, end) is not None
        if cue and (cue["tag"] or words.FINAL.search(sentence + cue[0])):
            return Rank.FINAL
        if cue:
            return Rank.SAID if words.POSSIBLY.search(cue["head"]) else Rank.ANNOUNCED
        if words.CONFIRMED.match(text, end) or (closes and (_CORRECTING.search(before) or _BUT.search(before))):
            return Rank.ANNOUNCED
        if len(mention.named) == 1 and (_SAYING.search(before) or (closes and _CONCLUDING.search(before))):
            return Rank.SAID
        if re.search(r"[.!?] \Z", before) and text.startswith(":", mention.bare_end):
            return Rank.LEADING
        if re.search(r"(?:\A|\n) ?\Z", before) and (
            mention.decorated
            or end > mention.bare_end
            or len(mention.named) > 1
            or (re.match(r"[.:,;](?!\w\.)|\s*(?:\n|\Z)|\s[—–-](?:\s|\Z)| (?!\W)", text[end:]) and self._goes_on(end))
        ):
            return Rank.LEADING
        alone = re.search(r"(?:\A|[.!?:\n]|\d\))\s*\Z", before) is not None
        alone = alone and re.match(r"[ )]*(?:[.!]?\s*\n|[.!?]?\s*\Z)", text[end:]) is not None
        named = _MENTIONING.search(before) or words.CALLED_OPTION.match(text, end)
        return Rank.MENTIONED if mention.decorated or alone or named else None

    def _goes_on(self, end: int) -> bool:
        """Return whether a letter is followed by no word, or by one that may follow an answer ("B because")."""
        follows = re.match(rf" ([{WORD}][{WORD}'-]*)", self._text[end:])
        return follows is None or words.FOLLOWING.fullmatch(follows[1]) is not None

    def _option(self, mention: _Mention) -> int:
        """Return the option of a mention; `SEVERAL` if there are more, or the letter has another option's text."""
        index, *others = mention.named
        if others or index >= len(self._options):
            return SEVERAL
        behind = self._options.behind(self._plain, mention.bare_end)
        closed = [other for other, end in behind.items() if _CLAUSE_END.match(self._plain, end)]
        return SEVERAL if closed and index not in behind else index

    def _worded(self) -> Iterator[_Statement]:
        """Return the statements that announce the text of an option."""
        letters = [match.start() for match in _LETTER.finditer(self._text) if self._letter(match, True)]
        for cue in words.ANNOUNCING.finditer(self._plain):
            begin = cue.end("head")
            if cue["tag"]:
                segment = self._plain[begin:].partition(ENDED)[0]
            else:
                segment = _SENTENCE_END.split(self._plain[begin:][:_SENTENCE].lstrip())[0]
            end = begin + len(segment)
            if cue["bare"] or any(begin <= at <= (end if cue["tag"] else cue.end()) for at in letters):
                continue
            option = self._options.named(segment)
            option = self._options.yes_or_no(segment) if option is None else option
            if option is None and cue["tag"] and segment.strip():
                option = SEVERAL
            if option is not None:
                final = cue["tag"] or words.FINAL.search(re.split(r"[.!?\n]", self._plain[:begin])[-1])
                yield _Statement(begin, end, Rank.FINAL if final else Rank.ANNOUNCED, option)
        for cue in words.CORRECTING.finditer(self._plain):
            for option, end in self._options.behind(self._plain, cue.end()).items():
                if _CLAUSE_END.match(self._plain, end):
                    yield _Statement(cue.end(), end, Rank.ANNOUNCED, option)


def _before(pattern: re.Pattern[str]) -> re.Pattern[str]:
    """Match a pattern that ends right before a position."""
    return re.compile(rf"(?:{pattern.pattern})\Z", pattern.flags)


_ANNOUNCING, _SAYING, _BUT, _DENYING = map(_before, (words.ANNOUNCING, words.SAYING, words.BUT, words.DENYING))
_MENTIONING, _CORRECTING, _CONCLUDING, _DOUBTING = map(
    _before, (words.MENTIONING, words.CORRECTING, words.CONCLUDING, words.DOUBTING)
)
