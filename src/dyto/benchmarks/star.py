"""STAR: situated reasoning about clips of Charades videos, named `VIDEO_start_end`; four options."""

from dataclasses import replace

from dyto.benchmarks.base import Benchmark, Row, Sample, choice_sample

TYPES = {name: name for name in ("Interaction", "Sequence", "Prediction", "Feasibility")}


def sample(row: Row) -> Sample:
    """Make a sample from a row; start and end come from the name, if it has them."""
    clip = str(row["video_name"]).rsplit("_", 2)
    try:
        start, end = (float(part) for part in clip[1:])
    except ValueError:
        return choice_sample(row)
    return replace(choice_sample(row), start=start, end=end)


STAR = Benchmark(
    name="star",
    title="STAR",
    kind="choice",
    prepared=("STAR/val_qa.json",),
    videos="multiple_choice_qa/STAR/video",
    columns=("video_name", "question", "question_id", "answer", "answer_number", "a0", "a1", "a2", "a3"),
    sample=sample,
    source="STAR.csv of the IG-VLM project (Wu et al., NeurIPS 2021 Datasets and Benchmarks)",
    groupings={"type": lambda s: TYPES.get(s.type.partition("_")[0], s.type or "none")},
    rows=7098,
    note="the 7,098 rows are the dataset's validation split; the test split has hidden answers",
    clips=True,
)
