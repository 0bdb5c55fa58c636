"""NaN and infinity in what a language model computes: noticed where they appear, and traced to a weight."""

from __future__ import annotations

import torch
from torch import Tensor

from dyto.errors import BadFeaturesError
from dyto.models.stock import StockModel


def bad_weight(model: StockModel) -> str | None:
    """The first weight of a model that holds NaN or infinity; None if none does. Reads them all.

    Args:
        model: StockModel module; weights that were offloaded are not looked at.

    Example:
        >>> layer = torch.nn.Linear(2, 2)
        >>> _ = layer.bias.data.fill_(float("inf"))
        >>> bad_weight(layer)
        'bias'
    """
    for name, weight in model.named_parameters():
        if weight.is_floating_point() and weight.device.type != "meta" and not _is_finite(weight.detach()):
            return str(name)
    return None


def _is_finite(numbers: Tensor) -> bool:
    """Whether all are numbers, in one pass: what is none is the smallest or the largest, 0.05 s a GB on one core."""
    if not numbers.numel():
        return True
    if hasattr(numbers, "__tensor_flatten__"):  # of parts, as torchao keeps quantized weights: numbers and their scales
        parts = [getattr(numbers, name) for name in numbers.__tensor_flatten__()[0]]
        return all(_is_finite(part) for part in parts if part.is_floating_point())
    if numbers.element_size() == 1:  # float8, which torch does not compare
        numbers = numbers.float()
    return bool(torch.isfinite(torch.stack(torch.aminmax(numbers))).all())


def check_weights(source: str, model: StockModel) -> None:
    """Refuse a model in whose weights there is NaN or infinity.

    Args:
        source: Where it was loaded from.
        model: The stock model; weights that were offloaded, or quantized to whole numbers, are not looked at.

    Raises:
        BadFeaturesError: There is some; the message names the weight.
    """
    name = bad_weight(model)
    if name is None:
        return
    too_large = model.dtype == torch.float16 and not torch.isnan(model.get_parameter(name)).any()
    rest = "or it is too large for float16: set dtype to bfloat16 or float32" if too_large else "or take another"
    raise BadFeaturesError(
        f"weight {name} of model {source} holds NaN or infinity, expected numbers: download the checkpoint again, "
        f"{rest}"
    )


def check_computed(numbers: Tensor, model: StockModel, while_: str) -> None:
    """Refuse what a language model computed if some of it is no number.

    Args:
        numbers: States or logits, as they came out.
        model: The stock model, in which the cause is looked for.
        while_: What it was doing.

    Raises:
        BadFeaturesError: NaN or infinity; the message names the weight that holds it, or the dtype that overflows.
    """
    if not _is_finite(numbers):
        raise not_finite(model, while_)


def not_finite(model: StockModel, while_: str) -> BadFeaturesError:
    """The error for NaN or infinity out of a language model, with its likely cause.

    Args:
        model: The stock model.
        while_: What it was doing.
    """
    return BadFeaturesError(
        f"the language model gave NaN or infinity while it {while_}, expected numbers: {cause(model)}"
    )


def cause(model: StockModel) -> str:
    """Why a model computes NaN or infinity, as far as can be told, and what to do.

    Args:
        model: The stock model.
    """
    name = bad_weight(model)
    if name is not None:
        return f"its weight {name} holds some; download the checkpoint again, or take another"
    dtype = str(model.dtype).removeprefix("torch.")
    other = {"float16": "bfloat16 or float32", "bfloat16": "float32"}.get(dtype)
    return f"it overflows in {dtype}; set dtype to {other}" if other else f"they are too large for {dtype}; try another"


class FiniteScores:
    """Stops an answer at the first token that would be chosen by NaN or infinity.

    Args:
        model: The stock model, in which the cause is looked for.
        masked: Whether options of the answer rule tokens out, by -inf: then those alone are no fault.
    """

    def __init__(self, model: StockModel, masked: bool) -> None:
        self._model, self._masked = model, masked

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """See `transformers.LogitsProcessor`; the scores come back as they are.

        Raises:
            BadFeaturesError: No token can be chosen by these scores.
        """
        check_computed(scores.amax(-1) if self._masked else scores, self._model, "wrote the answer")
        return scores
