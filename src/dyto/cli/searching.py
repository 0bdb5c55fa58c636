"""The command `dyto search`; `register` adds it to the command line."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from dyto.cli import early, options
from dyto.cli.console import err, out
from dyto.cli.groups import Flags, with_flags
from dyto.cli.printing import print_note
from dyto.cli.quick import quickly
from dyto.cli.waiting import loading_model
from dyto.errors import DatasetError
from dyto.models.loading.options import Loading

if TYPE_CHECKING:
    from dyto.pipeline import VideoQA
    from dyto.searching.hits import Hit
    from dyto.searching.index import MemoryIndex


def register(app: typer.Typer) -> None:
    """Add the command to a command line."""
    app.command("search")(search_command)


@with_flags
def search_command(
    query: Annotated[str, typer.Argument(help="What to look for, such as 'a red car'.", show_default=False)],
    memories: Annotated[
        list[str],
        typer.Argument(help="Files of `dyto remember` or `dyto watch`, or folders of them.", show_default=False),
    ],
    loading: Annotated[Loading, Flags(options.LOADING, without=("eye",))],
    eye: Annotated[
        str | None,
        typer.Option(
            help="What compares text and frames: nouns, siglip2-base, clip-base, or another CLIP or SigLIP. "
            "(default: the one whose vectors the memories hold, or else nouns)"
        ),
    ] = None,
    top: Annotated[int, typer.Option(help="Largest number of moments.", min=1)] = 5,
    rerank: Annotated[
        int | None,
        typer.Option(help="Put the best N in order by how likely --model finds each of them.", metavar="N", min=1),
    ] = None,
    save: Annotated[
        Path | None, typer.Option(help="Save a picture of each moment in this folder.", metavar="FOLDER")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document on stdout, and nothing else.")
    ] = False,
) -> None:
    """Find the moments that show something, in any number of memories."""
    files = early.check_search(query, memories, eye)
    if rerank is not None and loading.model is not None:
        early.check_model(loading)
    unread: list[DatasetError] = []
    seconds: dict[str, float] = {}
    with err.status("loading the memories") as status:
        begun = time.perf_counter()
        with quickly():
            from dyto.searching.index import MemoryIndex
            from dyto.searching.search import search

        seconds["start"] = time.perf_counter() - begun

        def told(done: int, every: int) -> None:
            status.update(f"loading the memories: {done} of {every}")

        begun = time.perf_counter()
        index = MemoryIndex.open(files, eye, skip=None if len(files) == 1 else unread.append, on_memory=told)
        seconds["load"] = time.perf_counter() - begun
        qa = None
        if rerank is not None and index.outlines:
            status.stop()
            qa = _loaded(early.loading_for(str(index.outlines[0].path), loading))
            status.start()
        status.update("searching")
        begun = time.perf_counter()
        hits = search(query, index, top=top, rerank=0 if qa is None else rerank or 0, qa=qa)
        seconds["search"] = time.perf_counter() - begun
    pictures = [None if save is None else _saved(hit, rank, save) for rank, hit in enumerate(hits, 1)]
    if as_json:
        _print_json(query, index, hits, pictures, unread, seconds)
    else:
        _print(index, hits, pictures)
    for error in unread:
        err.print(f"dyto: {_line(str(error))}", style="red")
    if unread:
        raise DatasetError(f"{len(unread)} of {len(files)} memories cannot be read, expected all: see above")


def _loaded(loading: Loading) -> VideoQA:
    with quickly():
        from dyto.models.loading.naming import usual_model
        from dyto.pipeline import VideoQA
        from dyto.searching.reranking import check_likelihoods

    early.check_model(loading, usual=True)
    with loading_model(loading.model), quickly():
        qa = VideoQA.from_pretrained(usual_model(loading.model), **loading.options)
    check_likelihoods(qa.model)
    return qa


def _saved(hit: Hit, rank: int, folder: Path) -> Path:
    """Save the picture of a moment, and return its file."""
    from dyto.system.files import cannot_write, replacing

    name = re.sub(r"[^\w.-]+", "_", Path(hit.file).stem)[:80]
    path = folder / f"{rank:02d}-{name}-{hit.second:.1f}s.jpg"
    picture = hit.thumbnail()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing(path) as half:
            half.write_bytes(picture)
    except OSError as error:
        raise cannot_write(path, error) from error
    return path


def _print(index: MemoryIndex, hits: Sequence[Hit], pictures: Sequence[Path | None]) -> None:
    """Print what was found for people."""
    for rank, (hit, picture) in enumerate(zip(hits, pictures, strict=True), 1):
        likely = "" if hit.likelihood is None else f"  likely {hit.likelihood:.2f}"
        saved = "" if picture is None else f"  {picture}"
        when = f"{hit.start:.1f}s to {hit.end:.1f}s, best at {hit.second:.1f}s"
        out.print(_line(f"{rank:>2}  {hit.file}  {when}  score {hit.score:.2f}{likely}{saved}"))
    out.print(f"searched    {len(index)} segments of {len(index.outlines)} memories by the eye {index.eye.name}")
    for note in _notes(index):
        print_note(note)


def _print_json(
    query: str,
    index: MemoryIndex,
    hits: Sequence[Hit],
    pictures: Sequence[Path | None],
    unread: Sequence[DatasetError],
    seconds: dict[str, float],
) -> None:
    found = [
        {"rank": rank, **hit.to_dict(), "picture": None if picture is None else str(picture)}
        for rank, (hit, picture) in enumerate(zip(hits, pictures, strict=True), 1)
    ]
    document = {
        "query": query,
        "eye": index.eye.name,
        "memories": len(index.outlines),
        "segments": len(index),
        "hits": found,
        "unread": [str(error) for error in unread],
        "notes": _notes(index),
        "seconds": {name: round(spent, 4) for name, spent in seconds.items()},
    }
    text = json.dumps(document, ensure_ascii=False, allow_nan=False) + "\n"
    out.file.write(text.encode(errors="backslashreplace").decode())  # a file's name may hold half a character


def _notes(index: MemoryIndex) -> list[str]:
    if not index.looked_at:
        return list(index.notes)
    looked = (
        f"{index.looked_at} of {len(index.outlines)} memories hold no vectors of the eye {index.eye.name}, so their "
        f"pictures were looked at: `dyto remember --eye {index.eye.name}` keeps vectors"
    )
    return [*index.notes, looked]


def _line(text: str) -> str:
    """Return a text as one line without control characters."""
    from dyto.inspecting.harmless import harmless

    return harmless(" ".join(text.split()) if "\n" in text else text)
