"""Which question is asked: a grammar of what can be answered by nouns and times, and of what cannot."""

from __future__ import annotations

import re
from dataclasses import dataclass

from dyto.nouns.table import Concept, nouns, words_of

UNSEEN = {
    "people": "people: who they are, what they are called, or whether there are any",
    "actions": "actions: what somebody or something does",
    "text": "text or numbers in the picture",
    "colors": "colours",
    "counts": "how many of the same there are",
    "places": "where in the picture something is, or where the video was made",
    "reasons": "reasons, feelings or sounds",
    "size": "how large, old, fast or expensive something is",
}
"""What is asked of that no classifier of nouns can see, in the words of an answer."""

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
"""What words ask about, for each of `UNSEEN`; the first that fits counts."""

_PEOPLE = re.compile(
    r"\b(persons?|people|man|men|woman|women|boys?|girls?|child|children|kids?|bab(y|ies)|humans?|lad(y|ies)|gu(y|ys)|crowd"
    r"|actors?|players?|faces?|he|she|his|her|him|they|them|their|someone|somebody|anyone|anybody|groom|bride|divers?"
    r"|name of)\b"
)
_COUNT = re.compile(r"\b(how many|number of|count)\b")
_DIFFERENT = re.compile(r"\b(different|distinct|kinds? of|sorts? of|types? of|species)\b")
_WHEN = re.compile(
    r"\b(when|at what (time|second|point|moment)|which (second|moment)|what (time|second)|how long|until)\b"
)
_IS_THERE = re.compile(
    r"^(is|are|was|were|do|does|did|can|could|will|has|have|any)\b"
    r"|\b(is there|are there|there (is|are)|yes or no|true)\b"
)
_LAST = re.compile(r"\b(last|final|finally|ends? with|at the (very )?end|end of)\b")
_FIRST = re.compile(
    r"\b(first|(begins?|starts?) with|at the (very )?(start|beginning)|(beginning|start) of|initially)\b"
)
_AFTER = re.compile(r"\b(after|following|follows|next to come|comes next|later than|once)\b")
_BEFORE = re.compile(r"\b(before|precedes|preceding|earlier than|prior to)\b")
_MIDDLE = re.compile(r"\b(in the middle|halfway)\b")
_AT = re.compile(
    r"\b(?:at|around|about|after)\s+(\d+(?:\.\d+)?)\s*(?:s|sec|secs|seconds?)\b|\bsecond\s+(\d+(?:\.\d+)?)\b"
)
_WHAT = re.compile(
    r"\b(what|which|describe|name|list|tell|show|shown|see|seen|visible|appears?|contains?|identify|recogni[sz]e|caption"
    r"|summari[sz]e|about)\b"
)
_POLITE = re.compile(r"(can|could|will) you (please )?(tell|describe|name|list)\b")
_ONLY_SHOWN = re.compile(r"what (happens|is happening|is going on|happened)( in (the|this) (video|clip|film))?")
_FILLED = re.compile(r"\(([A-Z])\) ")


@dataclass(frozen=True)
class Question:
    """A question, taken apart.

    Attributes:
        form: "what", "is there", "when", "count", "order" (does one come before another), "unseen" (it cannot be
            answered; `about` says what it is about) or "unclear".
        about: A key of `UNSEEN`, or "".
        concepts: The things that it names, in their order.
        place: Which moment it asks about: "first", "last", "before", "after", "middle", "at" or "".
        second: The moment, for "at".
        options: Of a multiple choice question.
    """

    form: str
    about: str = ""
    concepts: tuple[Concept, ...] = ()
    place: str = ""
    second: float = 0.0
    options: tuple[str, ...] = ()


def split_options(text: str) -> tuple[str, tuple[str, ...]]:
    """A question and its options, where it has some: "(A) ..." on lines of their own, or one after another.

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


def understand(text: str) -> Question:
    """Take a question apart.

    Args:
        text: As it stands in the prompt, options included.

    Example:
        >>> understand("When is the dog seen?").form, understand("What is the man doing?").about
        ('when', 'actions')
        >>> question = understand("Which animal comes after the panda?")
        >>> question.form, question.place, [concept.word for concept in question.concepts]
        ('what', 'after', ['animal', 'panda'])
    """
    asked, options = split_options(text)
    folded = " ".join(words_of(asked))
    concepts = tuple(nouns().concepts(asked))
    form, about = _form(folded, concepts, options)
    at = _AT.search(asked.casefold())
    place = "at" if at else _place(folded)
    second = float(next(group for group in at.groups() if group)) if at else 0.0
    return Question(form, about, concepts, place, second, options)


def _form(folded: str, concepts: tuple[Concept, ...], options: tuple[str, ...]) -> tuple[str, str]:
    if _COUNT.search(folded):
        if _DIFFERENT.search(folded) or (not concepts and re.search(r"\b(things|objects|items|scenes)\b", folded)):
            return "count", ""
        return "unseen", "people" if _PEOPLE.search(folded) else "counts"
    for about, pattern in _UNSEEN.items():
        if re.search(pattern, folded) and not (about == "actions" and _only_shown(folded)):
            return "unseen", about
    if _PEOPLE.search(folded) and not concepts:
        return "unseen", "people"
    if _WHEN.search(folded) and concepts:
        return "when", ""
    if _IS_THERE.search(folded) and not _POLITE.match(folded):
        ordered = len(concepts) >= 2 and bool(_BEFORE.search(folded) or _AFTER.search(folded))
        return ("order" if ordered else "is there"), ""
    if options or concepts or _WHAT.search(folded):
        return "what", ""
    return "unclear", ""


def _only_shown(folded: str) -> bool:
    """ "What happens" of a video as a whole is answered by what is seen in it."""
    return bool(_ONLY_SHOWN.fullmatch(folded))


def _place(folded: str) -> str:
    for place, pattern in (
        ("after", _AFTER), ("before", _BEFORE), ("last", _LAST), ("first", _FIRST), ("middle", _MIDDLE)
    ):  # fmt: skip
        if pattern.search(folded):
            return place
    return ""
