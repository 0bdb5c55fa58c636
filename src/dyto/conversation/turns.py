"""The turns of a conversation, and what of them a model reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dyto.answer import Answer
from dyto.prompts import write_turns

NOT_READ = "this model reads one question at a time: it does not know what was asked and answered before"
"""Warning for a later answer of a model that reads no earlier turns."""


@dataclass(frozen=True)
class Turn:
    """A question of a conversation, and its answer.

    Attributes:
        question: The question.
        answer: The answer.
        choices: The options of a multiple choice question; None for an open one.
        asked: What the model read as the question: the earlier turns that it got, and the question.
        sent: How many earlier turns these were.

    Example:
        >>> import numpy as np, dyto
        >>> qa = dyto.VideoQA.from_pretrained("tiny")
        >>> conversation = qa.chat(np.zeros((8, 32, 32, 3), np.uint8), max_new_tokens=2)
        >>> answer = conversation.ask("what is shown ?")
        >>> turn = conversation.history[0]
        >>> turn.question, turn.answer is answer, turn.sent
        ('what is shown ?', True, 0)
    """

    question: str
    answer: Answer
    choices: tuple[str, ...] | None = None
    asked: str = ""
    sent: int = 0

    @property
    def reply(self) -> str:
        """The answer as a later turn quotes it: its text or, of multiple choice, the words of the option."""
        if self.choices is not None and self.answer.choice is not None:
            return self.choices[self.answer.choice]
        return self.answer.text.strip()


def with_turns(turns: Sequence[Turn], question: str) -> str:
    """Return a question behind earlier turns, as a model reads them.

    Args:
        turns: The earlier turns.
        question: The question.
    """
    said = [part for turn in turns for part in (("user", turn.question.strip()), ("assistant", turn.reply))]
    return write_turns([*said, ("user", question.strip())])
