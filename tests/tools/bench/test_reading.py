"""Reading beside other libraries: processes that take turns, and what is said of libraries that are not there."""

from importlib.util import find_spec

import pytest

from dyto_bench.reading import measure
from dyto_bench.report import reading_table


@pytest.mark.skipif(find_spec("decord") is not None, reason="decord is installed")
def test_libraries_read_the_same_frames_in_turn_and_one_that_is_missing_is_told(clip):
    told = []
    request = {"path": str(clip), "numbers": [1, 4, 9], "size": [24, 32]}
    found = measure(["pyav", "decord"], request, 2, told.append)
    assert [one["name"] for one in found] == ["dyto", "pyav", "decord"]
    assert found[2] == {"name": "decord", "missing": "ModuleNotFoundError: No module named 'decord'"}
    for one in found[:2]:
        assert len(one["cpu"]) == len(one["seconds"]) == 2
        assert min(one["cpu"]) > 0
        assert one["ratios"]["cpu"]["median"] > 0
    assert found[0]["ratios"]["cpu"] == {"median": 1.0, "low": 1.0, "high": 1.0}
    assert [line.rpartition(": ")[2] for line in told] == ["dyto", "pyav", "decord", *["dyto", "pyav"] * 2]
    _, rows = reading_table({"reading": found})
    assert [row[0] for row in rows] == ["dyto", "pyav"]
    assert measure([], request, 2, told.append) == []


def test_a_reading_that_fails_is_told_in_one_line(tmp_path):
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    request = {"path": str(tmp_path / "broken.mp4"), "numbers": [0], "size": [24, 32]}
    assert all("\n" not in one["missing"] for one in measure(["pyav"], request, 1, lambda _: None))
