"""What the bundled eye understands of a query, told without torch."""

from __future__ import annotations

import difflib
from collections.abc import Sequence

from dyto.errors import ConfigError
from dyto.nouns.questions import UNSEEN, understand
from dyto.nouns.table import Concept, nouns, words_of
from dyto.nouns.wording import left_over, topic

ELSE = "or name an eye that reads any text, such as --eye siglip2-base"
NEAREST = 3
"""Known words that are suggested for one that is not known."""


def check_query(query: str) -> str:
    """Return a query without the blanks around it.

    Raises:
        ConfigError: Nothing is left.
    """
    text = query.strip()
    if not any(letter.isalnum() for letter in text):
        raise ConfigError(f"the query is empty (found {query!r}), expected what to look for: give e.g. 'a red car'")
    return text


def wanted_nouns(query: str) -> tuple[list[Concept], tuple[str, ...]]:
    """Find the things that a query names.

    Args:
        query: The query.

    Returns:
        The things, all of which must be seen, and notes about words that the eye does not know.

    Raises:
        ConfigError: The query is empty, or names nothing that the eye knows.

    Example:
        >>> wanted_nouns("a red car")
        ([Concept(word='car')], ("the eye nouns knows no 'red', which is left out of the search",))
    """
    words = words_of(check_query(query))
    spans = nouns().spans(words)
    things = [concept for _, _, concept in spans if concept.classes - nouns().people]
    strange = left_over(words, spans)
    if things:
        told = f"the eye nouns knows no {_quoted(strange)}, which is left out of the search"
        return things, (told,) if strange else ()
    if spans or understand(query).about == "people":
        raise ConfigError(f"the eye nouns knows nothing about {UNSEEN['people']}: ask for a thing or an animal, {ELSE}")
    near = list(dict.fromkeys(word for one in strange or words if not topic([one]) for word in nearest(one)))
    hint = f"did you mean {_quoted(near, ' or ')}? Else ask for another thing" if near else "ask for another thing"
    raise ConfigError(f"the eye nouns knows no {_quoted(strange or words)}, expected one of its nouns: {hint}, {ELSE}")


def nearest(word: str) -> list[str]:
    """Return the known nouns that are spelled like a word, the most alike first.

    Example:
        >>> nearest("zebbra"), nearest("qqqq")
        (['zebra', 'bra'], [])
    """
    return difflib.get_close_matches(word, nouns().words, n=NEAREST, cutoff=0.6)


def _quoted(words: Sequence[str], joint: str = ", ") -> str:
    return joint.join(repr(word) for word in words)
