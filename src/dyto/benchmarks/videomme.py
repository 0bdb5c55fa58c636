"""Video-MME: 900 videos of seconds to an hour, three questions each, without and with subtitles."""

from dataclasses import replace

from dyto.benchmarks.base import Benchmark, Row, Sample, by_extra, by_type, text, texts


def sample(row: Row) -> Sample:
    """Make a sample from a parquet or JSON row; options lose their "A. ", and the letter becomes a number."""
    options = tuple(o.partition(". ")[2] if o[1:3] == ". " else o for o in texts(row, "options"))
    answer = text(row, "answer")
    number = "ABCDEFGH".find(answer.strip()[:1] or "?")
    told = (f"{text(row, 'videoID')}.mp4", (text(row, "question"),), text(row, "question_id"))
    return Sample(
        *told,
        answer=options[number] if 0 <= number < len(options) else answer,
        candidates=options,
        answer_number=number if 0 <= number < len(options) else None,
        type=text(row, "task_type"),
        extra={key: row[key] for key in ("duration", "domain", "sub_category") if key in row},
    )


VIDEOMME = Benchmark(
    name="videomme",
    title="Video-MME",
    kind="choice",
    prepared=("VideoMME/val_qa.json",),
    videos="multiple_choice_qa/VideoMME/video",
    columns=("videoID", "question_id", "duration", "domain", "task_type", "question", "options", "answer"),
    sample=sample,
    source="the dataset's parquet file, or JSON of the same columns (Fu et al., CVPR 2025)",
    groupings={"duration": by_extra("duration"), "domain": by_extra("domain"), "type": by_type({})},
    rows=2700,
    nested="questions",  # as in the dataset's answer template
    renamed={"video_id": "videoID"},
)
SUBTITLES = "multiple_choice_qa/VideoMME/subtitle"
VIDEOMME_SUBTITLES = replace(VIDEOMME, name="videomme-subtitles", title="Video-MME with subtitles", subtitles=SUBTITLES)
