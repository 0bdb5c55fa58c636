"""The command `dyto chat`: a conversation about one video; `register` adds it to the command line."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import typer

from dyto.cli import early, options
from dyto.cli.console import err, out
from dyto.cli.groups import with_flags
from dyto.cli.printing import one_line, print_evidence, print_note, print_stream
from dyto.cli.several import counted
from dyto.cli.starting import STAGE_WORDS, load_qa
from dyto.cli.waiting import loading_model
from dyto.errors import ConfigError, DytoError, unknown
from dyto.evaluation.outcome import reason_of

if TYPE_CHECKING:
    from dyto.conversation.talking import Conversation
    from dyto.pipeline import VideoQA
    from dyto.strategies import Strategy

PROMPT = "> "

INTERRUPTED = 130
"""Exit status after Ctrl-C."""

HELP = """\
/frames          the moments of the video that the model reads
/evidence        the moments that the last answer rests on
/budget N        read the video again in at most N visual tokens
/strategy NAME   read the video again with another strategy of `dyto list strategies`
/help            this list
/quit            end the conversation, as the end of the input does
Anything else is a question."""


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("chat")(chat_command)


@with_flags
def chat_command(
    video: options.VideoFile,
    chosen: options.StrategyOptions,
    loading: options.ModelOptions,
    frames: options.FrameOptions,
    savings: options.SavingOptions,
    prompt: options.PromptName = None,
    max_new_tokens: options.MaxNewTokens = 128,
    subtitles: options.SubtitlesOf = "auto",
    speech: options.SpeechModel = None,
) -> None:
    """Talk about a video: it is read once, and each question of the prompt, or line of a pipe, is answered at once."""
    chosen.check()
    saved, sampling = savings.make(), frames.sampling_options()
    early.check_video(video, sampling)
    loading = early.loading_for(video, loading)
    early.check_model(loading, usual=True)
    early.check_question("?", None, prompt, max_new_tokens)
    said = early.find_said(video, subtitles, speech, sampling)
    with loading_model(loading.model) as status:
        qa, _ = load_qa(loading, chosen.make, status, savings=saved, prompt=prompt)
        conversation = qa.chat(video, max_new_tokens=max_new_tokens, subtitles=said, **sampling)
        conversation.prepare()
    session = Session(qa, conversation, chosen.budget)
    session.begin()
    try:
        for line in lines():
            if not session.take(line):
                break
    except KeyboardInterrupt:  # which the parser of commands would end without a word
        err.print("dyto: interrupted")
        raise SystemExit(INTERRUPTED) from None
    session.end()


def lines() -> Iterator[str]:
    """Return the lines that are typed at a prompt, or that come through a pipe, until the end of the input."""
    if sys.stdin is None:
        return
    typed, shown = sys.stdin.isatty(), sys.stdout.isatty()
    with contextlib.suppress(AttributeError, ValueError):  # a stand-in for the stream
        sys.stdin.reconfigure(errors="surrogateescape")  # type: ignore[union-attr]  # bytes that are no text are told
    if typed and shown:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - with it `input` edits the line and knows the ones before
    start = "\ufeff"
    try:
        while True:
            if typed and not shown:
                err.print(PROMPT, end="")
            line = input(PROMPT) + "\n" if typed and shown else sys.stdin.readline()
            if not line:
                return
            yield line.removeprefix(start)
            start = ""
    except EOFError:
        out.print()
    except KeyboardInterrupt:
        err.print()
        raise


class Session:
    """A conversation on a terminal or through a pipe.

    Args:
        qa: What answers.
        conversation: Its conversation.
        budget: The budget that was asked for, for a strategy that is named later; None for each strategy's own.
    """

    def __init__(self, qa: VideoQA, conversation: Conversation, budget: int | None) -> None:
        self._qa, self._conversation, self._budget = qa, conversation, budget
        self._weighable = conversation.tokens  # what the last answer rests on
        self._told: set[str] = set()
        self._failed = 0
        self._commands = {
            "/frames": self._frames,
            "/evidence": self._evidence,
            "/budget": self._change_budget,
            "/strategy": self._change_strategy,
            "/help": self._help,
        }

    def begin(self) -> None:
        """Say what answers, and what a reader should know of it."""
        from dyto.conversation.turns import NOT_READ

        tokens = self._conversation.tokens
        said = "" if tokens is None else f", {counted(len(tokens.keyframes), 'key frame')} in {len(tokens)} tokens"
        err.print(f"{self._qa.model.name} on {self._qa.model.where}{said}; /help lists the commands, /quit ends")
        self._note(*self._qa.model.notices, *(() if tokens is None else tokens.warnings))
        if not self._conversation.reads_history:
            self._note(NOT_READ)

    def take(self, line: str) -> bool:
        """Answer a question or obey a command; an error is one line, and the conversation goes on.

        Args:
            line: The line.

        Returns:
            Whether the conversation goes on.
        """
        word, _, rest = line.strip().partition(" ")
        if word == "/quit":
            return False
        try:
            if word.startswith("/"):
                if word not in self._commands:
                    raise unknown("command", one_line(word), [*self._commands, "/quit"])
                self._commands[word](rest.strip())
            elif word:
                self._answer(line.strip())
        except (DytoError, RuntimeError, MemoryError) as error:  # of the model or the machine, such as its memory
            self._failed += 1
            err.print(f"dyto: {one_line(reason_of(error))}", style="red")
        return True

    def end(self) -> None:
        """End; through a pipe with status 1 if a line had an error.

        Raises:
            SystemExit: It had.
        """
        if self._failed and not (sys.stdin is not None and sys.stdin.isatty()):
            raise SystemExit(1)

    def _answer(self, question: str) -> None:
        with err.status(STAGE_WORDS["generate"]) as status:
            self._qa.on_stage = lambda stage: status.update(STAGE_WORDS.get(stage, stage))
            answer = print_stream(self._conversation.stream(question), status)
        self._weighable = self._conversation.tokens
        self._note(*answer.warnings)

    def _frames(self, rest: str) -> None:
        tokens = self._conversation.tokens
        if tokens is None:
            raise ConfigError("found no frames yet, since the strategy reads the question first: ask one")
        found = zip(tokens.keyframes.seconds.tolist(), tokens.keyframes.indices.tolist(), strict=True)
        for place, (second, index) in enumerate(found):
            count = int((tokens.keyframe == place).sum())
            out.print(f"{second:9.1f}s  frame {index}  {count} {'token' if count == 1 else 'tokens'}")
        budget = "no budget" if tokens.budget is None else f"budget {tokens.budget}"
        out.print(f"tokens      {tokens.uncompressed} -> {len(tokens)} ({budget})")

    def _evidence(self, rest: str) -> None:
        from dyto.inspecting.evidence import check_evidence, find_evidence

        if not self._conversation.history:
            raise ConfigError("found no answer yet, expected one to explain: ask a question first")
        check_evidence(self._qa.model)
        turn, tokens = self._conversation.history[-1], self._weighable
        assert tokens is not None
        moments = []
        if turn.answer.text.strip() and turn.answer.meaningful:
            with err.status("weighing the key frames"):
                moments = find_evidence(self._qa, tokens, turn.asked, turn.answer.text, choices=turn.choices)
        print_evidence(moments, turn.answer)

    def _change_budget(self, rest: str) -> None:
        from dyto.strategies.targets import with_budget

        if not (rest.isascii() and rest.isdecimal() and len(rest) < 10):
            raise ConfigError(f"found /budget {one_line(rest)}, expected a number of tokens, such as /budget 500")
        self._read_with(with_budget(self._qa.strategy, int(rest)))
        self._budget = int(rest)

    def _change_strategy(self, rest: str) -> None:
        from dyto.strategies import PRESETS, STRATEGIES
        from dyto.strategies.published import is_named
        from dyto.strategies.targets import make_second

        if not is_named(rest) and rest not in PRESETS:  # a file would run what another line of a pipe brings
            raise unknown("strategy", one_line(rest), {**STRATEGIES, **PRESETS})
        self._read_with(make_second(rest, self._budget))

    def _read_with(self, strategy: Strategy) -> None:
        """Read the video with another strategy, and stay with the old one if that fails."""
        before = self._qa.strategy
        self._qa.strategy = strategy
        try:
            with err.status(STAGE_WORDS["decode"]) as status:
                self._qa.on_stage = lambda stage: status.update(STAGE_WORDS.get(stage, stage))
                self._conversation.prepare()
        except BaseException:
            self._qa.strategy = before
            raise
        if not self._qa.uses_question:
            self._frames("")

    def _help(self, rest: str) -> None:
        out.print(HELP)

    def _note(self, *warnings: str) -> None:
        """Print notes that were not printed before."""
        for warning in warnings:
            if warning not in self._told:
                self._told.add(warning)
                print_note(warning)
