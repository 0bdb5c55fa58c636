"""VCGBench (Video-ChatGPT): free descriptions of ActivityNet videos, judged in five aspects."""

from dataclasses import replace

from dyto.benchmarks.base import Benchmark, Row, Sample, open_sample, text

FILE = "VCGBench/Video-ChatGPT-{}_val_qa.json"


def sample(row: Row) -> Sample:
    """Make a sample from a row; the name loses its `v_`. Consistency's second file gives the second question."""
    found = open_sample(row)
    questions = tuple(text(row, column) for column in ("question", "second_question") if column in row)
    return replace(found, video=found.video.removeprefix("v_"), questions=questions, type="")


def declare(name: str, file: str, aspects: tuple[str, ...], rows: int, *files: str) -> Benchmark:
    """Declare one of the three question files."""
    return Benchmark(
        name=name,
        title=f"VCGBench {name}",
        kind="generative",
        prepared=(FILE.format(file),),
        videos="video_qa/Activitynet_Zero_Shot_QA/all_test",
        columns=("video_name", "question", "question_id", "answer"),
        sample=sample,
        source=f"{name.title()}_QA of the IG-VLM project (Maaz et al., ACL 2024)",
        aspects=aspects,
        rows=rows,
        prefixes=("v_", ""),
        files=files,
        group="vcgbench",
    )


GENERIC = declare("generic", "generic", ("correctness", "detail", "context"), 1996, "Generic_QA.csv")
TEMPORAL = declare("temporal", "temporal_understanding", ("temporal",), 499, "Temporal_QA.csv")
PAIR = "Consistency_QA1.csv", "Consistency_QA2.csv"
CONSISTENCY = declare("consistency", "consistency", ("consistency",), 499, *PAIR)
