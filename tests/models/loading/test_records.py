"""What came of a trial is kept: it is done once a checkpoint, and again as soon as anything about it changes."""

import json
import os
from dataclasses import asdict

import numpy as np
import pytest
import torch

import dyto
from dyto.models import trial
from dyto.models.loading import records as kept
from dyto.models.loading.placement import Placement
from dyto.models.loading.records import PACKAGES, SMALL, Record, folder, record_of
from dyto.models.trial import TrialResult, Way
from forge_stock import save

PLACED = Placement.of(
    revision=None, device="cpu", dtype=None, attention=None, device_map=None, quantization=None
)  # fmt: skip
FILM = np.random.default_rng(0).integers(0, 255, (3, 40, 60, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def glm(tmp_path_factory):
    """Of a family whose adapter learns from the trial how its positions are counted."""
    return save("GLM-4.6V", tmp_path_factory.mktemp("glm"))


@pytest.fixture
def tried(monkeypatch):
    """The models that were tried, in order."""
    seen, original = [], trial._tried

    def look(model):
        seen.append(model)
        return original(model)

    monkeypatch.setattr(trial, "_tried", look)
    return seen


def load(folder):
    return dyto.load_model(folder, device="cpu")


def test_a_checkpoint_is_tried_once_and_answers_the_same_afterwards(glm, tried, records):
    first, second = load(glm), load(glm)
    assert len(tried) == 1
    assert len(list(records.iterdir())) == 1
    assert (second.trial, second.way) == (first.trial, first.way)
    tokens = dyto.VideoQA(first).encode(FILM)
    asked = first.tokenize("look:", " why ?")
    found = [model.logits(model.prefill(asked.before, tokens), asked.after) for model in (first, second)]
    assert torch.equal(*found)


NONE = [
    "",
    "{",
    "[]",
    "[" * 100_000,
    "{}",
    '{"difference": NaN, "allowed": 1.0, "control": 1.0, "way": {}}',
    '{"difference": 0.0, "allowed": 1.0, "control": 1.0, "way": {"merged": 0}}',
    '{"difference": 0.0, "allowed": 1.0, "control": 1.0, "way": {"grid": 7}}',
    '{"difference": 0.0, "allowed": 1.0, "control": 1.0, "way": {"evil": 7}}',
    '{"difference": "0", "allowed": 1.0, "control": 1.0, "way": {}}',
]


@pytest.mark.parametrize("content", NONE)
def test_a_damaged_record_is_none(content, tmp_path):
    (tmp_path / "a.json").write_text(content)
    assert TrialResult.of(Record(tmp_path / "a.json").read()) is None


@pytest.mark.parametrize("content", [NONE[0], NONE[5]])
def test_a_damaged_record_is_ignored_and_the_trial_done_again(content, glm, tried, records):
    load(glm)
    (path,) = records.iterdir()
    whole = path.read_text()
    path.write_text(content)
    load(glm)
    assert len(tried) == 2
    assert path.read_text() == whole
    assert list(records.iterdir()) == [path]  # and no half of one


def test_a_record_that_cannot_be_read_or_written_costs_only_the_trial(glm, tried, records, caplog):
    records.write_text("a file where the folder should be")
    assert load(glm).trial.passed
    assert load(glm).trial.passed
    assert len(tried) == 2
    assert "the trial is not kept" in caplog.text


def change_config(folder, monkeypatch):
    said = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(said | {"note": "changed"}))


def touch_weights(folder, monkeypatch):
    os.utime(folder / "model.safetensors", ns=(1, 1))


def change_weights(folder, monkeypatch):
    path = folder / "model.safetensors"
    before = path.stat()
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def change_version(package):
    def change(folder, monkeypatch):
        known = kept._version
        monkeypatch.setattr(kept, "_version", lambda name: "0.0.1" if name == package else known(name))

    change.__name__ = f"another_{package}"
    return change


CHANGES = [change_config, touch_weights, change_weights, *map(change_version, PACKAGES)]


@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_changes_has_another_record(change, glm, tmp_path, monkeypatch):
    own = tmp_path / "own"
    own.mkdir()
    for file in glm.iterdir():
        (own / file.name).write_bytes(file.read_bytes())
    before = record_of(str(own), PLACED).path
    assert record_of(str(own), PLACED).path == before
    change(own, monkeypatch)
    assert record_of(str(own), PLACED).path != before


def test_another_precision_is_another_trial(glm, tried):
    load(glm)
    dyto.load_model(glm, device="cpu", dtype="bfloat16")
    assert len(tried) == 2


def test_a_refusal_is_kept_too_and_said_again_in_the_same_words(tmp_path, tried):
    own = save("PaliGemma", tmp_path)
    said = []
    for _ in range(2):
        with pytest.raises(dyto.ModelError, match="logits differ") as error:
            load(own)
        said.append(str(error.value))
    assert said[0] == said[1]
    assert len(tried) == 1


def test_a_trial_survives_being_written():
    whole = TrialResult(1e-6, 1e-3, 2.5, Way("token_type_ids", True, True, 1, "image_grid_thw", 2))
    assert TrialResult.of(json.loads(json.dumps(asdict(whole)))) == whole


def test_everything_that_shapes_a_prompt_or_a_picture_is_compared():
    assert {"config.json", "preprocessor_config.json", "tokenizer.json", "chat_template.jinja"} <= set(SMALL)


def test_records_lie_beside_the_downloads_of_the_hub(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", str(tmp_path))
    assert folder() == tmp_path / "dyto" / "trials"
