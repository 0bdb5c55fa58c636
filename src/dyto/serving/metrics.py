"""What a service counts, for Prometheus."""

from __future__ import annotations

import threading
from collections import defaultdict
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from dyto.serving.engine import Engine
from dyto.serving.events import EngineReply

SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
QUESTIONS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters of each client, which are told to that client alone, and gauges of the service.

    Args:
        engine: The engine that is looked at.
    """

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        self._owners: defaultdict[str, _Owned] = defaultdict(_Owned)
        self._lock = threading.Lock()
        own: dict[str, Any] = {"registry": self._registry}
        self._keyless = Counter(
            "dyto_requests_without_key", "Requests without a valid key by route and status.", ["route", "status"], **own
        )
        self._batches = Histogram("dyto_batch_questions", "Questions in a batch.", buckets=QUESTIONS, **own)
        for name, words, value in (
            ("dyto_waiting", "Questions that wait.", lambda: engine.waiting),
            ("dyto_answering", "Questions that are being answered.", lambda: engine.answering),
            ("dyto_kept_bytes", "Bytes of kept tokens and prefixes.", lambda: engine.kept.nbytes),
            ("dyto_kept_videos", "Videos whose tokens are kept.", lambda: len(engine.kept)),
        ):
            Gauge(name, words, **own).set_function(value)
        engine.on_batch(lambda questions, seconds: self._batches.observe(questions))

    def request(self, owner: str, route: str, status: int) -> None:
        """Count a request of an owner; of nobody, if that is empty."""
        counter = self._of(owner).requests if owner else self._keyless
        counter.labels(route, str(status)).inc()

    def answered(self, owner: str, reply: EngineReply, seconds: float) -> None:
        """Count an answer."""
        self._of(owner).answered(reply, seconds)

    def text(self, owner: str) -> bytes:
        """Return what an owner may see, in the format of Prometheus."""
        return generate_latest(self._of(owner).registry) + generate_latest(self._registry)

    def _of(self, owner: str) -> _Owned:
        with self._lock:
            return self._owners[owner]


class _Owned:
    """Counters of one client."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self.registry}
        self.requests = Counter("dyto_requests", "Your requests by route and status.", ["route", "status"], **own)
        self._seconds = Histogram(
            "dyto_answer_seconds", "Seconds from a question of yours to its answer.", buckets=SECONDS, **own
        )
        self._stages = Counter("dyto_stage_seconds", "Seconds of the stages of your answers.", ["stage"], **own)
        self._tokens = Counter("dyto_tokens", "Tokens that were read and written for you.", ["kind"], **own)
        self._videos = Counter("dyto_videos", "Your questions by whether the video was known.", ["known"], **own)

    def answered(self, reply: EngineReply, seconds: float) -> None:
        """Count an answer."""
        self._seconds.observe(seconds)
        self._tokens.labels("prompt").inc(reply.prompt_tokens)
        self._tokens.labels("completion").inc(reply.completion_tokens)
        self._videos.labels("yes" if reply.reused else "no").inc()
        for stage, spent in reply.answer.seconds.items():
            if stage != "total" and not (reply.reused and stage in ("decode", "encode", "select", "merge")):
                self._stages.labels(stage).inc(max(0.0, spent))
