"""Sample clips to try: a film of photographs, and drawn films."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from dyto.demo.places import no_place
from dyto.inspecting.markup import data_uri
from dyto.synthetic.videos import sample_video
from dyto.video import sample_frames

FILM = Path(__file__).with_name("photographs.mp4")
"""A film of six photographs, 15 seconds; `tests/photographs/README.md` says who made them."""

POSTER = 320
"""Longest side of a sample's picture, in pixels."""


@dataclass(frozen=True)
class SampleVideo:
    """A clip with a question that suits it.

    Attributes:
        path: The file.
        name: Name for people.
        model: The bundled model that knows what it shows.
        question: The question to ask.
        options: The options; none for a free answer.
    """

    path: Path
    name: str
    model: str
    question: str
    options: tuple[str, ...] = ()

    def poster(self) -> str:
        """Return a picture of the clip as a data URI."""
        frames = sample_frames(self.path, num_frames=6, max_side=POSTER).data
        liveliest = max(frames, key=lambda frame: float(frame.std()))
        return data_uri(Image.fromarray(liveliest), quality=80)


def make_samples(folder: Path) -> list[SampleVideo]:
    """Write the clips.

    Args:
        folder: Folder for the clips; created if missing.

    Returns:
        The clips.

    Raises:
        ConfigError: The clips cannot be written.
    """
    film, first, second = (folder / f"sample{number}.mp4" for number in (1, 2, 3))
    try:
        folder.mkdir(parents=True)
        shutil.copyfile(FILM, film)
        words, choice = sample_video(first, 0), sample_video(second, 1)
    except OSError as err:
        raise no_place(err) from err
    question, options, _ = next((one for one in choice if one[1] is not None), choice[0])
    return [
        SampleVideo(film, "Photographs", "nouns", "What is shown?"),
        SampleVideo(first, "Drawn shapes", "tiny", words[0][0]),
        SampleVideo(second, "Shapes, with options", "tiny", question, tuple(options or ())),
    ]
