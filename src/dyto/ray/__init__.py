"""Questions in a Ray Dataset: one row per video with its questions, mapped to its answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dyto.errors import ConfigError, DytoError
from dyto.pipeline import VideoQA
from dyto.strategies import DEFAULT, Strategy


class VideoQuestions:
    """A callable class for `ray.data.Dataset.map_batches`.

    Each row has a `video` (a path that every node can read), `questions` (a list of texts, or one text) and optionally
    `choices` (for each question its options, or None). The result has these and all other columns, and `answers`
    (texts), `picked` (for each question the index of an option, -1 for none) and `error` (why a video has no answers;
    empty if it has answers).

    Args:
        model: A model for `VideoQA.from_pretrained`, like the arguments below.
        strategy: A strategy, or the name of one.
        max_new_tokens: Largest number of tokens per answer.
        sampling: Options of `dyto.sample_frames`.
        **loading: Options of `dyto.load_model`, such as `dtype`.

    Example:
        >>> ask = VideoQuestions("tiny", sampling={"num_frames": 4}, max_new_tokens=2)
        >>> found = ask({"video": ["nowhere.mp4"], "questions": [["what is shown ?"]], "id": [7]})
        >>> found["id"], found["answers"], found["error"][0][:11]
        ([7], [[]], 'nowhere.mp4')
    """

    def __init__(
        self,
        model: str | Path | None = None,
        strategy: Strategy | str = DEFAULT,
        *,
        max_new_tokens: int = 128,
        sampling: Mapping[str, Any] | None = None,
        **loading: Any,
    ) -> None:
        self._qa = VideoQA.from_pretrained(model, strategy, **loading)
        self._max_new_tokens, self._sampling = max_new_tokens, dict(sampling or {})

    def __call__(self, batch: Mapping[str, Any]) -> dict[str, Any]:
        """Answer the questions of some videos.

        Args:
            batch: Columns, as `map_batches` passes them.

        Raises:
            ConfigError: A column is missing.
        """
        for column in ("video", "questions"):
            if column not in batch:
                raise ConfigError(
                    f"found the columns {', '.join(batch)}, expected {column!r} among them: rename your column"
                )
        count = len(batch["video"])
        choices = batch.get("choices", [None] * count)
        rows = [self._row(*row) for row in zip(batch["video"], batch["questions"], choices, strict=True)]
        answers, picked, errors = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
        return {**batch, "answers": answers, "picked": picked, "error": errors}

    def _row(self, video: Any, questions: Any, choices: Any) -> tuple[list[str], list[int], str]:
        asked = [questions] if isinstance(questions, str) else [str(question) for question in questions]
        try:
            options: dict[str, Any] = {"choices": _options(choices), "max_new_tokens": self._max_new_tokens}
            found = self._qa.ask_many(str(video), asked, **options, **self._sampling)
        except DytoError as err:
            return [], [], " ".join(str(err).split())
        finally:
            self._qa.forget()
        return [answer.text for answer in found], [-1 if a.choice is None else a.choice for a in found], ""


def _options(choices: Any) -> Sequence[Sequence[str] | None] | None:
    """Convert options from the form in which Arrow passes them: arrays within arrays."""
    if choices is None:
        return None
    return [None if one is None else [str(option) for option in one] for one in choices]
