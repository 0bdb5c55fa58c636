"""The page's example of Ray Data in front of the service."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dyto.synthetic.videos import sample_video

from serving_client import ask, start_process

pytestmark = pytest.mark.soak
PAGE = Path(__file__).resolve().parents[2] / "docs" / "machines.md"


@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")  # of Ray Data's own settings
def test_ray_data_asks_the_service(tmp_path, monkeypatch):
    ray = pytest.importorskip("ray", reason="clusters need the extra 'ray'")
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")  # so that no token is left in the home folder
    videos = tmp_path / "videos"
    videos.mkdir()
    for n in range(3):
        sample_video(videos / f"v{n}.mp4", seed=n)
    found = [block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S) if "HttpRequest" in block]
    assert len(found) == 1
    page = found[0]
    with start_process(tmp_path, "--media-root", str(videos)) as (_, running):
        key = running.client().headers["authorization"]
        for theirs, ours in (
            ("http://127.0.0.1:8000", running.address.rstrip("/")),
            ("batch_size=8", f"batch_size=8, headers={{'Authorization': {key!r}}}"),
            ('[{"video": "/videos/a.mp4", "question": "what is shown ?"}]', "given"),
        ):
            assert theirs in page
            page = page.replace(theirs, ours)
        given = [{"video": str(videos / f"v{n}.mp4"), "question": "what is shown ?"} for n in range(3)]
        with running.client() as client:
            replies = [ask(client, f"file://{row['video']}", row["question"]).json() for row in given]
        expected = [reply["choices"][0]["message"]["content"] for reply in replies]
        names: dict = {"given": given}
        ray.init(num_cpus=2, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
        try:
            exec(compile(page, str(PAGE), "exec"), names)  # noqa: S102 - the page's own example
            rows = {row["video"]: row["text"] for row in names["answered"].take_all()}
        finally:
            ray.shutdown()
        assert [rows[row["video"]] for row in given] == expected
