"""Options in every rotation, so that a model that prefers one letter gains nothing by it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from dyto.benchmarks import Sample


def rotations(sample: Sample) -> Iterator[Sample]:
    """Return a multiple choice sample with its options in every rotation, the unrotated one first.

    Example:
        >>> first = Sample("v", ("who?",), "1", "b", candidates=("a", "b", "c"), answer_number=1)
        >>> [("".join(s.candidates), s.answer_number) for s in rotations(first)]
        [('abc', 1), ('bca', 0), ('cab', 2)]
    """
    options, right = sample.candidates, sample.answer_number
    if sample.broken or right is None:
        yield sample
        return
    for shift in range(len(options)):
        turned = options[shift:] + options[:shift]
        yield replace(sample, candidates=turned, answer_number=(right - shift) % len(options))


def variants(samples: Sequence[Sample], rotate: bool) -> list[tuple[Sample, int, Sample]]:
    """Return what to ask about each sample: the sample, the number of the rotation, and the rotated sample."""
    return [
        (sample, number, turned)
        for sample in samples
        for number, turned in enumerate(rotations(sample) if rotate else [sample])
    ]
