"""A grammar of questions: those that nouns and times can answer, and those that they cannot."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from dyto.nouns.table import Concept, nouns, words_of
from dyto.nouns.wording import left_over, topic

UNSEEN = {
    "people": "people: who they are, what they are called, or whether there are any",
    "actions": "actions: what somebody or something does",
    "text": "text or numbers in the picture",
    "colors": "colours",
    "counts": "how many of the same there are",
    "places": "where in the picture something is, or where the video was made",
    "reasons": "reasons, feelings or sounds",
    "size": "how large, old, fast or expensive something is",
    "absent": "what is not there",
}
"""Topics that no classifier of nouns can see, in the words of an answer."""

_UNSEEN = {
    "people": r"\b(who|whose|whom)\b",
    "text": r"\b(texts?|words?|letters?|numbers?|numerals?|title|subtitles?|captions?|written|writing|says?|reads?"
    r"|spell\w*|score|licen[sc]e plate|time is it)\b",
    "colors": r"\bcolou?r(s|ed)?\b",
    "reasons": r"^(why|how come)\b|\b(reasons?|feel\w*|emotions?|mood|sounds?|noises?|hear\w*|happy|sad|angry|purpose"
    r"|intend\w*|trying)\b",
    "size": r"^how (big|large|small|tall|old|fast|heavy|far|expensive|high|deep|wide|much)\b",
    "actions": r"\b(doing|do next|happen(s|ed|ing)?|going on|actions?|activit(y|ies)|perform\w*|takes? place|sports?)\b"
    r"|^how (do|does|did|is|are|was|were)\b"
    r"|^what (do|does|did) (?!you\b|we\b|it show|(the|this) (video|film|clip|frames?|camera)\b)",
    "places": r"^where\b|\b(which|what) (city|country|place|room)\b"
    r"|\b(location|indoors?|outdoors?|(left|right) side|top left)\b",
}
"""Words that ask about each of `UNSEEN`; the first match counts."""

_PEOPLE = re.compile(
    r"\b(persons?|people|man|men|woman|women|boys?|girls?|child|children|kids?|bab(y|ies)|humans?|lad(y|ies)|gu(y|ys)|crowd"
    r"|actors?|players?|faces?|he|she|his|her|him|someone|somebody|anyone|anybody|groom|bride|divers?)\b"
)
_NO_ACTION = frozenset(
    re.findall(
        r"\w+",
        """
        showing appearing building anything something nothing everything thing following preceding beginning
        morning evening ending during being clothing king ring spring string wing ceiling starting coming
        seeing containing including opening painting
        """,
    )
)
"""Words that end like a verb of action but are not one, or that describe what is shown."""

_COUNT = re.compile(r"\b(how many|number of|count)\b")
_DIFFERENT = re.compile(r"\b(different|distinct|kinds? of|sorts? of|types? of|species)\b")
_WHEN = re.compile(
    r"\b(when|at what (time|second|point|moment)|which (second|moment)|what (time|second)|how long|until)\b"
)
_IS_THERE = re.compile(
    r"^(is|are|was|were|do|does|did|can|could|will|has|have|any|isn't|aren't|wasn't|doesn't|don't|didn't)\b"
    r"|^(?!what|which|how|when|name|tell|list).*\b(is there|are there|there (is|are)|yes or no|true)\b"
)
_POLITE = re.compile(r"(can|could|will) you (please )?(tell|describe|name|list)\b")
_WHAT = re.compile(
    r"\b(what|which|describe|name|list|tell|show|shown|see|seen|visible|appears?|contains?|identify|recogni[sz]e|caption"
    r"|summari[sz]e|about)\b"
)
_ONLY_SHOWN = re.compile(r"what (happens|is happening|is going on|happened)( in (the|this) (video|clip|film))?")
_ON = re.compile(
    r"\b(on|in|under|behind|beside|near|inside|above|below|next to|left of|right of|in front of)( the| a| an| this)?$"
)
_SCREEN = re.compile(r"\bon (the |this )?(screen|display)\b")
_LOOKS_LIKE = re.compile(r"\b(looks?|looked) like\b")
_AT = re.compile(
    r"\b(?:at|around|about|after)\s+(\d+(?:\.\d+)?)\s*(?:s|sec|secs|seconds?)\b|\bsecond\s+(\d+(?:\.\d+)?)\b"
)
_READ = re.compile(
    rf"{_AT.pattern}|{_COUNT.pattern}|\bhow long\b|\byes or no\b|\bright (before|after|at)\b"
    r"|\bshort (answer|summary|title)\b"
)
"""Phrases whose words stand for something else when alone."""

_ORDINALS = ("second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth")
_NTH = {word: number for number, word in enumerate(_ORDINALS, 2)}
_PLACES = {
    "between": r"\bbetween\b.*\band\b",
    "after": r"\b(after|following|follows|comes next|later than|once)\b",
    "before": r"\b(before|precedes|preceding|earlier than|prior to)\b",
    "last": r"\b(last|final|finally|ends? with|at the (very )?end|end of)\b",
    "first": r"\b(first|(begins?|starts?) with|at the (very )?(start|beginning)|(beginning|start) of|initially)\b",
    "middle": r"\b(in the middle|halfway)\b",
    "nth": rf"\b({'|'.join(_NTH)}) (?!\d)(thing|object|item|scene|shot|animal|one|\w+)\b",
}
"""Words for moments; the first match counts."""

_FILLED = re.compile(r"\(([A-Z])\) ")


@dataclass(frozen=True)
class ParsedQuestion:
    """A parsed question.

    Attributes:
        form: "what", "is there", "either" (this or that), "when", "count", "order" (does one come before another),
            "before or after" (which of the two), "unseen" (it cannot be answered; `about` says what it is about) or
            "unclear".
        about: A key of `UNSEEN`, or "".
        concepts: The things that it names, in their order.
        place: The moment it asks about: "first", "last", "nth", "before", "after", "between", "middle", "at" or "".
        number: The time in seconds, for "at"; the ordinal, for "nth".
        options: The options of a multiple choice question.
        denied: Whether the question is negated.
        strange: Words on which the answer may depend and that were not understood; the form is then "unclear".
    """

    form: str
    about: str = ""
    concepts: tuple[Concept, ...] = ()
    place: str = ""
    number: float = 0.0
    options: tuple[str, ...] = ()
    denied: bool = False
    strange: tuple[str, ...] = ()


def split_options(text: str) -> tuple[str, tuple[str, ...]]:
    """Split a question and its options, if any: "(A) ..." on lines of their own, or one after another.

    Example:
        >>> split_options("What is it?\\n(A) a dog\\n(B) a cat"), split_options("What? (A) one (B) two")
        (('What is it?', ('a dog', 'a cat')), ('What?', ('one', 'two')))
    """
    parts = _FILLED.split(text)
    letters = parts[1::2]
    if len(letters) < 2 or letters != [chr(65 + number) for number in range(len(letters))]:
        return text.strip(), ()
    question = parts[0].strip()
    if question.casefold().endswith("options:"):
        question = question[: -len("options:")].strip()
    return question, tuple(part.strip() for part in parts[2::2])


def understand(text: str) -> ParsedQuestion:
    """Parse a question.

    Args:
        text: The question as in the prompt, including options.

    Example:
        >>> understand("When is the dog seen?").form, understand("What is the man doing?").about
        ('when', 'actions')
        >>> question = understand("Which animal comes after the panda?")
        >>> question.form, question.place, [concept.word for concept in question.concepts]
        ('what', 'after', ['animal', 'panda'])
    """
    asked, options = split_options(text)
    words = words_of(_LOOKS_LIKE.sub(r"\1", _SCREEN.sub("", asked.casefold())))
    folded, spans = " ".join(words), nouns().spans(words)
    concepts = tuple(concept for _, _, concept in spans)
    inside = {at for start, stop, _ in spans for at in range(start, stop)}
    doing = any(
        word.endswith("ing") and len(word) > 4 and word not in _NO_ACTION and at not in inside
        for at, word in enumerate(words)
    )
    form, about = _form(folded, concepts, options, doing)
    if form == "what" and any(_ON.search(" ".join(words[:start])) for start, _, _ in spans):
        form, about = "unseen", "places"
    at, nth = _AT.search(asked.casefold()), re.search(_PLACES["nth"], folded)
    place = "at" if at else next((place for place, how in _PLACES.items() if re.search(how, folded)), "")
    number = float(next(group for group in at.groups() if group)) if at else float(_NTH[nth[1]] if nth else 0)
    denied = bool(re.search(r"\b(not|never|no)\b|n't\b", folded)) and not re.search(r"\byes or no\b", folded)
    strange = () if form in ("unseen", "unclear") else _strange(asked.casefold(), words, spans)
    if place == "middle" and form in ("is there", "either"):  # of the film, or of the picture?
        form, about = "unseen", "places"
    elif strange or (form == "what" and denied and not options):
        about = topic(strange) if strange else "absent"
        form = "unseen" if about else "unclear"
    return ParsedQuestion(form, about, concepts, place, number, options, denied, strange)


def _strange(asked: str, words: Sequence[str], spans: Sequence[tuple[int, int, Concept]]) -> tuple[str, ...]:
    """Return the words that are not understood, and nouns that together mean something else ("dog house")."""
    joined = [
        " ".join(words[start:stop])
        for (start, end, _), (after, stop, _) in pairwise(spans)
        if end == after and re.search(r"[\s-]+".join(map(re.escape, words[start:stop])), asked)
    ]
    read = {word for match in _READ.finditer(asked) for word in words_of(match[0])}
    return (*joined, *(word for word in left_over(words, spans) if word not in read))


def _form(folded: str, concepts: tuple[Concept, ...], options: tuple[str, ...], doing: bool) -> tuple[str, str]:
    people = bool(_PEOPLE.search(folded))
    things = [concept for concept in concepts if concept.classes - nouns().people]
    if _COUNT.search(folded):
        if _DIFFERENT.search(folded) or (not concepts and re.search(r"\b(things|objects|items|scenes)\b", folded)):
            return "count", ""
        return "unseen", "people" if people else "counts"
    for about, pattern in _UNSEEN.items():
        if re.search(pattern, folded) and not (about == "actions" and _ONLY_SHOWN.fullmatch(folded)):
            return "unseen", about
    if doing and not _ONLY_SHOWN.fullmatch(folded):
        return "unseen", "actions"
    is_there = bool(_IS_THERE.search(folded)) and not _POLITE.match(folded)
    if people and (is_there or not things):
        return "unseen", "people"
    if _WHEN.search(folded) and concepts:
        return "when", ""
    if is_there:
        ordered = len(concepts) >= 2 and re.search(_PLACES["before"] + "|" + _PLACES["after"], folded)
        if ordered and re.search(r"\bbefore or after\b|\bafter or before\b", folded):
            return "before or after", ""
        either = len(concepts) >= 2 and re.search(r"\bor\b", folded) and not ordered
        return ("order" if ordered else "either" if either else "is there"), ""
    if options or concepts or _WHAT.search(folded):
        return "what", ""
    return "unclear", ""
