"""MSRVTT-QA: web videos of 10 to 30 seconds, open-ended questions of one word."""

from dyto.benchmarks.base import Benchmark, open_sample

MSRVTT = Benchmark(
    name="msrvtt",
    title="MSRVTT-QA",
    kind="open",
    prepared=("MSRVTT_Zero_Shot_QA/val_q.json", "MSRVTT_Zero_Shot_QA/val_a.json"),
    videos="video_qa/MSRVTT_Zero_Shot_QA/videos/all",
    columns=("video_name", "question", "question_id", "answer"),
    sample=open_sample,
    source="MSRVTT_QA.csv of the IG-VLM project (Xu et al., ACM MM 2017)",
    aspects=("match",),
    rows=12278,
    note="the 12,278 rows are the dataset's validation split, which this field uses as its test set",
)
