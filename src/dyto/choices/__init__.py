"""Multiple choice: writing options into a question, and reading the answer.

Nothing is guessed: an answer that names no option, or several, is None.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from dyto.errors import ConfigError

LETTERS = string.ascii_uppercase


def format_choices(choices: Sequence[str], *, separator: str = "\n") -> str:
    """Write options with their letters.

    Args:
        choices: Two to 26 options, none empty.
        separator: Text between two options.

    Returns:
        "(A) first", "(B) second", ... joined by `separator`.

    Raises:
        ConfigError: There are too few or too many options, or one is empty.

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
    """Return the option that an answer names.

    A reasoning block (`<think>`) never counts. In the rest, the first of these that is found decides, and later ones
    are ignored:

    1. the whole answer is the text of an option ("a dog"), unless it is a single letter and some option has it;
    2. the contents of `<answer>` or a box, or a final answer ("Final answer: B");
    3. an announcement ("The answer is B", "Answer: b", "I choose (B)", "B is correct", "答案是B");
    4. a statement ("I think B", "It is B");
    5. a letter that begins the answer or a line ("B", "B. a dog", "**B**");
    6. a letter in brackets or named as an option ("(B)", "option B", "Risposta: B");
    7. the text of an option within the answer ("It is a dog");
    8. yes or no, if an option begins with it ("No, it is not").

    A correction ("Wait, actually the answer is B", "Yes. Wait, no") cancels everything named before it. There is no
    answer if one step names different options in several places, or several in one place ("A and B"), or a letter
    past the last option, or a letter with another option's text. Later remarks about other options ("The answer is
    A. Option B shows a dog.") are not a second answer. A denied letter ("not A", "(A) is wrong", "all but A") is not
    named. Emphasis, quotes, brackets of any kind and full-width characters are ignored.

    Args:
        text: The model's answer.
        choices: The options, in the order of their letters.

    Returns:
        The index of the option, or None.

    Example:
        >>> [parse_choice(t, ["a cat", "a dog"]) for t in ("B) a dog", "It is a dog.", "A or B", "A man")]
        [1, 1, None, None]
    """
    from dyto.choices.cleaning import clean  # their patterns take a tenth of a second to compile
    from dyto.choices.letters import Letters, index_of
    from dyto.choices.naming import SEVERAL, Options

    answer, options = clean(text), Options(choices)
    lone = re.fullmatch(r"\W*([A-Za-z])\W*", answer)
    found = None if lone and index_of(lone[1]) < len(options) else options.verbatim(answer)
    if found is None:
        letters = Letters(answer, options)
        found = letters.chosen()
        if found is None:
            found = options.named(answer)
            found = None if found in letters.denied else found
        if found is None:
            found = options.yes_or_no(answer)
    return None if found == SEVERAL else found
