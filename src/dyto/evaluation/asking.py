"""Asking all questions about one clip: from the loaded video to the rows of its samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dyto.answer import Answer
from dyto.benchmarks import Benchmark, Sample
from dyto.errors import BadQuestionError, ConfigError, unknown
from dyto.evaluation.cache import TokenCache
from dyto.evaluation.loading import Loaded, Unavailable
from dyto.evaluation.outcome import reason_of, status_of
from dyto.evaluation.rows import Row, answered, unanswered
from dyto.evaluation.runlog import LogLines
from dyto.evaluation.subtitles import with_subtitles
from dyto.features import VisualTokens
from dyto.models.generation.likelihood import OptionScorer
from dyto.pipeline import VideoQA
from dyto.prompts import prompt_for
from dyto.subtitles.finding import Subtitles
from dyto.video import Frames

SCORINGS = ("letter", "likelihood")


class Asker:
    """A model that answers samples.

    Args:
        qa: Model and strategy.
        benchmark: The benchmark of the samples.
        cache: Cache for the tokens of clips, if any.
        max_new_tokens: Largest number of tokens in an answer.
        scoring: Score multiple choice by the "letter" that the model writes, or by the options' "likelihood".
        subtitles: Folder of `.srt` files, for questions that include subtitles.
        log: Log for errors with their tracebacks; None for no log.
    """

    def __init__(
        self,
        qa: VideoQA,
        benchmark: Benchmark,
        cache: TokenCache | None,
        max_new_tokens: int,
        scoring: str,
        subtitles: Path | None,
        log: LogLines | None = None,
    ) -> None:
        if scoring not in SCORINGS:
            raise unknown("scoring", scoring, SCORINGS)
        if scoring == "likelihood" and benchmark.kind != "choice":
            raise ConfigError(f"scoring by likelihood needs options, and {benchmark.title} has none: leave it out")
        self._qa, self._benchmark, self._cache = qa, benchmark, cache
        self._max_new_tokens = max_new_tokens
        self._subtitles, self._log = subtitles, log
        self._said: Subtitles | None = None  # in the clip that is asked about
        self._scorer = OptionScorer(qa.model, prompt_for(qa.model.chat, False)) if scoring == "likelihood" else None

    def rows(self, samples: Sequence[Sample], video: Loaded | Unavailable, seconds: dict[str, float]) -> list[Row]:
        """Return one row for every sample of a clip.

        Args:
            samples: The samples, all about one clip.
            video: The loaded clip.
            seconds: Dict to fill with the seconds of each stage.

        Raises:
            ConfigError: This clip, and optionally every clip, cannot meet a setting.
        """
        broken = [unanswered(self._benchmark, s, "bad_row", s.broken) for s in samples if s.broken]
        usable = [sample for sample in samples if not sample.broken]
        if isinstance(video, Unavailable):
            return broken + [unanswered(self._benchmark, s, video.status, video.reason) for s in usable]
        try:
            content = self._encode(video, seconds)
        except ConfigError:
            raise
        except Exception as err:  # noqa: BLE001 - any error becomes the reason of these rows
            return broken + self.failed(usable, err)
        try:
            rows = self._ask(usable, content, seconds)
        except Exception:  # noqa: BLE001 - at least one cannot be asked: find out which
            rows = [row for sample in usable for row in self._ask_alone(sample, content, seconds)]
        self._qa.forget()
        return broken + rows

    def failed(self, samples: Sequence[Sample], err: Exception) -> list[Row]:
        """Return the rows of samples that met an error; also log the error unless the questions are at fault."""
        if status_of(err) == "failed" and self._log is not None and samples:
            self._log.error(samples[0].video, err)
        return rows_of_error(self._benchmark, samples, err)

    def _encode(self, video: Loaded, seconds: dict[str, float]) -> Frames | VisualTokens:
        seconds["decode"] = video.decode_seconds
        self._said = video.subtitles
        if isinstance(video.content, VisualTokens):
            moved = video.content.data.to(self._qa.model.device)
            return replace(video.content, data=moved, subtitles=video.subtitles)
        if self._qa.uses_question:
            return video.content
        tokens = self._qa.encode(video.content, subtitles=video.subtitles)
        seconds.update(tokens.stages)
        if self._cache is not None and video.cache_key is not None:
            self._cache.save(video.cache_key, tokens)
        return tokens

    def _ask(self, samples: Sequence[Sample], content: Frames | VisualTokens, seconds: dict[str, float]) -> list[Row]:
        asked = [self._questions(sample, content) for sample in samples]
        if self._scorer is not None:
            found = [[self._by_likelihood(s, q[0][0], content)] for s, q in zip(samples, asked, strict=True)]
        else:
            flat = [(text, s.candidates or None) for s, q in zip(samples, asked, strict=True) for text in q[0]]
            texts, choices = [text for text, _ in flat], [choice for _, choice in flat]
            more: dict[str, Any] = {} if isinstance(content, VisualTokens) else {"subtitles": self._said}
            answers = iter(
                self._qa.ask_many(content, texts, choices=choices, max_new_tokens=self._max_new_tokens, **more)
            )
            found = [[next(answers) for _ in questions] for questions, _ in asked]
        for stage in ("prefill", "generate"):
            seconds[stage] = seconds.get(stage, 0.0) + (found[0][0].seconds.get(stage, 0.0) if found else 0.0)
        return [
            answered(self._benchmark, sample, answers, note=note, known=self._qa.model.notices)
            for sample, answers, (_, note) in zip(samples, found, asked, strict=True)
        ]

    def _ask_alone(self, sample: Sample, content: Frames | VisualTokens, seconds: dict[str, float]) -> list[Row]:
        try:
            return self._ask([sample], content, seconds)
        except Exception as err:
            if isinstance(err, ConfigError) and not isinstance(err, BadQuestionError):
                raise
            return self.failed([sample], err)

    def _questions(self, sample: Sample, content: Frames | VisualTokens) -> tuple[list[str], str]:
        """Return the texts to ask, and a note for the row if subtitles are missing."""
        if self._subtitles is None:
            return list(sample.questions), ""
        shown = content.keyframes.seconds if isinstance(content, VisualTokens) else content.seconds
        path = self._subtitles / f"{Path(sample.video).stem}.srt"
        question, note = with_subtitles(sample.questions[0], path, shown.tolist())
        return [question], note

    def _by_likelihood(self, sample: Sample, question: str, content: Frames | VisualTokens) -> Answer:
        assert self._scorer is not None
        own = self._qa.question_for_strategy(question)
        tokens = self._qa.encode(content, question=own)
        scores = self._scorer.scores(tokens, question, sample.candidates)
        choice = max(range(len(scores)), key=scores.__getitem__)
        return Answer(
            text=sample.candidates[choice],
            choice=choice,
            keyframes=tokens.keyframes,
            num_visual_tokens=len(tokens),
            token_budget=tokens.budget,
            uncompressed_tokens=tokens.uncompressed,
            seconds={},
            warnings=tokens.warnings,
        )


def rows_of_error(benchmark: Benchmark, samples: Sequence[Sample], err: Exception) -> list[Row]:
    """Return the rows of samples that met an error."""
    why = status_of(err), reason_of(err)
    return [unanswered(benchmark, s, *(("bad_row", s.broken) if s.broken else why)) for s in samples]
