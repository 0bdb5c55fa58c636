"""Several videos or questions in one command: what they are, and the answers, in order."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dyto.cli import early
from dyto.cli.console import err
from dyto.cli.lines import AnswerLines, Weigh
from dyto.cli.printing import one_line, print_note
from dyto.cli.starting import load_qa
from dyto.cli.waiting import loading_model
from dyto.errors import BadQuestionError, ConfigError, DatasetError, MissingExtraError, VideoError
from dyto.memory.header import SUFFIX

if TYPE_CHECKING:
    from dyto.answer import Answer
    from dyto.inspecting.evidence import Moment
    from dyto.models.loading.options import Loading
    from dyto.pipeline import VideoQA
    from dyto.savings import Savings
    from dyto.strategies import Strategy

Questions = Sequence[tuple[str | None, str]]
"""Questions, each with the place where it stands; None on the command line."""


MEMORIES = 3
"""Memories of a folder that are asked where no other number is said."""


def videos_of(words: Sequence[str], question: str | None = None, top: int = MEMORIES) -> list[str]:
    """Return the videos that the words of a command line name.

    Args:
        words: Files, folders of pictures, folders of video files, which stand for all of these files, and folders of
            memories, which stand for those that a search for the question finds.
        question: The question; None to take all memories.
        top: Most memories of folders.
    """
    inside = [(word, _in_folder(word)) for word in words]
    kept = [memory for _, found in inside for memory in found if memory.endswith(SUFFIX)]
    if question is None or len(kept) <= top:
        return [video for word, found in inside for video in found or [word]]
    others = [v for word, found in inside for v in found or [word] if v not in kept]
    return others + _most_relevant(kept, question, top)


def _most_relevant(memories: list[str], question: str, top: int) -> list[str]:
    """Return the memories that show best what a question names, and those that cannot be read; or else all."""
    unread: list[DatasetError] = []
    try:
        with err.status("searching the memories"):
            from dyto.searching.index import MemoryIndex

            index = MemoryIndex.open(memories, skip=unread.append)
            found = [str(outline.path) for outline in index.relevant(question, top)]
    except (ConfigError, MissingExtraError) as error:
        print_note(f"all {len(memories)} memories are asked, as none can be told to be the most relevant: {error}")
        return memories
    print_note(f"{len(found)} of {len(memories)} memories are asked, the most relevant first; --top N asks more")
    known = {str(outline.path) for outline in index.outlines}
    return found + [memory for memory in memories if memory not in known]


def _in_folder(word: str) -> list[str]:
    """Return the video files of a folder, or else its memories, those in the folders below, too.

    None if it has pictures, which make it one video, or cannot be read.
    """
    folder = os.path.expanduser(word)
    if not word or not os.path.isdir(folder):
        return []
    from dyto.video.paths import videos_in

    try:
        videos, pictures = videos_in(Path(folder))
    except VideoError:
        return []  # which is told when it is read as a video
    if videos and pictures:
        print_note(
            f"{one_line(word)} is read as one video of its pictures ({pictures}); to ask about its video files "
            f"({len(videos)}), name them"
        )
        return []
    if pictures or videos:
        return [str(video) for video in videos]
    return [str(path) for path in sorted(Path(folder).rglob(f"*{SUFFIX}"))]


def questions_in(path: Path, encoding: str | None) -> Questions:
    """Read a text file with a question on each line; blank lines do not count.

    Args:
        path: The file.
        encoding: Its encoding; None for UTF-8, or UTF-16 by its byte-order mark.

    Raises:
        ConfigError: There is no question, or no file.
        DatasetError: The file is not text in that encoding.
    """
    from dyto.evaluation.tables import read_text

    try:
        text = read_text(path, encoding)
    except OSError as error:
        raise ConfigError(
            f"--each {path} cannot be read ({error.strerror}), expected a text file with a question on each line: "
            "check the path"
        ) from error
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    found = [(f"{path}, line {number}", line.strip()) for number, line in enumerate(lines, 1) if line.strip()]
    if not found:
        raise ConfigError(f"--each {path} holds no question, expected one on each line")
    return found


def refuse_file(question: str, videos: Sequence[str]) -> None:
    """Check that the question is none of the videos, as it is if the question was forgotten.

    Args:
        question: The last word of the command line.
        videos: The words before it.

    Raises:
        ConfigError: It is the name of a video file.
    """
    if not os.path.isfile(os.path.expanduser(question)):
        return
    from dyto.video.paths import VIDEO_SUFFIXES

    if Path(question).suffix.lower() in VIDEO_SUFFIXES:
        raise ConfigError(
            f"found the file {question} in the place of the question, expected a text: put the question last, as in "
            f"dyto ask {videos[0]} {question} 'What happens?'"
        )


def refuse_for_several(save_keyframes: bool, dry_run: bool, evidence: bool, subtitles: str, speech: bool) -> None:
    """Check that nothing is asked for that only a single answer has.

    Args:
        save_keyframes: Whether a picture should be saved.
        dry_run: Whether nothing should be asked.
        evidence: Whether evidence should be printed for people.
        subtitles: What is said, as for `dyto.find_subtitles`.
        speech: Whether a model should write it down.

    Raises:
        ConfigError: Something is.
    """
    for given, flag, instead in (
        (save_keyframes, "--save-keyframes", "leave it out"),
        (dry_run, "--dry-run", "leave it out"),
        (evidence, "--evidence", "add --json, or leave it out"),
        (subtitles not in ("auto", "none"), f"--subtitles {subtitles}", "leave it out to take each video's own"),
        (speech, "--speech", "leave it out"),
    ):
        if given:
            raise ConfigError(f"found {flag} with several videos or questions, expected one of each: {instead}")


def ask_several(
    videos: Sequence[str],
    questions: Questions,
    *,
    strategy: Callable[[], Strategy],
    sampling: dict[str, Any],
    loading: Loading,
    choices: list[str] | None = None,
    prompt: str | None = None,
    max_new_tokens: int = 128,
    as_json: bool = False,
    evidence: bool = False,
    subtitles: str = "none",
    savings: Savings | None = None,
) -> None:
    """Answer questions about videos: all about the first video, then all about the second, and so on.

    Args:
        videos: The videos.
        questions: The questions.
        strategy: Makes the strategy.
        sampling: Options of `dyto.sample_frames`.
        loading: The model and how to load it.
        choices: Options of all questions.
        prompt: Name or file of a template.
        max_new_tokens: Largest number of tokens in an answer.
        as_json: Print one JSON document a line and nothing else.
        evidence: Add to each document the moments that its answer rests on.
        subtitles: Subtitles to read: "auto" for those of each video, "none" for none.
        savings: Which savings are on; None for the usual ones.
    """
    for line, question in questions:
        try:
            early.check_question(question, choices, prompt, max_new_tokens)
        except BadQuestionError as error:
            raise error if line is None else BadQuestionError(f"{line}: {error}") from error
    loading = early.loading_of_all(videos, loading)
    early.check_model(loading, usual=True)
    asked = [question for _, question in questions]
    broken = early.unreadable(videos, sampling)
    sampling = {**sampling, "subtitles": subtitles}
    lines = AnswerLines(as_json, asked, choices, with_question=questions[0][0] is not None)
    if len(broken) == len(videos):
        for place, video in enumerate(videos):
            lines.print(video, [broken[place]] * len(asked))
        lines.end()
        return
    with loading_model(loading.model) as status:
        template: dict[str, Any] = {"choice_prompt" if choices else "prompt": prompt}
        qa, _ = load_qa(loading, strategy, status, savings=savings, **template)
        qa.on_stage = None
        weigh = weighing(qa, choices, sampling) if evidence else None
    options = {"choices": choices, "max_new_tokens": max_new_tokens, **sampling}
    title = counted(len(videos), "video") if len(videos) > 1 else counted(len(asked), "question")
    total = len(videos) * len(asked)
    from dyto.evaluation.progress import Bars

    with Bars(err, title, transient=True) as bars:
        for place, video in enumerate(videos):
            bars.asking(place * len(asked), total)
            lost = broken.get(place)
            found = answers_about(qa, video, asked, **options) if lost is None else [lost] * len(asked)
            with bars.paused():
                lines.print(video, found, qa.model.notices, weigh)
        bars.asking(total, total)
    lines.end()


def weighing(qa: VideoQA, choices: Sequence[str] | None, sampling: dict[str, Any]) -> Weigh:
    """Return what finds the moments that an answer rests on, given its video and question.

    Raises:
        ConfigError: The model gives no likelihoods.
    """
    from dyto.inspecting.evidence import check_evidence, find_evidence

    check_evidence(qa.model)

    def weigh(video: str, question: str, answer: Answer) -> list[Moment]:
        if not (answer.text and answer.meaningful):
            return []
        return find_evidence(qa, video, question, answer.text, choices=choices, **sampling)

    return weigh


def answers_about(
    qa: VideoQA, video: str, questions: Sequence[str], *, choices: Sequence[str] | None, **options: Any
) -> list[Answer | Exception]:
    """Ask questions about one video; an error takes the place of an answer that cannot be had.

    Args:
        qa: What answers.
        video: The video.
        questions: The questions.
        choices: Options of all of them.
        **options: Options of `VideoQA.ask`.
    """
    try:
        return list(qa.ask_many(video, questions, choices=[choices] * len(questions), **options))
    except Exception as error:  # noqa: BLE001 - any error becomes the reason of these lines
        if isinstance(error, VideoError) or len(questions) == 1:
            return [error] * len(questions)
    return [
        found for question in questions for found in answers_about(qa, video, [question], choices=choices, **options)
    ]


def counted(number: int, noun: str) -> str:
    """Return a number with its noun.

    Example:
        >>> counted(1, "video"), counted(2, "video")
        ('1 video', '2 videos')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
