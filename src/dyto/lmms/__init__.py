"""A model for lmms-eval: `--model dyto`, with any of our models and strategies.

lmms-eval finds it through the entry point group `lmms_eval.models`; lmms-eval is imported only when it asks::

    python -m lmms_eval --model dyto --tasks nextqa_mc_test \\
        --model_args pretrained=llava-next-vicuna-7b,strategy=dyto,token_budget=3680,num_frames=100
"""

from __future__ import annotations

import functools
from importlib import import_module
from typing import Any

from dyto.errors import ConfigError


@functools.cache
def model_class() -> Any:
    """Return the class from which lmms-eval makes a model.

    Raises:
        ConfigError: The package lmms-eval is not installed.
    """
    try:
        base = import_module("lmms_eval.api.model").lmms
    except ImportError as err:
        raise ConfigError(
            f"lmms-eval cannot be imported ({err}), expected it to run this: pip install lmms-eval"
        ) from err
    from dyto.lmms.model import LmmsModel

    return type("Dyto", (LmmsModel, base), {"__doc__": LmmsModel.__doc__, "__module__": __name__})


def __getattr__(name: str) -> Any:
    if name == "Dyto":
        return model_class()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def manifest() -> Any:
    """Return our manifest for lmms-eval's registry: the entry point `dyto` in the group `lmms_eval.models`."""
    registry = import_module("lmms_eval.models.registry_v2")
    return registry.ModelManifest(model_id="dyto", simple_class_path="dyto.lmms.Dyto")
