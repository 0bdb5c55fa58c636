"""ActivityNet-QA: untrimmed videos of two minutes, open-ended questions. Only the file names begin with `v_`."""

from dataclasses import replace

from dyto.benchmarks.base import Benchmark, Row, Sample, by_type, open_sample

NAMES = ("motion", "spatial", "temporal", "yes/no", "color", "object", "location", "number", "other")


def sample(row: Row) -> Sample:
    """Make a sample from a row; the name loses its `v_`."""
    found = open_sample(row)
    return replace(found, video=found.video.removeprefix("v_"))


ACTIVITYNET = Benchmark(
    name="activitynet",
    title="ActivityNet-QA",
    kind="open",
    prepared=("Activitynet_Zero_Shot_QA/test_q.json", "Activitynet_Zero_Shot_QA/test_a.json"),
    videos="video_qa/Activitynet_Zero_Shot_QA/all_test",
    columns=("video_name", "question", "question_id", "answer"),
    sample=sample,
    source="ActivityNet_QA.csv of the IG-VLM project (Yu et al., AAAI 2019)",
    groupings={"type": by_type({str(number): name for number, name in enumerate(NAMES)})},
    aspects=("match",),
    rows=8000,
    prefixes=("v_", ""),
)
