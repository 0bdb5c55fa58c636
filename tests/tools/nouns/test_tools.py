"""The tools behind the model `nouns`: its table, its photographs, its film."""

from pathlib import Path

import pytest

import dyto
from dyto.nouns.table import nouns
from dyto_nouns import sample
from dyto_nouns.photos import listed, load
from dyto_nouns.table import TABLE, read_names, read_wordnet, table

WORDNET = Path("/usr/share/wordnet")

LINES = """  1 a line of the licence
00000001 03 n 01 entity 0 000 | all
00000002 05 n 02 dog 0 domestic_dog 1 001 @ 00000001 n 0000 | barks
00000003 05 n 01 pug 0 002 @ 00000002 n 0000 ~ 00000009 n 0000 | small
00000004 05 n 01 cat 0 001 @i 00000001 n 0000 | purrs
"""


def test_a_table_holds_the_classes_and_all_above_them(tmp_path):
    (tmp_path / "data.noun").write_text(LINES)
    read = read_wordnet(tmp_path)
    assert read["n00000002"] == (["dog", "domestic dog"], ["n00000001"])
    made = table(read, ["n00000003"], {0: ["little pug"]})
    assert made.splitlines() == [
        "n00000001\t\tentity\t", "n00000002\t\tdog|domestic dog\tn00000001", "n00000003\t0\tlittle pug|pug\tn00000002"
    ]  # fmt: skip


@pytest.mark.skipif(not WORDNET.is_dir(), reason="needs Debian's wordnet-base")
def test_the_table_that_ships_is_made_of_wordnet():
    home = Path(sample.__file__).resolve().parents[1]
    classes = (home / "classes.txt").read_text().split()
    assert table(read_wordnet(WORDNET), classes, read_names(home / "names.tsv")) == TABLE.read_text("utf-8")


def test_the_classes_are_in_the_order_of_their_synsets():
    home = Path(sample.__file__).resolve().parents[1]
    classes = (home / "classes.txt").read_text().split()
    assert len(classes) == 1000
    assert classes == sorted(set(classes))


def test_every_photograph_of_the_list_shows_what_there_is_a_word_for():
    photos = listed()
    assert len(photos) >= 150
    assert len({photo.shows for photo in photos if photo.known}) >= 60
    assert sum(photo.ground == "scene" for photo in photos) >= 50
    assert all(photo.classes for photo in photos)
    assert all(load(photo, Path("/nowhere")) is None for photo in photos[:3])


def test_the_film_of_the_demo_is_made_of_its_photographs(tmp_path):
    made = tmp_path / "film.mp4"
    sample.main(["--out", str(made)])
    shipped = sample.ROOT / "examples" / "photographs.mp4"
    assert shipped.stat().st_size < 1_000_000
    ours, theirs = (dyto.sample_frames(path, num_frames=10) for path in (made, shipped))
    assert abs(ours.data.astype(int) - theirs.data).mean() < 3
    assert set(sample.SHOWN) <= {name.replace(" ", "_") for name in nouns().names}
