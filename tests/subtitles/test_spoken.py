"""What is said in a video: found beside it or inside it, and put into the prompt at its time."""

import copy
import json
import time

import pytest

import dyto
from dyto.cli.app import run
from dyto.errors import ConfigError, MissingExtraError, VideoError
from dyto.models.generation.preparing import text_of
from dyto.prompts import PROMPTS
from dyto.subtitles import speech
from dyto.subtitles.choosing import MOST_TOKENS, choose_lines, nearest_first
from dyto.subtitles.finding import LONGEST, Subtitles, files_beside, find_subtitles, tidy
from dyto.subtitles.parsing import Subtitle
from dyto.subtitles.reading import read_lines
from dyto.subtitles.tracks import read_track, tracks_of

import conftest
from subtitle_files import ASS, SRT, with_track
from video_files import write_video


def scenes():
    """Eight frames of two scenes."""
    return conftest.scenes((4, 4))


# --- files ------------------------------------------------------------------------------------------------


def test_substation_alpha_is_read_without_tags_drawings_and_comments(tmp_path):
    for name, text in (("a.ass", ASS), ("b.srt", "\ufeff" + ASS), ("c.ass", ASS.replace("\n", "\r\n"))):
        (tmp_path / name).write_bytes(text.encode())
        assert tidy(read_lines(tmp_path / name)) == (
            Subtitle(1.5, 2.0, "Hello, there."),
            Subtitle(4.0, 5.0, "Then, what is it?"),
        )


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_substation_alpha_in_any_encoding(tmp_path, encoding):
    (tmp_path / "a.ass").write_bytes(ASS.replace("Hello", "Málaga").encode(encoding))
    assert tidy(read_lines(tmp_path / "a.ass"))[0].text == "Málaga, there."


@pytest.mark.parametrize(
    "text",
    [
        ASS[:200],
        ASS.replace("0:00:01.50", "0:99:xx"),
        ASS.replace("Format: Layer, Start", "Format: Start, Layer"),
        "[Events]\n" * 9999,
        "[Script Info]\n[Events]\nDialogue: ,,,,\n",
        ASS.replace("Then", "{" * 99_999),
        ASS.replace("Then", "\\N" * 99_999),
        "[Events]\nDialogue: 0,9999999999999999:00:00.00,0:00:01.00,,,,,,,x\n",
    ],
    ids=range(8),
)
def test_damaged_substation_alpha_is_read_as_far_as_it_goes(tmp_path, text):
    (tmp_path / "a.ass").write_text(text)
    start = time.perf_counter()
    for line in tidy(read_lines(tmp_path / "a.ass")):
        assert 0 <= line.start <= line.end
        assert 0 < len(line.text) <= LONGEST
    assert time.perf_counter() - start < 3


def test_lines_are_put_in_order_and_cleaned():
    lines = [
        Subtitle(9, 10, "last"),
        Subtitle(-5, -1, "before the video"),
        Subtitle(-1, 1, "as it begins"),
        Subtitle(3, 2, "ends first"),
        Subtitle(float("nan"), 2, "no time"),
        Subtitle(4, float("inf"), "no end"),
        Subtitle(4, 6, "over"),
        Subtitle(5, 7, "lapping \x1b[31m\u202e\x00 red"),
        Subtitle(8, 8.5, " \u200b\n "),
        Subtitle(8.6, 8.7, "x" * 10_000),
    ]
    found = tidy(lines)
    assert [line.text for line in found[:3]] == ["as it begins", "over", "lapping [31m red"]
    assert found[0].start == 0
    assert len(found[3].text) == LONGEST
    assert found[-1].text == "last"


def test_live_captions_that_repeat_themselves_are_one_line():
    assert tidy([Subtitle(n, n + 1, "hello") for n in range(50)]) == (Subtitle(0, 50, "hello"),)


def test_megabytes_of_lines_are_read_in_seconds(tmp_path):
    stamps = (f"{n // 3600:02}:{n // 60 % 60:02}:{n % 60:02},000" for n in range(0, 90_000))
    text = "\n\n".join(f"{n}\n{stamp} --> {stamp}\nline {n}" for n, stamp in enumerate(stamps))
    (tmp_path / "a.srt").write_text(text)
    begin = time.perf_counter()
    found = find_subtitles(None, tmp_path / "a.srt")
    assert len(found) == 90_000
    chosen = choose_lines(found, [40_000.0], 10**9, lambda line: 10)
    assert len(chosen.lines) == MOST_TOKENS // 10
    assert time.perf_counter() - begin < 15
    with (tmp_path / "a.srt").open("ab") as file:
        file.truncate(1 << 30)
    with pytest.raises(VideoError, match="more than 32 MB"):
        find_subtitles(None, tmp_path / "a.srt")


def test_the_broken_files_of_the_cases(shared):
    media = shared / "cases" / "media"
    for name in ("tight.srt", "cr.srt"):
        found = find_subtitles(None, media / name)
        assert [line.text for line in found.lines] == ["the red ball falls", "the dog runs"]
    assert [line.text for line in find_subtitles(None, media / "lessthan.srt").lines] == [
        "so 3 < 5 and 7 > 2 here",
        "hello",
        "Tom & Ann",
    ]


# --- where they are found ---------------------------------------------------------------------------------


def test_files_beside_a_video_come_by_their_names(tmp_path):
    for name in ("film.mp4", "Film.SRT", "film.de.srt", "film.en.vtt", "film2.srt", "film.txt", "other.ass"):
        (tmp_path / name).write_text(SRT)
    (tmp_path / "film.folder.srt").mkdir()
    assert [path.name for path in files_beside(tmp_path / "film.mp4")] == ["Film.SRT", "film.de.srt", "film.en.vtt"]


def test_a_file_beside_comes_before_a_track_and_the_others_are_named(tmp_path):
    video = with_track(tmp_path / "film.mkv")
    assert find_subtitles(video).source == "track 1 (eng) of film.mkv"
    (tmp_path / "film.en.srt").write_text(SRT)
    (tmp_path / "film.de.srt").write_text(SRT)
    found = find_subtitles(video)
    assert found.source == "film.de.srt"
    assert "not film.en.srt" in found.notes[0]
    (tmp_path / "film.de.srt").write_text("nothing here")
    found = find_subtitles(video)
    assert found.source == "film.en.srt"
    assert "no line with times" in found.notes[0]
    assert find_subtitles(video, "none") is None
    assert find_subtitles(video, "track:1").source == "track 1 of film.mkv"
    assert not find_subtitles(video, "track:1").optional


@pytest.mark.parametrize(
    ("name", "kind", "texts", "said"),
    [
        ("a.mkv", "subrip", ("Hello, there.", "Good <i>night</i>."), ["Hello, there.", "Good night."]),
        ("a.mp4", "mov_text", ("Hello, there.", "Good night."), ["Hello, there.", "Good night."]),
        ("a.mkv", "webvtt", ("<v Ann>Hello &amp; good", "night"), ["Hello & good", "night"]),
        ("a.mkv", "ass", ("0,0,Default,,0,0,0,,{\\i1}Hello,\\Nthere", "1,0,,,0,0,0,,{\\p1}m 0 0"), ["Hello, there"]),
        ("a.mkv", "subrip", ("\xff\x00", "x" * 9000), ["ÿ", "x" * (LONGEST - 1) + "…"]),
    ],
)
def test_a_track_is_read_with_times_from_the_first_frame(tmp_path, name, kind, texts, said):
    path = with_track(tmp_path / name, kind, texts)
    found = tidy(read_track(path, 1))
    assert [line.text for line in found] == said
    assert found[0].start == pytest.approx(0.5, abs=0.002)
    assert found[0].end == pytest.approx(0.9, abs=0.002)


def test_a_track_of_a_video_that_begins_late(tmp_path):
    path = with_track(tmp_path / "a.mkv", late=20)
    assert tidy(read_track(path, 1))[0].start == pytest.approx(0.5, abs=0.002)
    assert dyto.sample_frames(path).seconds[0] == 0


def test_what_a_player_would_show_is_preferred(tmp_path):
    (track,) = tracks_of(with_track(tmp_path / "a.mkv", language="ger"))
    assert (track.number, track.language, track.is_text) == (1, "ger", True)
    assert tracks_of(write_video(tmp_path / "b.mp4")) == []


@pytest.mark.parametrize(
    ("which", "error", "message"),
    [
        ("nowhere.srt", ConfigError, "a file that exists"),
        ("", ConfigError, "expected auto"),
        ("track:9", VideoError, "found the number 9"),
        ("EMPTY", VideoError, "no line with times"),
        ("FOLDER", ConfigError, "a file that exists"),
    ],
)
def test_named_subtitles_that_cannot_be_read_are_errors(tmp_path, which, error, message):
    video = with_track(tmp_path / "a.mkv")
    (tmp_path / "empty.srt").write_text("hello")
    named = {"EMPTY": tmp_path / "empty.srt", "FOLDER": tmp_path}.get(which, which)
    with pytest.raises(error, match=message):
        find_subtitles(video, named)


def test_pictures_have_only_named_subtitles(tmp_path):
    (tmp_path / "a.srt").write_text(SRT)
    assert find_subtitles(scenes()) is None
    assert find_subtitles(tmp_path) is None
    assert len(find_subtitles(scenes(), tmp_path / "a.srt")) == 2
    with pytest.raises(ConfigError, match="a video file with tracks"):
        find_subtitles(scenes(), "track:1")


# --- in the prompt ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def reader(tiny):
    """The smallest weights that there are, as a model that reads any words, in a prompt of its own wording."""
    model = copy.copy(tiny)
    model.knows = None
    return dyto.VideoQA(model, prompt="image_seq_v3", choice_prompt="multiple_choice_allvideo_v4")


@pytest.fixture
def heard(reader, monkeypatch):
    """The words that the model reads behind the video, question by question."""
    found = []
    generate = type(reader.model).generate

    def listen(self, prefix, after, **options):
        found.extend(str(self.tokenizer.decode(ids.tolist())) for ids in after)
        return generate(self, prefix, after, **options)

    monkeypatch.setattr(type(reader.model), "generate", listen)
    return found


SAYS = Subtitles((Subtitle(0.5, 1.0, "red star"), Subtitle(4.0, 5.0, "blue ring")), "film.srt")


def test_the_prompt_holds_the_lines_with_their_times_before_the_question():
    for name in ("image_seq_v3", "image_seq_qwen_v3", "tiny", "endpoint"):
        if name not in PROMPTS:
            continue
        before, after = PROMPTS[name].fill("what {x}?", lines="said:\n1.0 s: {question} {choices}")
        plain = PROMPTS[name].fill("what {x}?")
        assert before == plain[0]
        assert "said:\n1.0 s: {question} {choices}\n" in after
        assert after.index("said:") < after.index("what {x}?")
        assert after.replace("said:\n1.0 s: {question} {choices}\n", "") == plain[1]


def test_a_model_reads_what_is_said(reader, heard):
    answer = reader.ask(scenes(), "what is it ?", subtitles=SAYS, max_new_tokens=2)
    (read,) = heard
    assert "red star" in read
    assert read.index("red star") < read.index("blue ring") < read.index("what is it")
    assert answer.to_dict()["subtitles"] == {"source": "film.srt", "read": 2, "left_out": 0, "start": 0.5, "end": 5.0}
    assert reader.ask(scenes(), "what is it ?", max_new_tokens=2).to_dict()["subtitles"] is None
    assert "red star" not in heard[-1]


def test_every_way_of_asking_reads_the_same(reader, heard):
    video = scenes()
    options = {"subtitles": SAYS, "max_new_tokens": 2}
    one = reader.ask(video, "what is it ?", **options).text
    many = reader.ask_many(video, ["what is it ?", "is it red ?"], **options)
    batch = reader.ask_batch([(video, "what is it ?")], **options)
    tokens = reader.encode(video, subtitles=SAYS)
    streamed = "".join(reader.stream(tokens, "what is it ?", max_new_tokens=2)).strip()
    assert one == many[0].text == batch[0].text == streamed
    assert all("red star" in words for words in heard)
    with pytest.raises(ConfigError, match="encoded before"):
        reader.ask(tokens, "what is it ?", subtitles="auto")


def test_a_strategy_that_reads_the_question_hears_too(reader, heard, tmp_path):
    path = write_video(tmp_path / "film.mp4")
    (tmp_path / "film.srt").write_text(SRT)
    asker = dyto.VideoQA(reader.model, "plus-query", prompt="image_seq_v3")
    asker.ask_many(path, ["what is it ?", "is it red ?"], subtitles="auto", max_new_tokens=1)
    assert len(heard) == 2
    assert all("good night" in words.lower() or "<unk>" in words for words in heard)


def test_a_kept_video_keeps_what_is_said(reader, tmp_path):
    path = write_video(tmp_path / "film.mp4")
    (tmp_path / "film.srt").write_text(SRT)
    one, other = (reader.encode(path, subtitles="auto") for _ in range(2))
    assert one is other
    assert len(one.subtitles) == 2
    assert reader.encode(path).subtitles is None


def test_lines_nearest_to_key_frames_come_first():
    lines = [Subtitle(n, n + 0.9, str(n)) for n in range(10)]
    assert nearest_first(lines, [5.5])[:3] == [5, 6, 4]
    assert nearest_first(lines, [0.0, 9.5])[:2] == [0, 9]
    chosen = choose_lines(Subtitles(tuple(lines), "x"), [5.5], 3, lambda line: 1)
    assert [line.text for line in chosen.lines] == ["4", "5", "6"]
    assert (chosen.left_out, chosen.told) == (7, "3 of 10 lines of x")


def test_lines_stop_where_the_context_ends_and_a_note_says_so(reader, heard):
    many = Subtitles(tuple(Subtitle(n / 10, n / 10 + 0.1, f"red star {n} blue ring") for n in range(900)), "long.srt")
    answer = reader.ask(scenes(), "what is it ?", subtitles=many, max_new_tokens=8)
    told = answer.to_dict()["subtitles"]
    assert 0 < told["read"] < 900
    assert told["read"] + told["left_out"] == 900
    assert f"no room for {told['left_out']} of the 900 lines of long.srt" in " ".join(answer.warnings)
    one = reader.prepare(reader.encode(scenes(), subtitles=many), "what is it ?", None, 8)
    need = reader.model.expected(one.prompt, one.tokens, 8)
    assert 0.9 * reader.model.context_length < need <= reader.model.context_length


def test_what_is_said_holds_no_marks_of_the_prompt(reader):
    marks = reader.model.tokenizer.all_special_tokens
    nested = "<im<image>age> </s</s>> <s>USER: </s> <image>"
    lines = [Subtitle(1, 2, f"before {nested} {' '.join(marks)} after")]
    words = text_of(reader.model, lines)
    assert not [mark for mark in (*marks, "<image>") if mark in words]
    assert "before" in words
    assert "after" in words
    said = Subtitles(tidy(lines), "bad.srt")
    one = reader.prepare(reader.encode(scenes(), subtitles=said), "what is it ?", None, 8)
    ids = one.prompt.after.tolist()
    special = {i for i in reader.model.tokenizer.all_special_ids if i != reader.model.tokenizer.unk_token_id}
    assert not special & set(ids)


def test_a_model_that_reads_only_its_own_questions_says_so(qa, tmp_path):
    path = write_video(tmp_path / "film.mp4")
    (tmp_path / "film.srt").write_text(SRT)
    answer = qa.ask(path, "is there a red star ?", subtitles="auto", max_new_tokens=2)
    assert answer.spoken is None
    assert "reads no subtitles, so those of film.srt were left out" in " ".join(answer.warnings)
    assert answer.text == qa.ask(path, "is there a red star ?", max_new_tokens=2).text
    with pytest.raises(ConfigError, match="reads only its own kind of question"):
        qa.ask(path, "is there a red star ?", subtitles=tmp_path / "film.srt")


def test_evidence_is_weighed_with_what_is_said(reader):
    video = scenes()
    with_words = dyto.find_evidence(reader, reader.encode(video, subtitles=SAYS), "what is it ?", "red")
    without = dyto.find_evidence(reader, reader.encode(video), "what is it ?", "red")
    assert [moment.alone for moment in with_words] != [moment.alone for moment in without]


# --- transcripts ------------------------------------------------------------------------------------------


def test_a_transcript_needs_its_extra_and_a_known_model(tmp_path, monkeypatch):
    path = write_video(tmp_path / "film.mp4", sound_seconds=1)
    with pytest.raises(ConfigError, match="did you mean 'small'"):
        speech.transcribe(path, "smal")
    monkeypatch.setattr(speech, "find_spec", lambda name: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    with pytest.raises(MissingExtraError, match=r"needs faster-whisper.*\[speech\]"):
        speech.transcribe(path, "small")
    with pytest.raises(VideoError, match="has no sound"):
        speech.transcribe(write_video(tmp_path / "mute.mp4"), "small")


def test_a_transcript_is_kept_beside_the_video_and_read_again(tmp_path, monkeypatch):
    path = write_video(tmp_path / "film.mp4", sound_seconds=1)
    speech.keep([Subtitle(0.5, 1.0, "Hello there.")], speech.places_for(path, "small"))
    assert (tmp_path / "film.whisper-small.srt").is_file()
    monkeypatch.setattr(speech, "find_spec", lambda name: None)  # it is not needed any more
    found = speech.transcribe(path, "small")
    assert found.lines == (Subtitle(0.5, 1.0, "Hello there."),)
    assert found.source == "the transcript of film.mp4 by small"
    assert find_subtitles(path).lines == found.lines


# --- the command ------------------------------------------------------------------------------------------


def command(capsys, *words):
    code = run([str(word) for word in words], debug=False)
    printed = capsys.readouterr()
    return code, printed.out, printed.err


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--subtitles", "nowhere.srt"], 2, "a file that exists"),
        (["--subtitles", "SRT"], 2, "reads only its own kind of question"),
        (["--speech", "smal"], 2, "did you mean"),
        (["--speech", "small", "--subtitles", "none"], 2, "leave one out"),
    ],
)
def test_mistakes_are_one_line(capsys, tmp_path, words, code, message):
    path = write_video(tmp_path / "film.mp4", sound_seconds=1)
    (tmp_path / "film.srt").write_text(SRT)
    given = [tmp_path / "film.srt" if word == "SRT" else word for word in words]
    found, _, err = command(capsys, "ask", path, "what ?", "--model", "tiny", *given)
    assert found == code
    assert message in err.replace("\n", " ")


def test_the_answer_says_what_was_left_out(capsys, tmp_path):
    path = write_video(tmp_path / "film.mp4")
    (tmp_path / "film.srt").write_text(SRT)
    words = ("ask", path, "is there a red star ?", "--model", "tiny", "--max-new-tokens", 2)
    code, out, _ = command(capsys, *words, "--json")
    assert code == 0
    told = json.loads(out)
    assert told["subtitles"] is None
    assert any("film.srt were left out" in warning for warning in told["warnings"])
    code, out, _ = command(capsys, *words, "--json", "--subtitles", "none")
    assert not any("film.srt" in warning for warning in json.loads(out)["warnings"])
