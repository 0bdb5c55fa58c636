"""MVBench: twenty short tasks from eleven datasets, with one JSON list per task."""

from dyto.benchmarks.base import Benchmark, Row, Sample, by_type, text, texts

TASKS = {  # by folder in the dataset's archives, old and current
    "star/Charades_v1_480 star/Charades_segment": "action_sequence action_prediction object_interaction",
    "perception/videos": "object_shuffle action_count state_change character_order",
    "clevrer/video_validation": "object_existence moving_direction moving_count moving_attribute "
    "counterfactual_inference",
    "tvqa/frames_fps3_hq tvqa/video_fps3_hq tvqa/video_fps3_hq_segment": "episodic_reasoning",
    **{"ssv2_video ssv2_video_mp4": "action_antonym", "sta/sta_video sta/sta_video_segment": "action_localization"},
    **{"nturgbd nturgbd_convert": "fine_grained_pose", "Moments_in_Time_Raw/videos": "fine_grained_action"},
    **{"vlnqa": "egocentric_navigation", "FunQA_test/test": "unexpected_action", "scene_qa/video": "scene_transition"},
}


def sample(row: Row) -> Sample:
    """Make a sample from a record; the reader adds `task` (the file's name) and `index` (the record's place in it)."""
    row = {"question_id": f"{row['task']}_{row['index']}", **row}
    told = (text(row, "video"), (text(row, "question"),), text(row, "question_id"), text(row, "answer"))
    return Sample(*told, texts(row, "candidates"), type=row["task"], start=row.get("start"), end=row.get("end"))


MVBENCH = Benchmark(
    name="mvbench",
    title="MVBench",
    kind="choice",
    prepared=("MVBench/val_qa.json",),
    videos="multiple_choice_qa/MVBench/video",
    columns=("video", "question", "candidates", "answer"),
    sample=sample,
    source="the dataset's folder of JSON files, or one of them (Li et al., CVPR 2024)",
    groupings={"task": by_type({})},
    rows=4000,
    folders_of={task: tuple(places.split()) for places, tasks in TASKS.items() for task in tasks.split()},
    folder_fps=3.0,
    files=("*.json",),
    clips=True,
)
