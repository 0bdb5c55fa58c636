"""Films as H.264 files, and questions about them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import av
import numpy as np

from dyto.choices import parse_choice
from dyto.synthetic.films import FPS, Film, draw_film, draw_frames
from dyto.synthetic.questions import ASKERS, Question, ask_exist
from dyto.synthetic.render import Pixels
from dyto.synthetic.world import Scene
from dyto.system.files import replacing

CODING = {
    "crf": "24",
    "preset": "veryfast",
    "x264-params": "mbtree=0:rc-lookahead=0:b-adapt=0:weightp=0:weightb=0",
}
"""Options for small files. The encoder's look-ahead reads uninitialised memory, so it is off for repeatable bytes."""


class Asked(NamedTuple):
    """A question about a video, ready to ask.

    Attributes:
        type: Type of the question.
        question: Text of the question.
        choices: The options, or None for a free answer.
        answer: The true answer; with options, the text of the right one.
    """

    type: str
    question: str
    choices: tuple[str, ...] | None
    answer: str


def is_right(asked: Asked, text: str) -> bool:
    """Return whether an answer is true: it names the right option, or has the same words."""
    if asked.choices:
        choice = parse_choice(text, asked.choices)
        return choice is not None and asked.choices[choice] == asked.answer
    return text.lower().strip(" .") == asked.answer


def write_video(path: Path, frames: Iterable[Pixels], fps: int = FPS) -> None:
    """Write frames as H.264 in an MP4 file, the same bytes for the same frames.

    Args:
        path: The file, replaced when the new one is complete; its folder must exist.
        frames: Frames, each (H, W, 3) uint8 RGB, all of one even size.
        fps: Frames per second.
    """
    options = {"movflags": "+faststart", "fflags": "+bitexact"}
    with replacing(path) as half, av.open(str(half), "w", format="mp4", options=options) as container:
        stream = container.add_stream("libx264", rate=fps, options=CODING)
        stream.pix_fmt = "yuv420p"
        stream.codec_context.thread_count = 1
        stream.codec_context.gop_size = 5 * fps
        for number, image in enumerate(frames):
            if not number:
                stream.height, stream.width = image.shape[:2]
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode())


def film_questions(rng: np.random.Generator, film: Film) -> list[Question]:
    """Make questions about a film, one or two of every possible type.

    Args:
        rng: The random generator.
        film: The film.

    Returns:
        The questions, all different; those about a needle have the type "needle".
    """
    scenes = film.scenes
    asked: list[Question] = []
    for kind, ask in ASKERS.items():
        for _ in range(2 if kind in ("exist", "background", "which") else 1):
            question = ask(rng, scenes)
            if question is not None:
                asked.append(question)
    for shot in film.shots:
        if shot.needle:
            asked.extend(needle_questions(rng, shot.scene, scenes))
    return list(
        {question.text + str(question.answer is None) + question.right: question for question in asked}.values()
    )


def needle_questions(rng: np.random.Generator, needle: Scene, scenes: Sequence[Scene]) -> list[Question]:
    """Ask whether the brief scene's object occurs, and what is behind it."""
    name = needle.things[0].name
    background = needle.background_name
    others = tuple(dict.fromkeys(s.background_name for s in scenes if s.background_name != background))
    found = [
        Question("needle", f"What is the background of the {name}?", background, background, others),
        Question("needle", f"Is there a {name}?", "yes", "yes", ("no",)),
    ]
    absent = ask_exist(rng, scenes)
    while absent is None or absent.answer == "yes":
        absent = ask_exist(rng, scenes)
    return [*found, replace(absent, type="needle")]


def ask_both_ways(rng: np.random.Generator, question: Question) -> list[Asked]:
    """Return a question for a free answer and, if it has four options, also with letters."""
    asked = []
    if question.answer is not None:
        asked.append(Asked(question.type, question.text, None, question.answer))
    options, _ = question.options(rng)
    if len(options) == 4:
        asked.append(Asked(question.type, question.text, options, question.right))
    return asked


def make_video(path: Path, seed: Sequence[int], regime: str) -> tuple[Film, list[Asked]]:
    """Write one video and its questions, a pure function of seed and regime.

    Args:
        path: The MP4 file to write; folders are created.
        seed: One or more numbers.
        regime: One of `REGIMES`.

    Returns:
        The film and the questions, with and without options.
    """
    rng = np.random.default_rng((*seed, 6))
    film = draw_film(rng, regime)
    questions = film_questions(rng, film)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_video(path, draw_frames(film, int(rng.integers(1 << 31))), film.fps)
    return film, [asked for question in questions for asked in ask_both_ways(rng, question)]


SAMPLE_WORDS = ("exist", "color", "shape", "background", "first", "last")
SAMPLE_LETTERS = ("which", "color", "shape")
"""Question types for the demo's sample video, in words and with options: those that the tiny model is good at."""


def sample_video(path: str | Path, seed: int = 0) -> list[tuple[str, tuple[str, ...] | None, str]]:
    """Write the sample video: 20 seconds of four to eight scenes.

    Args:
        path: The MP4 file to write.
        seed: Seed of the video.

    Returns:
        (question, choices or None, true answer) of its questions, those for free answers first.
    """
    _, asked = make_video(Path(path), (77, seed), "mixed")
    free = [a for a in asked if a.choices is None and a.type in SAMPLE_WORDS]
    letters = [a for a in asked if a.choices is not None and a.type in SAMPLE_LETTERS]
    return [(a.question, a.choices, a.answer) for a in (*free, *letters)]
