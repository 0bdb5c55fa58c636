"""A line about each segment, from a model that can say something true about it."""

from __future__ import annotations

import copy
from dataclasses import replace

from dyto.inspecting.harmless import harmless
from dyto.moments.finding import OnSegment, VideoTimeline
from dyto.pipeline import VideoQA
from dyto.video import Frames

ASK = "Describe in one short sentence what this part of the video shows."
"""What a model that answers any question is asked."""

ASK_FOR_THINGS = "What is there?"
"""What a model that names things is asked."""

ASK_DRAWN, DRAWN = "What is the background?", "background: {}"
"""What a model of the drawn world is asked, and the line made of its answer."""

MOST_TOKENS, LONGEST = 48, 200
"""Tokens of a line, and its letters."""


def describe_timeline(
    qa: VideoQA, timeline: VideoTimeline, *, ask: str | None = None, on_segment: OnSegment | None = None
) -> VideoTimeline:
    """Let the model say a line about each segment.

    The bundled `nouns` names what it recognises, and `tiny` says which background a drawing has from the first to the
    last frame; where they recognise nothing, the line stays empty. Any other model is asked once a segment.

    Args:
        qa: Model and strategy; the strategy spends its whole budget on each segment.
        timeline: What to describe.
        ask: What to ask a model that answers any question; None for one short sentence.
        on_segment: Called before each segment.

    Returns:
        The timeline with lines; if there are none, its `warnings` say why.

    Raises:
        DytoError: As for `VideoQA.ask`.

    Example:
        >>> import numpy as np, dyto
        >>> qa = dyto.VideoQA.from_pretrained("tiny")
        >>> noise = np.random.default_rng(0).integers(0, 255, (4, 48, 64, 3), dtype=np.uint8)
        >>> describe_timeline(qa, dyto.find_timeline(qa, noise, segments=1)).segments[0].text
        ''
    """
    told = []
    for number, segment in enumerate(timeline.segments):
        if on_segment is not None:
            on_segment(number, len(timeline.segments))
        frames = timeline.frames[segment.first : segment.last + 1]
        told.append(replace(segment, text=_line(_alone(qa), frames, ask)))
    notes = list(qa.model.notices)
    if not any(segment.text for segment in told):
        notes.append(f"model {qa.model.name} has nothing true to say of these segments, so they have no lines")
    return replace(timeline, segments=tuple(told), warnings=tuple(dict.fromkeys((*timeline.warnings, *notes))))


def _alone(qa: VideoQA) -> VideoQA:
    """Return a pipeline that reports no stages, since the segments are reported."""
    own = copy.copy(qa)
    own.on_stage = None
    return own


def _line(qa: VideoQA, frames: Frames, ask: str | None) -> str:
    tokens = qa.encode(frames, question=qa.question_for_strategy(ask or ASK))
    if not tokens.meaningful:
        return ""
    seen = qa.model.account(tokens, ASK_FOR_THINGS, None).get("things")
    if seen is not None:  # it names things, and answers no other question
        return ", then ".join(dict.fromkeys(thing["name"] for thing in seen))
    if qa.model.knows is not None:
        return _drawn(qa, frames)
    said = " ".join(harmless(qa.ask(tokens, ask or ASK, max_new_tokens=MOST_TOKENS).text).split())
    return said if len(said) <= LONGEST else said[: LONGEST - 1].rstrip() + "…"


def _drawn(qa: VideoQA, frames: Frames) -> str:
    """Return what a model of the drawn world says of the first, the middle and the last frame, if it is the same."""
    places = sorted({0, len(frames) // 2, len(frames) - 1})
    said = {qa.ask(frames[[place]], ASK_DRAWN, max_new_tokens=8).text.strip() for place in places}
    return DRAWN.format(*said) if len(said) == 1 and said != {""} else ""
