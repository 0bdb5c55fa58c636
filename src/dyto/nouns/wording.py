"""The words of a question beside its nouns: those that the grammar understands, and what the others ask about."""

from __future__ import annotations

import re
from collections.abc import Sequence


def _words(text: str) -> frozenset[str]:
    return frozenset(re.findall(r"\S+", text))


UNDERSTOOD = _words(
    """
    a able about actually after ago all along already also always am among an and any anything anywhere appear
    appearance appearances appeared appears are aren't arrive arrives as at be become becomes been before begin
    beginning begins being between breed breeds briefly can can't caption category caught choose class clear clearly
    clip clips come comes contain contained contains content contents correct could depict depicted depicts describe
    described detail detailed details did didn't different disappear disappears display displayed displays distinct
    do documentary does doesn't don't during each earlier early eighth either end ending ends enter enters entire
    entirely ever every everything exactly exist exists false feature featured features fifth film filmed films
    final finally find first follow followed following follows footage for found fourth frame frames from full
    general get give given go guess had halfway happen happened happening happens has have hello help here hey hi
    how i i'm identify if image images immediately in include included includes indeed initially into is isn't it
    it's item items just kind kindly kinds know last late later least leave leaves let list look looked looks main
    mainly may me means mention mentioned middle might mind moment moments mostly movie must my name named names
    next ninth no not now object objects occur occurs of ok okay on once one ones opens option options or order
    other others our out overall part particular perhaps picture pictured pictures please point possibly precede
    precedes preceding present previous prior probably question questions quickly quite re really recognise
    recognised recognize recognized record recorded recording reel s same say scene scenes screen second seconds see
    seem seems seen segment sequence seventh shall shot shots should show showed shown shows since sixth so some
    someplace something sometime somewhere sort sorts species spot spotted start started starts statement still
    story subject such summarise summarize summary sure t tell tenth than that that's the their them then there
    there's these they thing things think third this those through throughout till time times to together told topic
    true try type types until us variety version very vid video videos view viewed visible visual visually was
    wasn't watch watched watching we were weren't what what's when which while whole will with within won't would
    yes yet you your
    """
)
"""Words that change nothing, or that the grammar reads itself."""

_NUMBERS = "two three four five six seven eight nine ten dozen several many few more fewer less both single pair only"
_COLORS = """
black white red green blue yellow orange brown grey gray pink purple violet golden silver beige turquoise colorful
colourful dark bright striped transparent blond blonde
"""
_PLACES = """
left right top bottom above below under beneath behind beside near nearby front inside outside indoors outdoors corner
foreground background center centre upper lower upside down up away far close closer opposite against facing
street city town village country forest jungle garden home kitchen room zoo farm park
"""
_SIZE = """
big bigger biggest large larger largest small smaller smallest tiny huge tall taller tallest short shorter high higher
old older oldest young younger new newer fast faster fastest slow slower heavy heavier expensive cheap long longer wide
thick thin fat age ages
"""
_ABSENT = "except excluding besides else without neither nor missing absent unlike"
_REASONS = """
cute beautiful ugly happy sad angry scared afraid dangerous friendly nice good bad funny interesting important alive
dead sick healthy real fake asleep awake hungry tired friends love loves want wants
"""
BEYOND = {
    "counts": _words(_NUMBERS),
    "colors": _words(_COLORS),
    "places": _words(_PLACES),
    "size": _words(_SIZE),
    "reasons": _words(_REASONS),
    "absent": _words(_ABSENT),
}
"""Words by the topic of `dyto.nouns.questions.UNSEEN` that they ask about, where they are not part of a noun."""


def left_over(words: Sequence[str], spans: Sequence[tuple[int, int, object]]) -> list[str]:
    """Return the words of a question that are neither part of a noun nor understood.

    Args:
        words: The words, in lower case.
        spans: Start and stop of each noun, as `dyto.nouns.table.Nouns.spans` finds them.

    Example:
        >>> left_over(["is", "the", "dog", "brown"], [(2, 3, "dog")])
        ['brown']
    """
    inside = {at for start, stop, _ in spans for at in range(start, stop)}
    return [word for at, word in enumerate(words) if at not in inside and word not in UNDERSTOOD]


def topic(words: Sequence[str]) -> str:
    """Return the topic of `BEYOND` that words ask about, "" for none.

    Example:
        >>> topic(["brown"]), topic(["frobnicate"])
        ('colors', '')
    """
    return next((about for about, known in BEYOND.items() if not known.isdisjoint(words)), "")
