"""A model behind an endpoint in every command that takes a model: eval, compare, batch, inspect and the demo."""

import io
import json
import re
import shutil
from pathlib import Path

import pytest

import dyto
from dyto.cli.app import main
from dyto.demo.engine import DemoEngine
from dyto.demo.events import DemoQuestion, SideAnswered
from dyto.errors import ConfigError

from endpoints import say

HEADER = "video_name,question,question_id,answer,answer_number,question_type,a0,a1,a2,a3,a4\n"


@pytest.fixture
def world(tmp_path, clip, server, monkeypatch):
    """Two videos, four questions about them, and a server that always picks the second option."""
    (tmp_path / "videos").mkdir()
    for number in range(2):
        shutil.copy(clip, tmp_path / f"videos/v{number}.mp4")
    rows = [f"v{number % 2},who is {number}?,{number},dog,1,CW,cat,dog,cow,hen,ant\n" for number in range(4)]
    (tmp_path / "NExT_QA.csv").write_text(HEADER + "".join(rows))
    monkeypatch.chdir(tmp_path)
    server.script = lambda number, request: say("(B)")
    return ["--model", "endpoint:gpt-4o", "--base-url", server.url, "--eye", "pixels", "--num-frames", "6"]


BENCHMARK = ["nextqa", "--qa-file", "NExT_QA.csv", "--video-dir", "videos"]


def test_eval_reads_choices_and_records_what_was_asked(world, server, capfd):
    assert main(["eval", *BENCHMARK, *world, "--json"]) == 0
    (found,) = json.loads(capfd.readouterr().out)
    assert (found["answered"], found["complete"], found["config"]) == (4, True, "endpoint-gpt-4o-plus-6frms")
    assert len(server.requests) == 4
    manifest = json.loads(next(Path("outputs").rglob("manifest*.json")).read_text())
    assert manifest["config"]["base_url"] == server.url
    assert manifest["config"]["eye"] == "pixels"
    main(["eval", *BENCHMARK, *world, "--json"])
    assert len(server.requests) == 4, "recorded answers are not paid for twice"


def test_eval_stops_at_the_limit_and_goes_on_with_a_higher_one(world, server, capfd):
    main(["eval", *BENCHMARK, *world, "--max-requests", "3", "--json"])
    (found,) = json.loads(capfd.readouterr().out)
    assert (found["answered"], found["unanswered"]) == (3, {"failed": 1}), "every answer that was paid for is kept"
    assert len(server.requests) == 3
    main(["eval", *BENCHMARK, *world, "--retry-failed", "--json"])
    assert len(server.requests) == 4


def words_of(request):
    """All the text of a request."""
    return "\n".join(part["text"] for part in request["messages"][0]["content"] if part["type"] == "text")


def from_the_subtitles(number, request):
    """A model that knows nothing but what it reads: it answers with the word that follows "password is"."""
    found = re.search(r"(\d+\.\d) s: The password is (\w+)", words_of(request))
    return say(f"{found[2]}, at {found[1]} s" if found else "nobody says")


def test_a_question_that_only_the_subtitles_answer_is_answered_from_them(world, server, capfd):
    server.script = from_the_subtitles
    Path("videos/v0.srt").write_text("1\n00:00:02,500 --> 00:00:03,000\nThe password is swordfish.\n")
    words = ["ask", "videos/v0.mp4", "What is the password?", *world]
    assert main(words) == 0
    out = capfd.readouterr().out
    assert "swordfish, at 2.5 s" in out
    assert "subtitles   1 line of v0.srt" in out
    assert main([*words, "--subtitles", "none"]) == 0
    out = capfd.readouterr().out
    assert "nobody says" in out
    assert "subtitles" not in out
    assert main([*words, "--dry-run", "--json"]) == 0
    told = json.loads(capfd.readouterr().out)["tokens"]["text"]
    assert main([*words, "--dry-run", "--json", "--subtitles", "none"]) == 0
    assert json.loads(capfd.readouterr().out)["tokens"]["text"] < told


@pytest.mark.parametrize("strategy", ["plus", "random-frames"])
def test_a_conversation_and_several_videos_read_what_is_said(world, server, monkeypatch, capfd, strategy):
    server.script = from_the_subtitles
    Path("videos/v0.srt").write_text("1\n00:00:02,500 --> 00:00:03,000\nThe password is swordfish.\n")
    chosen = [*world, "--strategy", strategy]
    assert main(["ask", "videos/v0.mp4", "videos/v1.mp4", "What is the password?", *chosen]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines == ["videos/v0.mp4\tswordfish, at 2.5 s", "videos/v1.mp4\tnobody says"]
    for given, expected in (([], "swordfish, at 2.5 s"), (["--subtitles", "none"], "nobody says")):
        monkeypatch.setattr("sys.stdin", io.StringIO("What is the password?\nAnd again?\n"))
        assert main(["chat", "videos/v0.mp4", *chosen, *given]) == 0
        assert capfd.readouterr().out.splitlines().count(expected) == 2
    for given in (["--subtitles", "videos/v0.srt"], ["--speech", "small"]):
        assert main(["ask", "videos/v0.mp4", "videos/v1.mp4", "What?", *chosen, *given]) == 2
        assert "with several videos or questions" in capfd.readouterr().err


def test_eval_reads_what_is_said_only_when_it_is_told_to(world, server, capfd):
    server.script = lambda number, request: say("(B)" if "hello" in words_of(request) else "(A)")
    Path("videos/v0.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nhello\n")
    main(["eval", *BENCHMARK, *world, "--json"])
    (plain,) = json.loads(capfd.readouterr().out)
    main(["eval", *BENCHMARK, *world, "--subtitles", "auto", "--json"])
    (heard,) = json.loads(capfd.readouterr().out)
    assert (plain["config"], heard["config"]) == ("endpoint-gpt-4o-plus-6frms", "endpoint-gpt-4o-plus-6frms-subtitles")
    assert [sum("hello" in words_of(r) for r in part) for part in (server.requests[:4], server.requests[4:])] == [0, 2]
    recorded = [json.loads(line) for path in Path("outputs").rglob("*.jsonl") for line in path.read_text().splitlines()]
    said = [row["subtitles"]["source"] for row in recorded if "subtitles" in row]
    assert set(said) == {"v0.srt"}
    manifests = [
        json.loads(path.read_text())["config"]["subtitles"] for path in Path("outputs").rglob("manifest*.json")
    ]
    assert sorted(manifests, key=str) == [None, "auto"]
    assert main(["eval", *BENCHMARK, *world, "--subtitles", "film.srt"]) == 2
    assert main(["eval", *BENCHMARK, *world, "--subtitles", "auto", "--scoring", "likelihood"]) != 0


def test_encoded_videos_for_an_endpoint_are_not_cached(world, capfd):
    assert main(["eval", *BENCHMARK, *world, "--cache", "kept"]) == 2
    assert "are not kept: leave it out" in capfd.readouterr().err


def test_likelihoods_are_refused(world, server, capfd):
    assert main(["eval", *BENCHMARK, *world, "--scoring", "likelihood"]) == 2
    assert "gives no likelihoods" in capfd.readouterr().err
    assert not server.requests


def test_compare_asks_each_strategy_and_the_blind_control(world, server, capfd):
    words = ["compare", *BENCHMARK, *world, "--strategies", "uniform,plus", "--budgets", "600", "--no-pictures"]
    assert main(words) == 0
    pictures = [
        sum(part["type"] == "image_url" for message in request["messages"] for part in message["content"])
        for request in server.requests
    ]
    assert pictures.count(0) == 4, "the control sees no video"
    assert len(pictures) == 12
    assert "uniform" in capfd.readouterr().out


def test_batch_answers_a_table(world, server):
    rows = [
        {"video": f"videos/v{number % 2}.mp4", "question": f"what {number}?", "choices": ["x", "y"]}
        for number in range(3)
    ]
    Path("table.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert main(["batch", "table.jsonl", "--out", "out.jsonl", *world]) == 0
    answers = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [answer["choice"] for answer in answers] == [1, 1, 1]


def test_inspect_shows_the_key_frames_and_the_answer_without_evidence(world, server, clip, capfd):
    assert (
        main(["inspect", str(clip), "--question", "what ?", "--out", "page.html", "--versus", "uniform", *world]) == 0
    )
    assert "(B)" in Path("page.html").read_text()
    assert len(server.requests) == 2
    assert "key frames" in capfd.readouterr().out


def test_the_demo_offers_it_beside_local_models(server, clip):
    server.script = lambda number, request: say("a panda")
    loading = {"base_url": server.url, "tokens_per_image": 50, "device": "cpu"}
    engine = DemoEngine(("endpoint:m", "tiny"), loading=loading)
    try:
        for model in engine.models:
            (end,) = [
                event
                for event in engine.ask(DemoQuestion(str(clip), "what ?", model, (dyto.DyTo(),), max_new_tokens=4))
                if isinstance(event, SideAnswered)
            ]
            assert len(end.keyframes) == len(end.answer.keyframes)
            assert end.answer.model == model
            assert (end.answer.text == "a panda") == (model != "tiny")
    finally:
        engine.close()


def test_a_name_is_needed():
    with pytest.raises(ConfigError, match="found endpoint: without a name"):
        dyto.load_model("endpoint:", base_url="http://127.0.0.1:1/v1")
