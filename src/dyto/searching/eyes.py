"""Eyes that read texts: vectors of frames become rows, a query becomes columns, and their product is the score."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.errors import ConfigError
from dyto.eye.lite0 import WIDTH
from dyto.eye.names import HUB
from dyto.eye.weights import load_eye
from dyto.memory.origin import Origin
from dyto.memory.packing import Picture
from dyto.models.eyes import find_eye
from dyto.models.tower_eye import TowerEye, unit
from dyto.nouns.table import CLASSES
from dyto.searching.wording import check_query, wanted_nouns

Matrix = npt.NDArray[np.float32]


class TextEye(Protocol):
    """An eye that compares frames with texts.

    Attributes:
        name: Its name.
        width: Numbers of a vector, D.
        columns: Numbers of a row, C.
        zero: Score of a frame that does not show what was asked for; None if it depends on the query.
    """

    name: str
    width: int
    columns: int
    zero: float | None

    def made(self, origin: Origin) -> bool:
        """Return whether the vectors of a memory are those of this eye."""
        ...

    def summaries(self, pictures: Sequence[Picture]) -> Tensor:
        """Return vectors of pictures, as `dyto.eye.Eye` does."""
        ...

    def rows(self, vectors: Tensor) -> Matrix:
        """Return (n, C) rows for (n, D) vectors."""
        ...

    def query(self, text: str) -> tuple[Matrix, tuple[str, ...]]:
        """Return (q, C) vectors of a text, of whose products with a row the smallest is the score; and notes."""
        ...


class NounsEye:
    """The bundled eye: a row has the share of each of its classes, and a query names some of them."""

    name, width, columns = "nouns", WIDTH, CLASSES
    zero: float | None = 0.0

    def __init__(self) -> None:
        self._eye = load_eye()

    def made(self, origin: Origin) -> bool:
        """See `TextEye.made`; the model `nouns` has this eye as its tower."""
        return origin.eye_weights == self._eye.weights or (origin.model == "nouns" and not origin.eye)

    def summaries(self, pictures: Sequence[Picture]) -> Tensor:
        """See `TextEye.summaries`."""
        return self._eye.summaries(pictures)

    @torch.inference_mode()
    def rows(self, vectors: Tensor) -> Matrix:
        """See `TextEye.rows`."""
        return self._eye.net.classifier(vectors.float().cpu()).softmax(1).numpy()

    def query(self, text: str) -> tuple[Matrix, tuple[str, ...]]:
        """See `TextEye.query`."""
        things, notes = wanted_nouns(text)
        return np.stack([thing.mask for thing in things]).astype(np.float32), notes


class TowersEye:
    """A CLIP or SigLIP: rows are directions of pictures, a query is the direction of its text.

    Args:
        eye: The checkpoint.

    Raises:
        ConfigError: It reads no text.
    """

    zero: float | None = None

    def __init__(self, eye: TowerEye) -> None:
        self._eye, self.name = eye, eye.name
        self.width = self.columns = eye.texts(["a picture"]).shape[1]

    def made(self, origin: Origin) -> bool:
        """See `TextEye.made`."""
        return origin.eye_weights == self._eye.weights

    def summaries(self, pictures: Sequence[Picture]) -> Tensor:
        """See `TextEye.summaries`."""
        return self._eye.summaries(pictures)

    def rows(self, vectors: Tensor) -> Matrix:
        """See `TextEye.rows`."""
        return np.asarray(unit(vectors.cpu()).numpy())

    def query(self, text: str) -> tuple[Matrix, tuple[str, ...]]:
        """See `TextEye.query`."""
        return np.asarray(self._eye.texts([check_query(text)]).numpy()), ()


def text_eye(name: str) -> TextEye:
    """Load an eye that reads texts.

    Args:
        name: "nouns", a short name of `dyto.eye.names.HUB`, or a folder or hub name of a CLIP or SigLIP.

    Raises:
        ConfigError: There is no such eye, or it reads no text.
        ModelError: The checkpoint cannot be loaded.
        MissingExtraError: The extra `see` is not installed.
    """
    if name == "nouns":
        return NounsEye()
    eye = find_eye(name)
    if not isinstance(eye, TowerEye):
        known = ", ".join(["nouns", *(short for short in HUB if not short.startswith("dino"))])
        raise ConfigError(f"eye {name} reads no text, expected one that does: give one of {known}, or a CLIP or SigLIP")
    return TowersEye(eye)
