"""TGIF-QA, frame questions: animated GIFs, open-ended questions of one word. Question ids repeat here."""

from dyto.benchmarks.base import Benchmark, by_type, open_sample

TYPES = {"0": "object", "1": "number", "2": "color", "3": "location"}

TGIF = Benchmark(
    name="tgif",
    title="TGIF-QA",
    kind="open",
    prepared=("TGIF_Zero_Shot_QA/val_q.json", "TGIF_Zero_Shot_QA/val_a.json"),
    videos="video_qa/TGIF_Zero_Shot_QA/mp4",
    columns=("video_name", "question", "question_id", "answer"),
    sample=open_sample,
    source="TGIF_FrameQA.csv of the IG-VLM project (Jang et al., CVPR 2017)",
    groupings={"type": by_type(TYPES)},
    aspects=("match",),
    rows=13691,
    note="the FrameQA task only",
)
