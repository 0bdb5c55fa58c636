"""Multiple choice by likelihood: the option that the language model is most likely to write."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from dyto.features import VisualTokens
from dyto.models.base import Prefix, VideoModel
from dyto.models.generation.keeping import KeptVideos
from dyto.prompts import Prompt


class OptionScorer:
    """A scorer of options as answers to an open question; the video is read once for all questions about it.

    Args:
        model: The model.
        prompt: A template for open questions; it does not show the options.
    """

    def __init__(self, model: VideoModel, prompt: Prompt) -> None:
        self._model = model
        self._prompt = prompt
        self._kept = KeptVideos(model, 0)

    @torch.inference_mode()
    def scores(self, tokens: VisualTokens, question: str, options: Sequence[str]) -> list[float]:
        """Return the mean log-likelihood per token of each option after the prompt.

        Args:
            tokens: The video.
            question: The question.
            options: The options.

        Returns:
            One number for each option; the largest is the answer.

        Raises:
            ModelError: Prompt, video and option together do not fit the context.
            ConfigError: The question or an option holds a mark of the prompt.
        """
        before, after = self._prompt.fill(question)
        self._model.check_words(question, options)
        asked = self._model.tokenize(before, after)
        written = [self._model.tokenize(before, f"{after} {option.strip()}").after for option in options]
        scaled = self._model.check_fit(asked, tokens, max(map(len, written)) - len(asked.after))
        prefix = self._kept.prefix(tokens, asked.before, scaled)
        return [mean_log_likelihood(self._model, prefix, asked.after, ids) for ids in written]


@torch.inference_mode()
def mean_log_likelihood(model: VideoModel, prefix: Prefix, asked: torch.Tensor, ids: torch.Tensor) -> float:
    """Return how likely a model is to write a text after a prompt.

    Args:
        model: The model.
        prefix: The prefix that it has read, ending with the video.
        asked: (S,) token ids of the prompt after the video.
        ids: (R,) token ids of the prompt after the video, followed by the text.

    Returns:
        Mean log-likelihood per token of the part of `ids` beyond its common beginning with `asked`.
    """
    shared = min(len(asked), len(ids) - 1)
    while shared > 1 and not torch.equal(asked[:shared], ids[:shared]):
        shared -= 1  # the text's first letters may have merged with the prompt's last token
    logits = model.logits(prefix, ids)  # (R, V)
    likely = logits[shared - 1 : -1].float().log_softmax(-1)  # (n, V)
    return float(likely.gather(1, ids[shared:, None]).mean())
