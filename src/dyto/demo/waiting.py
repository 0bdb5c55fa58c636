"""Waiting for an engine: its events as they come, and words for the time in between."""

from __future__ import annotations

import queue
import time
from collections.abc import Generator
from typing import Any

from dyto.demo.events import Event, StageBegun
from dyto.errors import BusyError
from dyto.serving.engine import Engine
from dyto.serving.events import Answered, EngineQuestion, Failed
from dyto.serving.tickets import Ticket

LOOK_SECONDS = 0.5
"""Seconds between status updates; a visitor's departure is only noticed at an update."""

WORDS = {
    "waiting": "waiting for the model",
    "decode": "reading the video",
    "strategy": "choosing and merging",
    "encode": "encoding the frames",
    "generate": "answering",
}
"""What a visitor is told at each stage."""


def submitted(
    engine: Engine, asked: EngineQuestion, told: queue.SimpleQueue[Any], patient: bool
) -> Generator[Event, None, Ticket]:
    """Hand in a question; a patient visitor, who has half of an answer, waits until there is room."""
    while True:
        try:
            return engine.submit(asked, told.put)
        except BusyError:
            if not patient:
                raise
        yield StageBegun(WORDS["waiting"])
        time.sleep(LOOK_SECONDS)


def events_of(engine: Engine, ticket: Ticket, told: queue.SimpleQueue[Any]) -> Generator[Any, None, None]:
    """Yield what an engine tells, up to the end, and repeated status updates in between."""
    yield (doing := StageBegun(WORDS["waiting"]))
    while True:
        try:
            event = told.get(timeout=LOOK_SECONDS)
        except queue.Empty:
            ahead = engine.ahead(ticket)
            yield StageBegun(_waiting_for(ahead)) if ahead else doing
            continue
        doing = event if isinstance(event, StageBegun) else doing
        yield event
        if isinstance(event, (Answered, Failed)):
            return


def _waiting_for(questions: int) -> str:
    others = "another question is" if questions == 1 else f"{questions} other questions are"
    return f"{others} being answered first"
