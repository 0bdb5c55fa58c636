"""The command line: `dyto ask`, `dyto list` and the commands of other modules."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from dyto.cli import clock, early, options
from dyto.cli.batch import register as register_batch
from dyto.cli.certifying import register as register_certifying
from dyto.cli.comparing import register as register_comparing
from dyto.cli.console import err, out
from dyto.cli.demo import register as register_demo
from dyto.cli.evaluation import register as register_evaluation
from dyto.cli.groups import with_flags
from dyto.cli.inspecting import register as register_inspecting
from dyto.cli.plugins import Commands
from dyto.cli.printing import print_answer, print_evidence, print_stream
from dyto.cli.process import quickly, report_errors
from dyto.cli.remembering import register as register_remembering
from dyto.cli.results import app as results_app
from dyto.cli.searching import register as register_searching
from dyto.cli.serving import register as register_serving
from dyto.cli.synthetic import app as synthetic_app
from dyto.errors import ConfigError

if TYPE_CHECKING:
    from dyto.models.loading.options import Loading
    from dyto.savings import Savings
    from dyto.strategies import Strategy

# File names and answers are printed verbatim, including brackets and ":words:".

app = typer.Typer(
    name="dyto",
    cls=Commands,
    help="Ask questions about videos, with image models and without training. Unofficial implementation of DyTo.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)

STAGE_WORDS = {
    "load": "loading the model",
    "decode": "reading the video",
    "strategy": "choosing and merging",
    "encode": "encoding the frames",
    "prefill": "reading the tokens",
    "generate": "answering",
}


Question = Annotated[str, typer.Argument(help="The question.", show_default=False)]
Choices = Annotated[
    list[str] | None,
    typer.Option(help="Options of a multiple choice question: --choices 'a cat' 'a dog'.", metavar="A B ..."),
]


@app.callback(invoke_without_command=True)
def root(
    show_version: Annotated[bool, typer.Option("--version", help="Print the version and exit.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show tracebacks and the library's log.")] = False,
) -> None:
    """Ask questions about videos, with image models and without training. Unofficial implementation of DyTo."""
    if show_version:
        from importlib.metadata import version

        out.print(f"dyto {version('dyto')}")
        raise typer.Exit


@app.command()
@with_flags
def ask(
    video: options.VideoFile,
    question: Question,
    chosen: options.StrategyOptions,
    loading: options.ModelOptions,
    frames: options.FrameOptions,
    savings: options.SavingOptions,
    choices: Choices = None,
    prompt: options.PromptName = None,
    max_new_tokens: options.MaxNewTokens = 128,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else.")
    ] = False,
    save_keyframes: Annotated[
        Path | None, typer.Option(help="Save a picture of the key frames to this file.", metavar="FILE.png")
    ] = None,
    evidence: Annotated[bool, typer.Option("--evidence", help="Say which moments the answer rests on.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Choose the key frames and count their tokens, but do not ask.")
    ] = False,
) -> None:
    """Answer a question about a video."""
    chosen.check()
    saved = savings.make()
    ask_and_print(
        video,
        question,
        choices=choices,
        loading=loading,
        strategy=chosen.make,
        prompt=prompt,
        max_new_tokens=max_new_tokens,
        sampling=frames.sampling_options(),
        as_json=as_json,
        save_keyframes=save_keyframes,
        evidence=evidence,
        savings=saved,
        dry_run=dry_run,
    )


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
        savings: Which savings are on; None for the usual ones.
        dry_run: Print what would be asked, and ask nothing.
    """
    early.check_video(video, sampling)
    loading = early.loading_for(video, loading)
    early.check_model(loading, usual=True)
    early.check_question(question, choices, prompt, max_new_tokens)
    with err.status(STAGE_WORDS["load"]) as status:
        with quickly():
            from dyto.cli.planning import AskPlan
            from dyto.inspecting.evidence import check_evidence, find_evidence
            from dyto.inspecting.sheet import TILE, check_sheet, save_keyframe_sheet
            from dyto.models.loading.naming import usual_model
            from dyto.pipeline import VideoQA
            from dyto.tokens import NOT_ITS_WORLD

            made = strategy()
        seen: list[Any] = []  # keep the frames for their picture, so that the file is read once
        if save_keyframes:
            check_sheet(save_keyframes)
            sampling = {**sampling, "preview": TILE}
        template: dict[str, Any] = {"choice_prompt" if choices else "prompt": prompt}
        started = clock.since_start()
        with quickly():
            qa = VideoQA.from_pretrained(
                usual_model(loading.model), made, savings=savings, **template, **loading.options
            )
        before = {"start": started, "load": clock.since_start() - started}
        qa.on_stage = lambda stage: status.update(STAGE_WORDS.get(stage, stage))
        qa.on_frames = seen.append if save_keyframes else None
        if evidence:
            check_evidence(qa.model)
        tokens = qa.encode(video, question=qa.question_for_strategy(question), **sampling)
        if dry_run:
            plan = AskPlan.of(qa, tokens, question, choices, max_new_tokens)
            status.stop()
            plan.print(as_json)
            return
        if as_json:
            answer = qa.ask(tokens, question, choices=choices, max_new_tokens=max_new_tokens)
        else:
            pieces = qa.stream(tokens, question, choices=choices, max_new_tokens=max_new_tokens)
            answer = print_stream(pieces, status, None if tokens.meaningful else NOT_ITS_WORLD)
        weigh = evidence and answer.text and answer.meaningful
        moments = find_evidence(qa, tokens, question, answer.text, choices=choices) if weigh else []
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


@app.command("list")
def list_names(
    what: Annotated[
        str, typer.Argument(help="models, strategies, presets, benchmarks, prompts or savings.", show_default=False)
    ],
) -> None:
    """List the names that other commands take."""
    from dyto.cli.listing import table

    columns, rows = table(what)
    widths = [max(len(row[i]) for row in [columns, *rows]) for i in range(len(columns))]
    for style, row in [("bold", columns), *((None, row) for row in rows)]:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        out.print(line.rstrip(), style=style)


def spread_choices(argv: Sequence[str]) -> list[str]:
    """Let `--choices` take several values by repeating `--choices` before each, as the parser expects.

    Example:
        >>> spread_choices(["ask", "v.mp4", "q?", "--choices", "a", "b", "--json"])
        ['ask', 'v.mp4', 'q?', '--choices', 'a', '--choices', 'b', '--json']
    """
    words = list(argv)
    end = words.index("--") if "--" in words else len(words)  # nothing after it is an option
    spread: list[str] = []
    inside = False
    for word, following in zip(words[:end], [*words[1:end], "--"], strict=False):
        if word == "--choices" and following.startswith("--"):
            raise ConfigError(
                "found --choices without values, expected two or more: give e.g. --choices 'a cat' 'a dog'"
            )
        if word.startswith("--"):
            inside = word == "--choices"
            if not inside:
                spread.append(word)
        elif inside:
            spread += ["--choices", word]
        else:
            spread.append(word)
    return spread + words[end:]


def allow_bare_png(argv: Sequence[str]) -> list[str]:
    """Let `--png` be used without a folder: it then gets an empty value, which means a folder next to the page.

    Example:
        >>> allow_bare_png(["inspect", "v.mp4", "--png", "--out", "p.html"])
        ['inspect', 'v.mp4', '--png=', '--out', 'p.html']
    """
    words = list(argv)
    end = words.index("--") if "--" in words else len(words)
    for index in range(end):
        following = words[index + 1] if index + 1 < end else "--"
        if words[index] == "--png" and (following.startswith("-") or Path(following).is_file()):
            words[index] = "--png="
    return words


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status; errors become one line on stderr.

    Args:
        argv: Arguments of the command; None for those of the process.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    return run(words, "--debug" in words, first=argv is None)


def run(words: list[str], debug: bool, *, first: bool = False) -> int:
    """Run one command and return its exit status.

    Args:
        words: Its arguments.
        debug: As for `report_errors`.
        first: Whether this is what the process was started for.
    """
    if not first:
        clock.restart()
    given = [word for word in words if word != "--debug"]
    return report_errors(lambda: app(allow_bare_png(spread_choices(given)), prog_name="dyto"), debug)


register_remembering(app)
register_searching(app)
register_batch(app)
register_evaluation(app)
register_comparing(app)
register_certifying(app)
register_inspecting(app)
register_demo(app)
register_serving(app)
app.add_typer(synthetic_app)
app.add_typer(results_app)
