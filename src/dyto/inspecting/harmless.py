"""Sanitising of untrusted texts before they are shown."""

from unicodedata import category


def harmless(value: object) -> str:
    r"""Return a value as safe text: control characters and direction marks are replaced.

    Example:
        >>> harmless("red \x1b[31m alert")
        'red �[31m alert'
    """
    return "".join("\N{REPLACEMENT CHARACTER}" if _commands(letter) else letter for letter in str(value))


def _commands(letter: str) -> bool:
    """Return whether a character is a control character, a surrogate, or a direction mark."""
    return (
        (category(letter) in ("Cc", "Cs") and letter not in "\n\t")
        or "\u202a" <= letter <= "\u202e"
        or "\u2066" <= letter <= "\u2069"
    )
