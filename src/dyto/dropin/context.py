"""The context manager, and its replacements of one instance's `generate` and `forward`."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from dyto.dropin import blocks
from dyto.dropin.arguments import check_pictures
from dyto.dropin.calls import Shortened, shorten
from dyto.dropin.inputs import has_pixels
from dyto.dropin.kept import Kept, cache_in, cache_of, keep, kept_in, length_of, open_for_reading
from dyto.dropin.whole import Whole
from dyto.dropin.wrapped import WrappedModel
from dyto.dropin.wrapping import wrap_model
from dyto.errors import ConfigError
from dyto.features import VisualTokens
from dyto.models.generation.decoding import for_first_step, taking_embeds
from dyto.models.stock import StockModel
from dyto.strategies import Strategy, build_strategy
from dyto.strategies.calling import BoundStrategy

PREPARE = "prepare_inputs_for_generation"
COMPILED = "_compiled_call_impl"


class Compression:
    """The record of one `compressing` block.

    Attributes:
        calls: Number of model calls so far whose visual input was compressed.
        tokens: The visual tokens of the last such call, one entry per video, sample after sample; None for a sample
            that is text only.
    """

    def __init__(self, wrapped: WrappedModel, strategy: Strategy) -> None:
        self.strategy, self._bound = strategy, BoundStrategy(strategy)
        self.calls = 0
        self.tokens: list[VisualTokens | None] = []
        self.wrapped = wrapped

    def __repr__(self) -> str:
        used = ", ".join(f"{tokens.uncompressed} -> {len(tokens)}" for tokens in self.tokens if tokens)
        return f"Compression({self.calls} calls, tokens of the last: {used or 'none'})"

    def _shorten(self, name: str, call: Mapping[str, Any], kept: Kept | None) -> Shortened:
        shortened = shorten(self.wrapped, self._bound, call, kept, generating=name == "generate")
        if has_pixels(call):
            self.tokens = shortened.tokens
            self.calls += 1
        return shortened


@contextmanager
def compressing(
    model: StockModel, strategy: Strategy | str | None = None, *, processor: Any = None, **fields: Any
) -> Iterator[Compression]:
    """Compress the visual input of one stock transformers model for the length of a block.

    Inside, `model.generate(**inputs)` and `model(**inputs)` take what the stock processor made from a prompt with
    pictures, and the language model reads the compressed tokens in place of the placeholders; ids, mask and positions
    are shortened to match. Images with nothing but frame captions between them are the frames of one video, in order.
    Words between images separate videos: each video is compressed independently, and gets the whole budget. Every word
    of the prompt reaches the model, or there is an error.

    `generate` returns the ids it was given, followed by the new ones, as it always does, and a call may continue from
    its cache. Logits are those of the shortened input. Calls without images or videos run as usual. Only this instance
    is changed, and only until the end of the block, however it ends. Blocks may be nested; the inner one counts. A
    compiled model runs uncompiled inside.

    Args:
        model: A transformers model of a family in `dyto list models`, or of one without an adapter that passes a short
            trial; or the result of `torch.compile` on one.
        strategy: A strategy or its name; None for the default, see `dyto.strategies.build_strategy`.
        processor: The stock processor that makes the inputs. It is needed if its mean and deviation are unusual for
            the family, for a strategy that reads the question, to read captions of frames if no tokenizer is stored
            next to the model's weights, and for every family without an adapter.
        **fields: Fields of a strategy given by name, such as `token_budget`, or `preset`.

    Yields:
        A record of what was compressed.

    Raises:
        ConfigError: The model's family is unknown; a call has visual input that cannot be compressed, or continues
            from an unsuitable cache; or no call in the block had visual input.
        ModelError: Words of a prompt would not reach the model, or it did not pass its trial.

    Example:
        >>> import dyto, torch
        >>> from dyto.models.adapters.tiny import build_processor
        >>> model, processor = dyto.load_model("tiny", device="cpu").model, build_processor()
        >>> frames = [torch.full((3, 84, 84), 20 * shade, dtype=torch.uint8) for shade in range(12)]
        >>> text = f"USER: {'<image>' * 12} what is shown ? ASSISTANT:"
        >>> inputs = processor(images=frames, text=text, return_tensors="pt")
        >>> with compressing(model, token_budget=100) as compression:
        ...     ids = model.generate(**inputs, max_new_tokens=4)
        >>> ids.shape[1] <= inputs.input_ids.shape[1] + 4, len(compression.tokens[0]) <= 100
        (True, True)
    """
    if strategy is None or isinstance(strategy, str):
        strategy = build_strategy(strategy, **fields)
    elif fields:
        raise ConfigError(f"{', '.join(fields)} given with a strategy object, expected them as fields of the object")
    model = getattr(model, "_orig_mod", model)  # of torch.compile
    compression = Compression(wrap_model(model, processor), strategy)
    blocks.enter(model, compression, _replacements(model))
    try:
        yield compression
    finally:
        blocks.leave(model, compression)
    if not compression.calls:
        raise ConfigError(
            "nothing was compressed: no call of this model inside the block brought pixel_values or "
            "pixel_values_videos; call generate or forward of this very instance with what its processor makes"
        )


def _replacements(model: StockModel) -> dict[str, Callable[[Any], Any]]:
    """Return the attributes of an instance to replace for the length of the block, and their replacements."""
    replacements: dict[str, Callable[[Any], Any]] = {
        "generate": functools.partial(_compressed, model, "generate"),
        "forward": functools.partial(_compressed, model, "forward"),
        PREPARE: lambda prepare: for_first_step(taking_embeds(prepare)),
    }
    if vars(model).get(COMPILED) is not None:
        replacements[COMPILED] = lambda compiled: None
    return replacements


def _compressed(model: StockModel, name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function so that it compresses; torch does not trace into it when it compiles a caller."""

    original = getattr(original, "_torchdynamo_orig_callable", original)  # of model.forward = torch.compile(...)

    @functools.wraps(original)
    def replacement(*args: Any, **kwargs: Any) -> Any:
        return _run(model, name, original, args, kwargs)

    disabled: Callable[..., Any] = torch.compiler.disable(replacement)  # type: ignore[no-untyped-call]
    return disabled


def _run(
    model: StockModel, name: str, original: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]
) -> Any:
    compression: Compression | None = blocks.current(model)
    if compression is None or blocks.is_calling(model):
        return original(*args, **kwargs)
    call = _by_name(model, name, args, kwargs)
    cache = cache_in(call)
    kept = kept_in(cache)
    wrapped = compression.wrapped
    if kept is None and not has_pixels(call):
        _check_text(call, length_of(cache), wrapped)
        with blocks.calling(model):
            return original(*args, **kwargs)
    shortened = compression._shorten(name, call, kept)
    whole = Whole(call["input_ids"], shortened.length)
    arguments = whole.arguments(shortened.call) if name == "generate" else shortened.call
    filled = cache
    try:
        with blocks.calling(model), open_for_reading(cache), shortened.reading(wrapped):
            result = original(**arguments)
        filled = cache_of(result) or cache
    finally:
        if length_of(filled):  # also after an error, if the prompt has been read
            keep(filled, model, shortened.kept)
    return whole.result(result) if name == "generate" else result


def _check_text(call: Mapping[str, Any], filled: int, wrapped: WrappedModel) -> None:
    """Check a call without pixels and without a shortened prompt in its cache."""
    ids, mask = call.get("input_ids"), call.get("attention_mask")
    if not isinstance(ids, torch.Tensor) or ids.ndim != 2:
        return
    new = slice(filled if filled < ids.shape[1] else 0, None)
    fits = isinstance(mask, torch.Tensor) and mask.shape == ids.shape
    attended = mask if fits and mask is not None else torch.ones_like(ids)
    check_pictures(ids[:, new], attended[:, new], wrapped.placeholders)


def _by_name(model: StockModel, name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name; in `generate` the ids are called `inputs`."""
    parameters = list(inspect.signature(getattr(type(model), name)).parameters.values())[1:]
    names = [parameter.name for parameter in parameters if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
    if len(args) > len(names):
        raise ConfigError(f"{name} was called with {len(args)} arguments by position: give them by name")
    call = {**dict(zip(names, args, strict=False)), **kwargs}
    ids = call.pop("inputs", None)
    return call if ids is None else {**call, "input_ids": ids}
