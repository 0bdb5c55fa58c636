"""Detection of NaN and infinity in a language model's results, and tracing to a weight."""

from __future__ import annotations

import torch
from torch import Tensor

from dyto.errors import BadFeaturesError
from dyto.models.stock import StockModel


def bad_weight(model: StockModel) -> str | None:
    """Return the first weight of a model that holds NaN or infinity, or None; it reads all weights.

    Args:
        model: The stock model; offloaded weights are not checked.

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
    """Return whether all values are finite, in one pass over minimum and maximum (0.05 s per GB on one core)."""
    if not numbers.numel():
        return True
    if hasattr(numbers, "__tensor_flatten__"):  # of parts, as torchao keeps quantized weights: numbers and their scales
        parts = [getattr(numbers, name) for name in numbers.__tensor_flatten__()[0]]
        return all(_is_finite(part) for part in parts if part.is_floating_point())
    if numbers.element_size() == 1:  # float8, which torch does not compare
        numbers = numbers.float()
    return bool(torch.isfinite(torch.stack(torch.aminmax(numbers))).all())


def check_weights(source: str, model: StockModel) -> None:
    """Refuse a model with NaN or infinity in its weights.

    Args:
        source: Source of the model.
        model: The stock model; weights that are offloaded, or quantized to integers, are not checked.

    Raises:
        BadFeaturesError: A weight holds NaN or infinity; the message names it.
    """
    name = bad_weight(model)
    if name is None:
        return
    too_large = model.dtype == torch.float16 and not torch.isnan(model.get_parameter(name)).any()
    rest = "or it is too large for float16: set dtype to bfloat16 or float32" if too_large else "or use another"
    raise BadFeaturesError(
        f"weight {name} of model {source} holds NaN or infinity, expected numbers: download the checkpoint again, "
        f"{rest}"
    )


def check_computed(numbers: Tensor, model: StockModel, while_: str) -> None:
    """Refuse results of a language model that hold NaN or infinity.

    Args:
        numbers: States or logits from the model.
        model: The stock model, to find the cause.
        while_: What the model was doing.

    Raises:
        BadFeaturesError: NaN or infinity; the message names the weight that holds it, or the dtype that overflows.
    """
    if not _is_finite(numbers):
        raise not_finite(model, while_)


def not_finite(model: StockModel, while_: str) -> BadFeaturesError:
    """Return the error for NaN or infinity from a language model, with the likely cause.

    Args:
        model: The stock model.
        while_: What the model was doing.
    """
    return BadFeaturesError(
        f"the language model gave NaN or infinity while it {while_}, expected numbers: {cause(model)}"
    )


def cause(model: StockModel) -> str:
    """Return the likely cause of NaN or infinity in a model, and what to do.

    Args:
        model: The stock model.
    """
    name = bad_weight(model)
    if name is not None:
        return f"its weight {name} holds some; download the checkpoint again, or use another"
    dtype = str(model.dtype).removeprefix("torch.")
    other = {"float16": "bfloat16 or float32", "bfloat16": "float32"}.get(dtype)
    return f"it overflows in {dtype}; set dtype to {other}" if other else f"they are too large for {dtype}; try another"


class FiniteScores:
    """A logits processor that stops an answer at the first token with NaN or infinity among its scores.

    Args:
        model: The stock model, to find the cause.
        masked: Whether options of the answer exclude tokens with -inf, which is then not an error.
    """

    def __init__(self, model: StockModel, masked: bool) -> None:
        self._model, self._masked = model, masked

    def __call__(self, input_ids: Tensor, scores: Tensor) -> Tensor:
        """Check the scores as a `transformers.LogitsProcessor`, and return them unchanged.

        Raises:
            BadFeaturesError: No token can be chosen with these scores.
        """
        check_computed(scores.amax(-1) if self._masked else scores, self._model, "wrote the answer")
        return scores
