"""The model to load, and how: simple enough for a command line and for another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from dyto.models.loading.chosen import chosen_model

if TYPE_CHECKING:
    from dyto.models.base import VideoModel


@dataclass(frozen=True)
class Loading:
    """The arguments of `dyto.load_model`.

    Attributes:
        model: A short name, a folder or a hub name; None for the environment variable DYTO_MODEL, or "tiny".
        revision: Branch, tag or commit of a hub name.
        device: As torch names it; None or "auto" to choose.
        dtype: "float32", "bfloat16" or "float16"; None to choose.
        attn_implementation: "sdpa", "eager" or "flash_attention_2"; None to choose.
        device_map: Distribution of the model over several devices; None for one device.
        quantization: "8bit" or "4bit" weights of the language model; None for none.
        rope_scaling_factor: Factor by which the original context may be extended; None for no scaling.
        eye: What frames are compared by; None for the model's own tower.
        base_url: Address of an endpoint, like the rest for a model behind one; see
            `dyto.models.endpoint.service.Service`.
        tokens_per_image: What each picture costs there; None for the rule that goes with the model's name.
        picture_side: Longest side of a picture, in pixels.
        max_requests: Largest number of requests.
        max_tokens: Largest number of tokens to spend.

    Example:
        >>> Loading("qwen3-vl-2b", device="cpu").options
        {'device': 'cpu'}
    """

    model: str | None = None
    revision: str | None = None
    device: str | None = None
    dtype: str | None = None
    attn_implementation: str | None = None
    device_map: str | Mapping[str, Any] | None = None
    quantization: str | None = None
    rope_scaling_factor: float | None = None
    eye: str | None = None
    base_url: str | None = None
    tokens_per_image: int | None = None
    picture_side: int | None = None
    max_requests: int | None = None
    max_tokens: int | None = None

    @classmethod
    def of_flags(cls, **given: Any) -> Loading:
        """Return the options of a command; what it leaves open is taken from the environment or a file.

        Raises:
            ConfigError: The file is wrong.
        """
        chosen = None if given.get("model") else chosen_model()
        if chosen is None:
            return cls(**given)
        stated = {name: value for name, value in given.items() if value is not None}
        return cls(**{"model": chosen.model, **chosen.options, **stated})

    @property
    def options(self) -> dict[str, Any]:
        """Return all given options except the model."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "model"}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def choosing(self) -> dict[str, Any]:
        """Return the given options that change which key frames are seen, or by whom."""
        names = ("eye", "base_url", "tokens_per_image", "picture_side")
        return {name: value for name, value in self.options.items() if name in names}

    def on(self, device: str | None) -> Loading:
        """Return the same options with another device."""
        return replace(self, device=device)

    def load(self) -> VideoModel:
        """Load the model."""
        from dyto.models.loading.load import load_model

        return load_model(self.model, **self.options)


SERVED = ("base_url", "tokens_per_image", "picture_side", "max_requests", "max_tokens")
"""Options that only a model behind an endpoint takes."""


def fitting(name: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of some options that a model takes, where one set is given for several models.

    Example:
        >>> fitting("tiny", {"device": "cpu", "base_url": "http://127.0.0.1/v1"})
        {'device': 'cpu'}
    """
    served = name.startswith("endpoint:")
    return {key: value for key, value in options.items() if served or key not in SERVED}
