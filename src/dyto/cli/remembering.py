"""The commands `dyto remember` and `dyto watch`; `register` adds them to the command line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dyto.cli import early, options
from dyto.cli.console import err, out
from dyto.cli.groups import with_flags
from dyto.cli.printing import print_note
from dyto.cli.process import Terminated
from dyto.cli.quick import quickly
from dyto.cli.waiting import loading_model
from dyto.errors import ConfigError, DatasetError, DytoError

if TYPE_CHECKING:
    from dyto.cli.feeding import Feeding
    from dyto.memory.watching import Watch

Numbers = Annotated[str, typer.Option(help="What patches are kept as: same (as the model's), float16 or int8.")]
MaxMb = Annotated[
    float, typer.Option(help="Size limit of a memory in MB; patches are merged before they are kept if need be.")
]
QUESTIONS = "-"
"""Instead of a question: the lines of standard input."""


def register(app: typer.Typer) -> None:
    """Add the commands to a command line."""
    app.command("remember")(remember_command)
    app.command("watch")(watch_command)


@with_flags
def remember_command(
    videos: Annotated[list[str], typer.Argument(help="Video files, or folders of pictures.", show_default=False)],
    loading: options.ModelOptions,
    frames: options.FrameOptions,
    savings: options.SavingOptions,
    out_file: Annotated[
        Path, typer.Option("--out", help="The file to write; for several videos, a folder for NAME.dyto of each.")
    ],
    memory: Annotated[int, typer.Option(help="Largest number of segments; each keeps one frame.", min=2)] = 128,
    numbers: Numbers = "same",
    max_mb: MaxMb = 64.0,
    subtitles: options.SubtitlesOf = "auto",
) -> None:
    """Encode videos once, for any number of questions later: `dyto ask FILE.dyto QUESTION`."""
    sampling, saved = frames.sampling_options(), savings.make()
    targets = dict(zip(videos, targets_of(videos, out_file), strict=True))
    early.check_model(loading, usual=True)
    one_by_one = _OneByOne(len(videos))
    for video in videos:
        with one_by_one.tolerating():
            early.check_video(video, sampling)
            one_by_one.left.append(video)
    if not one_by_one.left:
        raise one_by_one.missing()
    with loading_model(loading.model) as status:
        with quickly():
            from dyto.models.loading.naming import usual_model
            from dyto.pipeline import VideoQA

            qa = VideoQA.from_pretrained(usual_model(loading.model), savings=saved, **loading.options)
        for video in one_by_one.left:
            status.update(f"remembering {video}")
            with one_by_one.tolerating():
                made = qa.remember(
                    video, segments=memory, numbers=numbers, max_mb=max_mb, subtitles=subtitles, **sampling
                )
                size = made.save(targets[video]).stat().st_size / 1e6
                out.print(f"{targets[video]}: {len(made)} segments of {made.num_frames} frames, {size:.1f} MB")
                for warning in made.about.warnings:
                    print_note(warning)
    if one_by_one.failed:
        raise one_by_one.missing()


class _OneByOne:
    """Videos of which one that fails does not stop the others."""

    def __init__(self, count: int) -> None:
        self.count, self.failed = count, 0
        self.left: list[str] = []

    @contextmanager
    def tolerating(self) -> Iterator[None]:
        """Print what is wrong with a video; raise it if it is the only one, or if every video would meet it."""
        try:
            yield
        except DytoError as error:
            if isinstance(error, ConfigError) or self.count == 1:
                raise
            self.failed += 1
            err.print(f"dyto: {' '.join(str(error).split())}", style="red")

    def missing(self) -> DatasetError:
        """Return the error for videos that are not remembered."""
        return DatasetError(f"{self.failed} of {self.count} videos are not remembered, expected all: see above")


def targets_of(videos: list[str], out_file: Path) -> list[Path]:
    """Return the file for the memory of each video.

    Raises:
        ConfigError: Two videos have the same name, or the folder is a file.
    """
    if len(videos) == 1 and not out_file.is_dir():
        return [out_file]
    names = [f"{Path(video).stem}.dyto" for video in videos]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"two of the videos are called {twice[0]}, expected different names: rename one")
    if out_file.exists() and not out_file.is_dir():
        raise ConfigError(f"--out {out_file} is a file, expected a folder for {len(videos)} memories: name another")
    out_file.mkdir(parents=True, exist_ok=True)
    return [out_file / name for name in names]


@with_flags
def watch_command(
    source: Annotated[
        str,
        typer.Argument(
            help="A video file, camera or camera:NUMBER, or - for a video on standard input.", show_default=False
        ),
    ],
    chosen: options.StrategyOptions,
    loading: options.ModelOptions,
    fps: Annotated[float, typer.Option(help="Frames a second that are looked at.", min=0.001)] = 1.0,
    memory: Annotated[int, typer.Option(help="Largest number of segments; each keeps one frame.", min=2)] = 64,
    save: Annotated[
        Path | None, typer.Option(help="A new file for the memory, which can be asked while it grows.", metavar="FILE")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the memory in the file of --save, if it is there.")
    ] = False,
    ask: Annotated[
        list[str] | None,
        typer.Option(help="A question to ask at the end; repeatable. - for the lines of standard input, at any time."),
    ] = None,
    prompt: options.PromptName = None,
    max_new_tokens: options.MaxNewTokens = 128,
    numbers: Numbers = "same",
    max_mb: MaxMb = 64.0,
    as_json: Annotated[bool, typer.Option("--json", help="Print each answer as a line of JSON.")] = False,
) -> None:
    """Watch a video while it is filmed, remember it, and answer questions about what was seen so far."""
    asked = ask or []
    if resume and save is None:
        raise ConfigError("found --resume without --save, expected both: name the file to go on with")
    if QUESTIONS in asked and source == "-":
        raise ConfigError("found - for both the video and the questions, expected standard input once: give --ask TEXT")
    chosen.check()
    for question in asked:
        if question != QUESTIONS:
            early.check_question(question, None, prompt, max_new_tokens)
    early.check_model(loading, usual=True)
    from dyto.video.live import LiveFrames, Source

    found = Source.of(source)
    with loading_model(loading.model), quickly():
        from dyto.cli.feeding import Feeding
        from dyto.models.loading.naming import usual_model
        from dyto.pipeline import VideoQA

        qa = VideoQA.from_pretrained(usual_model(loading.model), chosen.make(), prompt=prompt, **loading.options)
        watch = qa.watch(segments=memory, fps=fps, save=save, numbers=numbers, max_mb=max_mb, resume=resume)
    feeding = Feeding(watch, LiveFrames(found, qa.model.image_size, fps))
    answering = _WatchAnswers(watch, feeding, max_new_tokens, as_json)
    feeding.start()
    try:
        for question in asked:
            if question == QUESTIONS:
                for line in sys.stdin:
                    if line.strip():
                        answering.answer(line.strip(), now=True)
        feeding.wait()
        for question in asked:
            if question != QUESTIONS:
                answering.answer(question)
    except (KeyboardInterrupt, Terminated):
        _finish(watch, feeding, save)
        raise
    _finish(watch, feeding, save)
    if feeding.error is not None:
        raise feeding.error


class _WatchAnswers:
    """Questions to a watch, with the answers printed."""

    def __init__(self, watch: Watch, feeding: Feeding, max_new_tokens: int, as_json: bool) -> None:
        self._watch, self._feeding, self._most, self._as_json = watch, feeding, max_new_tokens, as_json

    def answer(self, question: str, now: bool = False) -> None:
        """Answer a question; one that is asked `now` waits for the first frame, and an error does not end the rest."""
        self._feeding.wait_for_first()
        if not self._watch.taken:
            return  # the source ended at once, which is told
        try:
            answer = self._watch.ask(question, max_new_tokens=self._most)
        except DytoError as error:
            if not now:
                raise
            err.print(f"dyto: {' '.join(str(error).split())}", style="red")
            return
        second = self._watch.latest
        if self._as_json:
            line = {"second": round(second, 3), "question": question, **answer.to_dict()}
            out.file.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
            out.file.flush()
        else:
            out.print(f"{second:.1f}s  {answer.text}")


def _finish(watch: Watch, feeding: Feeding, save: Path | None) -> None:
    """Stop watching, keep the memory, and say what was seen."""
    feeding.stop()
    watch.close()
    kept = ""
    if save is not None and watch.taken:
        kept = f", {watch.save()} holds {len(watch.memory)} segments"
    err.print(f"{watch.seen} frames came, {watch.taken} were looked at, {watch.dropped} were passed over{kept}")
    if feeding.broken:
        print_note(f"{feeding.broken} parts of the video could not be decoded")
