"""What a picture costs at an endpoint: the rules by which common models count image tokens.

The rules are the makers' own statements, each with its source. They are estimates: an endpoint may resize pictures
first (a server's limit of pixels), so what a run has spent is what the endpoint itself counted, if it says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass

from dyto.errors import ConfigError

Count = Callable[[int, int], int]
"""Function from the height and width of a picture, in pixels, to its tokens."""


def fitted(height: int, width: int, longest: float, shortest: float = math.inf) -> tuple[float, float]:
    """Shrink a size until its longer and its shorter side are at most these; it never grows."""
    scale = min(1.0, longest / max(height, width), shortest / min(height, width))
    return height * scale, width * scale


@dataclass(frozen=True)
class Tiles:
    """So many tokens for a picture, and for each tile of 512 pixels after it was shrunk.

    Example:
        >>> Tiles(85, 170)(1024, 1024), Tiles(85, 170)(288, 512)
        (765, 255)
    """

    base: int
    tile: int

    def __call__(self, height: int, width: int) -> int:
        """Return the tokens of a picture."""
        rows, cols = (math.ceil(round(side, 6) / 512) for side in fitted(height, width, 2048, 768))
        return self.base + self.tile * rows * cols


@dataclass(frozen=True)
class Squares:
    """A token for each square of some pixels, at least and at most so many, times a factor, and some for its marks.

    Attributes:
        side: Side of a square, in pixels.
        least: Smallest number of squares; a smaller picture is enlarged.
        most: Largest number of squares; a larger picture is shrunk.
        factor: Tokens of a square.
        marks: Tokens before and after the picture.
        round_up: Whether a part of a square counts as one, otherwise sides are rounded.
        row_marks: Whether each row of squares ends with one more token.

    Example:
        >>> Squares(28, 4, 16384, marks=2)(448, 756), Squares(32, 1, 1536, factor=1.62, round_up=True)(1024, 1024)
        (434, 1659)
    """

    side: int
    least: int
    most: int
    factor: float = 1.0
    marks: int = 0
    round_up: bool = False
    row_marks: bool = False

    def __call__(self, height: int, width: int) -> int:
        """Return the tokens of a picture."""
        whole: Callable[[float], int] = math.ceil if self.round_up else round
        rows, cols = (max(1, whole(side / self.side)) for side in (height, width))
        squares = math.ceil(self.factor * min(max(rows * cols, self.least), self.most) - 1e-9)
        return squares + self.marks + (rows if self.row_marks else 0)


def by_area(height: int, width: int) -> int:
    """Return a token for every 750 pixels, after shrinking to 1568 pixels a side and 1600 tokens.

    Example:
        >>> by_area(1000, 1000), by_area(4000, 4000)
        (1334, 1600)
    """
    rows, cols = fitted(height, width, 1568)
    return min(1600, math.ceil(rows * cols / 750))


def by_crops(height: int, width: int) -> int:
    """Return 258 tokens for a picture up to 384 pixels a side, and otherwise for each of its tiles of up to 768 pixels.

    Example:
        >>> by_crops(384, 384), by_crops(540, 960)
        (258, 1548)
    """
    if max(height, width) <= 384:
        return 258
    unit = max(256, min(768, math.floor(min(height, width) / 1.5)))
    return 258 * math.ceil(height / unit) * math.ceil(width / unit)


@dataclass(frozen=True)
class FixedCount:
    """The same number of tokens for any picture."""

    tokens: int

    def __call__(self, height: int, width: int) -> int:
        """Return the tokens of a picture."""
        return self.tokens


@dataclass(frozen=True)
class Rule:
    """How the models of a name count.

    Attributes:
        names: Pattern of their names at endpoints, in lower case.
        count: The rule.
        said: The rule in words.
        source: Who says so.
    """

    names: str
    count: Count
    said: str
    source: str


_OPENAI = "platform.openai.com/docs/guides/images-vision, calculating costs"
_QWEN = "the model cards of Qwen/Qwen2-VL-7B-Instruct and Qwen/Qwen3-VL-8B-Instruct"

RULES: tuple[Rule, ...] = (
    Rule(r"gpt-4\.1-nano", Squares(32, 1, 1536, 2.46, round_up=True), "squares of 32 pixels, times 2.46", _OPENAI),
    Rule(r"gpt-5.*-nano", Squares(32, 1, 1536, 2.46, round_up=True), "squares of 32 pixels, times 2.46", _OPENAI),
    Rule(r"gpt-(4\.1|5.*)-mini", Squares(32, 1, 1536, 1.62, round_up=True), "squares of 32 pixels, times 1.62",
         _OPENAI),
    Rule(r"o4-mini", Squares(32, 1, 1536, 1.72, round_up=True), "squares of 32 pixels, times 1.72", _OPENAI),
    Rule(r"gpt-4o-mini", Tiles(2833, 5667), "2833, and 5667 for each tile of 512 pixels", _OPENAI),
    Rule(r"gpt-5", Tiles(70, 140), "70, and 140 for each tile of 512 pixels", _OPENAI),
    Rule(r"(^|/)o[13](-|$)", Tiles(75, 150), "75, and 150 for each tile of 512 pixels", _OPENAI),
    Rule(r"gpt-4|chatgpt", Tiles(85, 170), "85, and 170 for each tile of 512 pixels", _OPENAI),
    Rule(r"claude", by_area, "a token for 750 pixels, at most 1600", "docs.anthropic.com/en/docs/vision"),
    Rule(r"gemini", by_crops, "258 for each tile of up to 768 pixels", "ai.google.dev/gemini-api/docs/tokens"),
    Rule(r"qwen-?3(\.\d)?-?(vl|omni)|qwen3\.[5-9]", Squares(32, 4, 16384, marks=2), "squares of 32 pixels", _QWEN),
    Rule(r"qwen.*(vl|omni)|qvq", Squares(28, 4, 16384, marks=2), "squares of 28 pixels", _QWEN),
    Rule(r"gemma-?[34]", FixedCount(258), "256, and 2 marks", "ai.google.dev/gemma/docs/core"),
    Rule(r"pixtral", Squares(16, 1, 4096, round_up=True, row_marks=True),
         "squares of 16 pixels, and a mark for each row", "arXiv 2410.07073"),
    Rule(r"llava-?(v?1\.6|next|onevision)", FixedCount(2928), "576 for each of five tiles, and marks: at most",
         "llava-vl.github.io/blog/2024-01-30-llava-next"),
    Rule(r"llava|bakllava|vip-?llava", FixedCount(576), "576", "arXiv 2310.03744"),
)  # fmt: skip
"""The rules; the first whose pattern is found in a name counts."""

UNKNOWN = Rule("", Squares(28, 4, 16384), "squares of 28 pixels, since no rule is known for this name", "an assumption")
"""The rule for any other name."""


def rule_for(name: str, tokens_per_image: int | None = None) -> Rule:
    """Return the rule by which the pictures of a model are counted.

    Args:
        name: Name of the model at the endpoint.
        tokens_per_image: A fixed number, which replaces the rule.

    Raises:
        ConfigError: The number is below 1.

    Example:
        >>> rule_for("qwen2.5vl:7b").said, rule_for("my-model", 100).count(720, 1280)
        ('squares of 28 pixels', 100)
    """
    if tokens_per_image is not None:
        if tokens_per_image < 1:
            raise ConfigError(f"tokens_per_image is {tokens_per_image}, expected at least 1")
        return Rule("", FixedCount(tokens_per_image), f"{tokens_per_image} for any picture, as given", "the caller")
    return next((rule for rule in RULES if re.search(rule.names, name.lower())), UNKNOWN)
