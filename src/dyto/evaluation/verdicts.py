"""Cases for a judge, its verdicts, and the parsing of its replies."""

from __future__ import annotations

import json
import re
import string
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from hashlib import sha256
from typing import Any

from dyto.choices.cleaning import THINKING
from dyto.evaluation.judge_prompts import JudgePrompt
from dyto.evaluation.literals import NoObjectError, read_object

_REPLY_TOKENS = 20
_LONGEST_REPLY = 20_000
_MARK = re.compile(rf"(?:{THINKING.pattern})|\{{", re.IGNORECASE)
_REPORTING = re.compile(
    r"(?<!\w)(?:says?|said|claims?|claimed|states?|stated|writes?|wrote|written|contains?|contained|reads?|quotes?|"
    r"quoted|includes?|shows?|e\.g\.?|such as|like|examples?|formats?|predict\w*|predicted answer|candidate|student|"
    r"asked for|instead of|not|inject\w*|smuggles?|ignor\w+|disregard\w*|outputs?)"
    r"(?:\s+(?:is|was|are|be|that|this|itself|text|of|the|an?|object|json|"
    r"verdict|should|would|answer|simply|just|in|as|follows))*\s*[:,]?\s*\Z",
    re.IGNORECASE,
)
_PER_MESSAGE = 8


@dataclass(frozen=True)
class Case:
    """One prediction to judge in one aspect.

    Args:
        sample: Key of the sample.
        aspect: "match", or one of VCGBench's five aspects.
        values: Texts for the prompt's placeholders.
    """

    sample: str
    aspect: str
    values: Mapping[str, str]


@dataclass(frozen=True)
class Verdict:
    """The verdict of a judge.

    Args:
        pred: "yes" or "no"; None if the aspect has none, or the reply was not understood.
        score: 0 to 5; None if the judge gives none, or the reply was not understood.
        reason: Why there is no verdict; empty if there is one.
        reply: The judge's own words.
    """

    pred: str | None = None
    score: float | None = None
    reason: str = ""
    reply: str = ""

    @property
    def scored(self) -> bool:
        """Whether there is a verdict."""
        return not self.reason

    def to_row(self, key: str) -> dict[str, Any]:
        """Return the verdict as a journal row."""
        return {"key": key} | asdict(self)

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Verdict | None:
        """Make a verdict from a journal row; None if the row is not a verdict."""
        pred, score, reply = row.get("pred"), row.get("score"), row.get("reply", "")
        a_score = not isinstance(score, bool) and isinstance(score, int | float) and 0 <= score <= 5
        if pred not in ("yes", "no", None) or not a_score or row.get("reason") != "" or not isinstance(reply, str):
            return None
        return cls(pred=pred, score=score, reply=reply)


def verdict_rank(row: Mapping[str, Any]) -> int:
    """Rank rows with the same key: a row with a verdict counts before a row without one."""
    return int(Verdict.from_row(row) is None)


def parse_verdict(reply: str, aspect: str) -> Verdict | None:
    """Parse a judge's reply.

    A reasoning block (`<think>`) never counts. In the rest, the first of these that exists decides:

    1. the whole reply is one object, in JSON or Python syntax;
    2. objects on their own: in a fence, in a tag, or at the beginning or the end of a line.

    A quoted object, in another object's string or in prose ("it says {...}", "for example {...}"), is not a verdict,
    and two different objects count as none. `score` is a number from 0 to 5, and for "match" `pred` is exactly yes or
    no. Nothing is evaluated.

    Args:
        reply: The judge's words.
        aspect: The judged aspect.

    Returns:
        The verdict, or None if the reply holds none, or two different ones.

    Example:
        >>> parse_verdict("Sure: {'pred': 'yes', 'score': 4.8}", "match").score
        4.8
        >>> parse_verdict('{"pred": "yes or no", "score": 3}', "match")
    """
    text = reply.strip()
    if len(text) > _LONGEST_REPLY:
        return None
    if re.fullmatch("`[^`]*`", text):
        text = text[1:-1].strip()
    found = {_fields(read, aspect) for read in _objects(text) if {"pred", "score"} & read.keys()}
    if len(found) != 1 or None in found:
        return None
    (fields,) = found
    assert fields is not None
    return Verdict(pred=fields[0], score=fields[1], reply=reply)


def _fields(read: Mapping[str, Any], aspect: str) -> tuple[str | None, float] | None:
    """Return `pred` and `score` of an object; None if they are not a verdict."""
    pred, score = read.get("pred"), read.get("score")
    if isinstance(score, str):
        score = float(score) if re.fullmatch(r"\s*\d+\.?\d*\s*", score) else None
    if not isinstance(score, float) or not 0 <= score <= 5:
        return None
    if aspect != "match":
        return None, score
    pred = pred.strip().casefold() if isinstance(pred, str) else ""
    return (pred, score) if pred in ("yes", "no") else None


def _objects(text: str) -> list[dict[str, Any]]:
    """Return the unquoted objects of a reply: the whole reply, or objects on their own."""
    found, at, start, thinks = list[dict[str, Any]](), 0, 0, False
    while match := _MARK.search(text, at):
        at = match.end()
        if match[0] == "{":
            try:
                read, at = read_object(text, match.start())
            except NoObjectError:
                at = at if thinks else _closing(text, match.start())
            else:
                if not match.start() and not text[at:].strip(" .;\n"):
                    return [read]
                if not thinks and _stands_alone(text[start : match.start()], text[at:]):
                    found.append(read)
        else:
            closes = bool(match[1] or match[2])
            if closes and not thinks:  # the block was opened in the prompt
                found.clear()
            thinks, start = not closes, at
    return found


def _stands_alone(before: str, behind: str) -> bool:
    """Return whether an object is the reply's own: not quoted, not in the middle of a line, not reported."""
    opened = re.search(r"(?:\s*(?:```\w*|<\w+>))+\s*\Z", before)
    line = before[: opened.start()] if opened else before
    if re.search(r"[\"'`“”‘’«»]\s*\Z|(?:\A|\n)[ \t]*>[^\n]*\Z", line) or _REPORTING.search(line):
        return False
    begins = opened or re.search(r"(?:\A|\n|\[)[\s*]*\Z", before)
    ends = re.match(r"[ .;*\]]*(?:\n|\Z|```|</)", behind)
    return bool(begins or ends)


def _closing(text: str, at: int) -> int:
    """Return the position after the matching closing brace, or the end of the text if there is none."""
    depth = 0
    for match in re.compile("[{}]").finditer(text, at):
        depth += 1 if match[0] == "{" else -1
        if not depth:
            return match.end()
    return len(text)


def exact_match(case: Case) -> Verdict:
    """Judge offline: yes if prediction and answer have the same words after normalisation; no score.

    Example:
        >>> exact_match(Case("k", "match", {"answer": "a dog", "prediction": "The dog."})).pred
        'yes'
    """
    answer = normalise(case.values["answer"])
    same = all(normalise(case.values[key]) == answer for key in ("prediction", "prediction2") if key in case.values)
    return Verdict(pred="yes" if same else "no", score=None, reply="exact match")


def normalise(text: str) -> str:
    """Normalise a text: lower case, without punctuation, articles and repeated spaces.

    Example:
        >>> normalise("The  red Circle.")
        'red circle'
    """
    words = re.sub(f"[{re.escape(string.punctuation)}]", " ", text.casefold()).split()
    return " ".join(word for word in words if word not in ("a", "an", "the"))


def request_key(judge: str, messages: Sequence[Mapping[str, str]]) -> str:
    """Return the cache key of a verdict: everything that the judge saw, and the judge's name."""
    return sha256(
        json.dumps([judge, list(messages)], ensure_ascii=False).encode("utf-8", "backslashreplace")
    ).hexdigest()


@dataclass(frozen=True)
class Estimate:
    """An estimate of the cost of judging.

    Args:
        calls: Number of requests to send.
        cached: Number of cached verdicts.
        input_tokens: Tokens of all requests together, at about four characters per token.
        output_tokens: Tokens of all replies together.
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
    """Estimate the calls and tokens before the first call."""
    keys: dict[str, int] = {}
    for case in cases:
        messages = prompts[case.aspect].messages(case.values)
        keys[request_key(judge, messages)] = sum(len(m["content"]) // 4 + _PER_MESSAGE for m in messages)
    fresh = [tokens for key, tokens in keys.items() if key not in known]
    return Estimate(len(fresh), len(keys) - len(fresh), sum(fresh), len(fresh) * _REPLY_TOKENS)
