"""A memory in the place of the tower: the features of its frames, as a strategy calls for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from dyto.errors import ConfigError
from dyto.features import FrameFeatures, select
from dyto.memory.packing import Picture, unpacked
from dyto.models.base import VideoModel
from dyto.video import Frames


class MemoryEncoder:
    """A memory in the place of the tower, as a strategy calls it.

    Args:
        frames: The frames that it stands for; nobody looks at their pixels.
        features: Their features.
        model: The model, for the embeddings of words.
        strategy: Name of the strategy, for messages.
    """

    def __init__(self, frames: Frames, features: FrameFeatures, model: VideoModel, strategy: str) -> None:
        self._frames, self._features, self._model, self._strategy = frames, features, model, strategy
        self.name = model.name

    def __call__(
        self, images: Frames | Sequence[npt.NDArray[np.uint8]], *, attention_layer: int | None = None
    ) -> FrameFeatures:
        """Return the features of all frames, or of some of them if each is held."""
        if attention_layer is None and isinstance(images, Frames):
            if images is self._frames:
                return self._features
            known = self._features.indices
            rows = np.minimum(np.searchsorted(known, images.indices), len(known) - 1)
            if self._features.stands is None and (known[rows] == images.indices).all():
                return select(self._features, rows)
        what = "the tower's attention" if attention_layer is not None else "pictures of its own"
        raise ConfigError(
            f"strategy {self._strategy!r} needs {what}, which a memory does not hold: use plus or plus-query, or ask "
            "about the video itself"
        )

    def embed_text(self, text: str) -> Tensor:
        """Return embeddings of the words of a text."""
        return self._model.embed_text(text)


class KeptPatches:
    """The patches of a memory, on demand.

    Args:
        tensors: Those of the memory.
        picture: Gives the picture of a frame, (H, W, 3), by its row.
        model: The model that encodes it again if more patches are asked for than are kept.
    """

    def __init__(self, tensors: Mapping[str, Tensor], picture: Callable[[int], Picture], model: VideoModel) -> None:
        self._tensors, self._picture, self._model = tensors, picture, model
        self._again: dict[int, FrameFeatures] = {}  # encoded from the picture

    def patches(self, positions: Tensor) -> Tensor:
        """Return (K, N, D), each patch as the merged one that it went to."""
        kept, owners = self._kept("patches", "scales", positions), self._owners(positions)
        return kept if owners is None else kept.gather(1, owners[..., None].expand(-1, -1, kept.shape[2]))

    def merged(self, positions: Tensor, keep: int) -> tuple[Tensor, Tensor]:
        """Return merged patches as `FrameFeatures.load_merged` does."""
        owners = self._owners(positions)
        assert owners is not None
        if keep <= self._tensors["patches"].shape[1]:
            return self._kept("patches", "scales", positions), owners
        fresh = torch.cat([self._seen(row).patches([0]) for row in positions.tolist()])
        return fresh, torch.arange(fresh.shape[1], device=fresh.device).expand(len(fresh), -1)

    def deep(self, positions: Tensor) -> Tensor:
        """Return (levels, K, N, D), each patch as the mean of those it was merged with, if it was kept so."""
        parts = []
        for row in positions.tolist():
            seen = self._again.get(row)
            if seen is not None and seen.load_deep is not None:
                parts.append(seen.load_deep(torch.zeros(1, dtype=torch.int64))[:, 0])
                continue
            at = torch.tensor([row])
            kept, owners = self._kept("deep", "deep_scales", at)[0], self._owners(at)
            parts.append(kept if owners is None else kept[:, owners[0]])
        return torch.stack(parts, 1)

    def _kept(self, name: str, scales: str, positions: Tensor) -> Tensor:
        tensors, like = self._tensors, self._tensors["summary"][:0].to(self._model.device)
        return unpacked(tensors[name][positions], tensors[scales][positions] if scales in tensors else None, like)

    def _owners(self, positions: Tensor) -> Tensor | None:
        owners = self._tensors.get("owners")
        return None if owners is None else owners[positions].to(self._model.device, torch.int64)

    def _seen(self, row: int) -> FrameFeatures:
        """Encode a picture again, once."""
        if row not in self._again:
            self._again[row] = self._model.encode([self._picture(row)])
        return self._again[row]
