"""The synthetic world: coloured shapes with known truth, asked with options and for free answers."""

from dataclasses import replace

from dyto.benchmarks.base import Benchmark, by_extra, by_type, choice_sample, open_sample

SYNTHETIC = Benchmark(
    name="synthetic",
    title="Synthetic world",
    kind="choice",
    prepared=("Synthetic/val_qa.json",),
    videos="multiple_choice_qa/Synthetic/video",
    columns=("video_name", "question", "question_id", "answer", "a0", "a1"),
    sample=choice_sample,
    source="the output of `dyto synth benchmark`",
    groupings={"type": by_type({}), "regime": by_extra("regime"), "length": by_extra("length")},
)
SYNTHETIC_OPEN = replace(
    SYNTHETIC,
    name="synthetic-open",
    title="Synthetic world (free answers)",
    kind="open",
    prepared=("Synthetic_Zero_Shot_QA/val_q.json", "Synthetic_Zero_Shot_QA/val_a.json"),
    videos="video_qa/Synthetic_Zero_Shot_QA/videos",
    columns=("video_name", "question", "question_id", "answer"),
    sample=open_sample,
    aspects=("match",),
)
