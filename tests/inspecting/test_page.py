"""The page: whole, self-contained, small, and safe whatever a video or question is called."""

import dataclasses
import re
from html.parser import HTMLParser
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import dyto
from dyto.cli.app import run
from dyto.inspecting import check_page, inspect_video, render, save_page, save_pictures
from dyto.inspecting.evidence import Moment
from dyto.inspecting.markup import text
from dyto.strategies import Plus, Plus2025
from dyto.synthetic.videos import sample_video

from conftest import scenes

HOSTILE = "</title><script>alert(1)</script><img src=x onerror='alert(2)'>\"&\u202e\udcff\x00"


class Reader(HTMLParser):
    """Checks that every element is closed, and collects tags and addresses."""

    VOID = ("meta", "img", "input", "rect", "path", "br")

    def __init__(self):
        super().__init__()
        self.open, self.tags, self.addresses, self.words = [], [], [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.addresses += [value for name, value in attrs if name in ("src", "href", "data", "action")]
        assert not [name for name, _ in attrs if name.startswith("on")]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


def read(page):
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert not reader.open
    return reader


@pytest.fixture(scope="module")
def seen(tiny):
    return inspect_video(dyto.VideoQA(tiny, "dyto"), scenes(), versus=[dyto.Uniform()])


def test_the_page_holds_all_it_shows(seen):
    page = render(seen)
    reader = read(page)
    assert reader.addresses
    assert all(address.startswith("data:image/") for address in reader.addresses)
    assert "script" not in reader.tags
    assert "link" not in reader.tags
    assert not re.search(r"https?:|url\(|@import", page)
    assert page.count('class="shot"') == len(seen.frames)
    assert page.count('class="map"') == sum(len(view.tokens.keyframes) for view in seen.views)
    assert page.count('class="band"') == len(seen.views[0].partitions)


def test_the_numbers_on_the_page_are_those_of_the_tokens(seen):
    words = " ".join(read(render(seen)).words)
    for view in seen.views:
        assert f"{len(view.tokens):,} of {view.tokens.budget:,} spent" in words
    for second in seen.views[0].tokens.keyframes.seconds:
        assert f"{second:.1f} s" in words


def test_the_page_says_which_cut_was_used_and_where_there_is_none(tiny):
    seen = inspect_video(dyto.VideoQA(tiny, Plus2025(token_budget=20)), scenes(), versus=[dyto.Uniform(), dyto.DyTo()])
    words = "".join(read(render(seen)).words)
    count = len(seen.views[0].tokens.keyframes)
    assert words.count("key frames from here") == 2
    assert f"{count} segment" in words
    assert words.count("wanted by the content") == 1
    assert words.count("uniform has no hierarchy over time") == 1
    assert "Colours are segments or clusters" in words


def test_the_page_of_plus_shows_its_runs(tiny):
    words = "".join(read(render(inspect_video(dyto.VideoQA(tiny, Plus(token_budget=20)), scenes()))).words)
    assert re.search(r"\d+ runs?", words)


@pytest.mark.parametrize(
    ("count", "words"), [(6, "1 more key frame weighs less."), (7, "2 more key frames weigh less."), (5, None)]
)
def test_the_rest_of_the_evidence_is_counted_in_plain_words(seen, count, words):
    first = seen.views[0]
    answer = SimpleNamespace(text="yes", seconds={})
    moments = [Moment(0, 0, 0.0, 0.5, 0.5, None)] * count
    view = dataclasses.replace(first, answer=answer, evidence=moments)
    page = render(dataclasses.replace(seen, question="which ?", views=[view]))
    assert re.findall(r"\d+ more key[^<]*", page) == ([words] if words else [])


def test_many_times_are_folded_away_once(tiny):
    seen = inspect_video(dyto.VideoQA(tiny, "concat"), scenes())
    page = render(seen)
    assert page.count('class="times') == page.count("<details>") == 1


def test_hostile_names_and_questions_are_only_text(tiny, tmp_path):
    folder = tmp_path / "<script>alert(3)<"
    folder.mkdir()
    for number in range(4):
        Image.new("RGB", (20, 16), (number * 40, 0, 0)).save(folder / f"{number}.png")
    question = HOSTILE.replace("\udcff", "")
    seen = inspect_video(
        dyto.VideoQA(tiny), str(folder), question=question, choices=["<b>a</b>", HOSTILE[:30]], max_new_tokens=2
    )
    save_page(seen, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    reader = read(page)
    assert not {"script", "b>a", "title>"} & set(reader.tags)
    assert "<script" not in page
    assert "\u202e" not in page
    assert "\x00" not in page
    assert any("alert(2)" in words for words in reader.words)


def test_text_of_any_kind_can_be_written():
    assert text(HOSTILE).encode("utf-8")
    assert text("日本\u3000語 é") == "日本\u3000語 é"


def test_a_page_of_a_hundred_whole_frames_stays_small(tiny):
    rng = np.random.default_rng(0)  # noise is the hardest to store
    video = rng.integers(0, 255, (100, 144, 256, 3), dtype=np.uint8)
    seen = inspect_video(dyto.VideoQA(tiny, "concat"), video)
    assert len(seen.views[0].tokens.keyframes) == 100
    assert len(render(seen).encode()) < 5_000_000


@pytest.fixture
def small_maps(monkeypatch):
    """Merge maps of few pixels: writing large ones takes most of the time."""
    monkeypatch.setattr("dyto.inspecting.drawing.MAP_SIDE", 120)


@pytest.mark.parametrize(("count", "size"), [(1, (8, 8)), (2, (200, 12)), (7, (12, 200))])
def test_short_small_and_narrow_videos_are_shown(tiny, tmp_path, small_maps, count, size):
    video = np.random.default_rng(count).integers(0, 255, (count, *size, 3), dtype=np.uint8)
    seen = inspect_video(dyto.VideoQA(tiny), video, versus=[dyto.Uniform()])
    read(render(seen))
    assert save_pictures(seen, tmp_path / "deep" / "png")


def test_pictures_are_written_for_every_strategy(seen, tmp_path, monkeypatch):
    monkeypatch.setattr("dyto.inspecting.drawing.MAP_SIDE", 240)
    written = save_pictures(seen, tmp_path / "png")
    names = {path.name for path in written}
    assert {"timeline.png", "keyframes.png", "merges.png", "2-timeline.png", "2-merges.png", "merge-01.png"} <= names
    assert len(written) == 6 + sum(len(view.tokens.keyframes) for view in seen.views)
    for path in written:
        with Image.open(path) as picture:
            assert min(picture.size) > 100
    with Image.open(tmp_path / "png" / "merge-01.png") as picture:
        left, right = np.asarray(picture)[:, :240], np.asarray(picture)[:, 248:]
    assert len(np.unique(right.reshape(-1, 3), axis=0)) < len(np.unique(left.reshape(-1, 3), axis=0))


def test_a_page_replaces_the_old_one_only_when_it_is_whole(seen, tmp_path, monkeypatch):
    page = tmp_path / "page.html"
    page.write_text("old")
    with monkeypatch.context() as broken:
        broken.setattr("dyto.inspecting.page.render", lambda seen: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            save_page(seen, page)
    assert page.read_text() == "old"
    save_page(seen, page)
    assert page.read_text(encoding="utf-8").endswith("</html>\n")
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


@pytest.mark.parametrize("name", ["page.mp4", "page", "none/page.html", "folder.html"])
def test_a_path_that_no_page_can_be_saved_to_is_told_of_before_the_work(tmp_path, name):
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(dyto.ConfigError, match=name):
        check_page(tmp_path / name)


def command(capsys, *words):
    code = run([str(word) for word in words], debug=False)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


def test_the_command_writes_page_and_pictures(capsys, tmp_path, small_maps):
    page, drawn = tmp_path / "r.html", tmp_path / "v.mp4"
    sample_video(drawn)
    code, out, err = command(
        capsys, "inspect", drawn, "--question", "is there a star ?", "--versus", "finest", "--out", page,
        "--png", tmp_path / "png", "--budget", 100, "--max-new-tokens", 3,
    )  # fmt: skip
    assert code == 0
    assert f"saved {page}" in out
    assert "synthetic shapes only" in err
    assert "What the answer rests on" in page.read_text(encoding="utf-8")
    assert (tmp_path / "png" / "merges.png").exists()


@pytest.mark.parametrize("words", [["CLIP", "--png"], ["--png", "CLIP"], ["--png", "--num-frames", 5, "CLIP"]])
def test_pictures_without_a_folder_go_beside_the_page(capsys, clip, tmp_path, monkeypatch, small_maps, words):
    monkeypatch.chdir(tmp_path)
    code, out, _ = command(capsys, "inspect", *[clip if word == "CLIP" else word for word in words])
    assert code == 0
    assert "pictures in report" in out
    assert (tmp_path / "report" / "timeline.png").exists()


def test_a_strategy_of_ones_own_is_seen_beside_another(capsys, clip, tmp_path, small_maps):
    (tmp_path / "mine.py").write_text(
        "import dyto\n\ndef halves(frames, encode, question=None, token_budget=72):\n"
        "    return dyto.build_strategy('uniform', token_budget=token_budget)(frames, encode, question)\n"
    )
    page = tmp_path / "r.html"
    code, out, _ = command(capsys, "inspect", clip, "--versus", f"{tmp_path / 'mine.py'}:halves", "--out", page)
    assert code == 0
    assert "halves: 2 key frames" in out
    assert "halves, 72 tokens" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["missing.mp4"], 1, "missing.mp4 does not exist"),
        (["CLIP", "--out", "CLIP"], 2, "expected .html"),
        (["CLIP", "--versus", "unifrom"], 2, "did you mean 'uniform'"),
        (["CLIP", "--versus", "no.py:Mine"], 2, "no.py"),
        (["CLIP", "--strategy", "unifrom"], 2, "did you mean 'uniform'"),
        (["CLIP", "--choices", "a", "b"], 2, "without a question"),
        (["CLIP", "--png", "FOLDER"], 2, "cannot be made"),
    ],
)
def test_mistakes_of_usage_are_one_line(capsys, clip, tmp_path, monkeypatch, words, code, message):
    monkeypatch.chdir(tmp_path)
    given, _, err = command(
        capsys, "inspect", *[{"CLIP": clip, "FOLDER": clip / "a"}.get(word, word) for word in words]
    )
    assert (given, len(err.strip().splitlines())) == (code, 1)
    assert message in err
