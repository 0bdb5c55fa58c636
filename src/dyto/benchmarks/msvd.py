"""MSVD-QA: short web clips, open-ended questions of one word."""

from dyto.benchmarks.base import Benchmark, open_sample

MSVD = Benchmark(
    name="msvd",
    title="MSVD-QA",
    kind="open",
    prepared=("MSVD_Zero_Shot_QA/val_q.json", "MSVD_Zero_Shot_QA/val_a.json"),
    videos="video_qa/MSVD_Zero_Shot_QA/videos",
    columns=("video_name", "question", "question_id", "answer"),
    sample=open_sample,
    source="MSVD_QA.csv of the IG-VLM project (Xu et al., ACM MM 2017)",
    aspects=("match",),
    rows=6415,
    note="the 6,415 rows are the dataset's validation split, which this field uses as its test set",
)
