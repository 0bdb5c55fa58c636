"""The command line: output for people and programs, errors, exit codes."""

import json

import pytest
from PIL import Image

from dyto.cli.app import main, report_errors, run, spread_choices
from dyto.errors import VideoError
from dyto.video import container as _container
from schemas import SOMETIMES, keys_of_table


def dyto(capsys, *words):
    """Run a command in this process: exit code, stdout, stderr."""
    code = run([str(word) for word in words], debug=False)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_an_answer_for_a_person(capsys, clip):
    code, out, err = dyto(capsys, "ask", clip, "what is there ?", "--max-new-tokens", 4)
    assert code == 0
    for word in (
        "key frames",
        "tokens      2340 -> ",
        "(budget 230)",
        "seconds     start",
        "  load ",
        "  decode ",
        "tiny on",
    ):
        assert word in out
    assert "synthetic shapes only" in err
    assert "synthetic shapes only" not in out


def test_an_answer_for_a_program_is_one_document(capfd, clip):
    code, out, _ = dyto(capfd, "ask", clip, "which ?", "--choices", "red", "dark blue", "--json", "--max-new-tokens", 4,
                        "--budget", 100)  # fmt: skip
    assert code == 0
    document = json.loads(out)
    assert document["format"] == 1
    assert set(document) == keys_of_table("ask") - SOMETIMES
    assert document["model"] == "tiny"
    assert document["strategy"]["name"] == "plus"
    assert document["strategy"]["token_budget"] == 100
    assert document["choice"] in (None, 0, 1)
    assert document["tokens"]["uncompressed"] == 2340
    assert document["tokens"]["budget"] == 100
    assert document["tokens"]["used"] <= 100
    assert set(document["seconds"]) == {"decode", "encode", "select", "merge", "prefill", "generate", "total"}
    assert set(document["keyframes"][0]) == {"index", "second"}
    assert document["warnings"]


def test_choices_take_what_follows_them(capsys, clip):
    code, out, _ = dyto(capsys, "ask", "--choices", "a", "b", "--json", clip, "which ?", "--max-new-tokens", 2)
    assert code == 0
    assert json.loads(out)["choice"] in (None, 0, 1)


def test_options_of_sampling_and_strategy(capsys, clip):
    code, out, _ = dyto(
        capsys, "ask", clip, "q", "--json", "--start", 1, "--end", 3, "--fps", 5, "--strategy", "uniform",
        "--budget", 72, "--max-new-tokens", 1,
    )  # fmt: skip
    assert code == 0
    document = json.loads(out)
    assert document["tokens"] == {"uncompressed": 360, "budget": 72, "used": 72, "times": 0}
    assert all(1 <= frame["second"] < 3 for frame in document["keyframes"])
    code, out, _ = dyto(capsys, "ask", clip, "q", "--json", "--sampling", "iframes", "--max-new-tokens", 1)
    assert json.loads(out)["tokens"]["uncompressed"] == 6 * 36  # 65 frames in groups of 12
    code, out, _ = dyto(capsys, "ask", clip, "q", "--json", "--preset", "finest", "--max-new-tokens", 1)
    assert json.loads(out)["strategy"]["partition"] == "finest"


def test_key_frames_are_saved_as_a_picture(capsys, clip, tmp_path):
    sheet = tmp_path / "sheet.png"
    code, out, _ = dyto(capsys, "ask", clip, "q", "--save-keyframes", sheet, "--max-new-tokens", 1)
    assert code == 0
    assert str(sheet) in out
    with Image.open(sheet) as picture:
        assert picture.size[0] > 96
        assert picture.size[1] > 64
    code, _, err = dyto(capsys, "ask", clip, "q", "--save-keyframes", tmp_path / "x" / "sheet.png")
    assert code == 2
    assert "sheet.png" in err


@pytest.mark.parametrize("strategy", ["dyto", "query", "uniform"])
def test_a_file_is_read_once_whatever_is_shown_of_it(capsys, clip, tmp_path, monkeypatch, strategy):
    opened, opening = [], _container.av.open

    def counting(*args, **options):
        opened.append(args[0])
        return opening(*args, **options)

    monkeypatch.setattr(_container.av, "open", counting)
    words = "ask", clip, "is there a ring ?", "--strategy", strategy, "--without", "parallel", "--max-new-tokens", 2
    _, plain, _ = dyto(capsys, *words, "--json")
    once = len(opened)
    code, shown, _ = dyto(capsys, *words, "--json", "--evidence", "--save-keyframes", tmp_path / "sheet.png")
    assert code == 0
    assert len(opened) == 2 * once
    assert json.loads(shown)["answer"] == json.loads(plain)["answer"]
    assert json.loads(shown)["keyframes"] == json.loads(plain)["keyframes"]


def test_a_limit_is_raised_by_name(capsys, clip):
    words = "ask", clip, "q", "--max-new-tokens", 1, "--raise-limit"
    assert dyto(capsys, *words, "megapixels=100")[0] == 0
    code, _, err = dyto(capsys, *words, "megapixels=0.001")
    assert code == 1
    assert "96 x 64 pixels" in err
    assert dyto(capsys, *words, "megapixel=1")[0] == 2


def test_a_folder_of_frames(capsys, tmp_path):
    for number in range(5):
        Image.new("RGB", (20, 16), (number * 40, 0, 0)).save(tmp_path / f"frame{number}.png")
    code, out, _ = dyto(capsys, "ask", tmp_path, "q", "--json", "--max-new-tokens", 1)
    assert code == 0
    assert json.loads(out)["tokens"]["uncompressed"] == 5 * 36


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["ask", "missing.mp4", "q"], 1, "missing.mp4 does not exist"),
        (["ask", "CLIP", ""], 2, "question is empty"),
        (["ask", "CLIP", "q", "--strategy", "unifrm"], 2, "did you mean 'uniform'"),
        (["ask", "CLIP", "q", "--preset", "relase"], 2, "did you mean 'release'"),
        (["ask", "CLIP", "q", "--model", "tny"], 2, "did you mean 'tiny'"),
        (["ask", "CLIP", "q", "--model", "./nowhere"], 1, "does not exist"),
        (["ask", "CLIP", "q", "--budget", "0"], 2, "expected at least 1"),
        (["ask", "CLIP", "q", "--strategy", "uniform", "--budget", "35"], 2, "at least 36"),
        (["ask", "CLIP", "q", "--choices", "one"], 2, "expected 2 to 26"),
        (["ask", "CLIP", "q", "--max-new-tokens", "5000"], 1, "but the context is"),
        (["ask", "CLIP", "q", "--start", "99"], 1, "99"),
        (["ask", "CLIP", "q", "--num-frames", "3", "--fps", "2"], 2, "fps"),
        (["ask", "CLIP", "q", "--num-frames", "0"], 2, "num_frames"),
        (["ask", "TEXT", "q"], 1, "TEXT"),
        (["ask", "EMPTY", "q"], 1, "EMPTY"),
        (["ask", "FOLDER", "q"], 1, "FOLDER"),
        (["ask", "CLIP"], 2, "Missing argument"),
        (["ask", "CLIP", "q", "--sampling", "random"], 2, "random"),
        (["ask", "CLIP", "q", "--num-frames", "many"], 2, "--num-frames"),
        (["ask", "CLIP", "q", "--frames", "3"], 2, "No such option"),
        (["ask", "CLIP", "q", "--choices", "--json"], 2, "found --choices without values"),
        (["ask", "CLIP", "q", "--save-keyframes", "sheet.xyz"], 2, "'.xyz', expected .png"),
        (["ask", "CLIP", "q", "--device", "meta"], 2, "device 'meta' cannot be used"),
        (["ask", "CLIP", "q", "--rope-scaling-factor", "nan"], 2, "rope_scaling_factor is nan"),
        (["ask", "CLIP", "q", "--prompt", "<image>" + "x" * 300], 2, "save it to a file"),
        (["ask", "CLIP", "\udcff"], 2, "no UTF-8 text"),
        (["ask", "", "q"], 1, "the path of the video is empty"),
        (["ask", "x" * 300, "q"], 1, "does not exist"),
        (["ask", "~nobody-of-this-name/x.mp4", "q"], 1, "does not exist"),
        (["ask", "https://example.org/x.mp4", "q"], 1, "https://example.org/x.mp4 is an address"),
        (["ask", "two\nlines.mp4", "q"], 1, "two lines.mp4 does not exist"),
        (["list", "modles"], 2, "did you mean 'models'"),
        (["aks"], 2, "No such command"),
    ],
)
def test_bad_input_is_one_line_and_an_exit_code(capsys, clip, tmp_path, words, code, message):
    places = {
        "CLIP": clip,
        "TEXT": tmp_path / "TEXT.mp4",
        "EMPTY": tmp_path / "EMPTY.mp4",
        "FOLDER": tmp_path / "FOLDER",
    }
    places["TEXT"].write_text("not a video")
    places["EMPTY"].touch()
    places["FOLDER"].mkdir()
    got, out, err = dyto(capsys, *[places.get(word, word) for word in words])
    assert got == code
    assert out == ""
    assert message in err.replace("\n", " ")
    assert "Traceback" not in err
    if code == 1:
        assert len(err.strip().splitlines()) == 1


def test_brackets_and_colons_in_names_are_no_markup(capsys, tmp_path):
    folder = tmp_path / "[/red] :smile:"
    folder.mkdir(parents=True)
    Image.new("RGB", (20, 16)).save(folder / "frame.png")
    code, out, _ = dyto(capsys, "ask", folder, "q", "--save-keyframes", folder / "sheet.png", "--max-new-tokens", 1)
    assert code == 0
    assert f"saved       {folder / 'sheet.png'}" in out
    code, out, err = dyto(capsys, "ask", folder / "none", "q")
    assert f"dyto: {folder / 'none'} does not exist" in err


def test_choices_end_at_the_next_option_and_at_a_double_dash():
    words = ["ask", "--choices", "-1", "x", "--", "v.mp4", "--choices"]
    assert spread_choices(words) == ["ask", "--choices", "-1", "--choices", "x", "--", "v.mp4", "--choices"]


def test_an_interruption_is_told_by_its_exit_code(capsys):
    def interrupted():
        raise KeyboardInterrupt

    assert report_errors(interrupted, debug=False) == 130
    assert "interrupted" in capsys.readouterr().err


def test_debug_lets_errors_through():
    with pytest.raises(VideoError, match="missing.mp4"):  # which Python prints with its traceback, and leaves with 1
        main(["ask", "missing.mp4", "q", "--debug"])


@pytest.mark.parametrize(
    ("what", "words"),
    [("models", ["llava-next-34b", "69.5 GB", "Llama 2 Community License"]), ("strategies", ["dyto", "uniform"]),
     ("presets", ["paper-34b", "7200"]), ("prompts", ["image_seq_v3"]), ("savings", ["similar", "off"]),
     ("benchmarks", ["nextqa", "choice", "a0, a1, a2, a3, a4", "NExT_QA.csv"])],
)  # fmt: skip
def test_names_are_listed(capsys, what, words):
    code, out, _ = dyto(capsys, "list", what)
    assert code == 0
    assert all(word in out for word in words)


def test_help_and_version(capsys):
    code, out, _ = dyto(capsys, "--help")
    assert code == 0
    assert "ask" in out
    code, out, _ = dyto(capsys, "--version")
    assert out.startswith("dyto ")
