"""Many memories as one matrix, which a query is multiplied with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from os import PathLike
from pathlib import Path

import numpy as np
import torch

from dyto.errors import ConfigError, DatasetError
from dyto.finch import FloatArray, IntArray
from dyto.memory.header import damaged
from dyto.memory.remembered import Memory
from dyto.searching.eyes import Matrix, TextEye, text_eye
from dyto.searching.files import memory_files
from dyto.searching.hits import Hit
from dyto.searching.outlines import Outline
from dyto.searching.wording import check_query

MARGIN = 64
"""Candidates for each moment that is wanted, before all scores are put in order."""

CLEAR = 0.1
"""Best score below which a note says that nothing shows clearly what was asked for, if scores go from 0 to 1."""


class MemoryIndex:
    """The vectors of any number of memories, loaded once and searched as often as one likes.

    Attributes:
        eye: The eye that made the vectors and reads the queries.
        outlines: The memories, without their vectors.
        rows: (M, C) float32, a row for each segment of each memory, one memory after the other.
        owners: (M,) number of the memory of each row.
        looked_at: How many memories had no vectors of this eye, so that their pictures were looked at.
        notes: What a reader of the last answer should know: which words of the query the eye does not know, and whether
            nothing shows clearly what was asked for.

    Example:
        >>> import numpy as np, dyto
        >>> memory = dyto.VideoQA.from_pretrained("tiny").remember(np.zeros((3, 48, 48, 3), np.uint8))
        >>> index = dyto.MemoryIndex.open([memory], eye="nouns")
        >>> hits = index.search("a dog", top=1)
        >>> len(index), index.rows.shape, index.notes
        (3, (3, 1000), ('nothing shows it clearly: the best score is 0.06',))
    """

    def __init__(self, eye: TextEye, outlines: Sequence[Outline], rows: Matrix, looked_at: int = 0) -> None:
        self.eye, self.outlines, self.rows, self.looked_at = eye, list(outlines), rows, looked_at
        sizes = [len(one) for one in self.outlines]
        self.owners: IntArray = np.repeat(np.arange(len(sizes)), sizes)
        self._begins: IntArray = np.cumsum([0, *sizes])
        self.notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.rows)

    @classmethod
    def open(
        cls,
        memories: Iterable[str | PathLike[str] | Memory],
        eye: str | TextEye | None = None,
        *,
        skip: Callable[[DatasetError], None] | None = None,
        on_memory: Callable[[int, int], None] = lambda _done, _all: None,
    ) -> MemoryIndex:
        """Load the vectors of memories.

        Args:
            memories: Files, folders with files `*.dyto`, and memories.
            eye: The eye, or its name; None for the one whose vectors they hold, or else the bundled one. Where a memory
                has none of its vectors, it looks at the memory's pictures.
            skip: Called with the error of each file that cannot be read; None to raise it.
            on_memory: Told how many memories are loaded, of how many.

        Raises:
            ConfigError: There is no memory, or the eye reads no text, or none is named and the memories hold vectors
                of several.
            DatasetError: A file is damaged.
            ModelError: The eye cannot be loaded.
        """
        given = list(memories)
        held = [Outline.of(one) for one in given if isinstance(one, Memory)]
        named = [one for one in given if not isinstance(one, Memory)]
        wanted: list[Path | Outline] = [*(memory_files(named) if named or not held else ()), *held]
        found: list[Outline] = []
        for one in wanted:
            try:
                found.append(one if isinstance(one, Outline) else Outline.read(one))
            except DatasetError as err:
                if skip is None:
                    raise
                skip(err)
        chosen = text_eye(eye_of(found)) if eye is None else text_eye(eye) if isinstance(eye, str) else eye
        rows = np.empty((sum(map(len, found)), chosen.columns), np.float32)
        outlines: list[Outline] = []
        at, looked, every = 0, 0, len(found)
        while found:  # whose vectors are let go of one after the other
            outline = found.pop(0)
            try:
                made = chosen.made(outline.origin)
                rows[at : at + len(outline)] = _rows_of(outline, chosen, made)
            except DatasetError as err:
                if skip is None:
                    raise
                skip(err)
            else:
                outlines.append(outline.without_vectors())
                at, looked = at + len(outline), looked + (not made)
            on_memory(every - len(found), every)
        return cls(chosen, outlines, rows[:at], looked)

    @property
    def seconds(self) -> FloatArray:
        """(M,) time of the frame of each row."""
        return np.concatenate([np.empty(0), *(one.segments.seconds for one in self.outlines)])

    @property
    def files(self) -> list[str]:
        """The file of each row's memory, M texts."""
        return [str(self.outlines[owner].path or "") for owner in self.owners.tolist()]

    def query(self, text: str) -> Matrix:
        """Return the vectors of a text, for the search in another store.

        Args:
            text: The text.

        Returns:
            (q, C) float32; of their products with a row the smallest is the score.

        Raises:
            ConfigError: It is empty, or names nothing that the eye knows.
        """
        columns, self.notes = self.eye.query(text)
        return columns

    def relevant(self, query: str, top: int = 3) -> list[Outline]:
        """Return the memories whose best segments match a text best.

        Args:
            query: What to look for, or a question about it.
            top: Most memories to return.

        Raises:
            ConfigError: The text is empty, or names nothing that the eye knows.
        """
        columns = self.query(query)
        sizes = np.diff(self._begins)
        held = np.flatnonzero(sizes)
        if not len(held):
            return []
        best = np.maximum.reduceat((self.rows @ columns.T).min(1), self._begins[:-1][held])
        return [self.outlines[owner] for owner in held[_in_order(best, np.arange(len(best)))][:top].tolist()]

    def search(self, query: str, top: int = 5) -> list[Hit]:
        """Find the moments that match a text best.

        A moment is the segment that matches best, with the neighbours that match at least half as well, counted from
        the score of a frame that does not show it (for a CLIP or SigLIP: from the mean of all scores).

        Args:
            query: What to look for.
            top: Most moments to return.

        Returns:
            The moments, the best first; ties in the order of the memories.

        Raises:
            ConfigError: The query is empty or names nothing that the eye knows, or `top` is below 1.
        """
        if top < 1:
            raise ConfigError(f"top is {top}, expected at least 1")
        check_query(query)
        columns = self.query(query)
        if not len(self):
            return []
        scores = (self.rows @ columns.T).min(1)
        zero = float(scores.mean(dtype=np.float64)) if self.eye.zero is None else self.eye.zero
        few = min(len(scores), top * MARGIN)
        best = np.argpartition(-scores, few - 1)[:few] if few < len(scores) else np.arange(len(scores))
        hits = self._moments(scores, _in_order(scores, best), zero, top)
        if len(hits) < top and few < len(scores):  # long moments took all candidates
            hits = self._moments(scores, _in_order(scores, np.arange(len(scores))), zero, top)
        if self.eye.zero is not None and hits[0].score < CLEAR:
            self.notes += (f"nothing shows it clearly: the best score is {hits[0].score:.2f}",)
        return hits

    def _moments(self, scores: Matrix, order: IntArray, zero: float, top: int) -> list[Hit]:
        """Join neighbours to moments, from the best segment on."""
        hits: list[Hit] = []
        taken: set[int] = set()
        for place in order.tolist():
            if place in taken:
                continue
            owner = int(self.owners[place])
            low, high = int(self._begins[owner]), int(self._begins[owner + 1])
            enough = (float(scores[place]) + zero) / 2
            first = last = place
            while first > low and first - 1 not in taken and scores[first - 1] >= enough:
                first -= 1
            while last + 1 < high and last + 1 not in taken and scores[last + 1] >= enough:
                last += 1
            taken.update(range(first, last + 1))
            hits.append(Hit(self.outlines[owner], (first - low, last - low), place - low, float(scores[place])))
            if len(hits) == top:
                break
        return hits


def eye_of(outlines: Iterable[Outline]) -> str:
    """Return the eye whose vectors memories hold, or the bundled one if they hold none of an eye that reads texts.

    Raises:
        ConfigError: They hold vectors of several.
    """
    held = Counter(one.origin.eye for one in outlines if one.origin.eye not in ("", "pixels"))
    if len(held) > 1:
        told = ", ".join(f"{name} ({count})" for name, count in held.most_common())
        raise ConfigError(f"the memories hold vectors of several eyes, {told}, expected one: choose it with --eye NAME")
    return next(iter(held), "nouns")


def _rows_of(outline: Outline, eye: TextEye, made: bool) -> Matrix:
    """Return the (K, C) rows of a memory, from its vectors or else from its pictures."""
    vectors = outline.vectors
    if not made:
        memory = outline if outline.path is None else Outline.of(outline.whole())
        vectors = eye.summaries([memory.picture(row) for row in range(len(memory))])
    elif vectors.shape[1] != eye.width:
        raise damaged(outline.path or Path("a memory"), f"holds vectors of {vectors.shape[1]} numbers, not {eye.width}")
    with torch.inference_mode():
        return eye.rows(vectors)


def _in_order(scores: Matrix, places: IntArray) -> IntArray:
    """Sort places by their scores, the best first; ties by place."""
    return np.asarray(places[np.lexsort((places, -scores[places]))])
