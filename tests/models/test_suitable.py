"""The model to try next: it fits the machine, and what it costs is said."""

import pytest
import torch

import dyto
from dyto.models import suitable
from dyto.models.catalog import CATALOG
from dyto.models.facts import FACTS
from dyto.models.suitable import PATIENCE, SHARE, choose, for_more, next_model

NONE = frozenset()


@pytest.mark.parametrize("gigabytes", [2, 4, 8, 24, 80, 400])
@pytest.mark.parametrize(("kind", "speed"), [("cpu", 0.1), ("cpu", 0.5), ("cuda", 60.0)])
def test_the_next_model_fits_the_memory_and_no_other_that_does_is_to_be_tried_sooner(kind, speed, gigabytes):
    found = choose(kind, gigabytes << 30, speed, NONE)
    if gigabytes == 2:
        assert found is None
        return
    assert found.memory * 1e9 <= SHARE * (gigabytes << 30)
    assert found.download == CATALOG[found.name].size > 0
    quick = [name for name in CATALOG if name in FACTS and CATALOG[name].source and
             FACTS[name].operations / speed <= PATIENCE and FACTS[name].memory(32) * 1e9 <= SHARE * (gigabytes << 30)]  # fmt: skip
    if quick:
        assert list(CATALOG).index(found.name) <= list(CATALOG).index(quick[0])
        assert found.seconds <= PATIENCE
    else:
        assert FACTS[found.name].operations == min(FACTS[n].operations for n in CATALOG if CATALOG[n].source)


def test_a_model_on_the_disk_comes_before_a_download():
    found = choose("cuda", 24 << 30, 60.0, frozenset({"llava-next-vicuna-7b"}))
    assert (found.name, found.download) == ("llava-next-vicuna-7b", 0.0)
    assert "already on this disk" in str(found)
    too_large = choose("cuda", 24 << 30, 60.0, frozenset({"llava-next-34b"}))
    assert too_large.name != "llava-next-34b"


def test_the_disk_is_asked_for_weights_not_for_folders(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    snapshot = tmp_path / f"models--{CATALOG['qwen3-vl-2b'].source.replace('/', '--')}" / "snapshots" / "abc"
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text("{}")
    assert suitable._on_disk() == NONE
    (snapshot / "model.safetensors").write_bytes(b"")
    assert suitable._on_disk() == {"qwen3-vl-2b"}


def test_where_nothing_fits_it_is_said(monkeypatch):
    monkeypatch.setattr(suitable, "next_model", lambda device: None)
    assert "no model that we know of fits the memory" in for_more(torch.device("cpu"), "real videos")


def test_a_bundled_model_names_download_memory_and_seconds_of_the_next_one():
    found = next_model(torch.device("cpu"))
    (note,) = dyto.load_model("tiny", device="cpu").notices
    assert f"for real videos pass --model {found.name} (" in note
    assert f"{found.memory:.1f} GB of memory" in note
    assert "for the first answer" in note
