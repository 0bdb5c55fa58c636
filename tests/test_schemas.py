"""The keys of the JSON that others read: the tables of the pages and what is written are the same."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from dyto.answer import FORMAT
from dyto.benchmarks import BENCHMARKS, Sample
from dyto.comparing.asking import COMPARED
from dyto.evaluation import rows
from dyto.evaluation.folders import RunFolders
from dyto.evaluation.rows import FIELDS, answered, rank_of_row, unanswered

DOCS = Path(__file__).resolve().parents[1] / "docs"


def keys_of_table(page):
    """The keys that the table of a page describes, under the heading `key`."""
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    (table,) = re.findall(r"^\| key \| what it holds \|\n\|---\|---\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    cells = [line.split(" | ")[0] for line in table.splitlines()]
    found = [key for cell in cells for key in re.findall(r"`(\w+)`", cell)]
    assert len(found) == len(set(found))
    return set(found)


@pytest.fixture(scope="module")
def answer(tiny):
    from dyto import VideoQA

    return VideoQA(tiny).ask(np.zeros((4, 48, 48, 3), np.uint8), "is it red ?", choices=["yes", "no"], max_new_tokens=2)


def sample(**more):
    given = {
        "video": "v.mp4",
        "question_id": "1",
        "questions": ("is it red ?",),
        "answer": "yes",
        "place": 0,
        "type": "CW",
    }
    return Sample(**(given | more))


def test_an_answer_has_the_keys_of_its_page_and_evidence_is_added_by_the_command(answer):
    document = answer.to_dict()
    nouns, endpoints = {"confidence", "reason", "things"}, {"pictures", "spent"}
    assert {*document, "evidence", *nouns, *endpoints} == keys_of_table("ask")
    assert document["format"] == FORMAT == 1
    assert json.loads(json.dumps(document)) == document


def test_the_rows_of_every_kind_of_benchmark_have_the_keys_of_their_page(answer):
    found = set()
    for benchmark in BENCHMARKS.values():
        options = {"candidates": ("yes", "no"), "answer_number": 0} if benchmark.kind == "choice" else {}
        for row in (
            answered(benchmark, sample(**options), [answer]),
            unanswered(benchmark, sample(**options), "failed", ""),
        ):
            assert row["format"] == rows.FORMAT == 1
            assert set(FIELDS) <= set(row)
            found |= set(row)
    assert found == keys_of_table("evaluate")


def test_the_rows_of_a_comparison_add_the_keys_of_its_page():
    assert set(COMPARED) == keys_of_table("compare")


def test_a_row_without_a_format_is_read_and_one_of_another_format_is_not(answer):
    row = answered(BENCHMARKS["msvd"], sample(), [answer])
    old = {key: value for key, value in row.items() if key != "format"}
    assert rank_of_row(old) == rank_of_row(row) == 0
    for other in (2, 0, "1", None, True):
        with pytest.raises(ValueError, match="format is .*, expected 1"):
            rank_of_row(row | {"format": other})


def test_in_the_final_file_all_rows_have_a_format(answer, tmp_path):
    row = answered(BENCHMARKS["msvd"], sample(), [answer])
    old = {key: value for key, value in row.items() if key != "format"} | {"key": "0", "place": 1}
    folders = RunFolders.under(tmp_path, "msvd", "run")
    folders.finish([old, row])
    read = [json.loads(line) for line in folders.predictions.read_text(encoding="utf-8").splitlines()]
    assert read == [row, old | {"format": 1}]
