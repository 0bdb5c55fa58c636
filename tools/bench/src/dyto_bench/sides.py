"""The sides of a measurement: their interface, and this library with savings on and off."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from dyto.features import VisualTokens
from dyto.pipeline import VideoQA
from dyto.savings import Savings
from dyto_bench.plan import QUESTIONS, Subject
from dyto_bench.probes import Probe, now

STAGES = ("decode", "encode", "project", "select", "merge", "prefill", "generate", "other")
"""Where the seconds of a first answer go: what is no stage of a side counts 0, what is no stage at all "other".
"prefill" ends with the first token of the answer."""


@dataclass(frozen=True)
class FirstAnswer:
    """The first answer about a video, with everything from reading the file on.

    Attributes:
        stages: Seconds of each of `STAGES`.
        total: Wall time, seconds.
        to_first_token: Of it, until the first token of the answer.
        new_tokens: Tokens of the answer.
        frames: The numbers of the frames that were decoded and seen.
        visual_tokens: How many tokens stood for them.
        ids: The tokens of the answer.
        overlapped: Seconds by which the stages together exceed the total, since some ran at the same time.
        facts: Further sizes, by which floors are counted.
    """

    stages: Mapping[str, float]
    total: float
    to_first_token: float
    new_tokens: int
    frames: tuple[int, ...]
    visual_tokens: int
    ids: tuple[int, ...]
    overlapped: float = 0.0
    facts: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @classmethod
    def of(cls, start: float, probe: Probe, stages: Mapping[str, float], **rest: Any) -> FirstAnswer:
        """Make a first answer from the observations of a probe.

        Args:
            start: When it began.
            probe: What watched it; one call of `generate`.
            stages: Seconds of the stages before the answer; what they do not cover is "other".
            **rest: The further fields.
        """
        (written,) = probe.written
        known = {**dict.fromkeys(STAGES, 0.0), **stages}
        known["prefill"] += written.first - written.start
        known["generate"] = written.end - written.first
        total = written.end - start
        left = total - sum(known.values())
        known["other"] = max(0.0, left)
        return cls(
            stages=known,
            total=total,
            overlapped=max(0.0, -left),
            to_first_token=written.first - start,
            new_tokens=written.ids.shape[1],
            ids=tuple(written.ids[0].tolist()),
            **rest,
        )


@dataclass(frozen=True)
class FollowUps:
    """Further questions about a video that was asked about before.

    Attributes:
        total: Wall time of all of them, seconds.
        new_tokens: Tokens of all answers together.
        ids: The tokens of each answer.
    """

    total: float
    new_tokens: int
    ids: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, start: float, probe: Probe) -> FollowUps:
        """Make further answers from the observations of a probe."""
        rows = [tuple(row) for one in probe.written for row in one.ids.tolist()]
        return cls(probe.written[-1].end - start, sum(map(len, rows)), tuple(rows))


class Side(Protocol):
    """One way to answer questions about a video.

    Attributes:
        name: In tables.
        about: What it is, one line.
        has_axes: Whether it is measured at every number of questions and batch size, and not at one question alone.
        warnings: What a reader should know of what it does; found while it runs.
    """

    name: str
    about: str
    has_axes: bool
    warnings: list[str]

    def first(self) -> FirstAnswer:
        """Answer the first question, starting from the file, with nothing kept from earlier runs."""
        ...

    def further(self, questions: Sequence[str], batch_size: int) -> FollowUps:
        """Answer further questions about the video of `first`."""
        ...

    def release(self) -> None:
        """Drop everything kept about the video."""
        ...


class Ours:
    """This library.

    Args:
        subject: What is measured with.
        name: In tables.
        about: What it is.
        savings: What is on.
        has_axes: See `Side`.
    """

    def __init__(self, subject: Subject, name: str, about: str, savings: Savings, *, has_axes: bool = False) -> None:
        self.name, self.about, self.has_axes = name, about, has_axes
        self.warnings: list[str] = []
        self._subject = subject
        self._qa = VideoQA(subject.model, subject.strategy, savings=savings)
        self._tokens: VisualTokens | None = None

    def first(self) -> FirstAnswer:
        """See `Side.first`."""
        self.release()
        plan, qa, device = self._subject.plan, self._qa, self._subject.model.device
        asked = QUESTIONS[0] if qa.uses_question else None
        with Probe(self._subject.model).watching() as probe:
            start = now(device)
            tokens = qa.encode(self._subject.video, question=asked, num_frames=plan.num_frames)
            (answer,) = qa.ask_many(tokens, [QUESTIONS[0]], **self._answering())
        probe.check_length(self.name, plan.new_tokens)
        self._tokens = tokens
        seconds = {stage: answer.seconds[stage] for stage in ("decode", "encode", "select", "merge", "prefill")}
        seconds["project"] = min(probe.projected, seconds["encode"])  # a part of what the pipeline calls encode
        seconds["encode"] -= seconds["project"]
        return FirstAnswer.of(
            start,
            probe,
            seconds,
            frames=self._subject.indices,
            visual_tokens=len(tokens),
            facts={"keyframes": len(tokens.keyframes), "patches": tokens.grid[0] * tokens.grid[1]},
        )

    def further(self, questions: Sequence[str], batch_size: int) -> FollowUps:
        """See `Side.further`; a strategy that looks at the question begins with the file again."""
        again = self._qa.uses_question or self._tokens is None
        video: Any = self._subject.video if again else self._tokens
        sampling: dict[str, Any] = {"num_frames": self._subject.plan.num_frames} if again else {}
        with Probe(self._subject.model).watching() as probe:
            start = time.perf_counter()
            self._qa.ask_many(video, questions, batch_size=batch_size, **self._answering(), **sampling)
        probe.check_length(self.name, self._subject.plan.new_tokens)
        return FollowUps.of(start, probe)

    def release(self) -> None:
        """See `Side.release`."""
        self._tokens = None
        self._qa.forget()

    def _answering(self) -> dict[str, Any]:
        count = self._subject.plan.new_tokens
        return {"max_new_tokens": count, "generation": {"min_new_tokens": count}}
