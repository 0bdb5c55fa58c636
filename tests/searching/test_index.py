"""Searching an index of memories."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

import dyto
from dyto import ConfigError, DatasetError, Memory, MemoryIndex
from dyto.nouns.seeing import Timeline
from dyto.nouns.table import nouns
from dyto.searching.index import MARGIN
from dyto.searching.outlines import Outline
from dyto.strategies.matching import match_by_towers
from searching.conftest import FILMS, film


class Told:
    """An eye to which the last number of a vector is the score."""

    name, width, columns = "told", 1, 1

    def __init__(self, zero=0.0):
        self.zero = zero

    def made(self, origin):
        return True

    def rows(self, vectors):
        return vectors.numpy()

    def query(self, text):
        return np.ones((1, 1), np.float32), ()


class Line:
    """A memory whose segments have given scores, a second each."""

    path = memory = None

    def __init__(self, scores):
        self.scores = np.asarray(scores, np.float32)[:, None]

    def __len__(self):
        return len(self.scores)


def told(*lines, zero=0.0):
    held = [Line(scores) for scores in lines]
    return MemoryIndex(Told(zero), held, np.concatenate([one.scores for one in held]))


def found(index, top=100):
    return [(index.outlines.index(hit.outline), *hit.rows, hit.row) for hit in index.search("x", top)]


@pytest.mark.parametrize(("number", "shown"), [*enumerate(FILMS.values())])
def test_each_thing_is_found_in_its_film_while_it_is_shown(number, shown, index, folder):
    for name, shot in zip(shown, film(number, shown)[1], strict=True):
        hit = index.search(name.replace("_", " "))[0]
        assert Path(hit.file) == folder / f"{list(FILMS)[number]}.dyto"
        assert shot.start / 10 <= hit.start <= hit.second <= hit.end <= shot.stop / 10
        assert hit.picture().shape == (224, 224, 3)
        assert len(hit.memory()) == hit.rows[1] - hit.rows[0] + 1
    assert index.looked_at == 0


def test_the_score_is_the_share_that_the_eye_gives_the_noun(index, folder):
    memory = Memory.open(folder / "places.dyto")
    model = dyto.load_model("nouns")
    with torch.inference_mode():
        logits = model.tower().classifier(memory.vectors).double().numpy()
    shares = Timeline.of(memory.vectors.double().numpy(), logits, memory.seconds).shares
    wanted = shares[:, nouns().concepts("bear")[0].mask].sum(1)
    np.testing.assert_allclose(max(wanted), index.search("bears")[0].score, rtol=1e-4)


def test_of_two_things_both_must_be_seen(index):
    one, both = index.search("a mosque")[0], index.search("a mosque and a hen")[0]
    assert both.score < one.score / 2


def test_neighbours_at_least_half_as_good_are_one_moment():
    assert found(told([0, 0.5, 1, 0.6, 0.4, 0], [0.9, 0.1])) == [
        (0, 1, 3, 2), (1, 0, 0, 0), (0, 4, 4, 4), (1, 1, 1, 1), (0, 0, 0, 0), (0, 5, 5, 5),
    ]  # fmt: skip


def test_a_moment_ends_with_its_memory():
    assert found(told([0.2, 0.9], [0.8, 0.1]), 2) == [(0, 1, 1, 1), (1, 0, 0, 0)]


def test_without_a_zero_half_counts_from_the_mean_of_all():
    assert found(told([0.30, 0.26, 0.2], [0.2] * 20, zero=None), 1) == [(0, 0, 1, 0)]
    assert found(told([0.30, 0.24, 0.2], [0.2] * 20, zero=None), 1) == [(0, 0, 0, 0)]


@pytest.mark.parametrize("seed", range(4))
def test_moments_do_not_overlap_and_come_best_first(seed):
    rng = np.random.default_rng(seed)
    index = told(*(rng.random(size).round(2) for size in (1, 7, 40, 3)))
    hits = index.search("x", 100)
    rows = [(id(hit.outline), row) for hit in hits for row in range(hit.rows[0], hit.rows[1] + 1)]
    assert len(rows) == len(set(rows)) == len(index)
    scores = [hit.score for hit in hits]
    assert scores == sorted(scores, reverse=True)
    assert all(hit.rows[0] <= hit.row <= hit.rows[1] for hit in hits)


@pytest.mark.parametrize("smooth", [1, 300])
def test_the_best_of_many_are_those_of_all_in_order(smooth):
    """Few candidates are put in order, unless long moments take them all."""
    scores = np.random.default_rng(1).random(20 * MARGIN)
    scores = np.convolve(scores, np.ones(smooth) / smooth, "same")
    index = told(scores)
    assert found(index, 3) == found(index, 10_000)[:3]


def test_vectors_that_were_kept_are_those_of_the_pictures(seen, towers, tiny):
    index = MemoryIndex.open([seen])
    assert (index.eye.name, index.looked_at) == (towers[0], 0)
    query = "is it a red circle ?"
    pictures = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
    pictures = dyto.sample_frames(pictures, size=tiny.image_size).data
    wanted = match_by_towers(towers[0], pictures, query, torch.device("cpu"))
    np.testing.assert_allclose(index.rows @ index.query(query)[0], wanted, atol=1e-5)
    assert index.search(query, 1)[0].row == wanted.argmax()


def test_a_siglip_is_searched_by_its_own_texts(siglip, tiny, tmp_path):
    frames = np.random.default_rng(0).integers(0, 255, (12, 48, 48, 3), dtype=np.uint8)
    kept = dyto.VideoQA.from_pretrained("tiny", eye=siglip).remember(frames).save(tmp_path / "noise.dyto")
    index, query = MemoryIndex.open([kept]), "is it a red circle ?"
    assert (index.eye.name, index.looked_at) == (siglip, 0)
    pictures = dyto.sample_frames(frames, size=tiny.image_size).data
    wanted = match_by_towers(siglip, pictures, query, torch.device("cpu"))
    np.testing.assert_allclose(index.rows @ index.query(query)[0], wanted, atol=1e-5)
    hit = index.search(query, 1)[0]
    assert (hit.row, hit.file) == (wanted.argmax(), str(kept))
    plain = dyto.VideoQA.from_pretrained("tiny").remember(frames).save(tmp_path / "plain.dyto")
    other = MemoryIndex.open([plain], siglip)
    assert other.looked_at == 1
    assert other.search(query, 1)[0].row == hit.row, "its pictures, which are JPEG, say the same"


def test_another_eye_looks_at_the_pictures(seen, towers, index):
    shutil.copytree(towers[0], elsewhere := seen.parent / "same", dirs_exist_ok=True)
    assert MemoryIndex.open([seen], str(elsewhere)).looked_at == 0  # the weights count, not the name
    other = MemoryIndex.open([seen], towers[1])
    assert other.looked_at == 1
    assert other.search("red")[0].score != MemoryIndex.open([seen]).search("red")[0].score
    assert MemoryIndex.open([seen], "nouns").looked_at == 1


def test_memories_of_several_eyes_ask_for_a_choice(seen, towers, tmp_path, folder):
    other = dyto.VideoQA.from_pretrained("tiny", eye=towers[1]).remember(np.zeros((2, 48, 48, 3), np.uint8))
    with pytest.raises(ConfigError, match=r"several eyes, .* \(1\), .* \(1\), expected one: choose it with --eye"):
        MemoryIndex.open([seen, other])
    assert MemoryIndex.open([seen, other], towers[1]).looked_at == 1


def test_a_memory_needs_no_file(folder, index):
    memory = Memory.open(folder / "birds.dyto")
    hit = dyto.search("a hen", [memory], top=1)[0]
    assert (hit.file, hit.second) == ("", index.search("a hen", 1)[0].second)
    assert (hit.picture() == memory.picture(hit.row)).all()


def test_an_outline_is_what_the_memory_says(folder, tmp_path):
    path = folder / "places.dyto"
    memory, outline = Memory.open(path), Outline.read(path)
    for name in ("start", "end", "seconds", "frames"):
        np.testing.assert_array_equal(getattr(outline.segments, name), getattr(memory.segments, name))
    assert torch.equal(outline.vectors, memory.vectors)
    assert [outline.thumbnail(row) for row in range(len(memory))] == list(memory.thumbnails)


def test_a_memory_that_grows_is_found(tmp_path):
    path = tmp_path / "grows.dyto"
    watch = dyto.VideoQA.from_pretrained("nouns").watch(segments=8, save=path, seal_seconds=1)
    for second, frame in enumerate(film(0, FILMS["birds"])[0].data):
        watch.feed(frame, float(second))
    watch.close()
    hit = dyto.search("macaw", [path], top=1)[0]
    assert hit.picture().shape == (224, 224, 3)
    assert dyto.search("hen", [path], top=1)[0].second > hit.second


def damages(whole):
    yield from (whole[:size] for size in (0, 4, 40, len(whole) // 2, len(whole) - 1))
    yield b"no memory but a text\n" * 40
    yield whole.replace(b'"eye"', b'"eyf"').replace(b'"summary"', b'"summarx"')


def test_what_is_damaged_is_named_and_the_rest_is_searched(folder, tmp_path):
    shutil.copy(folder / "birds.dyto", tmp_path / "whole.dyto")
    wrong = list(damages((folder / "birds.dyto").read_bytes()))
    for number, data in enumerate(wrong):
        (tmp_path / f"wrong{number}.dyto").write_bytes(data)
    errors = []
    index = MemoryIndex.open([tmp_path, tmp_path / "gone.dyto"], skip=errors.append)
    assert Path(index.search("hen")[0].file).name == "whole.dyto"
    assert len(errors) == len(wrong) + 1
    assert all(str(error).startswith(str(tmp_path)) for error in errors)
    for number in range(len(wrong)):
        with pytest.raises(DatasetError, match="expected a"):
            MemoryIndex.open([tmp_path / f"wrong{number}.dyto"])


def test_a_file_that_changes_after_the_search_is_an_error(folder, tmp_path):
    path = tmp_path / "film.dyto"
    shutil.copy(folder / "birds.dyto", path)
    hit = dyto.search("hen", [path], top=1)[0]
    shutil.copy(folder / "places.dyto", path)
    Memory.open(path).between(0, 1).save(path)
    with pytest.raises(DatasetError, match="search again"):
        hit.picture()
    with pytest.raises(DatasetError, match="search again"):
        hit.memory()


def test_folders_stand_for_what_is_in_them_and_a_file_counts_once(folder, tmp_path):
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    shutil.copy(folder / "birds.dyto", deep)
    assert len(MemoryIndex.open([tmp_path, deep, deep / "birds.dyto"]).outlines) == 1
    with pytest.raises(ConfigError, match="found no memory in .*, expected files"):
        MemoryIndex.open([tmp_path / "a" / "b", tmp_path / "empty"][:0])
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="empty, expected files"):
        MemoryIndex.open([tmp_path / "empty"])


def test_what_reads_no_text_is_refused(folder):
    with pytest.raises(ConfigError, match="eye pixels reads no text, expected one that does"):
        MemoryIndex.open([folder], "pixels")


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("", "the query is empty"),
        (" ?! ", "the query is empty"),
        ("a zebrra", "knows no 'zebrra', expected one of its nouns: did you mean 'zebra'"),
        ("a red xqzv", "knows no 'red', 'xqzv', expected one of its nouns: ask for another thing"),
        ("women", "knows nothing about people"),
    ],
)
def test_a_query_that_the_eye_cannot_read_says_why(query, message, index):
    with pytest.raises(ConfigError, match=message):
        index.search(query)


def test_notes_say_what_was_left_out_and_what_is_not_clear(index):
    index.search("a red hen")
    assert index.notes == ("the eye nouns knows no 'red', which is left out of the search",)
    index.search("a toaster")
    assert "nothing shows it clearly" in index.notes[0]
    index.search("a hen")
    assert index.notes == ()
    with pytest.raises(ConfigError, match="top is 0"):
        index.search("hen", 0)


def test_rows_and_a_query_are_all_that_another_store_needs(index):
    scores = (index.rows @ index.query("giant panda").T).min(1)
    best = int(scores.argmax())
    hit = index.search("giant panda", 1)[0]
    assert (index.files[best], index.seconds[best]) == (hit.file, hit.second)
    assert len(index.files) == len(index.seconds) == len(index)
