"""Multiple choice: how options are written into a question, and how an answer is read back.

The reader never guesses: an answer that names no option, or several, is None.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence

from dyto.choices.cleaning import clean
from dyto.choices.letters import Letters, index_of
from dyto.choices.naming import SEVERAL, Options
from dyto.errors import ConfigError

LETTERS = string.ascii_uppercase


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

    What stands in a reasoning block (`<think>`) never counts. In what remains, the first of these that is there
    decides, and what is further down is not looked at:

    1. the whole answer is the text of an option ("a dog"), unless it is a single letter and some option has it;
    2. the contents of `<answer>` or a box, or what is called final ("Final answer: B");
    3. what is announced ("The answer is B", "Answer: b", "I choose (B)", "B is correct", "答案是B");
    4. what is said ("I think B", "It is B");
    5. a letter that begins the answer or a line ("B", "B. a dog", "**B**");
    6. a letter in brackets or named as an option ("(B)", "option B", "Risposta: B");
    7. the text of an option within the answer ("It is a dog");
    8. yes or no, where an option begins with it ("No, it is not").

    A correction ("Wait, actually the answer is B", "Yes. Wait, no") takes back all that was named before it. Where
    several places of the same step name different options, or one place names several ("A and B"), there is no
    answer; nor is there where a letter past the last option is named, or a letter together with another option's
    text. What is said of other options afterwards ("The answer is A. Option B shows a dog.") is no second answer. A
    denied letter ("not A", "(A) is wrong", "all but A") is not named. Emphasis, quotes and brackets of any sort, and
    full width, are decoration.

    Args:
        text: What the model answered.
        choices: The options, in the order of their letters.

    Returns:
        The index of the option, or None.

    Example:
        >>> [parse_choice(t, ["a cat", "a dog"]) for t in ("B) a dog", "It is a dog.", "A or B", "A man")]
        [1, 1, None, None]
    """
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
