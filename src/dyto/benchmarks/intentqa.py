"""IntentQA: why and how people do things, five options. The answer is given as text only."""

from dyto.benchmarks.base import Benchmark, by_type, choice_sample

TYPES = {"CW": "causal why", "CH": "causal how", "TN": "temporal", "TP": "temporal"}

INTENTQA = Benchmark(
    name="intentqa",
    title="IntentQA",
    kind="choice",
    prepared=("IntentQA/val_qa.json",),
    videos="multiple_choice_qa/IntentQA/video",
    columns=("video_name", "question", "question_id", "answer", "a0", "a1", "a2", "a3", "a4"),
    sample=choice_sample,
    source="IntentQA.csv of the IG-VLM project (Li et al., ICCV 2023)",
    groupings={"type": by_type(TYPES)},
    rows=2044,
)
