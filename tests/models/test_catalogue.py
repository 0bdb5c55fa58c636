"""What is said of models by name: all of it known, of one piece, and in the order in which to try them."""

import re

import pytest

from dyto.cli.listing import table
from dyto.models.catalog import CATALOG, FURTHER
from dyto.models.facts import FACTS
from dyto.models.families import FAMILIES

BUNDLED = ("tiny", "nouns")


@pytest.mark.parametrize("name", [name for name in CATALOG if name not in BUNDLED])
def test_every_model_has_facts_that_agree_with_its_entry(name):
    entry, facts = CATALOG[name], FACTS[name]
    bits = (16, 32) if name.startswith("smolvlm") else (16,)  # SmolVLM2 is offered in float32
    assert any(entry.size == pytest.approx(facts.weights * size / 8, rel=0.07) for size in bits)
    assert re.fullmatch(r"20\d\d(-[01]\d)?", facts.published)
    assert facts.source
    assert facts.text + facts.vision < facts.weights
    assert not facts.stated or facts.stated > facts.context
    told = re.search(r"(\d+)k context", entry.note)
    assert told is None or int(told[1]) == facts.context // 1024
    assert (name.startswith("llava")) == bool(facts.terms)


def test_small_models_come_first_and_of_one_size_the_newest():
    names = list(CATALOG)
    assert names[:2] == list(BUNDLED)
    assert max(FACTS[name].weights for name in names[2:6]) < 1.2
    assert names.index("qwen3-vl-2b") < names.index("qwen3-vl-4b") < names.index("qwen3-vl-8b")
    assert names.index("qwen3-vl-8b") < names.index("llava-next-vicuna-7b") < names.index("llava-next-34b")
    assert names[-1] == max(names[2:], key=lambda name: FACTS[name].weights)


def test_further_models_are_of_families_of_the_table():
    taken = {name for family in FAMILIES.values() for name in family.models}
    assert not taken & FURTHER.keys()
    assert len({entry.source for entry in CATALOG.values() if entry.source}) == len(CATALOG) - len(BUNDLED)


def test_the_list_says_what_each_needs_and_nobody_is_told_a_wrong_licence():
    titles, rows = table("models")
    said = {row[0]: dict(zip(titles, row, strict=True)) for row in rows}
    assert sorted(said) == sorted(CATALOG)
    assert said["qwen2.5-vl-3b"]["licence"].startswith("Qwen Research License")
    assert said["internvl3-8b"]["licence"].startswith("MIT")
    assert said["smolvlm2-500m"]["on a CPU"] == "4 GB"  # in float32
    assert said["llava-next-34b"]["on a GPU"] == "72 GB"
    assert "128k" not in said["qwen2.5-vl-7b"]["note"]
