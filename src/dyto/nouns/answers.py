"""Answers from a timeline: text and confidence, and never more than was seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from dyto.nouns.options import scores
from dyto.nouns.questions import ParsedQuestion
from dyto.nouns.replies import NOT_SURE, Reply, any_of, unseen
from dyto.nouns.seeing import GUESS, Recognition, Sighting, Timeline, named
from dyto.nouns.table import Concept, nouns, with_article

PRESENT = 0.015
"""Share from which a thing is present rather than absent, if the scene is clear, see `STRENGTH`."""

PRESENT_KIND, PRESENT_OF_MANY = 0.03, 0.15
"""Smallest and largest such share of a kind, which needs a thousandth more for each of its nouns: each has a little of
every scene."""

ORDERED = 0.06
"""Share from which a thing takes part in what comes first, last, before and after."""

SEEN = 0.35
"""Share from which a thing is seen clearly; below, it is perhaps present."""

CLEAR = 2.0
"""An option must be this many times as likely as any other to be chosen."""


def reply(timeline: Timeline, question: ParsedQuestion) -> Reply:
    """Answer a question.

    Args:
        timeline: What was seen.
        question: The question.
    """
    if not len(timeline):
        return Reply(f"{NOT_SURE}: there is no video to look at", None, reason="no video")
    if question.options:
        return _choose(timeline, question)
    if question.form == "unseen":
        return unseen(question.about)
    if question.form == "unclear":
        return _unclear(timeline, question)
    by_form = {
        "is there": _is_there,
        "either": _either,
        "when": _when,
        "count": _count,
        "order": _order,
        "before or after": _order,
    }
    return by_form.get(question.form, _what)(timeline, question)


def _unclear(timeline: Timeline, question: ParsedQuestion) -> Reply:
    """Say what was not understood, and what is seen of the things that the question names, or at all."""
    if question.strange:
        strange = ", ".join(f'"{word[:40]}"' for word in question.strange[:3])
        reason = f"I do not know what {strange} means here"
    else:
        reason = "the question was not understood"
    told = _what(timeline, ParsedQuestion("what", concepts=question.concepts))
    seen = f"it {told.text}" if told.reason is None and told.text.startswith("looks") else told.text
    text = f"{NOT_SURE}: {reason}; {seen.removeprefix(f'{NOT_SURE}: ')}"
    return Reply(text, told.confidence, reason=reason, seen=told.seen)


def _what(timeline: Timeline, question: ParsedQuestion) -> Reply:
    """Say what is shown, at all or at some moment, and of one kind or any."""
    beside = {"before": 1, "after": 1, "between": 2}.get(question.place, 0)
    if len(question.concepts) < beside:
        reason = f"I do not know a noun after {question.place!r} in the question"
        return Reply(f"{NOT_SURE}: {reason}", None, reason=reason)
    split = len(question.concepts) - beside
    kind = any_of(question.concepts[:split])
    seen = timeline.sightings(kind)
    if beside:
        return _beside(timeline, question.place, seen, question.concepts[split:])
    sure = named(seen)
    if kind is not None and not sure and _most(timeline, kind) < _present(kind):
        text = f"nothing of that kind: I do not see {with_article(kind.word)} {_looked(timeline)}"
        return Reply(text, 1 - _most(timeline, kind))
    if question.place == "at":
        return _told([min(seen, key=lambda one: max(one.start - question.number, question.number - one.end, 0.0))])
    if question.place == "middle":
        middle = float(np.median(timeline.seconds))
        return _told([one for one in seen if one.start <= middle <= one.end] or seen[:1])
    wanted = {"first": 1, "last": len(sure), "nth": int(question.number)}.get(question.place)
    if wanted and wanted <= len(sure):
        return _told([sure[wanted - 1]])
    if question.place == "nth" and sure:
        reason = f"I could name only {len(sure)}"
        return Reply(f"{NOT_SURE}: {reason}", min(one.verdict.sure for one in sure), reason=reason)
    return _told(sure or [_whole(timeline, kind)])


def _looked(timeline: Timeline) -> str:
    return (
        "in the one frame that I looked at" if len(timeline) == 1 else f"in the {len(timeline)} frames that I looked at"
    )


def _whole(timeline: Timeline, within: Concept | None) -> Sighting:
    """Return the video as a whole, for a guess."""
    verdict = Recognition.of(timeline.shares.mean(0), 0.0, within)
    return Sighting(verdict, float(timeline.seconds[0]), float(timeline.seconds[-1]), len(timeline))


def _told(seen: Sequence[Sighting]) -> Reply:
    """Say what sightings are of."""
    sure = named(seen)
    if not sure:
        guess = seen[0].verdict.text if seen else ""
        reason = "nothing was seen clearly enough to be named"
        confidence = seen[0].verdict.sure if seen else 0.0
        return Reply(f"{NOT_SURE}: {guess}" if guess else NOT_SURE, confidence, reason=reason, seen=seen)
    confidence = min(one.verdict.sure for one in sure)
    if len({one.verdict.name for one in sure}) == 1:
        times = ", ".join(one.when for one in sure)
        return Reply(f"looks like {sure[0].verdict.text}, {times}", confidence, seen=sure)
    told = "; then ".join(f"{one.verdict.text}, {one.when}" for one in sure)
    return Reply(f"looks like {told}", confidence, seen=sure)


def _beside(timeline: Timeline, place: str, seen: Sequence[Sighting], beside: Sequence[Concept]) -> Reply:
    """Say what comes before or after something, or between two things."""
    spans = [_found(timeline, concept) for concept in beside]
    for concept, span in zip(beside, spans, strict=True):
        if span is None:
            return _missed(timeline, concept)
    held = sorted((span for span in spans if span is not None), key=lambda span: span.start)
    others = [one for one in named(seen) if not any(one.verdict.classes & concept.classes for concept in beside)]
    if place == "between":
        found = [one for one in others if held[0].end < one.start and one.end < held[-1].start]
    elif place == "after":
        found = [one for one in others if one.start > held[0].end][:1]
    else:
        found = [one for one in others if one.end < held[0].start][-1:]
    if not found:
        reason = f"nothing was seen clearly {place} {' and '.join(with_article(concept.word) for concept in beside)}"
        return Reply(f"{NOT_SURE}: {reason}", held[0].verdict.sure, reason=reason)
    return _told(found)


def _missed(timeline: Timeline, concept: Concept) -> Reply:
    """Answer a question about something that was not seen."""
    reason = f"{with_article(concept.word)} was not seen clearly"
    return Reply(f"{NOT_SURE}: {reason}", _most(timeline, concept), reason=reason)


def _present(concept: Concept) -> float:
    """Return the share from which a noun or a kind is present rather than absent."""
    if len(concept.classes) == 1:
        return PRESENT
    return min(PRESENT_KIND + len(concept.classes) / 1000, PRESENT_OF_MANY)


def _most(timeline: Timeline, concept: Concept) -> float:
    return float(timeline.share_of(concept).max(initial=0.0))


def _found(timeline: Timeline, concept: Concept) -> Sighting | None:
    """Find the scene that shows a concept best; None if no scene does."""
    shares = timeline.share_of(concept)
    scene = int(shares.argmax())
    return timeline.span(scene) if shares[scene] >= (ORDERED if timeline.is_clear(scene) else SEEN) else None


def _where(timeline: Timeline, concept: Concept) -> list[Sighting]:
    """Return all scenes with a concept; if none is clear, those about as likely as the best one.

    Consecutive scenes are joined.
    """
    shares = timeline.share_of(concept)
    enough = min(SEEN, float(shares.max()) / 2)
    found: list[Sighting] = []
    for scene in np.flatnonzero(shares >= enough):
        one = timeline.span(int(scene))
        if found and scene and shares[scene - 1] >= enough:
            last = found.pop()
            one = Sighting(one.verdict, last.start, one.end, last.frames + one.frames)
        found.append(one)
    return found


def _unknown(question: ParsedQuestion) -> Reply | None:
    """Answer a question that names nothing the eye can know."""
    concept = any_of(question.concepts)
    if concept is None:
        reason = "the question names nothing that I know"
        return Reply(f"{NOT_SURE}: {reason}", None, reason=reason)
    return unseen("people") if concept.classes <= nouns().people else None


def _is_there(timeline: Timeline, question: ParsedQuestion) -> Reply:
    if unknown := _unknown(question):
        return unknown
    if question.place in ("first", "last"):
        return _is_at_the_end(timeline, question)
    shares = [_most(timeline, one) for one in question.concepts]
    least = int(np.argmin([share / _present(one) for share, one in zip(shares, question.concepts, strict=True)]))
    concept, share = question.concepts[least], shares[least]  # if there are several, all must be present
    if share < _present(concept):
        told = f"I do not see {with_article(concept.word)} {_looked(timeline)}"
        return Reply(told if question.denied else f"no: {told}", 1 - share, yes=share)
    found = _where(timeline, concept)
    clear = timeline.is_clear(int(timeline.share_of(concept).argmax()))
    if nouns().worn[list(concept.classes)].all() or (share < SEEN and not clear):
        text, reason = f"{NOT_SURE}: perhaps {with_article(concept.word)}, {found[0].when}", "it was not seen clearly"
        return Reply(text, share, reason=reason, yes=share, seen=found[:1])
    said = share >= SEEN and not nouns().guarded[list(concept.classes)].all()
    told = "; ".join(_when_seen(timeline, one) for one in question.concepts)
    sure = "it looks like" if said else "perhaps"
    yes = "" if question.denied else "yes: " if said else "yes, "  # a bare "yes" to a negation says nothing
    return Reply(f"{yes}{sure}{'' if said else ':'} {told}", share, yes=max(share, 0.5), seen=found)


def _when_seen(timeline: Timeline, concept: Concept) -> str:
    """Return a thing with the times when it is seen: "a dog, 3.0 to 8.5 s"."""
    return f"{with_article(concept.word)}, {', '.join(one.when for one in _where(timeline, concept))}"


def _is_at_the_end(timeline: Timeline, question: ParsedQuestion) -> Reply:
    """Say whether something is seen first, or last, at all or of its kind."""
    concept, kind = question.concepts[0], any_of(question.concepts[1:])
    sure = named(timeline.sightings(kind))
    if not sure:
        return _missed(timeline, concept)
    one = sure[0 if question.place == "first" else -1]
    word = "yes" if one.verdict.classes <= concept.classes else "no"
    yes = one.verdict.sure if word == "yes" else 1 - one.verdict.sure
    return Reply(f"{word}: {one.verdict.text} is, {one.when}", one.verdict.sure, yes=yes, seen=[one])


def _either(timeline: Timeline, question: ParsedQuestion) -> Reply:
    """Choose between two things: the likelier one, if only that one is seen clearly."""
    shares = [_most(timeline, one) for one in question.concepts]
    best = int(np.argmax(shares))
    rest = max(share for number, share in enumerate(shares) if number != best)
    if shares[best] < SEEN or shares[best] < CLEAR * rest:
        reason = "I see neither clearly" if shares[best] < SEEN else "I see both"
        return Reply(f"{NOT_SURE}: {reason}", shares[best], reason=reason)
    found = _where(timeline, question.concepts[best])
    times = ", ".join(one.when for one in found)
    return Reply(f"looks like {with_article(question.concepts[best].word)}, {times}", shares[best], seen=found)


def _when(timeline: Timeline, question: ParsedQuestion) -> Reply:
    if unknown := _unknown(question):
        return unknown
    answer = _is_there(timeline, replace(question, place=""))
    if not answer.seen or answer.reason is not None:
        return answer
    return Reply(", ".join(one.when for one in answer.seen), answer.confidence, seen=answer.seen)


def _count(timeline: Timeline, question: ParsedQuestion) -> Reply:
    kind = any_of(question.concepts)
    seen = named(timeline.sightings(kind))
    names = list(dict.fromkeys(one.verdict.text for one in seen))
    if not names:
        return _told([_whole(timeline, kind)])
    told = ", ".join(names)
    return Reply(f"{len(names)}, as far as I can name them: {told}", min(one.verdict.sure for one in seen), seen=seen)


def _order(timeline: Timeline, question: ParsedQuestion) -> Reply:
    first, second = question.concepts[:2]
    one, other = _found(timeline, first), _found(timeline, second)
    if one is None or other is None:
        return _missed(timeline, second if one else first)
    sure = min(_most(timeline, first), _most(timeline, second))
    earlier = one.start < other.start
    if question.form == "before or after":
        word = "before" if earlier else "after"
    else:
        word = "yes" if earlier == (question.place == "before") else "no"
    yes = sure if word == "yes" else 1 - sure
    return Reply(f"{word}: {first.word} {one.when}, {second.word} {other.when}", sure, yes=yes)


def _choose(timeline: Timeline, question: ParsedQuestion) -> Reply:
    """Choose an option by the share of what it names, at the moment that the question is about."""
    if question.form == "unseen":
        return unseen(question.about)
    if question.strange:
        return _unclear(timeline, question)
    concepts = [any_of([c for c in nouns().concepts(text) if c.classes - nouns().people]) for text in question.options]
    if all(concept is None for concept in concepts):
        open_question = ParsedQuestion(
            question.form, question.about, question.concepts, question.place, question.number
        )
        return _by_words(reply(timeline, open_question), question.options)
    shares = scores(timeline, question, concepts)
    if question.denied:
        shares = np.where([one is None for one in concepts], 0.0, 1 - shares)
    best = int(shares.argmax())
    rest = float(np.delete(shares, best).max(initial=0.0))
    if shares[best] < GUESS or shares[best] < CLEAR * rest:
        reason = "no option was seen clearly" if shares[best] < GUESS else "two options are about equally likely"
        share = float(shares[best] / max(shares.sum(), 1.0))
        return Reply(f"{NOT_SURE}: {reason}", share, reason=reason)
    return Reply(f"({chr(65 + best)}) {question.options[best]}", float(shares[best] / shares.sum()), choice=best)


def _by_words(answer: Reply, options: Sequence[str]) -> Reply:
    """Find an option of yes or no, or a number, with which an open answer begins."""
    said = answer.text.split(":")[0].split(",")[0].casefold()
    for index, option in enumerate(options):
        if said == option.strip(" .").casefold():
            return Reply(f"({chr(65 + index)}) {option}", answer.confidence, choice=index, yes=answer.yes)
    reason = answer.reason or "no option names a noun that I know"
    return Reply(f"{NOT_SURE}: {reason}", answer.confidence, reason=reason)
