"""What a command can tell of its arguments before torch and transformers are imported, which takes seconds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from dyto.errors import ConfigError, DatasetError, DytoError, VideoError

if TYPE_CHECKING:
    from pathlib import Path

    from dyto.models.loading.options import Loading


def check_question(question: str, choices: Sequence[str] | None, prompt: str | None, max_new_tokens: int) -> None:
    """Check a question and how it is to be asked.

    Args:
        question: The question.
        choices: Options of a multiple choice question.
        prompt: Name or file of a template.
        max_new_tokens: Largest number of tokens in the answer.

    Raises:
        ConfigError: The question is empty, or a name or a number is impossible.

    Example:
        >>> check_question("what is shown ?", None, None, 128)
    """
    from dyto.prompts import choose_prompt

    if max_new_tokens < 1:
        raise ConfigError(f"max_new_tokens is {max_new_tokens}, expected at least 1")
    choose_prompt(prompt, "vicuna", choices is not None).fill(question, choices)


def check_model(loading: Loading, *, usual: bool = False) -> None:
    """Check the names of a model and of its options.

    Args:
        loading: The model and how to load it.
        usual: Whether a command without a name takes `usual_model`.

    Raises:
        DytoError: A name is unknown, or a folder is missing.
    """
    from dyto.eye.names import check_eye
    from dyto.models.loading.naming import check_names, usual_model

    check_names(usual_model(loading.model) if usual else loading.model or "tiny", loading.options)
    if loading.eye is not None:
        check_eye(loading.eye)


def find_said(video: str, subtitles: str, speech: str | None, sampling: dict[str, Any]) -> Any:
    """Find what is said in a video, or write it down.

    Args:
        video: A video file, or a folder of pictures.
        subtitles: As for `dyto.find_subtitles`.
        speech: The model that writes it down; None for none.
        sampling: Options of `dyto.sample_frames`.

    Returns:
        The subtitles; None for none.

    Raises:
        DytoError: They cannot be read.
    """
    from dyto.memory.header import is_memory
    from dyto.subtitles.finding import find_subtitles

    if speech is not None:
        from dyto.cli.console import err
        from dyto.subtitles.speech import check_choice, transcribe

        check_choice(subtitles, speech)
        with err.status("writing down what is said"):
            return transcribe(video, speech, limits=sampling.get("limits"), on_download=err.print)
    if subtitles == "auto" and is_memory(video):
        return subtitles  # it says itself what is said
    return find_subtitles(video, subtitles, limits=sampling.get("limits"))


def check_video(video: str, sampling: dict[str, Any]) -> None:
    """Check that a path leads to a video.

    Args:
        video: A video file, a folder of pictures, or a memory.
        sampling: Options of `dyto.sample_frames`.

    Raises:
        VideoError: It does not.
        DatasetError: It leads to a damaged memory.
    """
    from dyto.memory.header import facts_of, is_memory

    if is_memory(video):
        facts_of(video)
        return
    from dyto.video import openable

    openable(video, sampling.get("limits"))


def unreadable(videos: Sequence[str], sampling: dict[str, Any]) -> dict[int, DytoError]:
    """Return the errors of the videos that lead to none, by position, up to the first that is one.

    Args:
        videos: The videos.
        sampling: Options of `dyto.sample_frames`.
    """
    errors: dict[int, DytoError] = {}
    for place, video in enumerate(videos):
        try:
            check_video(video, sampling)
        except (VideoError, DatasetError) as err:
            errors[place] = err
        else:
            break
    return errors


def check_search(query: str, memories: Sequence[str], eye: str | None) -> list[Path]:
    """Check what to look for, where, and by which eye.

    Args:
        query: What to look for.
        memories: Files of memories, and folders of them.
        eye: Name of the eye; None for that of the memories.

    Returns:
        The files.

    Raises:
        ConfigError: The query is empty or names nothing that the eye knows, a name is unknown, or no file is found.
        DatasetError: The only file is no memory.
        MissingExtraError: The bundled eye is not installed.
    """
    from dyto.eye.names import check_eye
    from dyto.memory.header import facts_of
    from dyto.searching.files import memory_files
    from dyto.searching.wording import check_query, wanted_nouns

    check_query(query)
    if eye is not None:
        check_eye(eye)
    if eye == "nouns":
        from dyto.eye.package import weights_path

        wanted_nouns(query)
        weights_path()
    files = memory_files(memories)
    if len(files) == 1:
        facts_of(files[0])
    return files


def loading_for(video: str, loading: Loading) -> Loading:
    """Return the model with which a memory was made, and its numbers, if a command names no other.

    Args:
        video: A memory, or any other video.
        loading: The model and how to load it.

    Raises:
        DatasetError: The memory is damaged.
    """
    from dyto.memory.header import facts_of, is_memory

    if not is_memory(video):
        return loading
    origin = facts_of(video).get("origin")
    if not isinstance(origin, dict) or loading.model not in (None, origin.get("model")):
        return loading
    stated = {"model": origin.get("model"), "revision": origin.get("revision") or None, "dtype": origin.get("dtype")}
    return replace(loading, **{name: value for name, value in stated.items() if getattr(loading, name) is None})


def loading_of_all(videos: Sequence[str], loading: Loading) -> Loading:
    """Return the model for several videos: the one with which the first memory was made, if all are memories.

    Args:
        videos: The videos.
        loading: The model and how to load it.
    """
    from dyto.memory.header import is_memory

    if not all(map(is_memory, videos)):
        return loading
    for video in videos:
        try:
            return loading_for(video, loading)
        except DatasetError:  # told in its line
            continue
    return loading
