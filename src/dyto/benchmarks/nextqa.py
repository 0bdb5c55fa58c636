"""NExT-QA: home videos of 45 seconds, causal, temporal and descriptive questions with five options."""

from dyto.benchmarks.base import Benchmark, by_type, choice_sample

TYPES = {"C": "causal", "T": "temporal", "D": "descriptive"}

NEXTQA = Benchmark(
    name="nextqa",
    title="NExT-QA",
    kind="choice",
    prepared=("NExTQA/val_qa.json",),
    videos="multiple_choice_qa/NExTQA/video",
    columns=(
        "video_name",
        "question",
        "question_id",
        "answer",
        "answer_number",
        "a0",
        "a1",
        "a2",
        "a3",
        "a4",
    ),
    sample=choice_sample,
    source="NExT_QA.csv of the IG-VLM project (Xiao et al., CVPR 2021)",
    groupings={"type": by_type(TYPES, prefix=1)},
    rows=4996,
    note="the 4,996 rows are the dataset's validation split, which this field uses as its test set",
)
