"""Disks that are full, broken or read-only, records torn at any byte, clocks that jump, and what changed meanwhile."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import resource
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import dyto
from dyto.comparing.compare import Comparison, compare
from dyto.errors import ConfigError, DatasetError, DytoError
from dyto.evaluation.cache import TokenCache
from dyto.evaluation.evaluate import Judging, evaluate
from dyto.evaluation.journal import Journal
from dyto.evaluation.prepare import prepare
from dyto.inspecting import inspect_video, save_page, save_pictures
from dyto.inspecting.sheet import save_picture
from dyto.models.loading.options import Loading
from dyto.savings import Savings
from dyto.synthetic.benchmark import synth_benchmark
from evaluation.broken_disk import BrokenDisk
from evaluation.work import run_limited
from evaluation.world import predictions, settings, write_questions

from conftest import scenes

TINY = Path(dyto.__file__).parent / "checkpoints/tiny"


@pytest.fixture
def small(world):
    """Two videos with a question each."""
    write_questions(world / "val_qa.json", ["v0.mp4", "v1.mp4"], 2)
    return world


def recorded(world, out="out"):
    return set(settings(world, out).run_folders().journal().refresh())


def calls_of(monkeypatch, folder, work):
    """How many calls change something below a folder while some work is done."""
    with monkeypatch.context() as patch:
        disk = BrokenDisk(patch, folder, None)
        work()
    return disk.calls


FAULTS = [(errno.ENOSPC, True), (errno.EIO, False), (errno.EROFS, True), (errno.EDQUOT, True)]


@contextlib.contextmanager
def broken(monkeypatch, folder, number, error, for_ever):
    """Something goes wrong below a folder: work either does without or ends with one clear error."""
    with monkeypatch.context() as patch:
        BrokenDisk(patch, folder, number, error, for_ever=for_ever)
        try:
            yield
        except DytoError as err:
            assert os.strerror(error) in str(err)
            assert "same command again" in str(err) or "another path" in str(err) or "another one" in str(err)


def files_in(folder):
    return {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_whichever_write_of_a_run_fails_nothing_is_lost_and_the_next_run_completes_it(small, monkeypatch):
    def work(out):
        return evaluate(settings(small, out, cache_dir=small / out / "kept"), Judging("none"))

    work("whole")
    calls = calls_of(monkeypatch, small / "count", lambda: work("count"))
    assert calls > 15
    for number, (error, for_ever) in zip(range(0, calls, 3), itertools.cycle(FAULTS), strict=False):
        out = f"broken{number}"
        with broken(monkeypatch, small / out, number, error, for_ever):
            work(out)  # the cache does without
        before = recorded(small, out)
        work(out)
        assert before <= recorded(small, out)
        assert predictions(small, out) == predictions(small, "whole")
        leftovers = [path.name for path in (small / out).rglob(".*")]
        assert not leftovers


@pytest.mark.soak
def test_whichever_write_of_the_judging_fails_no_verdict_is_lost(world, stub, monkeypatch):
    names = [{"video_name": f"v{i}", "question": f"what is there {i} ?", "question_id": str(i)} for i in range(4)]
    (world / "gt/MSVD_Zero_Shot_QA").mkdir(parents=True)
    (world / "gt/MSVD_Zero_Shot_QA/val_q.json").write_text(json.dumps(names))
    answers = [{"answer": "a star", "type": 1, "question_id": str(i)} for i in range(4)]
    (world / "gt/MSVD_Zero_Shot_QA/val_a.json").write_text(json.dumps(answers))

    def work(out="out"):
        given = settings(world, out, benchmark="msvd", qa_file=None, gt_dir=world / "gt")
        return evaluate(given, Judging("openai", concurrency=1))

    def verdicts(out):
        return (world / out / "eval_save_dir/msvd/run/verdicts.jsonl").read_bytes()

    work("whole")
    asked = len(stub.requests)
    for name in ("artifacts", "logs"):
        shutil.copytree(world / "whole" / name, world / "asked" / name)

    def judge(out):
        if not (world / out).exists():
            shutil.copytree(world / "asked", world / out)
        return work(out)

    calls = calls_of(monkeypatch, world / "count", lambda: judge("count"))
    for number, (error, for_ever) in zip(range(0, calls, 2), itertools.cycle(FAULTS), strict=False):
        out = f"broken{number}"
        shutil.copytree(world / "asked", world / out)
        del stub.requests[:]
        with broken(monkeypatch, world / out, number, error, for_ever):
            judge(out)
        judge(out)
        assert verdicts(out) == verdicts("whole")
        assert len(stub.requests) <= asked + 2, "what was under way is paid for twice, and nothing else"


def test_whichever_write_of_a_comparison_fails_the_next_run_completes_it(small, monkeypatch):
    def work(out):
        given = settings(small, strategy="dyto")
        return compare(Comparison(given, small / out, strategies="uniform", budgets="72", blind=False))

    work("whole")
    calls = calls_of(monkeypatch, small / "count", lambda: work("count"))
    whole = (small / "whole/predictions.jsonl").read_bytes()
    for number, (error, for_ever) in zip(range(0, calls, 4), itertools.cycle(FAULTS), strict=False):
        out = f"broken{number}"
        with broken(monkeypatch, small / out, number, error, for_ever):
            work(out)
        work(out)
        assert (small / out / "predictions.jsonl").read_bytes() == whole


@pytest.fixture(scope="module")
def seen(tiny):
    return inspect_video(dyto.VideoQA(tiny), scenes())


def picture(folder):
    from PIL import Image

    save_picture(Image.new("RGB", (8, 8)), folder / "k.png")


def quick_benchmark(folder):
    synth_benchmark("dev", folder, videos=1)


WRITERS = {
    "a page": lambda world, seen: lambda folder: save_page(seen, folder / "p.html"),
    "pictures": lambda world, seen: lambda folder: save_pictures(seen, folder / "png"),
    "a sheet": lambda world, seen: picture,
    "questions": lambda world, seen: lambda folder: prepare("nextqa", world / "val_qa.json", out=folder),
    "a benchmark": lambda world, seen: quick_benchmark,
}


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.soak] * (name == "pictures")) for name in WRITERS]
)
def test_a_file_is_written_whole_or_the_one_before_it_stays(world, seen, monkeypatch, name):
    if name == "a benchmark":
        monkeypatch.setattr("dyto.synthetic.benchmark.REGIMES", ("static",))
    write = WRITERS[name](world, seen)
    (world / "whole").mkdir()
    write(world / "whole")
    calls = calls_of(monkeypatch, world / "whole", lambda: write(world / "whole"))
    assert calls >= 2
    whole = files_in(world / "whole")
    for number, (error, for_ever) in zip(range(0, calls, 1 + calls // 8), itertools.cycle(FAULTS), strict=False):
        folder = world / f"broken{number}"
        shutil.copytree(world / "whole", folder)
        with broken(monkeypatch, folder, number, error, for_ever):
            write(folder)
        assert files_in(folder) == whole, "what was there stays"
        write(folder)
        assert files_in(folder) == whole


def test_a_row_torn_at_any_byte_costs_itself_and_nothing_else(small):
    evaluate(settings(small, "whole"))
    evaluate(settings(small))
    (path,) = (small / "out/artifacts/nextqa/run/rows").glob("*.jsonl")
    whole = path.read_bytes()
    first = whole.index(b"\n") + 1
    before = json.loads(whole[:first])["key"]
    for cut in range(first, len(whole)):
        path.write_bytes(whole[:cut])
        assert recorded(small) == {before}
        if cut % 97 == 0:
            assert evaluate(settings(small))["complete"]
            assert predictions(small) == predictions(small, "whole")
            for other in set(path.parent.iterdir()) - {path}:
                other.unlink()


def test_where_a_torn_row_cannot_be_cut_off_the_next_goes_to_another_file(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    journal.append([{"key": "a"}])
    real = os.write

    def half(file, data):
        if len(data) > 10:
            return real(file, data[: len(data) // 2])
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", half)
        patch.setattr(os, "ftruncate", lambda file, size: half(file, b""))
        with pytest.raises(DatasetError, match="Input/output error"):
            journal.append([{"key": "b", "text": "x" * 100}])
    journal.append([{"key": "c"}])
    journal.close()
    assert set(Journal(tmp_path).refresh()) == {"a", "c"}


def test_rows_that_do_not_reach_the_disk_are_an_error_and_the_file_is_closed(tmp_path, monkeypatch):
    journal = Journal(tmp_path)
    journal.append([{"key": "a"}])
    file = journal._file
    with monkeypatch.context() as patch:
        BrokenDisk(patch, tmp_path, 0, errno.EIO)
        with pytest.raises(DatasetError, match=r"Input/output error.*same command again"):
            journal.close()
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(file)


@pytest.mark.parametrize("most", [2_000, 40_000])
def test_a_limit_on_the_size_of_files_is_no_fault_of_the_videos(world, crew, most):
    evaluate(settings(world, "whole"))
    process = crew(run_limited, settings(world), resource.RLIMIT_FSIZE, most, world / "said")
    process.join()
    said = (world / "said").read_text()
    # The smaller one does not even take the manifest; the larger one takes no frames of a video.
    assert said.startswith("DatasetError: " + ("cannot write" if most < 10_000 else "no video can be read here")), said
    assert "File too large" in said
    assert "same command again" in said
    assert evaluate(settings(world))["coverage"] == 1
    assert predictions(world) == predictions(world, "whole")


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 64 KiB of its own."""
    place = tmp_path / "disk"
    place.mkdir()
    mounted = (
        shutil.which("mount")
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place], capture_output=True
        ).returncode
    )
    if not mounted:
        pytest.skip("nothing may be mounted here")
    yield place
    subprocess.run(["umount", "--lazy", place], check=True)


def test_a_real_disk_that_is_full_and_one_that_is_read_only(world, small_disk, tokens):
    evaluate(settings(world, "whole"))
    given = settings(world, folders={"out": small_disk})
    for room in (1, 2):
        free = os.statvfs(small_disk).f_bavail * os.statvfs(small_disk).f_bsize
        (small_disk / "filler").write_bytes(b"x" * max(0, free - room * 4096))
        with pytest.raises(DatasetError, match=r"No space left.*same command again"):
            evaluate(given)
        (small_disk / "filler").unlink()
    evaluate(given)
    assert predictions(world, "disk") == predictions(world, "whole")
    with pytest.raises(DatasetError, match=r"No space left.*same command again"):
        synth_benchmark("dev", small_disk / "made", videos=1)
    shutil.rmtree(small_disk / "made")
    cache = TokenCache(small_disk / "kept", max_bytes=1 << 20, identity={})
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    with pytest.raises(DatasetError, match="Read-only file system"):
        evaluate(given)
    assert cache.load("k") is None
    cache.save("k", tokens)


@pytest.fixture
def tokens(qa, clip):
    return qa.encode(clip, num_frames=2)


def test_a_cache_that_may_only_be_read_is_read(tmp_path, tokens, monkeypatch, caplog):
    cache = TokenCache(tmp_path / "kept", max_bytes=1 << 30, identity={})
    cache.save("k", tokens)

    def refuse(path):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "utime", refuse)
    assert torch.equal(cache.load("k").data, tokens.data)
    assert not caplog.records


def test_a_cache_folder_that_cannot_be_looked_into_is_said(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ConfigError, match=r"cannot be listed \(Permission denied\).*--cache"):
        TokenCache(tmp_path, max_bytes=1, identity={})


@pytest.mark.parametrize("days", [(1,), (-1,), (0, 1, -1)])
def test_a_clock_that_jumps_changes_nothing(small, monkeypatch, days):
    evaluate(settings(small, "whole"))
    real, jumps = time.time, itertools.cycle(days)
    monkeypatch.setattr(time, "time", lambda: real() + 86400 * next(jumps))
    for out in ("first", "second"):  # the second finds everything kept
        evaluate(settings(small, out, cache_dir=small / "kept"))
        assert predictions(small, out) == predictions(small, "whole")
    assert len(list((small / "kept").iterdir())) == 2


CHANGES = {
    "an answer": (
        lambda rows: rows[1].update(answer="red", answer_number=0),
        "number 2 of .*answer was '.*' and is now 'red'",
    ),
    "a question": (
        lambda rows: rows[0].update(question="why ?"),
        "number 1 of .*question was 'what color.*' and is now 'why \\?'",
    ),
    "an option": (lambda rows: rows[1]["candidates"].__setitem__(3, "black"), "number 2 of .*its options"),
    "one more": (lambda rows: rows.append(rows[0] | {"question_id": "9"}), "has 3 questions, and had 2"),
    "one less": (lambda rows: rows.pop(), "has 1 questions, and had 2"),
    "one between": (
        lambda rows: rows.insert(1, rows[0] | {"question_id": "9"}),
        "number 2 of .*question_id was '0' and is now '9'",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_question_file_that_changed_is_refused_and_where_it_did_is_said(small, change):
    evaluate(settings(small))
    before = files_in(small / "out")
    rows = json.loads((small / "val_qa.json").read_text())
    CHANGES[change][0](rows)
    (small / "val_qa.json").write_text(json.dumps(rows))
    with pytest.raises(DatasetError, match=f"questions was .* and is now .*{CHANGES[change][1]}"):
        evaluate(settings(small))
    assert files_in(small / "out") == before


def test_a_question_file_that_changed_is_refused_by_a_comparison_too(small):
    def work():
        return compare(Comparison(settings(small), small / "out", strategies="uniform", budgets="72", blind=False))

    work()
    rows = json.loads((small / "val_qa.json").read_text())
    rows[1]["question"] = "why ?"
    (small / "val_qa.json").write_text(json.dumps(rows))
    with pytest.raises(
        DatasetError, match=r"number 2 of .*question was 'what color shape 1 \?' and is now 'why \?'|number 2"
    ):
        work()


def test_weights_that_changed_are_refused_even_where_nothing_is_left_to_ask(small):
    model = small / "model"
    shutil.copytree(TINY, model)
    given = settings(small, loading=Loading(str(model), device="cpu"))
    evaluate(given)
    assert evaluate(given)["complete"]
    shutil.copystat(model / "config.json", model / "config.json")
    os.utime(model / "config.json")  # only touched: the same weights
    assert evaluate(given)["complete"]
    tensors = load_file(model / "model.safetensors")
    name = max(tensors, key=lambda name: tensors[name].numel())
    tensors[name] = tensors[name] * 1.5
    save_file(tensors, model / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DatasetError, match=r"weights was '[0-9a-f]{16}' and is now '[0-9a-f]{16}'.*--name"):
        evaluate(given)


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"max_new_tokens": 4}, "max_new_tokens was 3 and is now 4"),
        ({"sampling": {"num_frames": 7}}, "num_frames was 6 and is now 7"),
        ({"options": {"token_budget": 99}}, r"strategy.token_budget was None and is now 99"),
        ({"scoring": "likelihood"}, "scoring was 'letter' and is now 'likelihood'"),
    ],
)
def test_a_configuration_that_changed_is_refused_with_both_values(small, changed, said):
    evaluate(settings(small))
    with pytest.raises(DatasetError, match=said):
        evaluate(settings(small, **changed))


@pytest.mark.parametrize(
    ("first", "said"),
    [
        ({"savings": Savings(similar=1.0)}, r"savings was \{'similar': 1.0\} and is now None"),
        ({"sampling": {"num_frames": 6, "limits": {"hours": 48}}}, "limits.*is now None"),
    ],
)
def test_an_option_that_is_no_longer_given_is_a_change_too(small, first, said):
    evaluate(settings(small, **first))
    with pytest.raises(DatasetError, match=said):
        evaluate(settings(small))
