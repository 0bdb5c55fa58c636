"""Prompts for the judge of open-ended answers, in our own words, with the usual rubric."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from dyto.errors import ConfigError, unknown

PLACEHOLDERS = ("{question}", "{answer}", "{prediction}", "{question2}", "{prediction2}")


@dataclass(frozen=True)
class JudgePrompt:
    """One request to the judge.

    Args:
        system: Instructions for the judge.
        user: The case, with `{question}`, `{answer}` and `{prediction}`; for consistency also `{question2}` and
            `{prediction2}`.
    """

    system: str
    user: str

    def messages(self, values: Mapping[str, str]) -> list[dict[str, str]]:
        """Return the chat messages for one case.

        Example:
            >>> JudgePrompt("Judge.", "Q: {question}").messages({"question": "who?"})[1]["content"]
            'Q: who?'
        """
        parts = self.user.split("{")  # one pass over the template, because an answer may contain braces
        text = parts[0]
        for part in parts[1:]:
            name, closed, rest = part.partition("}")
            text += values[name] + rest if closed and name in values else "{" + part
        return [{"role": "system", "content": self.system}, {"role": "user", "content": text}]


_CASE = "Question: {question}\nCorrect answer: {answer}\nPredicted answer: {prediction}\n\n"
_SCORE_ONLY = (
    "Reply with one JSON object and nothing else: "
    '{"score": N}, where N is a whole number from 0 (worst) to 5 (best). Example: {"score": 3}'
)
_ROLE = (
    "You grade a system that answers questions about videos. You see a question, the correct answer and what "
    "the system predicted. Synonyms and paraphrases count as the same: judge the meaning, not the wording. "
)


def _rated(task: str) -> JudgePrompt:
    return JudgePrompt(_ROLE + task, _CASE + _SCORE_ONLY)


PROMPTS: dict[str, JudgePrompt] = {
    "match": JudgePrompt(
        _ROLE + "Decide whether the prediction means the same as the correct answer.",
        _CASE + "Reply with one JSON object and nothing else. Its key pred is yes if the prediction is right "
        "and no if it is wrong; its key score is a whole number from 0 to 5, where 5 means that the meanings "
        'agree best. Example: {"pred": "yes", "score": 4}',
    ),
    "correctness": _rated(
        "Rate whether what the prediction states is factually correct: it must agree with the correct answer "
        "and must not misread or invent what the video shows."
    ),
    "detail": _rated(
        "Rate how detailed the prediction is: it should be complete, covering all main points of the correct "
        "answer, and specific rather than general."
    ),
    "context": _rated(
        "Rate how well the prediction fits the video as a whole: it should understand the situation that the "
        "correct answer describes and stay with its main theme."
    ),
    "temporal": _rated(
        "Rate the prediction's grasp of time: things should happen in the order in which the correct answer has them."
    ),
    "consistency": JudgePrompt(
        _ROLE + "Here the same is asked twice in different words. Rate how consistent the two predictions are "
        "with each other and with the correct answer: they should not contradict one another.",
        "First question: {question}\nSecond question: {question2}\nCorrect answer: {answer}\n"
        "Prediction for the first: {prediction}\nPrediction for the second: {prediction2}\n\n" + _SCORE_ONLY,
    ),
}


def read_prompts(path: str | Path | None) -> dict[str, JudgePrompt]:
    """Return the judge's prompts, with ours replaced by those in a YAML (or JSON) file.

    Args:
        path: A file `{aspect: {system: ..., user: ...}}`; None for ours. Aspects not in the file keep our prompts.

    Raises:
        ConfigError: The file is missing, is not YAML, names an unknown aspect, or a user text has no
            `{prediction}`.
    """
    if path is None:
        return dict(PROMPTS)
    try:
        given = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as err:
        raise ConfigError(f"{path} cannot be read as YAML: {err}") from err
    if not isinstance(given, dict):
        raise ConfigError(f"{path} holds {type(given).__name__}, expected aspects: {', '.join(PROMPTS)}")
    prompts = dict(PROMPTS)
    for aspect, texts in given.items():
        if aspect not in PROMPTS:
            raise unknown("aspect", aspect, PROMPTS)
        if not isinstance(texts, dict) or set(texts) != {"system", "user"}:
            raise ConfigError(f"{path}, {aspect}: expected the two keys system and user")
        if "{prediction}" not in str(texts["user"]):
            raise ConfigError(f"{path}, {aspect}: the user text has no {{prediction}}; known: {PLACEHOLDERS}")
        prompts[aspect] = JudgePrompt(str(texts["system"]), str(texts["user"]))
    return prompts
