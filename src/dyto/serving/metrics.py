"""What a service counts, for Prometheus."""

from __future__ import annotations

from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from dyto.serving.engine import Engine
from dyto.serving.events import EngineReply

SECONDS = (0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300)
QUESTIONS = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Counters and gauges of one service.

    Args:
        engine: The engine that is looked at.
    """

    def __init__(self, engine: Engine) -> None:
        self._registry = CollectorRegistry()
        own: dict[str, Any] = {"registry": self._registry}
        self._requests = Counter("dyto_requests", "Requests by route and status.", ["route", "status"], **own)
        self._seconds = Histogram(
            "dyto_answer_seconds", "Seconds from a question to its answer.", buckets=SECONDS, **own
        )
        self._stages = Counter("dyto_stage_seconds", "Seconds of the stages of answers.", ["stage"], **own)
        self._tokens = Counter("dyto_tokens", "Tokens that were read and written.", ["kind"], **own)
        self._videos = Counter("dyto_videos", "Questions by whether the video was known.", ["known"], **own)
        self._batches = Histogram("dyto_batch_questions", "Questions in a batch.", buckets=QUESTIONS, **own)
        for name, words, value in (
            ("dyto_waiting", "Questions that wait.", lambda: engine.waiting),
            ("dyto_answering", "Questions that are being answered.", lambda: engine.answering),
            ("dyto_kept_bytes", "Bytes of kept tokens and prefixes.", lambda: engine.kept.nbytes),
            ("dyto_kept_videos", "Videos whose tokens are kept.", lambda: len(engine.kept)),
        ):
            Gauge(name, words, **own).set_function(value)
        engine.on_batch(lambda questions, seconds: self._batches.observe(questions))

    def request(self, route: str, status: int) -> None:
        """Count a request."""
        self._requests.labels(route, str(status)).inc()

    def answered(self, reply: EngineReply, seconds: float) -> None:
        """Count an answer."""
        self._seconds.observe(seconds)
        self._tokens.labels("prompt").inc(reply.prompt_tokens)
        self._tokens.labels("completion").inc(reply.completion_tokens)
        self._videos.labels("yes" if reply.reused else "no").inc()
        for stage, spent in reply.answer.seconds.items():
            if stage != "total" and not (reply.reused and stage in ("decode", "encode", "select", "merge")):
                self._stages.labels(stage).inc(max(0.0, spent))

    def text(self) -> bytes:
        """Return everything in the format of Prometheus."""
        return generate_latest(self._registry)
