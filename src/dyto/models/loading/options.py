"""The model to load, and how: simple enough for a command line and for another process."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

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

    @property
    def options(self) -> dict[str, Any]:
        """Return all given options except the model."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "model"}
        return {name: value for name, value in values.items() if value is not None}

    def on(self, device: str | None) -> Loading:
        """Return the same options with another device."""
        return replace(self, device=device)

    def load(self) -> VideoModel:
        """Load the model."""
        from dyto.models.loading.load import load_model

        return load_model(self.model, **self.options)
