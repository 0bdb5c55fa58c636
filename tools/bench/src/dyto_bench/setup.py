"""From options to the subject of the measurement: the model, the clip, and this library's own sides."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dyto.errors import ConfigError, VideoError
from dyto.models.base import VideoModel
from dyto.models.loading.options import Loading
from dyto.models.loading.placement import Placement
from dyto.pipeline import VideoQA
from dyto.savings import Savings
from dyto.strategies import Strategy
from dyto.video import existing, sample_frames
from dyto_bench.clips import SECONDS, SIZE, draw_clip
from dyto_bench.plan import Plan, Subject
from dyto_bench.processors import find_processor
from dyto_bench.shapes import build_random
from dyto_bench.sides import Ours
from dyto_bench.tally import OURS

NONE = "dyto, no savings"

Progress = Callable[[str], None]


def read_plan(settings: Mapping[str, Any], questions: tuple[int, ...], batch_sizes: tuple[int, ...]) -> Plan:
    """Build the plan from options.

    Args:
        settings: With "num_frames", "runs" and "new_tokens".
        questions: Numbers of further questions.
        batch_sizes: Questions at a time.
    """
    return Plan(settings["num_frames"], settings["runs"], questions, batch_sizes, settings["new_tokens"])


def versions(savings: bool, without: str | None, added: str | None) -> dict[str, Savings]:
    """Return the versions of this library to measure beside the default one, by name.

    Args:
        savings: Whether any is.
        without: Names of savings to take away, one version each, between commas; None for all that are on.
        added: Savings that are off by default to add, one version each, such as "similar=2,still"; None for none.

    Raises:
        ConfigError: An unknown name, or names where no other version is to be measured.

    Example:
        >>> list(versions(True, "overlap", "similar=2"))
        ['dyto, no savings', 'without overlap', 'with similar=2']
    """
    if not savings:
        if without is not None or added is not None:
            raise ConfigError("--no-savings was given with --without or --with, expected one of them: leave one out")
        return {}
    none, default = Savings.none(), Savings(overlap=True)
    on = [field.name for field in dataclasses.fields(Savings)]
    on = [name for name in on if getattr(default, name) != getattr(none, name)]
    left_out = on if without is None else [name.strip() for name in without.split(",")]
    found = {NONE: none}
    found |= {f"without {name}": Savings.of(without=[name]) for name in left_out}
    texts = [] if added is None else [text.strip() for text in added.split(",")]
    return found | {f"with {text}": Savings.of(given=[text]) for text in texts}


def our_sides(subject: Subject, others: Mapping[str, Savings]) -> list[Ours]:
    """Return the sides of this library: with its default savings, and its other versions.

    Args:
        subject: What is measured with.
        others: As `versions` gives them; those that are the same on this device are left out.
    """
    kind = subject.model.device.type
    others = {name: savings for name, savings in others.items() if savings.on(kind) != Savings().on(kind)}
    sides = [Ours(subject, OURS, "this library with its default savings", Savings(), has_axes=True)]
    return sides + [Ours(subject, name, f"this library: {savings}", savings) for name, savings in others.items()]


def load_subject(
    plan: Plan,
    video: str | None,
    folder: Path,
    progress: Progress,
    *,
    random_weights: str | None,
    shrink: int,
    strategy: Strategy,
    loading: Loading,
    **_: Any,
) -> Subject:
    """Load or build the model, find or draw the clip.

    Args:
        plan: The settings.
        video: The file; None to draw one.
        folder: Where a clip is drawn.
        progress: Told what is under way.
        random_weights: A name of `SHAPES`, in the place of a model.
        shrink: Divides its size.
        strategy: What compresses.
        loading: The model, and how it is loaded.

    Returns:
        What all sides are handed.

    Raises:
        ConfigError: Options that do not go together.
        VideoError: The video is no file.
    """
    if video is not None and not existing(video).is_file():
        raise VideoError(f"{video} is a folder, expected a video file: decoding is a part of what is measured")
    progress("loading the model")
    loaded, processor, notes = _model(random_weights, shrink, loading)
    if video is None:
        progress("drawing a clip")
        path = folder / "clip.mp4"
        draw_clip(path)
        notes.append(f"the video is a drawn clip of {SECONDS:.0f} s, {SIZE[1]}x{SIZE[0]}")
    else:
        path = existing(video)
    progress("looking at the video")
    frames = sample_frames(path, num_frames=plan.num_frames, size=loaded.image_size)
    tokens = VideoQA(loaded, strategy, savings=Savings.none()).encode(frames, question="what is shown ?")
    indices = tuple(frames.indices.tolist())
    allowed = len(tokens) if tokens.budget is None else tokens.budget
    return Subject(loaded, processor, strategy, path, plan, tuple(notes), allowed, indices)


def _model(random_weights: str | None, shrink: int, loading: Loading) -> tuple[VideoModel, Any, list[str]]:
    if random_weights is None:
        if shrink != 1:
            raise ConfigError(f"shrink {shrink} given without --random-weights, which it shrinks: leave it out")
        loaded = loading.load()
        return loaded, find_processor(loaded.name, loading.revision, loaded), []
    for option in ("model", "revision", "rope_scaling_factor"):
        value = getattr(loading, option)
        if value is not None:
            raise ConfigError(f"{option} {value!r} and random_weights were both given, expected one: leave one out")
    placement = Placement.of(
        revision=None,
        device=loading.device,
        dtype=loading.dtype,
        attention=loading.attn_implementation,
        device_map=None,
        quantization=None,
    )
    built, processor = build_random(random_weights, placement, shrink=shrink)
    return built, processor, ["the weights are random and words are single tokens: answers mean nothing"]
