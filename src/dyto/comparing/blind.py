"""The control without any video: what the language model guesses from the question alone."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from dyto.answer import Answer
from dyto.benchmarks import Benchmark, Sample
from dyto.choices import parse_choice
from dyto.evaluation.outcome import reason_of, status_of
from dyto.evaluation.rows import Row, answered, unanswered
from dyto.features import KeyFrames
from dyto.models.base import Encoded, Prefix, VideoModel
from dyto.models.generation.likelihood import mean_log_likelihood
from dyto.prompts import Prompt, prompt_for

_NOWHERE = KeyFrames(np.zeros(0, np.int64), np.zeros(0), np.zeros(0, np.int64))


class Blind:
    """Asks with the usual prompt, without anything in the video's place.

    Args:
        model: The model.
        benchmark: The benchmark of the samples.
        prompt: The template; scoring by likelihood uses the model's own for open questions, as for every strategy.
        max_new_tokens: Largest number of tokens per answer.
        scoring: "letter" or "likelihood".
    """

    def __init__(
        self, model: VideoModel, benchmark: Benchmark, prompt: Prompt, max_new_tokens: int, scoring: str
    ) -> None:
        self._model, self._benchmark = model, benchmark
        self._prompt = prompt_for(model.chat, False) if scoring == "likelihood" else prompt
        self._max_new_tokens = max_new_tokens
        self._answer = self._by_likelihood if scoring == "likelihood" else self._by_writing

    def rows(self, samples: Sequence[Sample]) -> list[Row]:
        """Return one row for every sample."""
        rows = [unanswered(self._benchmark, s, "bad_row", s.broken) for s in samples if s.broken]
        usable = [sample for sample in samples if not sample.broken]
        try:
            return rows + [self._row(s, a) for s, a in zip(usable, self._answer(usable), strict=True)]
        except Exception:  # noqa: BLE001 - at least one of them cannot be asked: find out which
            return rows + [self._alone(sample) for sample in usable]

    def _alone(self, sample: Sample) -> Row:
        try:
            return self._row(sample, self._answer([sample])[0])
        except Exception as err:  # noqa: BLE001 - one row is one row, whatever it holds
            return unanswered(self._benchmark, sample, status_of(err), reason_of(err))

    def _row(self, sample: Sample, answer: Answer) -> Row:
        return answered(self._benchmark, sample, [answer])

    def _by_writing(self, samples: Sequence[Sample]) -> list[Answer]:
        if not samples:
            return []
        asked = [self._encoded(s.questions[0], s.candidates or None) for s in samples]
        prefix = self._read(asked[0])  # the text before the video is the same for all
        texts = self._model.generate(prefix, [one.after for one in asked], max_new_tokens=self._max_new_tokens)
        written = [self._prompt.answer_start + text for text in texts]
        return [
            _answer(text, parse_choice(text, s.candidates) if s.candidates else None)
            for s, text in zip(samples, written, strict=True)
        ]

    def _by_likelihood(self, samples: Sequence[Sample]) -> list[Answer]:
        answers = []
        for sample in samples:
            before, after = self._prompt.fill(sample.questions[0])
            self._model.check_words(sample.questions[0], sample.candidates)
            asked = self._encoded(sample.questions[0])
            prefix = self._read(asked)
            scores = [
                mean_log_likelihood(
                    self._model, prefix, asked.after, self._model.tokenize(before, f"{after} {option.strip()}").after
                )
                for option in sample.candidates
            ]
            choice = max(range(len(scores)), key=scores.__getitem__)
            answers.append(_answer(sample.candidates[choice], choice))
        return answers

    def _encoded(self, question: str, choices: Sequence[str] | None = None) -> Encoded:
        self._model.check_words(question, choices)
        encoded = self._model.tokenize(*self._prompt.fill(question, choices))
        self._model.check_fit(encoded, None, self._max_new_tokens)
        return encoded

    def _read(self, asked: Encoded) -> Prefix:
        width = self._model.model.get_input_embeddings().weight.shape[1]
        nothing = torch.zeros(0, width, device=self._model.device, dtype=self._model.dtype)
        return self._model.prefill(asked.before, nothing)


def _answer(text: str, choice: int | None) -> Answer:
    return Answer(text, choice, _NOWHERE, num_visual_tokens=0, token_budget=None, uncompressed_tokens=0, seconds={})
