"""The interface of all strategies, and their common parts."""

from __future__ import annotations

import math
import operator
from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from dyto.errors import ConfigError, unknown

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from torch import Tensor

    from dyto.features import FrameFeatures, VisualTokens
    from dyto.video import Frames

REFERENCE_PATCHES = 576
"""Patches per frame of CLIP-L/336, for which the published budgets are stated."""

MOST_LAYERS = 1000
"""An upper bound for `attention_layer`: no tower has more layers."""

NEEDS: dict[str, tuple[str, tuple[str, ...]]] = {
    "attention": ("the attention that patches receive in one layer of the tower", ()),
    "question": ("the question", ()),
    "resolutions": ("a tower that takes frames at other resolutions", ("encode_grid",)),
    "pictures": ("a path for single pictures", ("encode_picture", "picture_length")),
    "words": ("embeddings of the question's words", ("embed_text",)),
}
"""What a strategy may need (its class attribute `needs`): a description, and the methods of a model that provide it."""


class Encode(Protocol):
    """The vision side of a model, as a strategy receives it."""

    def __call__(
        self, images: Frames | Sequence[npt.NDArray[np.uint8]], *, attention_layer: int | None = None
    ) -> FrameFeatures:
        """Encode frames, or any uint8 (H, W, 3) pictures composed of them."""
        ...


class Named(Protocol):
    """A strategy with a name, for error messages."""

    @property
    def name(self) -> str:
        """Its name."""


class Strategy(Protocol):
    """A strategy, which turns the frames of a video into tokens for the language model.

    Any callable with this signature is a strategy; it needs no registration. Five attributes are optional:
    `name`, `uses_question` (True if the tokens depend on the question, so that each question needs its own
    encoding), `needs`, the keys of `NEEDS` that the model must offer, `picks_keyframes` (True if its key frames
    as whole pictures can stand for its tokens, as for a model behind an endpoint), and `takes_segments` (True if it
    reads `FrameFeatures.stands`, so that a memory may hold fewer frames than the video).

    Example:
        >>> import numpy as np, dyto
        >>> def first_frame(frames, encode, question=None):
        ...     return dyto.Uniform(token_budget=36)(frames[:1], encode)
        >>> qa = dyto.VideoQA.from_pretrained("tiny", first_frame)
        >>> qa.encode(np.zeros((12, 48, 48, 3), np.uint8))
        VisualTokens(36 tokens of 1 key frames, budget=36, uncompressed=36, dim=192)
    """

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode the needed frames and return tokens within the budget."""
        ...


def hook(strategy: Named, encode: Encode, need: str, which: int = 0) -> Callable[..., Any]:
    """Return a method that the strategy needs and that only some models offer.

    Args:
        strategy: The strategy that needs it.
        encode: The encoder that the strategy received; the model's further methods are its attributes.
        need: A key of `NEEDS`.
        which: Index of the method.

    Returns:
        The method.

    Raises:
        ConfigError: The model lacks it; the message names strategy and model.
    """
    words, methods = NEEDS[need]
    if not all(hasattr(encode, method) for method in methods):
        raise lacking(strategy, encode, words)
    found: Callable[..., Any] = getattr(encode, methods[which])
    return found


def attention_of(strategy: Named, encode: Encode, features: FrameFeatures) -> Tensor:
    """Return the (T, N) attention of the features, in float32.

    Raises:
        ConfigError: There is none, because the model's family cannot provide it.
    """
    if features.attention is None:
        raise lacking(strategy, encode, NEEDS["attention"][0])
    return features.attention.float()


def substitute(strategy: Named, features: FrameFeatures) -> tuple[str, ...]:
    """Return the warning about the attention of a tower without CLS; nothing if there is a CLS."""
    if features.summary_source == "CLS":
        return ()
    return (f"{strategy.name}: the tower has no CLS, so attention is the mean over all patches",)


def lacking(strategy: Named, encode: Encode, what: str) -> ConfigError:
    """Return the error for a model that cannot give what a strategy needs."""
    model = getattr(encode, "name", "given")
    return ConfigError(
        f"strategy {strategy.name!r} needs {what}, but model {model} does not offer it: use another strategy of "
        "`dyto list strategies`, or another model"
    )


def too_small(budget: int, least: int, what: str = "one whole frame", advice: str = "") -> ConfigError:
    """Return the error for a budget below one frame."""
    return ConfigError(
        f"token budget {budget}, but {what} has {least} tokens: raise the budget to at least {least} "
        f"or {advice or 'use a strategy that merges'}"
    )


def resolve_budget(token_budget: int | None, reference: int, num_patches: int) -> int:
    """Return the number of tokens allowed for a tower.

    Args:
        token_budget: The requested budget; None for the published budget scaled to the tower.
        reference: The published budget, stated for 576 patches per frame.
        num_patches: Patches per frame of this tower.

    Returns:
        `token_budget`, or round(reference / 576 * num_patches), at least 1.

    Raises:
        ConfigError: The budget is below 1, or not a whole number.

    Example:
        >>> resolve_budget(None, 3680, 576), resolve_budget(None, 3680, 36), resolve_budget(99, 3680, 36)
        (3680, 230, 99)
    """
    if token_budget is None:
        return max(1, round(reference / REFERENCE_PATCHES * num_patches))
    try:
        budget = operator.index(token_budget)
    except TypeError as err:
        raise ConfigError(f"token budget {token_budget!r}, expected a whole number: round it") from err
    if budget < 1:
        raise ConfigError(f"token budget {budget}, expected at least 1: every video needs a token")
    return budget


def check_at_least(strategy: Named, least: float, *names: str) -> None:
    """Check that fields of a strategy are at least `least`; None is left to the strategy.

    Raises:
        ConfigError: A value is below `least`, not a number, or not whole although `least` is.
    """
    for name in names:
        value = getattr(strategy, name)
        if value is None:
            continue
        is_number = (isinstance(value, int) and not isinstance(value, bool)) or (
            isinstance(value, float) and math.isfinite(value)
        )
        if not is_number or value < least:
            raise ConfigError(f"{name} of strategy {strategy.name!r} is {value!r}, expected at least {least}")
        if isinstance(least, int) and value != int(value):
            raise ConfigError(f"{name} of strategy {strategy.name!r} is {value!r}, expected a whole number")


def check_flags(strategy: Named, *names: str) -> None:
    """Check that fields of a strategy are true or false.

    Raises:
        ConfigError: A field has another value.
    """
    for name in names:
        if not isinstance(getattr(strategy, name), bool):
            raise ConfigError(
                f"{name} of strategy {strategy.name!r} is {getattr(strategy, name)!r}, expected true or false"
            )


def check_words(strategy: Named, **known: Sequence[str]) -> None:
    """Check that fields of a strategy are known words.

    Raises:
        ConfigError: A word is unknown; the nearest known one is named.
    """
    for name, words in known.items():
        if getattr(strategy, name) not in words:
            raise unknown(f"{name} of strategy {strategy.name!r}", getattr(strategy, name), words)


def check_shares(strategy: Named, *names: str) -> None:
    """Check that fields of a strategy are shares from 0 to 1.

    Raises:
        ConfigError: A value is below 0, above 1, or not a number.
    """
    check_at_least(strategy, 0.0, *names)
    for name in names:
        if getattr(strategy, name) > 1:
            raise ConfigError(
                f"{name} of strategy {strategy.name!r} is {getattr(strategy, name)!r}, expected a share from 0 to 1"
            )


class Budgeted:
    """The base of strategies with a token budget; each declares the fields itself, in its own order.

    Attributes:
        token_budget: Largest number of visual tokens. None for `reference_budget` scaled to the tower's patches.
        reference_budget: The published budget for 576 patches per frame.
    """

    name: ClassVar[str]
    uses_question: ClassVar[bool] = False
    needs: ClassVar[tuple[str, ...]] = ()

    token_budget: int | None
    reference_budget: int

    def __post_init__(self) -> None:
        """Check the budget; a strategy that checks more of its fields calls this, too."""
        check_at_least(self, 1, "reference_budget")
        resolve_budget(self.token_budget, self.reference_budget, 1)

    def budget_for(self, num_patches: int) -> int:
        """Return the number of tokens allowed for a tower with `n` patches per frame."""
        return resolve_budget(self.token_budget, self.reference_budget, num_patches)


class EncodesAll(Budgeted):
    """A strategy that encodes all frames and compresses their features, and ignores the question."""

    @abstractmethod
    def compress(self, features: FrameFeatures) -> VisualTokens:
        """Turn features of the sampled frames into tokens."""

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode all frames and compress."""
        return self.compress(encode(frames))


class LooksAtAttention(Budgeted):
    """A strategy that uses the attention that patches receive in a layer of the tower.

    Attributes:
        attention_layer: Index of the layer.
    """

    needs: ClassVar[tuple[str, ...]] = ("attention",)

    attention_layer: int

    @abstractmethod
    def compress(self, features: FrameFeatures, attention: Tensor) -> VisualTokens:
        """Turn features and (T, N) attention into tokens."""

    def __call__(self, frames: Frames, encode: Encode, question: str | None = None) -> VisualTokens:
        """Encode all frames with the layer's attention and compress; the question is ignored.

        Raises:
            ConfigError: The model offers no attention.
        """
        features = encode(frames, attention_layer=self.attention_layer)
        return self.compress(features, attention_of(self, encode, features))
