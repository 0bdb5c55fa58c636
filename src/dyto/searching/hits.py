"""A moment that was found, with its times and its picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from dyto.memory.packing import Picture
from dyto.memory.remembered import Memory
from dyto.searching.outlines import Outline


@dataclass(frozen=True)
class Hit:
    """A moment that a search has found.

    Attributes:
        outline: The memory that holds it.
        rows: First and last of its segments, in the order of time.
        row: The segment that matches best.
        score: How well it matches: for the eye `nouns` the share of what was asked for, from 0 to 1; for a CLIP or
            SigLIP the cosine of picture and text.
        likelihood: How likely the language model finds it that what was asked for is there, from 0 to 1; None if it
            was not asked.

    Example:
        >>> import numpy as np, dyto
        >>> from dyto.searching.outlines import Outline
        >>> memory = dyto.VideoQA.from_pretrained("tiny").remember(np.zeros((3, 48, 48, 3), np.uint8))
        >>> hit = Hit(Outline.of(memory), rows=(0, 1), row=1, score=0.9)  # as a search makes them
        >>> hit.start, hit.end, hit.second, hit.picture().shape
        (0.0, 1.0, 1.0, (84, 84, 3))
    """

    outline: Outline
    rows: tuple[int, int]
    row: int
    score: float
    likelihood: float | None = None

    @property
    def file(self) -> str:
        """The memory's file; "" if it is in none."""
        return "" if self.outline.path is None else str(self.outline.path)

    @property
    def source(self) -> str:
        """The video, by the name that it had; "" for a stream."""
        return self.outline.about.source

    @property
    def start(self) -> float:
        """Time of its first frame, in seconds."""
        return float(self.outline.segments.start[self.rows[0]])

    @property
    def end(self) -> float:
        """Time of its last frame, in seconds."""
        return float(self.outline.segments.end[self.rows[1]])

    @property
    def second(self) -> float:
        """Time of the frame that matches best, in seconds."""
        return float(self.outline.segments.seconds[self.row])

    def picture(self) -> Picture:
        """Return this frame, (H, W, 3) uint8, read from the memory's file.

        Raises:
            DatasetError: The file is not what it was.
        """
        return self.outline.picture(self.row)

    def thumbnail(self) -> bytes:
        """Return this frame as JPEG.

        Raises:
            DatasetError: The file is not what it was.
        """
        return self.outline.thumbnail(self.row)

    def memory(self) -> Memory:
        """Return what the memory holds of this moment, which `VideoQA.ask` takes like a video.

        Raises:
            DatasetError: The file is not what it was.
        """
        return self.outline.whole().take(np.arange(self.rows[0], self.rows[1] + 1))

    def to_dict(self) -> dict[str, Any]:
        """Return the moment as JSON-ready values."""
        likely = None if self.likelihood is None else round(self.likelihood, 4)
        times = {name: round(getattr(self, name), 3) for name in ("start", "end", "second")}
        return {"file": self.file, "source": self.source, **times, "score": round(self.score, 4), "likelihood": likely}
