"""`dyto bench`: what it writes, and what it refuses before it has loaded a model."""

import json

import pytest
from PIL import Image

from dyto.cli.app import run
from dyto.models.loading.load import load_model
from dyto_bench import command

QUICK = ("--runs", 2, "--frames", 8, "--questions", 1, "--batch-sizes", 1, "--new-tokens", 3)


def dyto(capsys, *words):
    """Run a command in this process: exit code, stdout, stderr."""
    code = run([str(word) for word in words], debug=False)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_a_measurement_is_printed_and_written(capsys, clip, tmp_path):
    pytest.importorskip("matplotlib")
    code, out, err = dyto(capsys, "bench", clip, *QUICK, "--without", "keep_prefix", "--out", tmp_path / "b")
    assert code == 0, err
    for words in (
        "without keep_prefix",
        "no savings",
        "stock",
        "times its floor",
        "of the matrix rate",
        "float32, attention",
    ):
        assert words in out
    document = json.loads((tmp_path / "b" / "bench.json").read_text())
    assert [side["name"] for side in document["sides"]] == ["dyto", "dyto, no savings", "without keep_prefix", "stock"]
    assert all(len(side["first"]) == 2 for side in document["sides"])
    assert (tmp_path / "b" / "bench.md").read_text().startswith("# Where the time goes")
    with Image.open(tmp_path / "b" / "stages.png") as picture:
        assert picture.width > 1000
        assert len(picture.convert("RGB").getcolors(1 << 20)) > 50


@pytest.mark.soak
def test_a_second_measurement_replaces_the_first_and_one_document_is_all_of_stdout(capsys, clip, tmp_path):
    words = ("bench", clip, *QUICK, "--no-savings", "--rivals", "none", "--no-picture", "--out", tmp_path)
    assert dyto(capsys, *words)[0] == 0
    code, out, _ = dyto(capsys, *words, "--json")
    assert code == 0
    written = json.loads((tmp_path / "bench.json").read_text())
    assert json.loads(out).items() <= written.items()
    assert [side["name"] for side in written["sides"]] == ["dyto"]


@pytest.mark.soak
@pytest.mark.parametrize("name", ["llava-next-7b", "qwen3-vl-8b"])
def test_true_shapes_run_small_on_a_cpu(capsys, clip, tmp_path, name):
    code, out, err = dyto(
        capsys, "bench", clip, *QUICK, "--random-weights", name, "--shrink", 16, "--frames", 3, "--budget", 900,
        "--no-savings", "--no-picture", "--device", "cpu", "--out", tmp_path,
    )  # fmt: skip
    assert code == 0, err
    assert f"{name} (random weights, 1/16)" in out
    assert "answers mean nothing" in out
    document = json.loads((tmp_path / "bench.json").read_text())
    assert [len(side["first"][0]["ids"]) for side in document["sides"]] == [3, 3]
    assert not any("another answer" in line for side in document["sides"] for line in side["warnings"])


@pytest.fixture
def unloaded(monkeypatch):
    """Whoever loads a model has gone too far."""

    def fail(*_, **__):
        raise AssertionError("a model was loaded")

    monkeypatch.setattr("dyto.models.loading.load.load_model", fail)
    assert load_model is not fail


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--rivals", "stok"), "did you mean 'stock'?"),
        (("--rivals", "published"), "unknown rival 'published'"),
        (("--rivals", "decrd"), "did you mean 'decord'?"),
        (("--without", "overlp"), "did you mean 'overlap'?"),
        (("--with", "similar=x"), "gray levels"),
        (("--with", "still", "--no-savings"), "--no-savings"),
        (("--questions", "one"), "comma-separated whole numbers"),
        (("--questions", "4"), "hold no 1"),
        (("--runs", "0"), "runs is 0"),
        (("--shrink", "4"), "without --random-weights"),
        (("--random-weights", "llava-next-7b", "--model", "tiny"), "both given"),
        (("--random-weights", "llava-next-8b"), "did you mean 'llava-next-"),
        (("--random-weights", "llava-next-7b", "--shrink", "0"), "shrink is 0"),
        (("--strategy", "dytoo"), "did you mean 'dyto'?"),
    ],
)
def test_mistakes_of_usage_are_told_at_once(capsys, clip, tmp_path, unloaded, words, says):
    code, _, err = dyto(capsys, "bench", clip, *words, "--no-picture", "--out", tmp_path)
    assert code == 2
    assert says in err
    assert not list(tmp_path.iterdir())


def test_what_is_no_video_file_is_refused(capsys, tmp_path, unloaded):
    words = ("--no-picture", "--out", tmp_path / "b")
    assert "does not exist" in dyto(capsys, "bench", tmp_path / "none.mp4", *words)[2]
    assert "is a folder, expected a video file" in dyto(capsys, "bench", tmp_path, *words)[2]


@pytest.mark.parametrize("name", ["bench.json", "bench.md", "stages.png"])
def test_foreign_files_are_not_overwritten(capsys, clip, tmp_path, unloaded, name):
    (tmp_path / name).write_text('{"mine": true}')
    code, _, err = dyto(capsys, "bench", clip, "--out", tmp_path)
    assert code == 2
    assert f"holds {name} that dyto bench did not write" in err
    assert (tmp_path / name).read_text() == '{"mine": true}'


def test_a_file_in_place_of_the_folder_is_refused(capsys, clip, unloaded):
    assert "is a file, expected a folder" in dyto(capsys, "bench", clip, "--out", clip)[2]


def test_a_model_that_does_not_fit_is_refused_before_it_is_built(capsys, clip, tmp_path, monkeypatch):
    monkeypatch.setattr("dyto_bench.shapes.free_memory", lambda device: 24 * 10**9)
    code, _, err = dyto(
        capsys, "bench", clip, "--random-weights", "llava-next-34b", "--dtype", "bfloat16", "--no-picture",
        "--out", tmp_path,
    )  # fmt: skip
    assert code == 1
    assert "69.5 GB of weights" in err
    assert "has 24.0 GB free" in err


def test_without_matplotlib_it_says_so_before_it_measures(capsys, clip, tmp_path, unloaded, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    code, _, err = dyto(capsys, "bench", clip, "--out", tmp_path)
    assert code == 1
    assert "'.[plots]'" in err


def test_numbers_are_read_with_blanks():
    assert command.numbers("1, 4 ,16", "--questions") == (1, 4, 16)
