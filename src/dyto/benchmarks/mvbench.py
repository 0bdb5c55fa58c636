"""MVBench: twenty short tasks out of eleven datasets, as one JSON list a task."""

from dyto.benchmarks.base import Benchmark, Row, Sample

FOLDERS = (  # of the dataset's own archive
    *("star/Charades_v1_480", "perception/videos", "clevrer/video_validation", "sta/sta_video", "vlnqa"),
    *("ssv2_video", "FunQA_test/test", "Moments_in_Time_Raw/videos", "nturgbd", "scene_qa/video"),
    *("tvqa/frames_fps3_hq", "tvqa/video_fps3_hq"),
)


def sample(row: Row) -> Sample:
    """One record; the reader adds `task` (the file's name) and `index` (the record's place in it)."""
    return Sample(
        video=str(row["video"]),
        questions=(row["question"],),
        question_id=str(row.get("question_id", f"{row['task']}_{row['index']}")),
        answer=str(row["answer"]),
        candidates=tuple(map(str, row["candidates"])),
        type=row["task"],
        **{key: row[key] for key in ("start", "end") if key in row},
    )


MVBENCH = Benchmark(
    name="mvbench",
    title="MVBench",
    kind="choice",
    prepared=("MVBench/val_qa.json",),
    videos="multiple_choice_qa/MVBench/video",
    columns=("video", "question", "candidates", "answer"),
    sample=sample,
    source="the dataset's folder of JSON files, or one of them (Li et al., CVPR 2024)",
    groupings={"task": lambda s: s.type},
    rows=4000,
    subfolders=FOLDERS,
    folder_fps=3.0,
)
