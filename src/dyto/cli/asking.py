"""The command `dyto ask`; `register` adds it to the command line."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dyto.cli import early, options
from dyto.cli.console import out
from dyto.cli.groups import with_flags
from dyto.cli.printing import print_answer, print_evidence, print_stream
from dyto.cli.quick import quickly
from dyto.cli.several import MEMORIES, ask_several, questions_in, refuse_file, refuse_for_several, videos_of
from dyto.cli.starting import load_qa
from dyto.cli.waiting import loading_model
from dyto.errors import ConfigError

if TYPE_CHECKING:
    from dyto.models.loading.options import Loading
    from dyto.savings import Savings
    from dyto.strategies import Strategy

VideoFiles = Annotated[
    list[str] | None,
    typer.Argument(
        help="A video file or a folder of pictures; or several of them, or a folder of video files or of memories.",
        show_default=False,
    ),
]
Question = Annotated[str | None, typer.Argument(help="The question, if --each does not name them.", show_default=False)]
Choices = Annotated[
    list[str] | None,
    typer.Option(help="Options of a multiple choice question: --choices 'a cat' 'a dog'.", metavar="A B ..."),
]


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("ask")(ask)


class MissingArgument(typer.BadParameter):
    """Error for a command line that ends too early."""

    def format_message(self) -> str:
        """Return the error as the parser itself would put it."""
        return f"Missing argument '{self.message}'."


@with_flags
def ask(
    context: typer.Context,
    chosen: options.StrategyOptions,
    loading: options.ModelOptions,
    frames: options.FrameOptions,
    savings: options.SavingOptions,
    videos: VideoFiles = None,
    question: Question = None,
    choices: Choices = None,
    each: Annotated[
        Path | None, typer.Option(help="Ask every question of this text file, one a line.", metavar="FILE")
    ] = None,
    encoding: options.Encoding = None,
    top: Annotated[
        int, typer.Option(help="Memories of a folder to ask, the most relevant to the question.", min=1)
    ] = MEMORIES,
    prompt: options.PromptName = None,
    max_new_tokens: options.MaxNewTokens = 128,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document for each answer on stdout, and nothing else.")
    ] = False,
    save_keyframes: Annotated[
        Path | None, typer.Option(help="Save a picture of the key frames to this file.", metavar="FILE.png")
    ] = None,
    evidence: Annotated[bool, typer.Option("--evidence", help="Say which moments the answer rests on.")] = False,
    subtitles: options.SubtitlesOf = "auto",
    speech: options.SpeechModel = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Choose the key frames and count their tokens, but do not ask.")
    ] = False,
) -> None:
    """Answer a question about a video, or questions about several: one line each."""
    words = list(videos or ())
    if each is not None and question is not None:
        words.append(question)
    if not words:
        raise MissingArgument("video" if each is not None or question is None else "question", ctx=context)
    if each is None:
        refuse_file(question or "", words)
    if encoding is not None and each is None:
        raise ConfigError("found --encoding without --each, expected both: it is the encoding of that file")
    chosen.check()
    saved = savings.make()  # what needs no library first
    asked: dict[str, Any] = {
        "strategy": chosen.make,
        "sampling": frames.sampling_options(),
        "loading": loading,
        "choices": choices,
        "prompt": prompt,
        "max_new_tokens": max_new_tokens,
        "as_json": as_json,
        "evidence": evidence,
        "subtitles": subtitles,
        "savings": saved,
    }
    found = videos_of(words, None if each is not None else question, top)
    if each is None and question is not None and found == words and len(words) == 1:
        ask_and_print(words[0], question, **asked, speech=speech, save_keyframes=save_keyframes, dry_run=dry_run)
        return
    refuse_for_several(save_keyframes is not None, dry_run, evidence and not as_json, subtitles, speech is not None)
    questions = questions_in(each, encoding) if each is not None else [(None, question or "")]
    ask_several(found, questions, **asked)


def ask_and_print(
    video: str,
    question: str,
    *,
    strategy: Callable[[], Strategy],
    sampling: dict[str, Any],
    loading: Loading,
    choices: list[str] | None = None,
    prompt: str | None = None,
    max_new_tokens: int = 128,
    as_json: bool = False,
    save_keyframes: Path | None = None,
    evidence: bool = False,
    subtitles: str = "none",
    speech: str | None = None,
    savings: Savings | None = None,
    dry_run: bool = False,
) -> None:
    """Answer one question and print the answer, as the commands do.

    Args:
        video: A video file, a folder of pictures, or a memory.
        question: The question.
        strategy: Makes the strategy.
        sampling: Options of `dyto.sample_frames`.
        loading: The model and how to load it.
        choices: Options of a multiple choice question.
        prompt: Name or file of a template.
        max_new_tokens: Largest number of tokens in the answer.
        as_json: Print one JSON document and nothing else.
        save_keyframes: Where to save a picture of the key frames.
        evidence: Say which moments the answer rests on.
        subtitles: What is said in the video, as for `dyto.find_subtitles`.
        speech: The model that writes it down instead.
        savings: Which savings are on; None for the usual ones.
        dry_run: Print what would be asked, and ask nothing.
    """
    early.check_video(video, sampling)
    loading = early.loading_for(video, loading)
    early.check_model(loading, usual=True)
    early.check_question(question, choices, prompt, max_new_tokens)
    said = early.find_said(video, subtitles, speech, sampling)
    with loading_model(loading.model) as status:
        seen: list[Any] = []  # keep the frames for their picture, so that the file is read once
        if save_keyframes:
            with quickly():
                from dyto.inspecting.sheet import TILE, check_sheet, save_keyframe_sheet
            check_sheet(save_keyframes)
            sampling = {**sampling, "preview": TILE}
        template: dict[str, Any] = {"choice_prompt" if choices else "prompt": prompt}
        qa, before = load_qa(loading, strategy, status, savings=savings, **template)
        qa.on_frames = seen.append if save_keyframes else None
        if evidence:
            from dyto.inspecting.evidence import check_evidence, find_evidence

            check_evidence(qa.model)
        tokens = qa.encode(video, question=qa.question_for_strategy(question), subtitles=said, **sampling)
        if dry_run:
            from dyto.cli.planning import AskPlan

            plan = AskPlan.of(qa, tokens, question, choices, max_new_tokens)
            status.stop()
            plan.print(as_json)
            return
        if as_json:
            answer = qa.ask(tokens, question, choices=choices, max_new_tokens=max_new_tokens)
        else:
            from dyto.tokens import NOT_ITS_WORLD

            pieces = qa.stream(tokens, question, choices=choices, max_new_tokens=max_new_tokens)
            answer = print_stream(pieces, status, None if tokens.meaningful else NOT_ITS_WORLD)
        weigh = evidence and answer.text and answer.meaningful
        explained: dict[str, Any] = {"choices": choices, "max_new_tokens": max_new_tokens}
        moments = find_evidence(qa, tokens, question, answer.text, **explained) if weigh else []
    if as_json:
        document = answer.to_dict()
        if evidence:
            document["evidence"] = [moment.to_dict() for moment in moments]
        out.file.write(json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n")
    else:
        print_answer(answer, qa, choices, before)
        if evidence:
            print_evidence(moments, answer)
    if save_keyframes:  # last, so that the answer is printed even if the picture cannot be saved
        save_keyframe_sheet(save_keyframes, seen[-1], answer.keyframes)
        if not as_json:
            out.print(f"saved       {save_keyframes}")
