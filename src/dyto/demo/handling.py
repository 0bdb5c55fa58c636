"""What happens as a visitor shows a video and asks: from the fields of the page to its parts."""

from __future__ import annotations

import html
import io
import logging
import secrets
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from PIL import Image

from dyto.answer import Answer
from dyto.demo.engine import DemoEngine
from dyto.demo.events import Captioned, DemoQuestion, QuestionFailed, SideAnswered, StageBegun, TextWritten
from dyto.demo.messages import unforeseen
from dyto.demo.parts import shown_models
from dyto.demo.showing import ShownShot, ShownSide, ShownTurn, download, player, said, shots, side_of, timeline, zipped
from dyto.demo.visitors import Visitors
from dyto.demo.waiting import LOOK_SECONDS, WORDS
from dyto.demo.wishes import read_wish
from dyto.errors import ConfigError
from dyto.serving.refusing import tidy
from dyto.subtitles.finding import AUTO

logger = logging.getLogger(__name__)

ASKED = ("status", "past", "now", "line", "frames", "maps", "question", "options", "turns")
"""Parts of the page that a question changes, in the order of its outputs."""

SHOWN = ("player", "status", "past", "now", "line", "frames", "maps", "turns")
"""Parts of the page that another video changes, in the order of its outputs."""

FILLED = ("question", "options")
"""Fields that are emptied as a question is asked, and filled again if it fails."""

MOST_TURNS = 50
"""Number of turns that a page shows."""

Changes = Generator[list[Any], None, None]


class Handlers:
    """The functions behind the page.

    Args:
        gr: The gradio module.
        engine: What answers.
        visitors: The visitors and their files.
    """

    def __init__(self, gr: Any, engine: DemoEngine, visitors: Visitors) -> None:
        self._gr = gr
        self._engine = engine
        self._visitors = visitors
        self._models = shown_models(engine.models)

    def greet(self) -> Generator[Any, None, None]:
        """Say on an opening page that the model is still being loaded, as long as it is."""
        told = False
        while not self._engine.ready:
            if not told:
                yield "starting: the model is being loaded; you can already choose a video"
            told = True
            time.sleep(LOOK_SECONDS)
        yield ""

    def hold(self) -> Callable[..., list[Any]]:
        """Return the handler for a page that shows another video: the previous one is removed."""

        def hold(token: str | None, spoken: str | None, request: Any) -> list[Any]:
            page = str(request.session_hash)
            self._visitors.clear(page)
            blank: dict[str, Any] = {**dict.fromkeys(SHOWN, ""), "turns": ()}
            try:
                clip, _ = self._visitors.clips(page, token, spoken)
                if clip is None:
                    return self._changed(SHOWN, blank)
                wrong = self._engine.wrong_with(str(clip.path))
                blank |= (
                    {"status": told(wrong.replace(clip.path.name, clip.name))} if wrong else {"player": player(clip)}
                )
            except ConfigError as err:
                blank["status"] = told(str(err))
            return self._changed(SHOWN, blank)

        return self._requesting(hold)

    def hear(self) -> Callable[..., Any]:
        """Return the handler for a page that is given other subtitles: it says what they are."""

        def hear(token: str | None, spoken: str | None, request: Any) -> Any:
            try:
                _, file = self._visitors.clips(str(request.session_hash), token, spoken)
                words = "" if file is None else said(self._engine.subtitles_in(str(file.path), file.name))
            except ConfigError as err:
                words = f"<strong>{plain(str(err))}</strong>"
            return self._gr.update(value=words)

        return self._requesting(hear)

    def ask(self) -> Callable[..., Changes]:
        """Return the handler for a question."""

        def ask(
            token: str | None, spoken: str | None, listens: bool, question: str, options: str, model: str,
            strategy: str, preset: str, budget: int | None, versus: str, turns: tuple[ShownTurn, ...], request: Any,
        ) -> Changes:  # fmt: skip
            page = str(request.session_hash)
            try:
                clip, file = self._visitors.clips(page, token, spoken)
                path = str(clip.path) if clip else None
                subtitles = self._engine.subtitles_in(str(file.path), file.name) if file and listens else None
                how = strategy, preset, budget, versus, subtitles or (AUTO if listens else None)
                wish = read_wish(path, question, options, self._models[model], *how)
                wish = replace(wish, turns=[(turn.question, turn.sides[0].reply) for turn in turns or ()])
                yield from self._answer(page, wish, clip.name if clip else "", turns or ())
            except ConfigError as err:
                yield self._failed(str(err))
            except Exception:
                number = secrets.token_hex(4)
                logger.exception("a question failed (reference %s)", number)
                yield self._failed(unforeseen(number))

        return self._requesting(ask)

    def _answer(self, page: str, wish: DemoQuestion, name: str, turns: tuple[ShownTurn, ...]) -> Changes:
        self._visitors.clear(page)
        names = [str(getattr(strategy, "name", "own strategy")) for strategy in wish.strategies]
        shown_model = next(label for label, model in self._models.items() if model == wish.model)
        known = {Path(wish.video).name: name, wish.model: shown_model}
        turn = ShownTurn(wish.question, wish.choices, tuple(map(ShownSide, names)))
        past = "".join(old.html(latest=False) for old in turns)
        shown: dict[str, Any] = {
            "status": WORDS["waiting"], "past": past, "now": turn.html(), "frames": "", "maps": "", "question": "",
            "options": "",
        }  # fmt: skip
        yield self._changed(ASKED, shown)
        frames: list[tuple[str, list[ShownShot]]] = []
        maps: list[tuple[str, list[ShownShot]]] = []
        links = ""
        for event in self._engine.ask(wish):
            if isinstance(event, QuestionFailed):
                words = event.words.replace(Path(wish.video).name, name)
                yield self._failed(words, question=wish.question, options="\n".join(wish.choices or ()), now="")
                return
            if isinstance(event, StageBegun):
                yield self._changed(ASKED, {"status": event.words})
            elif isinstance(event, TextWritten):
                side = replace(turn.sides[event.side], words=event.text, remark=event.remark)
                turn = turn.with_side(event.side, side)
                yield self._changed(ASKED, {"now": turn.html()})
            else:
                event = replace(event, answer=_renamed(event.answer, known))
                turn = turn.with_side(event.side, self._side(names[event.side], wish, event, (*turns, turn)))
                keyframes = event.answer.keyframes
                pictures = [list(map(jpeg, drawn)) for drawn in (event.keyframes, event.maps)]
                for shown_on, files, drawn in zip((frames, maps), pictures, (event.keyframes, event.maps), strict=True):
                    shown_on.append((names[event.side], self._kept(page, files, keyframes.seconds.tolist(), drawn)))
                (archive,) = self._visitors.show(page, [zipped(pictures[0], keyframes)], ".zip") or [""]
                links += download(archive, len(keyframes)) if archive else ""
                shown |= {"now": turn.html(), "frames": shots("frames", frames) + links, "maps": shots("maps", maps)}
                if event.side == 0:
                    shown["line"] = timeline(event.parts, keyframes.seconds.tolist())
                if len(frames) == len(names):
                    shown |= {"status": "", "turns": (*turns, turn)[-MOST_TURNS:]}
                # Send the complete state at the end of a side, in case earlier pieces were lost.
                yield self._changed(ASKED, {key: value for key, value in shown.items() if key not in FILLED})

    def _side(self, name: str, wish: DemoQuestion, event: SideAnswered, turns: tuple[ShownTurn, ...]) -> ShownSide:
        """Return a complete side; what an earlier turn said already is not said again."""
        side = side_of(name, event.answer, wish.choices, event.seconds, event.known, tuple(self._models))
        said = {note for turn in turns for note in turn.notes}
        return replace(side, notes=tuple(note for note in side.notes if note not in said))

    def _kept(self, page: str, files: list[bytes], seconds: list[float], drawn: Captioned) -> list[ShownShot]:
        """Return pictures, each at an address for this visitor only."""
        names = self._visitors.show(page, files)
        return [ShownShot(name, second, words) for name, second, (_, words) in zip(names, seconds, drawn, strict=False)]

    def _failed(self, words: str, **changes: Any) -> list[Any]:
        return self._changed(ASKED, {"status": told(words), **changes})

    def _changed(self, parts: tuple[str, ...], values: Mapping[str, Any]) -> list[Any]:
        """Return the outputs of a handler; what has no new value stays."""
        return [
            values[part] if part == "turns" and part in values
            else self._gr.update(value=values[part]) if part in values else self._gr.update()
            for part in parts
        ]  # fmt: skip

    def _requesting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Annotate a function so that gradio fills in its `request`."""
        function.__annotations__["request"] = self._gr.Request
        return function


def _renamed(answer: Answer, names: Mapping[str, str]) -> Answer:
    """Return an answer that calls model and video by the names that the visitor knows."""
    spoken = answer.spoken and replace(answer.spoken, source=tidy(answer.spoken.source, names))
    notes = tuple(tidy(note, names) for note in answer.warnings)
    return replace(answer, model=tidy(answer.model, names), spoken=spoken, warnings=notes)


def jpeg(captioned: tuple[Image.Image, str]) -> bytes:
    """Return a picture as a JPEG file."""
    file = io.BytesIO()
    captioned[0].save(file, "JPEG", quality=90)
    return file.getvalue()


def told(words: str) -> str:
    """Format an error for the status line; the browser scrolls to it."""
    return f"**{plain(words)}**"


def plain(words: str) -> str:
    """Escape text for HTML and Markdown."""
    escaped = html.escape(words)
    return "".join(f"&#{ord(letter)};" if letter in "*_`[]#!|~$\\" else letter for letter in escaped)
