"""Texts of others, made harmless before they are shown."""

from unicodedata import category


def harmless(value: object) -> str:
    r"""A value as text that commands nothing: control characters and what turns its direction are replaced.

    Example:
        >>> harmless("red \x1b[31m alert")
        'red �[31m alert'
    """
    return "".join("\N{REPLACEMENT CHARACTER}" if _commands(letter) else letter for letter in str(value))


def _commands(letter: str) -> bool:
    """Control characters, halves of characters, and what turns the direction of a text."""
    return (
        (category(letter) in ("Cc", "Cs") and letter != "\n")
        or "\u202a" <= letter <= "\u202e"
        or "\u2066" <= letter <= "\u2069"
    )
