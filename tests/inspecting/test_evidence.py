"""Evidence: every key frame weighed, the scene that an answer is about first, nothing left changed."""

import dataclasses
import json

import numpy as np
import pytest
import torch

import dyto
from dyto.cli.app import run
from dyto.inspecting.evidence import only
from dyto.synthetic.videos import sample_video

from conftest import scenes


def test_some_tokens_keep_their_sources(qa):
    tokens = qa.encode(scenes())
    tokens = dataclasses.replace(tokens, places=tokens.patch[::-1])
    kept = only(tokens, tokens.keyframe != 2)
    assert kept.patch.tolist() == tokens.patch[tokens.keyframe != 2].tolist()
    assert 2 not in kept.keyframe
    assert len(kept) == (tokens.keyframe != 2).sum()
    where = np.flatnonzero(tokens.keyframe != 2)
    for new in range(0, len(kept), 7):
        assert kept.patches_of(new) == tokens.patches_of(int(where[new]))
        assert torch.equal(kept.data[new], tokens.data[where[new]])


@pytest.mark.parametrize("choices", [None, ["red", "dark blue"]])
def test_every_key_frame_is_weighed_once_and_ranked(qa, choices):
    tokens = qa.encode(scenes())
    answer = qa.ask(tokens, "which ?", choices=choices, max_new_tokens=4)
    moments = dyto.find_evidence(qa, tokens, "which ?", answer.text or "red", choices=choices)
    assert sorted(moment.keyframe for moment in moments) == list(range(len(tokens.keyframes)))
    weights = [moment.weight for moment in moments]
    assert weights == sorted(weights, reverse=True)
    for moment in moments:
        assert moment.second == tokens.keyframes.seconds[moment.keyframe]
        assert -1 <= moment.weight <= 1
        assert 0 <= moment.alone <= 1


def test_weights_are_the_mean_of_absence_and_presence(qa):
    tokens = qa.encode(scenes((8, 9, 10)))
    moments = dyto.find_evidence(qa, tokens, "is there a red ring ?", "yes")
    floor = min(moment.alone for moment in moments)
    whole = {2 * moment.weight - (moment.alone - floor) + moment.without for moment in moments}
    assert max(whole) - min(whole) < 1e-9
    assert 0 <= min(whole) <= 1


def test_one_key_frame_bears_everything(qa):
    tokens = qa.encode(scenes((1,)))
    (moment,) = dyto.find_evidence(qa, tokens, "what ?", "red")
    assert moment.without is None
    assert moment.weight == pytest.approx(moment.alone)


def test_the_kept_prefix_and_the_answers_stay(qa):
    tokens = qa.encode(scenes())
    before = qa.ask(tokens, "what color ?", max_new_tokens=6).text
    dyto.find_evidence(qa, tokens, "what color ?", before or "red")
    after = qa.ask(tokens, "what color ?", max_new_tokens=6)
    assert after.text == before


def test_evidence_asks_where_no_answer_is_given(qa):
    video = scenes((8, 9))
    given = qa.ask(video, "is there a red ring ?").text
    assert dyto.find_evidence(qa, video, "is there a red ring ?") == dyto.find_evidence(
        qa, video, "is there a red ring ?", given
    )


@pytest.mark.parametrize(("question", "answer"), [("", "a"), ("q", " "), ("q", "")])
def test_what_cannot_be_weighed_is_told(qa, question, answer):
    with pytest.raises(dyto.ConfigError, match="empty"):
        dyto.find_evidence(qa, scenes((4, 4)), question, answer)


def test_the_true_moment_comes_first(qa, tmp_path):
    sample_video(tmp_path / "v.mp4")  # its red cross is on screen for the first three seconds
    tokens = qa.encode(tmp_path / "v.mp4")
    options = ["purple cross", "red cross", "blue square", "purple square"]
    answer = qa.ask(tokens, "which of these is shown ?", choices=options)
    assert answer.choice == 1
    first = dyto.find_evidence(qa, tokens, "which of these is shown ?", answer.text, choices=options)[0]
    assert first.second < 3.2


def test_the_command_tells_the_moments(capsys, tmp_path):
    sample_video(tmp_path / "v.mp4")
    words = ["ask", str(tmp_path / "v.mp4"), "is there a red ring ?", "--evidence", "--max-new-tokens", "4"]
    assert run(words, debug=False) == 0
    assert "evidence    " in capsys.readouterr().out
    assert run([*words, "--json"], debug=False) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["evidence"]) in (0, len(document["keyframes"]))
    assert set(document["evidence"][0]) == {"second", "index", "weight", "alone", "without"}
