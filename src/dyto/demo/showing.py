"""What the page shows of an answer, as HTML: the player, the conversation, the key frames and what was merged."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dyto.answer import Answer
from dyto.demo.events import ShownPart
from dyto.demo.uploads import UploadedVideo
from dyto.features import KeyFrames
from dyto.inspecting.markup import text
from dyto.inspecting.times import clock
from dyto.models.suitable import for_a_page
from dyto.subtitles.finding import Subtitles
from dyto.tokens import NOT_ITS_WORLD

MANY = 24
"""Number of key frames above which their pictures are smaller."""

LETTERS = "ab"
"""Marks of the two sides of a comparison, in the ids of their elements."""


@dataclass(frozen=True)
class ShownShot:
    """A picture for the page.

    Attributes:
        name: Name under which its visitor fetches it.
        second: Second of the video at which it is.
        caption: Words under it.
    """

    name: str
    second: float
    caption: str

    @property
    def address(self) -> str:
        """Address, relative to the page."""
        return f"gradio_api/file={self.name}"


@dataclass(frozen=True)
class ShownSide:
    """The answer of one strategy, as far as it is written.

    Attributes:
        name: Name of the strategy.
        words: The answer.
        remark: What stands before it.
        facts: What was read, and how long it took.
        notes: What a reader should know.
        done: Whether it is complete.
        reply: The answer as a later turn quotes it.
    """

    name: str
    words: str = ""
    remark: str = ""
    facts: str = ""
    notes: tuple[str, ...] = ()
    done: bool = False
    reply: str = ""


@dataclass(frozen=True)
class ShownTurn:
    """A question and its answers on the page.

    Attributes:
        question: The question.
        choices: Its options, or None.
        sides: The answers, one for each strategy.

    Example:
        >>> turn = ShownTurn("<b>?", None, (ShownSide("plus", "yes", done=True),))
        >>> "<b>" in turn.html(), "yes" in turn.html()
        (False, True)
    """

    question: str
    choices: Sequence[str] | None
    sides: tuple[ShownSide, ...]

    def with_side(self, number: int, side: ShownSide) -> ShownTurn:
        """Return the turn with another state of one side."""
        return replace(self, sides=(*self.sides[:number], side, *self.sides[number + 1 :]))

    @property
    def notes(self) -> set[str]:
        """All notes of the answers."""
        return {note for side in self.sides for note in side.notes}

    def html(self, latest: bool = True) -> str:
        """Return the turn as HTML.

        Args:
            latest: Whether it is the last turn, whose answers have ids.
        """
        options = "".join(f"<li>{text(choice)}</li>" for choice in self.choices or ())
        asked = f'<p class="asked">{text(self.question)}</p>' + (
            f'<ul class="options">{options}</ul>' if options else ""
        )
        sides = "".join(self._side(number, latest) for number in range(len(self.sides)))
        return f'<article class="turn"><div class="question">{asked}</div><div class="sides">{sides}</div></article>'

    def _side(self, number: int, latest: bool) -> str:
        side = self.sides[number]
        own = f' id="answer-{LETTERS[number]}"' if latest else ""
        head = f'<h4 class="by">{text(side.name)}</h4>' if len(self.sides) > 1 else ""
        remark = f'<p class="remark">{text(side.remark)}</p>' if side.remark else ""
        words = text(side.words) or ("(no answer)" if side.done else '<span class="writing">…</span>')
        facts = f'<p class="facts">{side.facts}</p>' if side.facts else ""
        notes = "".join(f"<li>{text(note)}</li>" for note in side.notes)
        notes = f'<ul class="notes">{notes}</ul>' if notes else ""
        return f'<div class="said"{own}>{head}{remark}<p class="words">{words}</p>{facts}{notes}</div>'


def side_of(
    name: str, answer: Answer, choices: Sequence[str] | None, seconds: float, known: bool, offered: Sequence[str]
) -> ShownSide:
    """Return a complete answer as the page shows it.

    Args:
        name: Name of the strategy.
        answer: The answer.
        choices: Options of the question.
        seconds: Time from the question to the answer.
        known: Whether the strategy had seen the video before.
        offered: Models in the page's menu.
    """
    notes = tuple(for_a_page(warning, offered) for warning in answer.warnings if warning != NOT_ITS_WORLD)
    return ShownSide(
        name=name,
        words=answer.text,
        remark="" if answer.meaningful else NOT_ITS_WORLD,
        facts=facts_of(name, answer, choices, seconds, known),
        notes=notes,
        done=True,
        reply=answer.text.strip() if choices is None or answer.choice is None else choices[answer.choice],
    )


def facts_of(name: str, answer: Answer, choices: Sequence[str] | None, seconds: float, known: bool) -> str:
    """Return the facts about an answer as HTML; arguments as for `side_of`."""
    chosen = ""
    if choices is not None:
        named = "none of the options" if answer.choice is None else choices[answer.choice]
        chosen = f"Option: <strong>{text(named)}</strong><br>"
    budget = "no budget" if answer.token_budget is None else f"budget {answer.token_budget}"
    read = min(seconds, sum(answer.seconds[stage] for stage in ("decode", "encode", "select", "merge")))
    spent = "; the video had been read before" if known else f", of which reading the video took {read:.1f} s"
    frames = len(answer.keyframes)
    heard = "" if answer.spoken is None else f" It read {text(answer.spoken.told)}."
    return (
        f"{chosen}{text(answer.model)} with {text(name)}: {frames} key frame{'' if frames == 1 else 's'}, "
        f"{answer.uncompressed_tokens} → {answer.num_visual_tokens} tokens ({budget}).{heard} "
        f"Answered after {seconds:.1f} s{spent}."
    )


def player(clip: UploadedVideo) -> str:
    """Return the player of a video, or a sentence where browsers show no such file."""
    name = text(clip.name)
    if clip.kind is None:
        return f'<p class="unshown"><bdi>{name}</bdi> is of a kind that browsers do not show. You can ask about it.</p>'
    place = f"gradio_api/file={text(clip.token)}"
    if clip.kind == "image/gif":
        return f'<img class="film" src="{place}" alt="{name}">'
    return (
        f'<video class="film" src="{place}" controls playsinline preload="metadata" aria-label="{name}"></video>'
        f'<p class="unshown" hidden><bdi>{name}</bdi> does not play in this browser. You can ask about it.</p>'
    )


def said(subtitles: Subtitles) -> str:
    """Return in words what a file of subtitles holds.

    Example:
        >>> from dyto.subtitles.parsing import Subtitle
        >>> said(Subtitles((Subtitle(1.0, 2.5, "Hello."), Subtitle(61.0, 62.0, "Bye.")), "film.srt"))
        '<bdi>film.srt</bdi>: 2 lines, from 1.0 s to 1:02.0'
    """
    count = f"{len(subtitles)} line{'' if len(subtitles) == 1 else 's'}"
    start, end = subtitles.lines[0].start, max(line.end for line in subtitles.lines)
    return f"<bdi>{text(subtitles.source)}</bdi>: {count}, from {clock(start)} to {clock(end)}"


def shots(kind: str, sides: Sequence[tuple[str, Sequence[ShownShot]]]) -> str:
    """Return the pictures of each side; a click on one moves the video there.

    Args:
        kind: "frames" or "maps".
        sides: Name of the strategy and pictures of each side that is complete.
    """
    parts = []
    for number, (name, pictures) in enumerate(sides):
        head = f'<h4 class="by">{text(name)}</h4>' if len(sides) > 1 else ""
        small = " many" if len(pictures) > MANY else ""
        tiles = "".join(
            f'<button type="button" class="shot" data-second="{shot.second:.3f}" title="Show this moment">'
            f'<img src="{text(shot.address)}" alt="" loading="lazy"><span>{text(shot.caption)}</span></button>'
            for shot in pictures
        )
        grid = f'<div class="shots {kind}{small}">{tiles}</div>'
        parts.append(f'<section id="{kind}-{LETTERS[number]}" class="side">{head}{grid}</section>')
    return f'<div class="sides">{"".join(parts)}</div>' if parts else ""


def timeline(parts: Sequence[ShownPart], keyframes: Sequence[float]) -> str:
    """Return the timeline of a video: a click on a part moves the video there, and marks show the key frames.

    Args:
        parts: The parts of the video.
        keyframes: Seconds of the key frames.
    """
    if not parts:
        return ""
    start, end = parts[0].start, parts[-1].end
    tiles = "".join(
        f'<button type="button" data-second="{part.start:.3f}" title="{clock(part.start)} to {clock(part.end)}" '
        f'aria-label="Part from {clock(part.start)} to {clock(part.end)}" '
        f'style="flex-grow:{part.end - part.start:.3f};background:rgb{part.color}"></button>'
        for part in parts
    )
    places = ((second - start) / max(end - start, 1e-6) for second in keyframes)
    marks = "".join(f'<i style="left:{100 * min(1.0, max(0.0, place)):.2f}%"></i>' for place in places)
    count = f"{len(parts)} part{'' if len(parts) == 1 else 's'}"
    return (
        f'<div class="line">{tiles}</div><div class="marks" aria-hidden="true">{marks}</div>'
        f'<div class="ends"><span>{clock(start)}</span><span>{count}, told apart by their pixels; marks: key frames'
        f"</span><span>{clock(end)}</span></div>"
    )


def download(name: str, count: int) -> str:
    """Return the link to the key frames in one file."""
    words = "key frame with its time" if count == 1 else f"{count} key frames with their times"
    return (
        f'<p class="download"><a href="gradio_api/file={text(name)}" download="key-frames.zip">Download the {words} '
        "(ZIP)</a></p>"
    )


def zipped(pictures: Sequence[bytes], keyframes: KeyFrames) -> bytes:
    """Return a ZIP file of key frames with a table of their numbers and seconds.

    Args:
        pictures: JPEG files.
        keyframes: The key frames that they show.
    """
    whole, table = io.BytesIO(), ["file,index,second"]
    with zipfile.ZipFile(whole, "w") as archive:
        each = zip(pictures, keyframes.indices.tolist(), keyframes.seconds.tolist(), strict=True)
        for number, (picture, index, second) in enumerate(each, start=1):
            name = f"{number:03d}-{second:.2f}s.jpg"
            archive.writestr(name, picture)
            table.append(f"{name},{index},{second:.3f}")
        archive.writestr("keyframes.csv", "\n".join(table) + "\n")
    return whole.getvalue()
