"""Search in one call, with a language model's word on the best."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING

from dyto.errors import ConfigError
from dyto.memory.remembered import Memory
from dyto.searching.hits import Hit
from dyto.searching.index import MemoryIndex
from dyto.searching.wording import check_query

if TYPE_CHECKING:
    from dyto.pipeline import VideoQA


def search(
    query: str,
    memories: MemoryIndex | Iterable[str | PathLike[str] | Memory],
    *,
    top: int = 5,
    eye: str | None = None,
    rerank: int = 0,
    qa: VideoQA | None = None,
) -> list[Hit]:
    """Find the moments of memories that match a text best.

    Args:
        query: What to look for.
        memories: Files, folders of files `*.dyto` and memories; or an index of them, which is loaded once for any
            number of queries.
        top: Most moments to return.
        eye: As in `MemoryIndex.open`.
        rerank: How many of the best are put in order anew by how likely the model of `qa` finds it that they show what
            was asked for; 0 for none.
        qa: The `VideoQA` for that.

    Returns:
        The moments, the best first.

    Raises:
        ConfigError: The query is empty or names nothing that the eye knows; there are no memories, or no `qa`.
        DatasetError: A file is damaged.
        ModelError: The eye cannot be loaded.

    Example:
        >>> import numpy as np, torch, dyto
        >>> class Brightness:  # an eye of your own: one number for a picture, and two words
        ...     name, width, columns, zero = "brightness", 1, 1, 0.0
        ...     def made(self, origin):
        ...         return False
        ...     def summaries(self, pictures):
        ...         return torch.tensor([[float(picture.mean()) / 255] for picture in pictures])
        ...     def rows(self, vectors):
        ...         return vectors.numpy()
        ...     def query(self, text):
        ...         return np.array([[1.0 if text == "bright" else -1.0]], np.float32), ()
        >>> film = np.zeros((30, 48, 48, 3), np.uint8)
        >>> film[10:20], film[20:] = 255, 90
        >>> memory = dyto.VideoQA.from_pretrained("tiny").remember(film)
        >>> hit = dyto.search("bright", dyto.MemoryIndex.open([memory], Brightness()), top=1)[0]
        >>> hit.start, hit.end, f"{hit.score:.1f}"
        (10.0, 19.0, '1.0')
    """
    if rerank and qa is None:
        raise ConfigError("rerank is given without a model, expected one to ask: give qa=VideoQA.from_pretrained(...)")
    check_query(query)
    index = memories if isinstance(memories, MemoryIndex) else MemoryIndex.open(memories, eye)
    hits = index.search(query, max(top, rerank))
    if qa is not None and rerank:
        from dyto.searching.reranking import likelihoods

        chances = likelihoods(qa, hits[:rerank], query)
        asked = [replace(hit, likelihood=chance) for hit, chance in zip(hits, chances, strict=False)]
        hits = sorted(asked, key=lambda hit: -(hit.likelihood or 0.0)) + hits[rerank:]
    return hits[:top]
