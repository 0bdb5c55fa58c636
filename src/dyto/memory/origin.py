"""What a memory was made with: the model, its weights and how it takes pictures; checked before it is asked."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import torch

from dyto.errors import OtherModelError
from dyto.models.base import VideoModel
from dyto.models.stock import weights_fingerprint
from dyto.video import READER


@dataclass(frozen=True)
class Origin:
    """The model that made a memory.

    Attributes:
        model: Its name.
        revision: The commit of a hub model, or "".
        weights: Hash of its weights.
        dtype: Its numbers, such as "bfloat16".
        preprocessing: Size, mean and deviation of its pictures, and the version of the reader of videos.
        eye: Name of the eye that compared the frames, whose vectors the summaries are; "" for the model's own tower.
        eye_weights: Hash of its weights, or "".
    """

    model: str
    revision: str
    weights: str
    dtype: str
    preprocessing: str
    eye: str = ""
    eye_weights: str = ""

    @classmethod
    def of(cls, model: VideoModel) -> Origin:
        """Describe a model.

        Raises:
            OtherModelError: It is behind an endpoint, which hands no features out.
        """
        stock: Any = getattr(model, "model", None)
        if stock is None or not model.can_cache:
            raise OtherModelError(
                f"model {model.name} hands out no features, expected one that runs here: a memory needs them"
            )
        config = getattr(stock, "config", None)
        size, normal = model.image_size, model.normalization
        numbers = ", ".join(f"{x:.6g}" for x in (*normal.mean, *normal.std))
        seen = f"pictures of {size!r}, normalised by {numbers}, reader {READER}"
        revision = str(getattr(config, "_commit_hash", None) or "")
        eye = getattr(model, "eye", None)
        return cls(
            model.name,
            revision,
            weights_fingerprint(stock),
            str(stock.dtype).removeprefix("torch."),
            seen,
            "" if eye is None else str(eye.name),
            str(getattr(eye, "weights", "")),
        )

    @classmethod
    def read(cls, given: Any) -> Origin:
        """Read what `written` returned.

        Raises:
            ValueError: It is something else.
        """
        usual = {field.name: field.default for field in fields(cls)}
        stated = {name: given.get(name, default) for name, default in usual.items()} if isinstance(given, dict) else {}
        if not stated or any(not isinstance(text, str) for text in stated.values()):
            raise ValueError(f"the model is described by {given!r}")
        return cls(**stated)

    def written(self) -> dict[str, str]:
        """Return the description, JSON-ready."""
        return asdict(self)

    def check(self, model: VideoModel, name: str) -> None:
        """Check that a memory may be asked with a model.

        Args:
            model: The model.
            name: Of the memory, for the message.

        Raises:
            OtherModelError: Another model, revision, dtype or preprocessing made it.
        """
        mine = Origin.of(model)
        theirs, ours = _short(self.model), _short(mine.model)
        again = "load that one, or remember the video again with this one"
        if self.dtype != mine.dtype:
            raise OtherModelError(
                f"{name} was made in {self.dtype}, but model {ours} is loaded in {mine.dtype}, expected the same "
                f"numbers: load it with dtype={self.dtype!r} (--dtype {self.dtype}), or remember the video again"
            )
        if self.weights == mine.weights:
            if self.preprocessing != mine.preprocessing:
                raise OtherModelError(
                    f"{name} was made from {self.preprocessing}, but model {ours} takes {mine.preprocessing}, "
                    "expected the same preprocessing: remember the video again"
                )
            return
        if theirs == ours:
            made, loaded = self.revision or self.weights, mine.revision or mine.weights
            raise OtherModelError(
                f"{name} was made with revision {made} of model {theirs}, but {loaded} is loaded, expected the "
                f"same weights: {again}"
            )
        raise OtherModelError(f"{name} was made with model {theirs}, but {ours} is loaded: {again}")


def _short(model: str) -> str:
    """Return the name of a model; of one in a folder only the folder's, which may be read by others."""
    return Path(model).name if Path(model).is_absolute() else model


def numbers_named(name: str) -> torch.dtype:
    """Return the dtype with a name.

    Raises:
        ValueError: There is none.
    """
    found = getattr(torch, name, None)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"{name!r} is no dtype")
    return found
