"""The context manager, and what it puts in the place of one instance's `generate` and `forward`."""

from __future__ import annotations

import functools
import inspect
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from dyto.dropin.calls import Shortened, check_going_on, shorten
from dyto.dropin.family import Family, family_of
from dyto.dropin.inputs import has_pixels
from dyto.errors import ConfigError
from dyto.features import VisualTokens
from dyto.strategies import Strategy, build_strategy

PREPARE = "prepare_inputs_for_generation"

logger = logging.getLogger(__name__)

REPLACED = ("generate", "forward", PREPARE)
"""What of an instance is replaced for the length of the block."""

_lock = threading.RLock()
_replaced: WeakKeyDictionary[Any, dict[str, tuple[Any, Any]]] = WeakKeyDictionary()
"""For every model in a block what was put there, and what stood there before; None for nothing."""

_active: WeakKeyDictionary[Any, list[Compression]] = WeakKeyDictionary()
"""For every model in a block its compressions, the outermost first."""


class Compression:
    """What happens in one `compressing` block.

    Attributes:
        calls: Calls of the model whose visual input was compressed so far.
        tokens: The visual tokens of the last such call, one for every sample; None for a sample of text alone.
    """

    def __init__(self, family: Family, strategy: Strategy) -> None:
        self.strategy = strategy
        self.calls = 0
        self.tokens: list[VisualTokens | None] = []
        self._family = family
        self._thread = threading.get_ident()

    def __repr__(self) -> str:
        used = ", ".join(f"{tokens.uncompressed} -> {len(tokens)}" for tokens in self.tokens if tokens)
        return f"Compression({self.calls} calls, tokens of the last: {used or 'none'})"

    def _shorten(self, name: str, call: Mapping[str, Any]) -> Shortened:
        shortened = shorten(self._family, self.strategy, call, generating=name == "generate")
        self.tokens = shortened.tokens
        self.calls += 1
        return shortened


@contextmanager
def compressing(
    model: Any, strategy: Strategy | str = "dyto", *, processor: Any = None, **fields: Any
) -> Iterator[Compression]:
    """Compress the visual input of one stock transformers model for the length of a block.

    Inside, `model.generate(**inputs)` and `model(**inputs)` take what the stock processor made of a prompt and
    several images (the frames of one video, in their order) or one video, and the language model reads the
    compressed tokens in the place of the placeholders; ids, mask and positions are shortened alike. `generate`
    returns the ids it was given, followed by the new ones, as it always does. Logits are those of the shortened
    input. Calls without images or videos run as ever. The instance alone is changed, and only until the end of
    the block, however it ends. Blocks may be nested; the inner one counts.

    Args:
        model: A model of transformers, of a family in `dyto list models`.
        strategy: A strategy, or the name of one.
        processor: The stock processor that makes the inputs. It is needed where its mean and deviation are not
            those that are usual for the family, and for a strategy that looks at the question.
        **fields: Fields of a strategy given by name, such as `token_budget`, or `preset`.

    Yields:
        What was compressed, for those who want to look.

    Raises:
        ConfigError: The model is of no known family; a call brings visual input that cannot be compressed; or no
            call of the block brought any.

    Example:
        >>> import dyto, torch
        >>> from dyto.models.tiny import build_processor
        >>> model, processor = dyto.load_model("tiny", device="cpu").model, build_processor()
        >>> frames = [torch.full((3, 84, 84), 20 * shade, dtype=torch.uint8) for shade in range(12)]
        >>> text = f"USER: {'<image>' * 12} what is shown ? ASSISTANT:"
        >>> inputs = processor(images=frames, text=text, return_tensors="pt")
        >>> with compressing(model, token_budget=100) as compression:
        ...     ids = model.generate(**inputs, max_new_tokens=4)
        >>> ids.shape[1] <= inputs.input_ids.shape[1] + 4, len(compression.tokens[0]) <= 100
        (True, True)
    """
    if fields and not isinstance(strategy, str):
        raise ConfigError(f"{', '.join(fields)} given beside a strategy object, expected them as fields of it")
    chosen = build_strategy(strategy, **fields) if isinstance(strategy, str) else strategy
    compression = Compression(family_of(model, processor), chosen)
    _enter(model, compression)
    try:
        yield compression
    finally:
        _leave(model, compression)
    if not compression.calls:
        raise ConfigError(
            "nothing was compressed: no call of this model inside the block brought pixel_values or "
            "pixel_values_videos; call generate or forward of this very instance with what its processor makes"
        )


def _enter(model: Any, compression: Compression) -> None:
    with _lock:
        stack = _active.setdefault(model, [])
        if not stack:
            for name in REPLACED:
                _replace(model, name)
        stack.append(compression)


def _leave(model: Any, compression: Compression) -> None:
    with _lock:
        stack = _active[model]
        stack.remove(compression)
        if not stack:
            del _active[model]
            for name in REPLACED:
                _restore(model, name)


def _replace(model: Any, name: str) -> None:
    """Put a wrapper among the attributes of the instance; what stood there before, if anything did, is kept."""
    original = getattr(model, name)
    if name == PREPARE:
        replacement = _taking_embeds(original)
    else:

        @functools.wraps(original)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            return _run(model, name, original, args, kwargs)

    _replaced.setdefault(model, {})[name] = (replacement, model.__dict__.get(name))
    model.__dict__[name] = replacement


def _taking_embeds(prepare: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, saying in its signature that it takes embeddings, which `generate` looks for there."""

    def taking(*args: Any, **kwargs: Any) -> Any:
        return prepare(*args, **kwargs)

    signature = inspect.signature(prepare)
    named = dict(signature.parameters)
    rest = named.popitem()
    named.setdefault("inputs_embeds", inspect.Parameter("inputs_embeds", inspect.Parameter.KEYWORD_ONLY, default=None))
    parameters = [*named.values(), rest[1]]
    taking.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
    return taking


def _restore(model: Any, name: str) -> None:
    replacement, own = _replaced[model].pop(name)
    if model.__dict__.get(name) is not replacement:
        logger.warning("%s of the model was replaced inside a block that compresses, and is left as it is now", name)
    elif own is None:
        del model.__dict__[name]
    else:
        model.__dict__[name] = own


def _current(model: Any) -> Compression | None:
    """The innermost block of this thread; else, as for a thread started in the block, the innermost of all.

    None past the end of all blocks, where somebody kept hold of what stood in the model inside.
    """
    with _lock:
        stack = _active.get(model, [])
        mine = [compression for compression in stack if compression._thread == threading.get_ident()]
        return (mine or stack)[-1] if stack else None


def _run(model: Any, name: str, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    compression = _current(model)
    if compression is None:
        return original(*args, **kwargs)
    call = _by_name(name, args, kwargs)
    if not has_pixels(call):
        if name == "forward":
            check_going_on(call)
        return original(*args, **kwargs)
    ids = call.get("input_ids")
    shortened = compression._shorten(name, call)
    with compression._family.reading(shortened.visual, shortened.tokens):
        result = original(**shortened.call)
    return result if name == "forward" else _after_prompt(result, ids, shortened)


def _by_name(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """The arguments of a call by name; `generate` calls the ids `inputs`, `forward` begins with them."""
    first = ("inputs", "generation_config") if name == "generate" else ("input_ids", "pixel_values")
    if len(args) > len(first):
        raise ConfigError(f"{name} was called with {len(args)} arguments by position: give them by name")
    call = {**dict(zip(first, args, strict=False)), **kwargs}
    ids = call.pop("inputs", None)
    return call if ids is None else {**call, "input_ids": ids}


def _after_prompt(result: Any, ids: Any, shortened: Shortened) -> Any:
    """The generated ids behind the ids that were passed in, as the unchanged code expects them."""
    sequences: Tensor = result if isinstance(result, Tensor) else result.sequences
    repeats = len(sequences) // len(ids)  # several sequences may have been asked for
    new = sequences[:, shortened.length :]
    whole = torch.cat([ids.repeat_interleave(repeats, 0).to(new.device), new], 1)
    if isinstance(result, Tensor):
        return whole
    result.sequences = whole
    return result
