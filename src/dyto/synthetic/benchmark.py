"""The synthetic benchmark: videos of every regime and their questions, in the common layout."""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from dyto.errors import ConfigError, unknown
from dyto.synthetic.filming import write_long_film
from dyto.synthetic.long_films import SHORTEST, LongFilm, check_seconds, draw_long_film
from dyto.synthetic.long_questions import ask_about
from dyto.synthetic.regimes import LONG_REGIMES, REGIMES
from dyto.synthetic.videos import Asked, make_video
from dyto.system.files import cannot_write, replacing

log = logging.getLogger(__name__)

SPLITS = {"dev": 101, "test": 202}
"""First part of every video's seed, so that the splits share no video."""
CHOICE_VIDEOS = Path("data/multiple_choice_qa/Synthetic/video")
OPEN_VIDEOS = Path("data/video_qa/Synthetic_Zero_Shot_QA/videos")
CHOICE_FILE = Path("gt_qa_files/Synthetic/val_qa.json")
QUESTION_FILE = Path("gt_qa_files/Synthetic_Zero_Shot_QA/val_q.json")
ANSWER_FILE = Path("gt_qa_files/Synthetic_Zero_Shot_QA/val_a.json")

Record = dict[str, Any]


def synth_video(
    seed: int,
    out: str | Path,
    questions: str | Path | None = None,
    regime: str = "mixed",
    seconds: float | None = None,
    event: float | None = None,
) -> list[Record]:
    """Write one video from a seed, and its questions with their true answers.

    Args:
        seed: Seed; the same seed and regime give the same video.
        out: The MP4 file.
        questions: A JSON file for the questions, or None to write none.
        regime: One of `REGIMES`, or of `LONG_REGIMES`.
        seconds: Length of a long film, 20 to 3600; None for 20. The films of `REGIMES` have 20 seconds.
        event: Length of its events in seconds; None for a length by chance.

    Returns:
        The questions: `question`, `type`, `answer`, and with options `candidates` and `answer_number`.

    Raises:
        ConfigError: The regime is unknown, cannot have this length, or the file is not an MP4.
        DatasetError: The disk is full, or the folder is not writable.
    """
    path = Path(out)
    if regime not in (*REGIMES, *LONG_REGIMES):
        raise unknown("regime", regime, [*REGIMES, *LONG_REGIMES])
    if regime in REGIMES and (seconds, event) != (None, None):
        raise ConfigError(
            f"seconds or the length of events given for regime {regime!r}, whose films have 20 seconds: leave them "
            f"out, or take one of {', '.join(LONG_REGIMES)}"
        )
    if path.suffix.lower() != ".mp4":
        raise ConfigError(f"the video would be written to {path}, expected a name that ends in .mp4")
    with _telling(path):
        if regime in REGIMES:
            _, asked = make_video(path, (303, REGIMES.index(regime), seed), regime)
        else:
            rng = np.random.default_rng((303, 17, LONG_REGIMES.index(regime), seed))
            film = draw_long_film(rng, regime, SHORTEST if seconds is None else seconds, event=event)
            asked = ask_about(rng, film)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_long_film(path, film)
    records = [_facts(a) for a in asked]
    if questions is not None:
        write_records(Path(questions), records)
    return records


def synth_benchmark(
    split: str,
    out: str | Path,
    videos: int = 20,
    progress: Callable[[int, int], None] = lambda _done, _all: None,
    lengths: Sequence[float] = (),
) -> dict[str, int]:
    """Write the benchmark: `videos` videos of every regime, questions with options and for free answers.

    It writes `gt_qa_files/Synthetic/val_qa.json` (with options), `gt_qa_files/Synthetic_Zero_Shot_QA/val_q.json` and
    `val_a.json` (free answers) under `out`, and the videos under `out/data`, where `dyto eval synthetic` and
    `dyto eval synthetic-open` look for them.

    Args:
        split: "dev" or "test"; they share no seeds.
        out: The folder.
        videos: Number of videos of every regime.
        progress: Called with the number of written videos and of all videos.
        lengths: Seconds of films of `LONG_REGIMES`, taken in turn, instead of `REGIMES`; 20 to 3600. In every third
            film an event lasts a hundredth of it, so that 100 sampled frames show it once.

    Returns:
        The numbers of videos, questions with options, and questions for free answers.

    Raises:
        ConfigError: The split is unknown, `videos` is below 1, or a length is out of range.
        DatasetError: The disk is full, or the folder is not writable; the same command completes it.
    """
    if split not in SPLITS:
        raise unknown("split", split, SPLITS)
    if videos < 1:
        raise ConfigError(f"{videos} videos of every regime asked for, expected at least 1")
    for length in lengths:
        check_seconds(length)
    root, regimes = Path(out), LONG_REGIMES if lengths else REGIMES
    with _telling(root / OPEN_VIDEOS):
        (root / OPEN_VIDEOS).mkdir(parents=True, exist_ok=True)
    choice: list[Record] = []
    open_questions: list[Record] = []
    open_answers: list[Record] = []
    for number in range(videos):
        for place, regime in enumerate(regimes):
            seconds = lengths[number % len(lengths)] if lengths else SHORTEST
            name = f"{split}_{regime}_{number:04d}" + f"_{seconds:g}s" * bool(lengths)
            path = root / CHOICE_VIDEOS / f"{name}.mp4"
            with _telling(path):
                if lengths:
                    asked = _make_long(path, split, place, number, seconds)
                else:
                    _, asked = make_video(path, (SPLITS[split], place, number), regime)
                _same_file(path, root / OPEN_VIDEOS / path.name)
            groups = {"regime": regime, "length": f"{seconds:g} s"}
            for count, a in enumerate(asked):
                common = {"question_id": f"{name}_{count:02d}", "question": a.question, **groups}
                if a.choices:
                    choice.append({"task_name": "Synthetic", "video_name": path.name, **common, **_facts(a)})
                else:
                    open_questions.append({"video_name": name, **common})
                    open_answers.append({"answer": a.answer, "type": a.type, "question_id": common["question_id"]})
            progress(number * len(regimes) + place + 1, videos * len(regimes))
    write_records(root / CHOICE_FILE, choice)
    write_records(root / QUESTION_FILE, open_questions)
    write_records(root / ANSWER_FILE, open_answers)
    return {"videos": videos * len(regimes), "choice": len(choice), "free": len(open_questions)}


def long_film_of(
    split: str, place: int, number: int, seconds: float, event: float | None
) -> tuple[LongFilm, list[Asked]]:
    """Draw a long film of a split, and what is asked about it.

    Args:
        split: "dev" or "test".
        place: Place of its regime in `LONG_REGIMES`.
        number: Which film of this regime.
        seconds: Its length.
        event: Length of its events in seconds; None for a length by chance.
    """
    rng = np.random.default_rng((SPLITS[split], 17, place, number))
    film = draw_long_film(rng, LONG_REGIMES[place], seconds, split, event)
    return film, ask_about(rng, film)


def _make_long(path: Path, split: str, place: int, number: int, seconds: float) -> list[Asked]:
    film, asked = long_film_of(split, place, number, seconds, seconds / 100 if number % 3 == 2 else None)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_long_film(path, film)
    return asked


def _facts(asked: Asked) -> Record:
    facts: Record = {"question": asked.question, "type": asked.type, "answer": asked.answer}
    if asked.choices:
        facts |= {"candidates": list(asked.choices), "answer_number": asked.choices.index(asked.answer)}
    return facts


def _same_file(source: Path, target: Path) -> None:
    """Put the same video in a second place: as a hard link if the file system supports it, else as a copy."""
    with replacing(target) as half:
        try:
            os.link(source, half)
        except OSError:
            shutil.copyfile(source, half)


def write_records(path: Path, records: list[Record]) -> None:
    """Write questions as JSON, whole or not at all."""
    with _telling(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as half:
            half.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


@contextmanager
def _telling(path: Path) -> Iterator[None]:
    """Turn errors of writing into one that says to run the same command again."""
    try:
        yield
    except OSError as err:
        raise cannot_write(path, err) from err
