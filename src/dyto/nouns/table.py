"""The nouns that the eye knows: names of its classes, and the words of a question that refer to them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property
from importlib.resources import files

import numpy as np
import numpy.typing as npt

from dyto.nouns.kinds import ALSO, FLAT, HELD, KINDS, NO_NOUN, PEOPLE, WITHOUT_ARTICLE, WORN

CLASSES = 1000
TOO_WIDE = 700
"""Largest number of classes that a word may cover; one for more ("object", "thing") names nothing."""

_IRREGULAR = {
    "mice": "mouse", "geese": "goose", "oxen": "ox", "people": "person", "men": "man", "women": "woman",
    "children": "child", "feet": "foot", "teeth": "tooth", "loaves": "loaf", "buses": "bus", "busses": "bus",
}  # fmt: skip


@dataclass(frozen=True)
class Concept:
    """The classes that a word or phrase of a question refers to.

    Attributes:
        word: The word as written, in the singular.
        classes: Numbers of the classes that it covers.
    """

    word: str
    classes: frozenset[int] = field(repr=False)

    @cached_property
    def mask(self) -> npt.NDArray[np.bool_]:
        """(1000,) bool, the classes that it covers."""
        mask = np.zeros(CLASSES, np.bool_)
        mask[list(self.classes)] = True
        return mask


class Nouns:
    """The table, read once.

    Attributes:
        names: Our short name of every class, in the order of the classifier's outputs.
        kinds: Everyday kinds, the narrower before the wider.
        people: Classes of people.
        worn: (1000,) people, and what they wear and hold: never asserted.
        guarded: (1000,) these, and what drawings and pages look like: asserted only if the question asks for it.
    """

    def __init__(self) -> None:
        rows = [line.split("\t") for line in (files(__package__) / "wordnet.tsv").read_text("utf-8").splitlines()]
        above = {synset: parents.split() for synset, _, _, parents in rows}
        words = {synset: names.split("|") for synset, _, names, _ in rows}
        number = {synset: int(index) for synset, index, _, _ in rows if index}
        self._below: dict[str, set[int]] = {synset: set() for synset in above}
        for synset, index in number.items():
            for upper in _upwards(synset, above):
                self._below[upper].add(index)
        self.names = [words[synset][0] for synset in sorted(number, key=number.__getitem__)]
        places = {name: index for index, name in enumerate(self.names)}
        self.kinds = [Concept(kind, self._covered(parts, places)) for kind, parts in KINDS.items()]
        self._meant: dict[str, set[int]] = {}
        for synset, names in words.items():
            if len(self._below[synset]) <= TOO_WIDE:
                for name in names:
                    self._meant.setdefault(_folded(name), set()).update(self._below[synset])
        for kind in self.kinds:
            self._meant.setdefault(_folded(kind.word), set()).update(kind.classes)
        self._meant.update({word: set(self._covered(parts, places)) for word, parts in ALSO.items()})
        self._longest = max(len(name.split()) for name in self._meant)
        self.people = self._covered(PEOPLE, places)
        worn = self._covered(WORN, places) | {places[name] for name in HELD}
        self.worn = np.zeros(CLASSES, np.bool_)
        self.worn[[*self.people, *worn]] = True
        self.guarded = self.worn.copy()
        self.guarded[[places[name] for name in FLAT]] = True

    @cached_property
    def words(self) -> list[str]:
        """Every word and phrase that it knows, in lower case."""
        return sorted(name for name, classes in self._meant.items() if classes and name not in NO_NOUN)

    def _covered(self, parts: Iterable[str], places: dict[str, int]) -> frozenset[int]:
        """Return the classes of synsets and of names."""
        return frozenset().union(*({places[part]} if part in places else self._below[part] for part in parts))

    def concepts(self, text: str) -> list[Concept]:
        """Find the things that a text names, in the order of the text; of overlapping names, the longest.

        Example:
            >>> [(c.word, len(c.classes)) for c in nouns().concepts("Is there a red panda, or are there dogs?")]
            [('red panda', 1), ('dog', 118)]
        """
        return [concept for _, _, concept in self.spans(words_of(text))]

    def spans(self, words: Sequence[str]) -> list[tuple[int, int, Concept]]:
        """Find the things that words name, with the places where each begins and ends."""
        found: list[tuple[int, int, Concept]] = []
        start = 0
        while start < len(words):
            for length in range(min(self._longest, len(words) - start), 0, -1):
                if concept := self._named(words[start : start + length]):
                    found.append((start, start + length, concept))
                    start += length
                    break
            else:
                start += 1
        return found

    def _named(self, words: Sequence[str]) -> Concept | None:
        """Find what exactly these words name, in the singular; None for nothing."""
        if len(words) == 1 and words[0] in NO_NOUN:
            return None
        for last in singulars(words[-1]):
            name = " ".join([*words[:-1], last])
            if classes := self._meant.get(name):
                return Concept(name, frozenset(classes))
        return None

    def kinds_of(self, index: int) -> list[Concept]:
        """Return the everyday kinds of a class, the narrower first."""
        return [kind for kind in self.kinds if index in kind.classes]


def _upwards(synset: str, above: dict[str, list[str]]) -> set[str]:
    found: set[str] = set()
    left = [synset]
    while left:
        if (one := left.pop()) not in found:
            found.add(one)
            left += above[one]
    return found


def _folded(name: str) -> str:
    return " ".join(words_of(name))


def words_of(text: str) -> list[str]:
    """Split a text into lower-case words, with hyphens opened and punctuation dropped.

    Example:
        >>> words_of("Is there a jack-o'-lantern?")
        ['is', 'there', 'a', 'jack', "o'", 'lantern']
    """
    return re.findall(r"[^\W_]+(?:'[^\W_]*)?", text.casefold())


def singulars(word: str) -> list[str]:
    """Return a word, and the singulars of which it may be the plural.

    Example:
        >>> singulars("foxes"), singulars("mice"), singulars("wolves")
        (['foxes', 'foxe', 'fox'], ['mice', 'mouse'], ['wolves', 'wolve', 'wolf', 'wolfe'])
    """
    found = [word]
    if word in _IRREGULAR:
        return [word, _IRREGULAR[word]]
    if len(word) > 3 and word.endswith("s") and not word.endswith("ss"):
        found.append(word[:-1])
        if word.endswith("ves"):
            found += [f"{word[:-3]}f", f"{word[:-3]}fe"]
        elif word.endswith("ies"):
            found.append(f"{word[:-3]}y")
        elif word.endswith("es"):
            found.append(word[:-2])
    return found


def with_article(name: str) -> str:
    """Write a name as it appears in a sentence.

    Example:
        >>> with_article("giant panda"), with_article("otter"), with_article("unicycle"), with_article("sunglasses")
        ('a giant panda', 'an otter', 'a unicycle', 'sunglasses')
    """
    if name in WITHOUT_ARTICLE:
        return name
    vowel = re.match(r"(?!uni[cfq]|eur|ut)[aeiou]|hourglass", name, re.IGNORECASE)
    return f"{'an' if vowel else 'a'} {name}"


@cache
def nouns() -> Nouns:
    """Return the table."""
    return Nouns()
