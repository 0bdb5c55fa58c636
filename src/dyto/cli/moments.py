"""The commands `dyto frames` and `dyto timeline`; `register` adds them to the command line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dyto.cli import early, options
from dyto.cli.console import out
from dyto.cli.groups import with_flags
from dyto.cli.printing import print_note
from dyto.cli.quick import quickly
from dyto.cli.waiting import loading_model

if TYPE_CHECKING:
    from dyto.models.loading.options import Loading
    from dyto.moments.finding import VideoTimeline
    from dyto.pipeline import VideoQA
    from dyto.savings import Savings
    from dyto.strategies import Strategy

SegmentCount = Annotated[
    int | None, typer.Option("--segments", help="Number of segments. (default: as many as stand apart)", metavar="N")
]
LeastGain = Annotated[
    float | None,
    typer.Option(help="Instead: begin a segment where frames differ by this squared distance, 0 to 4.", metavar="GAIN"),
]
AboutQuestion = Annotated[options.Text, typer.Option(help="The question, for a strategy that reads it.")]


def register(app: typer.Typer) -> None:
    """Add the commands to a command line."""
    app.command("frames")(frames_command)
    app.command("timeline")(timeline_command)


@with_flags
def frames_command(
    video: options.VideoFile,
    folder: Annotated[Path, typer.Option("--out", help="A new or empty folder for the files.")],
    chosen: options.StrategyOptions,
    loading: options.ModelOptions,
    frames: options.FrameOptions,
    savings: options.SavingOptions,
    question: AboutQuestion = None,
    segments: SegmentCount = None,
    least_gain: LeastGain = None,
    clips: Annotated[bool, typer.Option("--clips", help="Also cut the segments into video files.")] = False,
    sheet: Annotated[bool, typer.Option("--sheet", help="Also draw all key frames on one picture.")] = False,
    picture: Annotated[str, typer.Option("--format", help="Of the pictures: jpg or png.")] = "jpg",
    max_side: Annotated[int | None, typer.Option(help="Longest side of a picture. (default: as in the video)")] = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace key frames and clips in the folder; other files stay.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the table as JSON on stdout, and nothing else.")
    ] = False,
) -> None:
    """Save the key frames of a video as pictures, with a table of their times; and its segments as clips."""
    saved, sampling = savings.make(), frames.sampling_options()
    chosen.check()
    from dyto.moments.options import check_clips, check_detail, check_folder, check_picture

    early.check_video(video, sampling)
    loading = _least(loading, asked=False)
    early.check_model(loading, usual=True)
    check_detail(segments, least_gain)
    check_folder(folder, overwrite)
    check_picture(picture, max_side)
    if clips:
        check_clips(video)
    with loading_model(loading.model) as status:
        qa = _pipeline(chosen.make(), loading, saved)
        from dyto.moments.finding import find_timeline
        from dyto.moments.saving import save_frames

        qa.on_stage = lambda stage: status.update(f"{stage}, {video}")
        timeline = find_timeline(qa, video, segments=segments, least_gain=least_gain, question=question, **sampling)
        status.update("writing")
        found = save_frames(
            timeline, folder, clips=clips, sheet=sheet, picture=picture, max_side=max_side, overwrite=overwrite
        )
    if as_json:
        out.file.write(found.table.read_text(encoding="utf-8"))
        return
    out.print(f"saved {len(found.pictures)} key frames in {found.folder}, and frames.csv and frames.json")
    if found.sheet:
        out.print(f"saved {found.sheet}")
    if clips:
        copied = sum(clip.copied for clip in found.clips)
        out.print(f"saved {len(found.clips)} clips: {copied} copied, {len(found.clips) - copied} encoded again")
        if any(clip.sound is False for clip in found.clips):
            print_note("clips without sound: their container takes none of its kind")
    _print_notes(timeline)


@with_flags
def timeline_command(
    video: options.VideoFile,
    chosen: options.StrategyOptions,
    loading: options.ModelOptions,
    frames: options.FrameOptions,
    savings: options.SavingOptions,
    question: AboutQuestion = None,
    segments: SegmentCount = None,
    least_gain: LeastGain = None,
    form: Annotated[
        options.Text,
        typer.Option("--format", help="text, json, vtt or html. (default: by the ending of --out, or text)"),
    ] = None,
    target: Annotated[Path | None, typer.Option("--out", help="The file to write, even if it exists.")] = None,
    lines: Annotated[
        bool, typer.Option("--lines/--no-lines", help="Let the model say a line about each segment.")
    ] = True,
    ask: Annotated[
        options.Text, typer.Option("--ask", help="What to ask a model about each segment. (default: one sentence)")
    ] = None,
) -> None:
    """Say which segments a video has, from when to when, and what each shows."""
    saved, sampling = savings.make(), frames.sampling_options()
    chosen.check()
    from dyto.moments.options import check_detail, check_target, form_of

    form = form_of(form, target)
    if target is None and form == "html":
        target = Path("timeline.html")
    if target is not None:
        check_target(target)
    early.check_video(video, sampling)
    loading = _least(loading, asked=lines)
    early.check_model(loading, usual=True)
    check_detail(segments, least_gain)
    if ask is not None:
        early.check_question(ask, None, None, 1)
    with loading_model(loading.model) as status:
        qa = _pipeline(chosen.make(), loading, saved)
        from dyto.moments.describing import describe_timeline
        from dyto.moments.finding import find_timeline
        from dyto.moments.writing import FORMS, save_timeline

        qa.on_stage = lambda stage: status.update(f"{stage}, {video}")
        timeline = find_timeline(qa, video, segments=segments, least_gain=least_gain, question=question, **sampling)
        if lines:

            def tell(number: int, count: int) -> None:
                status.update(f"looking at segment {number + 1} of {count}")

            timeline = describe_timeline(qa, timeline, ask=ask, on_segment=tell)
    if target is None:
        out.file.write(FORMS[form](timeline))
    else:
        save_timeline(timeline, target, form)
        out.print(f"saved {target}: {len(timeline.segments)} segments")
    if form != "json":
        _print_notes(timeline)


def _least(loading: Loading, asked: bool) -> Loading:
    """Return the smallest model where nothing is asked and an eye is named, unless a model is named, too."""
    from dyto.models.loading.naming import usual_model

    if asked or not loading.eye or usual_model(loading.model) != usual_model(None):
        return loading
    return type(loading)(model="tiny", eye=loading.eye, device=loading.device)


def _pipeline(strategy: Strategy, loading: Loading, savings: Savings) -> VideoQA:
    with quickly():
        from dyto.models.loading.naming import usual_model
        from dyto.pipeline import VideoQA

        return VideoQA.from_pretrained(usual_model(loading.model), strategy, savings=savings, **loading.options)


def _print_notes(timeline: VideoTimeline) -> None:
    for warning in timeline.warnings:
        print_note(warning)
