"""Multiple choice: how options are written into a question, and how an answer is read back.

The reader never guesses: an answer that names no option, or several, is None.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from dyto.errors import ConfigError

LETTERS = string.ascii_uppercase

_NEGATION = re.compile(r"\b(?:not|neither|nor|never|cannot|\w+n't)\b", re.IGNORECASE)
_REJECTION = re.compile(
    r"[(\[]\s*([A-Z])\s*[)\]]\s*((?:(?:is|was)\s+(?:not|wrong|incorrect|false)|isn't|wasn't)\b.*)",
    re.IGNORECASE | re.DOTALL,
)


def format_choices(choices: Sequence[str], *, separator: str = "\n") -> str:
    """Write options with their letters.

    Args:
        choices: Two to 26 options, none empty.
        separator: What stands between them.

    Returns:
        "(A) first", "(B) second", ... joined by `separator`.

    Raises:
        ConfigError: Too few or too many options, or an empty one.

    Example:
        >>> format_choices(["a cat", "a dog"], separator=" ")
        '(A) a cat (B) a dog'
    """
    if isinstance(choices, str):
        raise ConfigError(f"choices is one text ({choices!r}), expected a list of them: put it in brackets")
    if not 2 <= len(choices) <= len(LETTERS):
        raise ConfigError(f"{len(choices)} choices given, expected 2 to {len(LETTERS)}")
    for letter, choice in zip(LETTERS, choices, strict=False):
        if not choice.strip():
            raise ConfigError(f"choice ({letter}) is empty, expected a text: give every choice some words")
    return separator.join(f"({letter}) {choice.strip()}" for letter, choice in zip(LETTERS, choices, strict=False))


def parse_choice(text: str, choices: Sequence[str]) -> int | None:
    """Read which option an answer names.

    Understood, in this order: an answer that begins with a letter ("B", "(B) ...", "B. ...", "B: ..."); a
    sentence that announces one ("The answer is (B)", "Option B"); an answer that is the text of an option;
    one single letter in brackets; the text of one single option somewhere in the answer. A letter past the
    last option, two options named alike, and a negated or rejected one ("(A) is wrong") are not understood.

    Args:
        text: What the model answered.
        choices: The options, in the order of their letters.

    Returns:
        The index of the option, or None.

    Example:
        >>> [parse_choice(t, ["a cat", "a dog"]) for t in ("B) a dog", "It is a dog.", "A or B", "A man")]
        [1, 1, None, None]
    """
    text = text.strip().strip("*_`\"'").strip()
    last = LETTERS[len(choices) - 1]
    options = [_plain(choice) for choice in choices]
    rejection = _REJECTION.match(text)  # "(A) is wrong", unless these are the words of option A
    rejects = rejection is not None and _plain(rejection[2]) not in options
    for reader in (_announced_letter,) if rejects else (_leading_letter, _announced_letter):
        letter = reader(text)
        if letter is not None:
            return LETTERS.index(letter) if letter <= last else None
    if rejects:
        return None
    plain = _plain(text)
    if options.count(plain) == 1:
        return options.index(plain)
    letters = {match.upper() for match in re.findall(r"\(([A-Za-z])\)", text)}
    if letters:
        letter = letters.pop()
        if letters or letter > last or _NEGATION.search(text):
            return None
        return LETTERS.index(letter)
    return _named_option(text, plain, options)


def _leading_letter(text: str) -> str | None:
    """A letter that stands at the very beginning and is no word of a sentence ("A man ...")."""
    if match := re.fullmatch(r"[(\[]?\s*([A-Za-z])\s*[)\].:,;]*", text):
        return match[1].upper()
    match = re.match(r"[(\[]\s*([A-Za-z])\s*[)\]]|([A-Z])\s*(?:[):,]|\.(?!\w)|\n| - )", text)
    if not match:
        return None
    rest = text[match.end() :]
    if re.match(r"\s*(?:,|/|&|and\b|or\b)?\s*(?:[(\[]\s*[A-Za-z]\s*[)\]]|[A-Za-z]\s*(?:[)\].:,;]|$))", rest):
        return None  # "(A) or (B)" names two
    return (match[1] or match[2]).upper()


def _announced_letter(text: str) -> str | None:
    """The letter of "answer is (B)", "option B", "choose (B)"; None where different ones are announced."""
    pattern = (
        r"\b(?:answer|option|choice|choose|pick|select)\b(?:\s+(?:option|choice|letter))?"
        r"(?:\s+(?:is|would be|should be))?(?:\s+(?:option|choice))?\s*:?\s*"
        r"(?:[(\[]\s*([A-Za-z])\s*[)\]]|([A-Z])(?![\w'])(?!\s+[a-z]))"
    )
    found = {
        (match[1] or match[2]).upper()
        for match in re.finditer(pattern, text, flags=re.IGNORECASE)
        if match[1] or match[2].isupper()
    }
    return found.pop() if len(found) == 1 else None


def _plain(text: str) -> str:
    """Lower case, without punctuation at word borders, articles at the beginning, or doubled spaces."""
    words = [word.strip(string.punctuation) or word for word in text.casefold().split()]
    if len(words) > 1 and words[0] in ("a", "an", "the"):
        words = words[1:]
    return " ".join(words)


def _named_option(text: str, plain: str, options: Sequence[str]) -> int | None:
    """The one option whose words occur in the answer; an option inside a longer named one does not count."""
    spans = {
        index: [match.span() for match in re.finditer(rf"(?<!\w){re.escape(option)}(?!\w)", plain)]
        for index, option in enumerate(options)
        if option
    }
    named = [
        index
        for index, own in spans.items()
        if any(
            not any(
                other != index and lo <= start and end <= hi and hi - lo > end - start
                for other, theirs in spans.items()
                for lo, hi in theirs
            )
            for start, end in own
        )
    ]
    if len(named) != 1:
        return None
    if _NEGATION.search(text) and not _NEGATION.search(options[named[0]]):
        return None
    return named[0]
