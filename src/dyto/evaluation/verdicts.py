"""What a judge is asked and what it says: cases, verdicts, and the reading of replies."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from dyto.evaluation.judge_prompts import JudgePrompt

_REPLY_TOKENS = 20
_PER_MESSAGE = 8


@dataclass(frozen=True)
class Case:
    """One prediction to be judged in one aspect.

    Args:
        sample: Key of the sample.
        aspect: "match", or one of VCGBench's five.
        values: Texts for the prompt's placeholders.
    """

    sample: str
    aspect: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Verdict:
    """What a judge said.

    Args:
        pred: "yes" or "no"; None where the aspect has none, or nothing was understood.
        score: 0 to 5; None where the judge gives none, or nothing was understood.
        reason: Why there is no verdict; empty if there is one.
        reply: The judge's own words.
    """

    pred: str | None = None
    score: float | None = None
    reason: str = ""
    reply: str = ""

    @property
    def scored(self) -> bool:
        """Whether this is a verdict at all."""
        return not self.reason

    def to_row(self, key: str) -> dict[str, Any]:
        """As a journal's row."""
        return {"key": key} | asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Verdict:
        """From a journal's row."""
        return cls(**{name: row[name] for name in ("pred", "score", "reason", "reply")})


def parse_verdict(reply: str, aspect: str) -> Verdict | None:
    """Read a judge's reply.

    Understood are a JSON object or a Python dict, alone or within other text, with `score` from 0 to 5 and
    for "match" `pred` yes or no.

    Args:
        reply: The judge's words.
        aspect: The aspect that was judged.

    Returns:
        The verdict, or None where the reply holds none, or two that differ.

    Example:
        >>> parse_verdict("Sure: {'pred': 'yes', 'score': 4.8}", "match").score
        4.8
        >>> parse_verdict('{"pred": "perhaps", "score": 9}', "match")
    """
    found = {_fields(part) for part in re.findall(r"\{[^{}]*\}", reply)} - {(None, None)}
    if len(found) != 1:
        return None
    pred, score = found.pop()
    if score is None or not 0 <= score <= 5 or (aspect == "match" and pred is None):
        return None
    return Verdict(pred=pred if aspect == "match" else None, score=score, reply=reply)


def _fields(text: str) -> tuple[str | None, float | None]:
    """`pred` and `score` of a JSON object or Python dict, without evaluating anything."""
    pred = re.search(r"""["']?\bpred\b["']?\s*:\s*["']?(yes|no)\b""", text, re.IGNORECASE)
    score = re.search(r"""["']?\bscore\b["']?\s*:\s*["']?(-?\d+(?:\.\d+)?)["']?\s*[,}]""", text, re.IGNORECASE)
    return (pred[1].lower() if pred else None), (float(score[1]) if score else None)


def exact_match(case: Case) -> Verdict:
    """The offline judge: yes if prediction and answer are the same words after normalisation; no score.

    Example:
        >>> exact_match(Case("k", "match", {"answer": "a dog", "prediction": "The dog."})).pred
        'yes'
    """
    answer = normalise(case.values["answer"])
    same = all(normalise(case.values[key]) == answer for key in ("prediction", "prediction2") if key in case.values)
    return Verdict(pred="yes" if same else "no", score=None, reply="exact match")


def normalise(text: str) -> str:
    """Lower case, without punctuation, articles and doubled spaces.

    Example:
        >>> normalise("The  red Circle.")
        'red circle'
    """
    words = re.sub(f"[{re.escape(string.punctuation)}]", " ", text.casefold()).split()
    return " ".join(word for word in words if word not in ("a", "an", "the"))


def request_key(judge: str, messages: Sequence[Mapping[str, str]]) -> str:
    """The key under which a verdict is kept: everything that the judge saw, and who it was."""
    return sha256(json.dumps([judge, list(messages)], ensure_ascii=False).encode()).hexdigest()


@dataclass(frozen=True)
class Estimate:
    """What judging will cost.

    Args:
        calls: Requests to come.
        cached: Verdicts that are there already.
        input_tokens: Of all requests together, at about four characters a token.
        output_tokens: Of all replies together.
    """

    calls: int
    cached: int
    input_tokens: int
    output_tokens: int

    def __str__(self) -> str:
        return (
            f"{self.calls:,} calls to come, about {self.input_tokens:,} tokens in and "
            f"{self.output_tokens:,} out; {self.cached:,} verdicts are there already"
        )


def estimate(cases: Sequence[Case], prompts: Mapping[str, JudgePrompt], judge: str, known: Collection[str]) -> Estimate:
    """Count the calls and tokens to come, before a single one is made."""
    keys: dict[str, int] = {}
    for case in cases:
        messages = prompts[case.aspect].messages(case.values)
        keys[request_key(judge, messages)] = sum(len(m["content"]) // 4 + _PER_MESSAGE for m in messages)
    fresh = [tokens for key, tokens in keys.items() if key not in known]
    return Estimate(len(fresh), len(keys) - len(fresh), sum(fresh), len(fresh) * _REPLY_TOKENS)
