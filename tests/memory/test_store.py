"""The file of a memory and the log of one that grows: cut, damaged, killed and foreign ones."""

import json
import struct
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

import dyto
from dyto.errors import DatasetError
from dyto.memory.header import FORMAT, MAGIC, MARK, facts_of, is_memory
from dyto.memory.journal import WASTE, GrowthLog, read_journal
from dyto.memory.origin import Origin


@pytest.fixture
def path(small, tmp_path):
    return small.save(tmp_path / "film.dyto")


def equal(one, other):
    assert one.about == other.about
    assert one.origin == other.origin
    assert one.thumbnails == other.thumbnails
    assert one.tensors.keys() == other.tensors.keys()
    assert all(torch.equal(tensor, other.tensors[name]) for name, tensor in one.tensors.items())
    np.testing.assert_array_equal(one.noise, other.noise)
    for left, right in zip(one.segments, other.segments, strict=True):
        np.testing.assert_allclose(left, right, atol=1e-6)


@pytest.mark.parametrize("numbers", ["same", "int8"])
@pytest.mark.parametrize("max_mb", [64, 0.5])
def test_what_is_read_is_what_was_written(qa, film, tmp_path, numbers, max_mb):
    memory = qa.remember(film, segments=12, numbers=numbers, max_mb=max_mb)
    path = memory.save(tmp_path / "film.dyto")
    equal(dyto.Memory.open(path), memory)
    assert is_memory(path)
    assert facts_of(path)["origin"]["model"] == "tiny"
    assert path.stat().st_size <= max_mb * 1e6


@pytest.mark.parametrize("segments", [None, 5])
def test_a_memory_needs_its_file_no_more_once_it_is_read(small, path, segments):
    """The file is mapped while it is read; what is written over it later changes nothing."""
    read = dyto.Memory.open(path, segments)
    with path.open("r+b") as file:
        file.write(bytes(path.stat().st_size))
        file.truncate(0)
    equal(read, small if segments is None else small.prefix(segments))


def test_the_rows_of_a_file_cut_by_hand_are_a_memory(small, path, tmp_path):
    """Whoever keeps the first rows of every tensor has the memory of so many segments."""
    tensors = load_file(path)
    bytes_, noise = tensors.pop("thumbnails"), tensors.pop("noise")
    short = {name: tensor[:5].clone() for name, tensor in tensors.items()}
    short |= {"thumbnails": bytes_[: int(short["thumbnail_ends"][-1])].clone(), "noise": noise}
    metadata = {MARK: json.dumps(facts_of(path))}
    save_file(short, tmp_path / "short.dyto", metadata)
    equal(dyto.Memory.open(tmp_path / "short.dyto"), small.prefix(5))


def test_a_file_is_found_by_its_first_bytes_or_its_name(path, tmp_path, clip):
    path.rename(tmp_path / "film.bin")
    assert is_memory(tmp_path / "film.bin")
    assert not is_memory(clip)
    assert not is_memory(tmp_path / "missing.mp4")
    assert not is_memory(tmp_path)


def cuts(data):
    header = 8 + struct.unpack("<Q", data[:8])[0]
    return [0, 1, 7, 8, 9, 40, header // 2, header - 1, header, header + 1, len(data) // 2, len(data) - 1]


def test_a_cut_file_gives_one_clear_error(path):
    data = path.read_bytes()
    for cut in [*cuts(data), None]:
        path.write_bytes(data + b"more" if cut is None else data[:cut])
        assert is_memory(path)
        for read in (facts_of, dyto.Memory.open):
            with pytest.raises(DatasetError, match="expected a whole memory") as caught:
                read(path)
            assert str(path) in str(caught.value)
            assert "\n" not in str(caught.value)


def test_a_damaged_byte_gives_one_clear_error_or_another_number(path):
    data = bytearray(path.read_bytes())
    for place in np.random.default_rng(0).integers(8, len(data), 60):
        changed = bytearray(data)
        changed[place] ^= 0x5A
        path.write_bytes(changed)
        try:
            dyto.Memory.open(path)
        except DatasetError as err:
            assert "film.dyto" in str(err)


def replaced(path, **changes):
    tensors = load_file(path)
    metadata = {MARK: json.dumps(facts_of(path))}
    for name, change in changes.items():
        if change is None:
            del tensors[name]
        else:
            tensors[name] = change(tensors[name]).contiguous()
    save_file(tensors, path, metadata)


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("patches", None),
        ("summary", None),
        ("frames", None),
        ("noise", lambda x: x[:5]),
        ("noise", lambda x: x - 9),
        ("patches", lambda x: x * torch.nan),
        ("patches", lambda x: x[:, :7]),
        ("patches", lambda x: x[:3]),
        ("patches", lambda x: x.to(torch.int8)),
        ("means", lambda x: x / 0),
        ("means", lambda x: x.double()),
        ("sizes", lambda x: x * 0),
        ("sizes", lambda x: x.double()),
        ("parents", lambda x: x + 5),
        ("edges", lambda x: x * 0 + 3),
        ("seconds", lambda x: x * torch.nan),
        ("thumbnail_ends", lambda x: x * 2),
        ("thumbnail_ends", lambda x: -x),
    ],
)
def test_tensors_that_do_not_fit_are_found(path, name, change):
    replaced(path, **{name: change})
    with pytest.raises(DatasetError, match="film.dyto is damaged"):
        dyto.Memory.open(path)


@pytest.mark.parametrize(
    ("facts", "said"),
    [
        ({"format": FORMAT + 1}, "use a newer dyto"),
        ({"format": "1"}, "does not say of which format"),
        ({"origin": {"model": 7}}, "the model is described by"),
        ({"origin": None}, "the model is described by"),
        ({"about": {}}, "the video is described by"),
        ({"about": None}, "the video is described by"),
    ],
)
def test_facts_that_make_no_sense_are_found(path, facts, said):
    metadata = {MARK: json.dumps(facts_of(path) | facts)}
    save_file(load_file(path), path, metadata)
    with pytest.raises(DatasetError, match=said):
        dyto.Memory.open(path)


def test_another_file_is_no_memory(tmp_path):
    for name, write in {
        "text.dyto": lambda p: p.write_text("no memory at all, but a text\n" * 40),
        "other.dyto": lambda p: save_file({"x": torch.zeros(3)}, p),
        "marked.dyto": lambda p: save_file({"x": torch.zeros(3)}, p, {"other": "file"}),
    }.items():
        write(tmp_path / name)
        with pytest.raises(DatasetError, match="is no memory, expected a file of `dyto remember`"):
            dyto.Memory.open(tmp_path / name)


def test_a_folder_that_is_not_there(small, tmp_path):
    with pytest.raises(DatasetError, match="cannot write"):
        small.save(tmp_path / "nowhere" / "film.dyto")


@pytest.fixture
def log(qa, film, tmp_path):
    """The log of a watch, with the size of the file and the memory after each seal."""
    path, states = tmp_path / "stream.dyto", []
    watch = qa.watch(segments=10, fps=None, save=path, seal_seconds=9)
    for picture, second in zip(film.data, film.seconds, strict=True):
        before = path.stat().st_size
        watch.feed(picture, second)
        if path.stat().st_size != before:
            states.append((path.stat().st_size, dyto.Memory.open(path)))
    watch.close()
    states.append((path.stat().st_size, watch.memory))
    return path, states


def test_a_log_says_what_was_sealed(log):
    path, states = log
    assert len(states) > 3
    assert path.read_bytes().startswith(MAGIC)
    assert is_memory(path)
    for (_, earlier), (_, later) in zip(states, states[1:], strict=False):
        assert earlier.num_frames < later.num_frames
    equal(dyto.Memory.open(path), states[-1][1])


def test_a_cut_log_gives_what_was_sealed_before(log):
    path, states = log
    data = path.read_bytes()
    assert [size for size, _ in states] == sorted(size for size, _ in states), "this log is never written anew"
    ends = [len(MAGIC), *(size for size, _ in states)]
    for number, (start, end) in enumerate(zip(ends, ends[1:], strict=False)):
        for cut in (start + 1, start + 11, start + 12, start + 30, (start + end) // 2, end - 1):
            path.write_bytes(data[:cut])
            if not number:
                with pytest.raises(DatasetError, match="nothing was sealed"):
                    dyto.Memory.open(path)
                continue
            memory = dyto.Memory.open(path)
            assert memory.num_frames == states[number - 1][1].num_frames
            assert memory.thumbnails == states[number - 1][1].thumbnails
            assert f"its last {cut - start} bytes were not sealed" in memory.about.warnings[-1]
    for cut in range(len(MAGIC) + 1):
        path.write_bytes(data[:cut])
        with pytest.raises(DatasetError, match=r"expected a whole memory"):
            dyto.Memory.open(path)


def test_a_damaged_record_ends_what_is_read(log):
    path, states = log
    data = bytearray(path.read_bytes())
    data[states[1][0] + 100] ^= 1
    path.write_bytes(data)
    assert read_journal(path).num_frames == states[1][1].num_frames


def test_a_log_is_compacted_by_saving(qa, log):
    path, states = log
    memory = dyto.Memory.open(path)
    memory.save(path)
    assert path.read_bytes()[8:9] == b"{"
    equal(dyto.Memory.open(path), memory)
    assert torch.equal(qa.encode(path).data, qa.encode(states[-1][1]).data)


def test_a_long_log_is_written_anew(qa, tmp_path):
    """What is not needed any more takes a bounded part of the file."""
    rng = np.random.default_rng(0)
    watch, sizes = qa.watch(segments=4, save=tmp_path / "stream.dyto", seal_seconds=1), []
    for second in range(80):
        watch.feed(rng.integers(0, 255, (84, 84, 3), dtype=np.uint8), second)
        sizes.append((tmp_path / "stream.dyto").stat().st_size)
    assert (np.diff(sizes) < 0).any()
    assert max(sizes[10:]) < (WASTE + 1) * (watch.save(tmp_path / "whole.dyto").stat().st_size + 30_000)
    equal(dyto.Memory.open(tmp_path / "stream.dyto"), watch.memory)
    watch.close()


def test_a_log_never_replaces_another_file(qa, path, tmp_path):
    for taken in (path, tmp_path):
        with pytest.raises(DatasetError, match="is there already|cannot write"):
            GrowthLog(taken, Origin.of(qa.model))


KILLED = """
import os, sys
import numpy as np
import dyto
qa = dyto.VideoQA.from_pretrained("tiny")
watch = qa.watch(segments=8, save=sys.argv[1], seal_seconds=5)
for second in range(40):
    watch.feed(np.random.default_rng(second).integers(0, 255, (84, 84, 3), dtype=np.uint8), second)
    if second == 23:
        os._exit(9)
"""


@pytest.mark.soak
def test_a_killed_watch_loses_what_was_not_sealed(tmp_path):
    path = tmp_path / "stream.dyto"
    assert subprocess.run([sys.executable, "-c", KILLED, path], check=False).returncode == 9
    memory = dyto.Memory.open(path)
    assert memory.segments.end[-1] == 20
    assert memory.num_frames == 21


SAVING = """
import sys
import dyto
memories = [dyto.Memory.open(path) for path in sys.argv[1:3]]
print("ready", flush=True)
while True:
    for memory in memories:
        memory.save(sys.argv[3])
"""


@pytest.mark.soak
def test_whenever_a_process_that_saves_is_killed_the_file_is_whole(small, tmp_path):
    short, long, path = tmp_path / "short.dyto", tmp_path / "long.dyto", tmp_path / "film.dyto"
    small.prefix(3).save(short)
    small.save(long)
    small.save(path)
    for number in range(4):
        saving = subprocess.Popen([sys.executable, "-c", SAVING, short, long, path], stdout=subprocess.PIPE)
        assert saving.stdout.readline() == b"ready\n"
        time.sleep(0.1 + 0.03 * number)
        saving.kill()
        saving.communicate()
        assert len(dyto.Memory.open(path)) in (3, 12)


def test_a_kill_while_it_is_saved_leaves_the_old_file(small, path, monkeypatch):
    before = path.read_bytes()
    monkeypatch.setattr("dyto.system.files.os.replace", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        small.prefix(3).save(path)
    assert path.read_bytes() == before
    assert [file.name for file in path.parent.iterdir()] == [path.name]
