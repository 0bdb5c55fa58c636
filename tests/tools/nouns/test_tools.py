"""The tools behind the model `nouns`: its table, its photographs, its film."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import dyto
from dyto.nouns.seeing import Recognition, Sighting
from dyto.nouns.table import nouns
from dyto_nouns import sample
from dyto_nouns.measure import right_kind, right_noun
from dyto_nouns.nothing import pictures
from dyto_nouns.photos import HALVES, listed, load, people
from dyto_nouns.probe import find, fit
from dyto_nouns.shots import can_be_right, why
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


@pytest.mark.soak
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


def test_the_halves_share_no_package_and_no_picture():
    calibration, held_out = (listed(half) for half in HALVES)
    assert len(calibration) + len(held_out) == len(listed())
    assert len(held_out) >= 100
    assert not {photo.package for photo in calibration} & {photo.package for photo in held_out}
    digests = [photo.digest for photo in [*listed(), *people()]]
    assert all(len(digest) == 16 for digest in digests)
    assert len(people()) >= 50
    assert len({photo.digest for photo in listed()}) == len(listed())
    assert not {photo.digest for photo in calibration} & {photo.digest for photo in people()}


def test_a_reader_could_be_right_by_the_likeliest_noun_or_a_kind_of_it():
    photo = next(photo for photo in listed() if photo.known and photo.shows == "giant panda")
    other = {name: can_be_right(nouns().names.index(name), photo) for name in ("giant panda", "hen", "pizza")}
    assert other == {"giant panda": True, "hen": True, "pizza": False}  # a hen is an animal, too


def test_what_keeps_a_noun_from_being_asserted_is_told():
    panda = next(photo for photo in listed() if photo.known and photo.shows == "giant panda")
    names = nouns().names
    worn = replace(panda, shows="wig")

    def told(photo, strength=9.0, **shares):
        given = np.zeros(1000)
        for name, share in shares.items():
            given[names.index(name.replace("_", " "))] = share
        return why(photo, given, strength)

    assert told(panda, giant_panda=0.2, hen=0.1) == "small share"
    assert told(panda, giant_panda=0.2, hen=0.1, strength=5.0) == "weak output"
    assert told(panda, giant_panda=0.2, hen=0.3) == "another is likelier"
    assert told(panda, giant_panda=0.2, wig=0.3) == "small share"  # a wig is never asserted
    assert told(panda, giant_panda=0.6) == "frames differ"
    assert told(worn, wig=0.9) == "it may only be guessed"


def test_another_picture_than_the_listed_one_is_refused(tmp_path):
    photo = next(photo for photo in listed("held out") if photo.package == "darknet")
    path = tmp_path / photo.package / photo.path
    path.parent.mkdir(parents=True)
    path.write_bytes(b"another picture")
    with pytest.raises(ValueError, match=f"expected {photo.digest}"):
        load(photo, tmp_path)


def test_of_two_things_that_a_photograph_shows_each_is_right_by_its_kind():
    photo = next(photo for photo in listed() if photo.shows == "dog or mountain bike")
    (dog,) = (kind for kind in nouns().kinds if kind.word == "dog")
    (cat,) = (kind for kind in nouns().kinds if kind.word == "cat")
    names = nouns().names
    for said, right in ((dog.classes, True), ({names.index("mountain bike")}, True), (cat.classes, False)):
        seen = Sighting(Recognition(frozenset(said), "it", 1.0, ()), 0.0, 1.0, 2)
        assert right_kind(seen, photo) == right
    assert right_noun(names.index("tandem bicycle"), photo)  # a bicycle, as the mountain bike is
    assert not right_noun(names.index("tabby cat"), photo)


def test_pictures_of_nothing_are_the_same_every_time_and_others_in_the_other_half():
    ours, again, others = pictures("held out", 2), pictures("held out", 2), pictures("calibration", 2)
    for sort, made in ours.items():
        assert all(picture.dtype == np.uint8 and picture.shape[2] == 3 for picture in made)
        assert all(np.array_equal(one, two) for one, two in zip(made, again[sort], strict=True))
    assert not np.array_equal(ours["pages of text"][0], others["pages of text"][0])


def test_the_probe_finds_the_pictures_whose_tokens_are_kept_and_no_others():
    noise = torch.Generator().manual_seed(0)
    centres = torch.randn(12, 1280, generator=noise)
    views = [centre + 0.3 * torch.randn(2, 49, 1280, generator=noise) for centre in centres]
    probe = fit(views)
    kept = torch.cat([views[number][0, :3] for number in (2, 5, 7)])
    assert find(kept, probe, 3) == {2, 5, 7}
    mixed = torch.stack([views[number][0, 0] for number in range(12)]).mean(0, keepdim=True)
    assert len(find(torch.cat([kept[:3], mixed]), probe, 3) & {5, 7}) < 2  # what was averaged away is not found


def test_the_film_of_the_demo_is_made_of_its_photographs(tmp_path):
    made = tmp_path / "film.mp4"
    sample.main(["--out", str(made)])
    shipped = sample.ROOT / "src" / "dyto" / "demo" / "photographs.mp4"
    assert shipped.stat().st_size < 1_000_000
    ours, theirs = (dyto.sample_frames(path, num_frames=10) for path in (made, shipped))
    assert abs(ours.data.astype(int) - theirs.data).mean() < 3
    assert set(sample.SHOWN) <= {name.replace(" ", "_") for name in nouns().names}
