"""EgoSchema: three minutes of first-person video, five long options; the answer is given as text only."""

from dyto.benchmarks.base import Benchmark, choice_sample

EGOSCHEMA = Benchmark(
    name="egoschema",
    title="EgoSchema",
    kind="choice",
    prepared=("EgoSchema/val_qa.json",),
    videos="multiple_choice_qa/EgoSchema/video",
    columns=("video_name", "question", "question_id", "answer", "a0", "a1", "a2", "a3", "a4"),
    sample=choice_sample,
    source="EgoSchema.csv of the IG-VLM project (Mangalam et al., NeurIPS 2023)",
    rows=500,
    note="the 500 rows are the dataset's public subset; the full set of 5,031 has hidden answers",
)
