"""Encoded videos and their prefixes, kept for further questions within a limit of bytes."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field

import torch
from torch import Tensor

from dyto.errors import ConfigError
from dyto.features import VisualTokens
from dyto.models.base import VideoModel
from dyto.models.generation.prefix import Prefix
from dyto.models.generation.states import release_unused
from dyto.system.memory import give_back

KEEP_GB = 1.0
"""Default limit on what is kept, in GB (10^9 bytes): 50 videos of `tiny` at 3680 tokens, one of most models with 7B."""

DROPPED_BYTES = 32_000_000
"""Bytes of dropped videos after which their memory is given back to the system: without that, it stays with the process
in pieces between what is kept, and a process with a limit of 200 MB grew by 326 MB in 3400 questions."""


def bytes_allowed(gigabytes: float) -> int:
    """Return a limit in bytes.

    Args:
        gigabytes: The limit in GB; 0 keeps only the last video.

    Raises:
        ConfigError: The limit is not a number of at least 0.

    Example:
        >>> bytes_allowed(0.5)
        500000000
    """
    if isinstance(gigabytes, bool) or not isinstance(gigabytes, (int, float)) or not 0 <= gigabytes < 1e9:
        raise ConfigError(f"keep_gb is {gigabytes!r}, expected 0 or more gigabytes: give e.g. keep_gb=1")
    return int(gigabytes * 1e9)


@dataclass
class _Kept:
    """An encoded video, with the prefixes made from it."""

    tokens: VisualTokens
    key: Hashable = None
    prefixes: list[tuple[Tensor, str, Prefix]] = field(default_factory=list)
    nbytes: int = 0


class KeptVideos:
    """Encoded videos and their prefixes, the least recently used of which go first when the limit is reached.

    The last video is always kept, whatever its size. One thread makes prefixes; any thread may look up tokens.

    Args:
        model: The model of the prefixes.
        limit: Limit in bytes on tokens and prefixes together.
        keep: Whether to keep anything at all.
    """

    def __init__(self, model: VideoModel, limit: int = bytes_allowed(KEEP_GB), *, keep: bool = True) -> None:
        self._model, self.limit, self._keep = model, limit, keep
        self._videos: OrderedDict[int, _Kept] = OrderedDict()  # by the identity of the tokens, which are held here
        self._by_key: dict[Hashable, int] = {}
        self._dropped = 0  # bytes since memory was given back
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._videos)

    @property
    def nbytes(self) -> int:
        """Bytes of everything that is kept."""
        with self._lock:
            return sum(one.nbytes for one in self._videos.values())

    def tokens(self, key: Hashable) -> VisualTokens | None:
        """Return the tokens that were kept under a key, or None.

        Args:
            key: Everything that determines the tokens: the video's content, the sampling, the strategy.
        """
        with self._lock:
            place = self._by_key.get(key)
            return None if place is None else self._use(self._videos[place].tokens).tokens

    def keep_tokens(self, key: Hashable, tokens: VisualTokens) -> None:
        """Keep the tokens of a video.

        Args:
            key: As in `tokens`.
            tokens: The encoded video.
        """
        if not self._keep:
            return
        with self._lock:
            one = self._use(tokens)
            if one.key is not None:
                self._by_key.pop(one.key, None)
            one.key = key
            self._by_key[key] = id(tokens)
            self._shrink(0)
        self._give_back()

    def prefix(self, tokens: VisualTokens, before: Tensor, scaled: bool) -> Prefix:
        """Return the prefix of a video, kept or made now.

        Args:
            tokens: The video, compared by identity.
            before: (P,) token ids of the text before the video.
            scaled: As returned by `VideoModel.check_fit`.
        """
        if not self._keep:
            return self._model.prefill(before, tokens, scaled=scaled)
        with self._lock:
            one = self._use(tokens)
            for text, times, prefix in one.prefixes:
                if prefix.scaled == scaled and times == self._model.time_text and torch.equal(text, before):
                    return prefix
            self._shrink(self._expected(len(tokens) + len(before)))  # free the oldest before making a new one
            if self.nbytes > self.limit:
                one.nbytes -= sum(map(_size, one.prefixes))
                one.prefixes.clear()
        prefix = self._model.prefill(before, tokens, scaled=scaled)
        release_unused(prefix.cache)
        with self._lock:
            one = self._use(tokens)
            one.prefixes.append((before, self._model.time_text, prefix))
            one.nbytes += _size(one.prefixes[-1])
            self._shrink(0)
        self._give_back()
        return prefix

    def drop(self, tokens: VisualTokens) -> None:
        """Free what is kept of a video.

        Args:
            tokens: The video, compared by identity.
        """
        with self._lock:
            self._forget_one(id(tokens))
        self._give_back()

    def forget(self) -> None:
        """Free everything that is kept."""
        with self._lock:
            self._videos.clear()
            self._by_key.clear()

    def _use(self, tokens: VisualTokens) -> _Kept:
        """Return the entry of a video, new if there is none, as the most recent."""
        place = id(tokens)
        if place not in self._videos:
            self._videos[place] = _Kept(tokens, nbytes=tokens.nbytes)
        self._videos.move_to_end(place)
        return self._videos[place]

    def _shrink(self, coming: int) -> None:
        """Drop the least recently used videos until what is kept and what is coming fit; the last one stays."""
        while len(self._videos) > 1 and self.nbytes + coming > self.limit:
            self._forget_one(next(iter(self._videos)))

    def _forget_one(self, place: int) -> None:
        dropped = self._videos.pop(place, None)
        if dropped is not None:
            if self._by_key.get(dropped.key) == place:
                del self._by_key[dropped.key]
            self._dropped += dropped.nbytes

    def _give_back(self) -> None:
        if self._dropped >= DROPPED_BYTES:
            self._dropped = 0
            give_back()

    def _expected(self, places: int) -> int:
        """Return about how many bytes a prefix of this length takes, judged by another one; 0 if there is none."""
        made = next((made for one in self._videos.values() for made in one.prefixes), None)
        return 0 if made is None else _size(made) * places // max(1, len(made[2]))


def _size(made: tuple[Tensor, str, Prefix]) -> int:
    return made[2].nbytes + made[2].embeds.nbytes
