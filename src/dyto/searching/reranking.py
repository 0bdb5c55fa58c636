"""The language model's word on what a search has found."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dyto.errors import ConfigError, ModelError
from dyto.features import VisualTokens
from dyto.models.base import VideoModel
from dyto.models.generation.likelihood import OptionScorer
from dyto.nouns.table import with_article, words_of
from dyto.pipeline import VideoQA
from dyto.searching.hits import Hit

YES, NO = ("yes", "Yes"), ("no", "No")
_DETERMINERS = {"a", "an", "the", "some", "any", "one", "two", "three", "many", "several", "no", "my", "their"}


def question_for(query: str) -> str:
    """Return the question whether something is there.

    Example:
        >>> question_for("red car"), question_for("an old train ?")
        ('Is there a red car?', 'Is there an old train?')
    """
    text = query.strip().rstrip("?!. ")
    words = words_of(text)
    return f"Is there {text if words and words[0] in _DETERMINERS else with_article(text)}?"


def check_likelihoods(model: VideoModel) -> None:
    """Check that a model can say how likely an answer is.

    Raises:
        ConfigError: It gives text only.
    """
    if not model.gives_likelihoods:
        raise ConfigError(f"model {model.name} gives no likelihoods, only text: leave out --rerank")


def likelihoods(qa: VideoQA, hits: Sequence[Hit], query: str) -> list[float]:
    """Return how likely a model finds it that each moment shows what was asked for.

    Args:
        qa: The model. It reads the memory of the moment if it made that; else it looks at the pictures.
        hits: The moments.
        query: What was asked for.

    Returns:
        The likelihood of "yes", as a share of that of "yes" or "no", for each.

    Raises:
        ConfigError: The model gives no likelihoods.
        DatasetError: A file is not what it was.
        ModelError: The question does not fit the context.
    """
    check_likelihoods(qa.model)
    scorer, question = OptionScorer(qa.model, qa.prompt_for(None)), question_for(query)
    found = []
    for hit in hits:
        scores = np.exp(scorer.scores(_tokens(qa, hit, question), question, [*YES, *NO]))
        found.append(float(scores[: len(YES)].sum() / max(scores.sum(), 1e-30)))
    return found


def _tokens(qa: VideoQA, hit: Hit, question: str) -> VisualTokens:
    memory, asked = hit.memory(), qa.question_for_strategy(question)
    try:
        memory.origin.check(qa.model, memory.name)
    except ModelError:
        return qa.encode(memory.frames, question=asked)
    return qa.encode(memory, question=asked)
