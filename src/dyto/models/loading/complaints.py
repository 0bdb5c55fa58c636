"""Complaints of transformers about a checkpoint, as errors of one line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dyto.errors import DytoError, ModelError

MOST_SAID = 240
"""Largest number of letters that an error repeats of a complaint."""


def in_one_line(source: str, load: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    """Call a loader of transformers, and turn its complaints into one line.

    Args:
        source: Name of the checkpoint.
        load: The loader.
        *args: Its arguments.
        **kwargs: Its arguments by name.

    Returns:
        What it loads.

    Raises:
        ModelError: It complains.
    """
    try:
        return load(*args, **kwargs)
    except DytoError:
        raise
    except (
        OSError, ValueError, RuntimeError, LookupError, TypeError, AttributeError, ArithmeticError, AssertionError,
        ImportError,
    ) as err:  # fmt: skip
        raise ModelError(
            f"model {source} cannot be loaded ({_one_line(err)}), expected config.json, a tokenizer and *.safetensors: "
            "check the folder, or the name and the network"
        ) from err
    except Exception as err:
        package = type(err).__module__.partition(".")[0]
        if package.startswith("httpx"):
            raise ModelError(
                f"model {source} cannot be downloaded ({_one_line(err)}), expected all of its files: check the network "
                "and run it again, which goes on where it stopped"
            ) from err
        if package not in ("safetensors", "safetensors_rust", "huggingface_hub"):
            raise
        raise ModelError(f"model {source} cannot be loaded ({_one_line(err)}): download it again") from err


def _one_line(err: Exception) -> str:
    """Return the first sentence of a complaint, which may take two lines."""
    lines = [line.strip() for line in str(err).splitlines() if line.strip()] or [type(err).__name__]
    said = " ".join(lines[: 2 if lines[0].endswith(":") else 1])
    return said if len(said) <= MOST_SAID else f"{said[:MOST_SAID]}..."
