"""A short trial of an unknown family: its stock class alone and the generic adapter must agree."""

from __future__ import annotations

import inspect
import math
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from torch import Tensor

from dyto.errors import DytoError, ModelError
from dyto.features import VisualTokens
from dyto.models.base import VideoModel
from dyto.models.loading.records import Record
from dyto.models.pixels import Pictures
from dyto.models.processing import accepted
from dyto.models.stock_classes import grid_of, patches_of

SIZE = (56, 84)
"""Height and width of the two pictures of a trial, pixels."""

ASKED = "look at this:", " what is shown there ?"
"""Text before and after the pictures of a trial."""

ALLOWED = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.02}
"""Largest difference of logits, in their standard deviations: for rounding, and for half precision."""

TYPES = ("mm_token_type_ids", "token_type_ids")
"""Names of stock models' argument that marks visual places."""


@dataclass(frozen=True)
class Way:
    """The way in which a stock model takes visual tokens.

    Attributes:
        types: The argument that marks visual places; "" if there is none.
        per_layer: Whether each layer has its own embedding, computed from the ids.
        added: Whether features are added to the embedding of their placeholder, instead of replacing it.
        first_axis: 1 if positions of three axes are passed without the places before them, else 0.
        grid: The argument with the rows and columns of a picture's patches; "" if there is none.
        merged: Number of patches along the side of a token.
    """

    types: str = ""
    per_layer: bool = False
    added: bool = False
    first_axis: int = 0
    grid: str = ""
    merged: int = 1


@dataclass(frozen=True)
class TrialResult:
    """The result of a trial.

    Attributes:
        difference: The largest difference of two logits, in deviations of the stock model's.
        allowed: The largest difference that passes.
        control: The difference for the same tokens in reverse order; it must be far larger, or the trial shows nothing.
        way: The way in which the adapter reads.
    """

    difference: float
    allowed: float
    control: float
    way: Way

    @property
    def passed(self) -> bool:
        """Whether the two agree, and would disagree if something were wrong."""
        return self.difference <= self.allowed and self.difference * 4 <= self.control

    @classmethod
    def of(cls, kept: Mapping[str, Any] | None) -> TrialResult | None:
        """Read a trial that was kept; None if it is none.

        Example:
            >>> trial = TrialResult(0.0, 1e-3, 2.5, Way(grid="image_grid_thw", merged=2))
            >>> TrialResult.of(asdict(trial)) == trial, TrialResult.of({"difference": "small"}), TrialResult.of(None)
            (True, None, None)
        """
        try:
            numbers = {name: kept[name] for name in ("difference", "allowed", "control")}  # type: ignore[index]
            way = Way(**kept["way"])  # type: ignore[index]
        except (TypeError, KeyError):
            return None
        fits = all(type(value) is type(getattr(Way(), name)) for name, value in vars(way).items())
        sound = all(isinstance(number, float) and math.isfinite(number) for number in numbers.values())
        return cls(**numbers, way=way) if fits and sound and way.merged > 0 else None


class OnTrial(VideoModel):
    """A model that can read in several ways, of which a trial finds the right one.

    Attributes:
        way: The current way.
        image_token: Id of the placeholders of a picture.
        has_axes: Whether positions have three axes.
    """

    way: Way
    image_token: int
    has_axes: bool

    @abstractmethod
    def pixels(self, pictures: Pictures) -> dict[str, Any]:
        """Run the image processor on pictures, on the device of the tower."""

    @abstractmethod
    def tokens_of(self, made: dict[str, Any], count: int) -> Tensor:
        """Return the (B, N, D) tokens that the stock class makes of the pixels of B pictures."""


def try_out(model: OnTrial, record: Record | None = None) -> TrialResult:
    """Let a stock model read a short prompt with two pictures, alone and by the generic adapter.

    Args:
        model: The adapter; its `way` becomes the first one in which it agrees with the stock model.
        record: Where the result is kept; a result that is there already saves the trial.

    Returns:
        The result.

    Raises:
        ModelError: The two differ in every way, or one of them cannot read the prompt.
    """
    trial = TrialResult.of(record.read()) if record else None
    if trial is None:
        trial = _tried(model)
        if record:
            record.write(asdict(trial))
    if not trial.passed:
        raise ModelError(
            f"model {model.name} ({type(model.model).__name__}) has no adapter here, and without one its logits differ "
            f"from the stock model's by {trial.difference:.3g} deviations, expected {trial.allowed:g} at most, and at "
            f"most a quarter of the difference that shuffled tokens make ({trial.control:.3g}): the model does more "
            "with pictures than put their tokens into the prompt; write an adapter as docs/families.md describes"
        )
    model.way = trial.way
    return trial


@torch.inference_mode()
def _tried(model: OnTrial) -> TrialResult:
    """Return the first trial that passes, or the one with the smallest difference."""
    pictures, asked = pictures_of_trial(), model.tokenize(*ASKED)
    trials: list[TrialResult] = []
    failed: Exception | None = None
    try:
        made = model.pixels(pictures)
        count = model.tokens_of(made, len(pictures)).shape[1]
        expected = read_alone(model, made, count, asked.before, asked.after)  # (S, V)
    except DytoError:
        raise
    except Exception as err:
        raise _unread(model, err) from err
    deviation = float(expected.std()) or 1.0
    grid, (rows, _) = patches_of(made)
    for way in _ways(model):
        model.way = replace(way, grid=grid, merged=max(1, rows // grid_of(made, count)[0]))
        try:
            whole = _whole(model, pictures)
            both = [whole, replace(whole, data=whole.data.flip(0))]
            found = [model.logits(model.prefill(asked.before, own), asked.after) for own in both]
        except (RuntimeError, ValueError, TypeError, IndexError) as err:  # the stock model takes it in another way
            failed = err
            continue
        apart = [float((logits - expected).abs().max()) / deviation for logits in found]
        trials.append(TrialResult(apart[0], ALLOWED.get(model.dtype, 0.1), apart[1], model.way))
        if trials[-1].passed:
            return trials[-1]
    if not trials:
        raise _unread(model, failed) from failed
    return min(trials, key=lambda trial: trial.difference)


def _unread(model: OnTrial, err: Exception | None) -> ModelError:
    said = str(err).strip().partition("\n")[0] or type(err).__name__
    return ModelError(
        f"model {model.name} ({type(model.model).__name__}) has no adapter here, and without one it could not read two "
        f"pictures ({said}), expected a class that accepts what its image processor makes: write an adapter as "
        "docs/families.md describes"
    )


def pictures_of_trial() -> list[np.ndarray]:
    """Return two pictures of noise, the same every time."""
    return list(np.random.default_rng(0).integers(0, 256, (2, *SIZE, 3), dtype=np.uint8))


def read_alone(model: OnTrial, made: dict[str, Any], count: int, before: Tensor, after: Tensor) -> Tensor:
    """Let the stock model alone read ids with placeholders, and pixels, as in `stock_call`.

    Returns:
        (S, V) logits of the text after the pictures.
    """
    logits: Tensor = model.model(**stock_call(model, made, count, before, after)).logits
    return logits[0, -len(after) :]


def stock_call(model: OnTrial, made: dict[str, Any], count: int, before: Tensor, after: Tensor) -> dict[str, Any]:
    """Return what a stock model alone is called with: ids with placeholders, and pixels.

    Args:
        model: The adapter of the stock model.
        made: The pixels of two pictures, and what else the image processor returns.
        count: Number of tokens of each picture.
        before: (P,) ids before the pictures.
        after: (S,) ids after them.
    """
    texts = [model._ids_of(text) for text in model.frame_texts(np.zeros(2))]
    places = before.new_full((count,), model.image_token)
    ids = torch.cat([before, texts[0], places, texts[1], places, texts[2], after])[None]
    types = (ids == model.image_token).long()
    call = {**made, **dict.fromkeys(TYPES, types), "input_ids": ids, "attention_mask": torch.ones_like(ids)}
    return accepted(model.model.forward, call)


def _whole(model: OnTrial, pictures: list[np.ndarray]) -> VisualTokens:
    """Return all tokens of pictures."""
    from dyto.strategies.uniform import whole_frames

    features = model.encode(pictures)
    return whole_frames(features, np.arange(len(pictures)), None, len(pictures) * features.num_patches)


def _ways(model: OnTrial) -> Iterator[Way]:
    """Yield the ways in which a stock model may take visual tokens, the usual ones first."""
    named = inspect.signature(model.model.forward).parameters
    per_layer = "per_layer_inputs" in named and hasattr(model.language_model(), "get_per_layer_inputs")
    axes = (0, 1) if model.has_axes else (0,)
    for added, first_axis, types in product((False, True), axes, ("", *(name for name in TYPES if name in named))):
        yield Way(types, per_layer, added, first_axis)
