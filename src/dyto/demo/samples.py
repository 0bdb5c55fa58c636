"""Sample clips to try."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dyto.demo.places import no_place
from dyto.synthetic.videos import sample_video

SAMPLES = 3


@dataclass(frozen=True)
class SampleVideo:
    """A clip of the synthetic world, with a question that suits it.

    Attributes:
        path: The file.
        question: The question to ask.
        options: The options; none for a free answer.
    """

    path: Path
    question: str
    options: tuple[str, ...] = ()


def make_samples(folder: Path) -> list[SampleVideo]:
    """Write the clips.

    Args:
        folder: Folder for the clips; created if missing.

    Returns:
        The clips.

    Raises:
        ConfigError: The clips cannot be written.
    """
    made = []
    try:
        folder.mkdir(parents=True)
        for number in range(SAMPLES):
            path = folder / f"sample{number + 1}.mp4"
            asked = sample_video(path, number)
            question, choices, _ = next((a for a in asked if a[1] is not None), asked[0]) if number % 2 else asked[0]
            made.append(SampleVideo(path, question, tuple(choices or ())))
    except OSError as err:
        raise no_place(err) from err
    return made
