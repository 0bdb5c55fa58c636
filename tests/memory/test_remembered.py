"""A memory answers as the video does."""

import dataclasses

import numpy as np
import pytest
import torch

import dyto
from dyto.errors import ConfigError, ModelError
from dyto.memory import packing
from dyto.memory.growing import GrowingMemory, memory_of
from dyto.memory.origin import Origin
from dyto.memory.packing import KINDS, Packing, jpeg, picture_of
from dyto.strategies.merging import Merging

from forge_qwen import qwen_adapter

QUESTIONS = ["what is shown ?", "is there a star ?", "what color is the ring ?", "what is the background ?"]


def same(one, other):
    """Whether two sets of tokens are the same in everything but the seconds that they took."""
    assert torch.equal(one.data, other.data)
    assert torch.equal(one.deep, other.deep) if one.deep is not None else other.deep is None
    for part in ("keyframes", "sources"):
        for name, column in vars(getattr(one, part)).items():
            np.testing.assert_array_equal(column, getattr(getattr(other, part), name), err_msg=name)
    names = ("grid", "budget", "uncompressed", "summary_source", "warnings")
    assert [getattr(one, name) for name in names] == [getattr(other, name) for name in names]


@pytest.mark.parametrize("strategy", ["plus", "plus-2025", "dyto", "uniform", "uniform-pool", "kmeans", "evs"])
@pytest.mark.parametrize("budget", [36, 230])
def test_a_memory_of_all_frames_gives_the_tokens_of_the_video(tiny, film, whole, tmp_path, strategy, budget):
    qa = dyto.VideoQA(tiny, dyto.build_strategy(strategy, token_budget=budget))
    assert whole.complete
    path = whole.save(tmp_path / "film.dyto")
    same(qa.encode(film), qa.encode(whole))
    same(qa.encode(film), qa.encode(path))


def test_it_gives_the_answers_of_the_video(qa, film, whole, tmp_path):
    path = str(whole.save(tmp_path / "film.dyto"))
    answers = [answer.text for answer in qa.ask_many(film, QUESTIONS, max_new_tokens=8)]
    assert [answer.text for answer in qa.ask_many(path, QUESTIONS, max_new_tokens=8)] == answers
    assert [qa.ask(path, question, max_new_tokens=8).text for question in QUESTIONS] == answers


def test_a_strategy_that_looks_at_the_question_does_so_at_a_memory(tiny, film, whole):
    qa = dyto.VideoQA(tiny, dyto.PlusQuery(token_budget=40))
    for question in QUESTIONS:
        same(qa.encode(film, question=question), qa.encode(whole, question=question))
    texts = [answer.text for answer in qa.ask_many(film, QUESTIONS, max_new_tokens=4)]
    assert [answer.text for answer in qa.ask_many(whole, QUESTIONS, max_new_tokens=4)] == texts


def test_the_tokens_of_a_file_are_kept_for_the_next_question(qa, whole, tmp_path):
    path = whole.save(tmp_path / "film.dyto")
    assert qa.encode(path) is qa.encode(str(path))
    whole.prefix(3).save(path)
    assert len(qa.encode(path).keyframes) <= 3, "another file of the same name is another memory"


@pytest.mark.parametrize("segments", [2, 5, 12, 39])
def test_fewer_segments_stand_for_all_frames(qa, film, segments):
    memory = qa.remember(film, segments=segments)
    assert (len(memory), memory.num_frames, memory.complete) == (segments, len(film), False)
    tokens = qa.encode(memory)
    assert tokens.uncompressed == len(film) * 36
    assert set(tokens.keyframes.indices.tolist()) <= set(film.indices.tolist())
    assert len(tokens.keyframes) <= segments
    assert len(tokens) <= 230


def test_key_frames_follow_the_frames_that_segments_stand_for(qa, film, small):
    """The longest run comes first, though it may have fewer segments than a shorter one."""
    features = small.features(qa.model)
    assert features.stands is not None
    assert features.num_seen == len(film)
    positions, _, _ = dyto.Plus().select_keyframes(features.summary, 1, 36, features.stands)
    chosen = int(positions[0])
    assert small.segments.start[chosen] <= small.segments.seconds[chosen] <= small.segments.end[chosen]
    sizes = np.ones(len(small), np.int64)
    sizes[3] = 10_000
    first, _, _ = dyto.Plus().select_keyframes(
        features.summary, 1, 36, features.stands._replace(sizes=sizes, noise=0.0)
    )
    assert first.tolist() == [3]


@pytest.mark.parametrize("segments", [1, 4, 11])
def test_a_prefix_is_the_memory_of_a_smaller_budget(qa, small, tmp_path, segments):
    path = small.save(tmp_path / "film.dyto")
    short, read = small.prefix(segments), dyto.Memory.open(path, segments)
    assert len(short) == len(read) == segments
    assert read.num_frames == small.num_frames
    np.testing.assert_array_equal(read.segments.frames, short.segments.frames)
    same(qa.encode(short), qa.encode(read))
    assert short.thumbnails == read.thumbnails


def test_a_stretch_of_a_memory(qa, whole, small, tmp_path):
    path = small.save(tmp_path / "film.dyto")
    part = qa.encode(path, start=20, end=40)
    at = small.between(20, 40).segments
    assert ((at.end >= 20) & (at.start < 40)).all()
    assert set(part.keyframes.indices.tolist()) <= set(at.frames.tolist())
    with pytest.raises(ConfigError, match="nothing is remembered from 99 s"):
        whole.between(99)


@pytest.mark.parametrize("option", [{"num_frames": 8}, {"fps": 2}, {"sampling": "iframes"}, {"max_side": 9}])
def test_what_was_sampled_cannot_be_sampled_again(qa, small, option):
    with pytest.raises(ConfigError, match=f"{next(iter(option))} given with a memory"):
        qa.encode(small, **option)
    qa.encode(small, sampling="uniform", allow_partial=False)  # what a command says where nothing is chosen


@pytest.mark.parametrize("strategy", ["dyto", "uniform", "kmeans", "evs"])
def test_a_strategy_that_needs_all_frames_says_so(tiny, small, strategy):
    with pytest.raises(ConfigError, match=r"looks at all frames, but the memory of a stream holds 12 of 40"):
        dyto.VideoQA(tiny, strategy).encode(small)


def pictures_of_its_own(frames, encode, question=None):
    return encode([np.zeros((48, 48, 3), np.uint8)])


@pytest.mark.parametrize(
    ("strategy", "what"), [(pictures_of_its_own, "pictures of its own"), ("visionzip", "the tower's attention")]
)
def test_what_a_memory_does_not_hold_is_named(tiny, whole, strategy, what):
    with pytest.raises(ConfigError, match=what):
        dyto.VideoQA(tiny, strategy).encode(whole)


def other(memory, **changes):
    return dataclasses.replace(memory, origin=dataclasses.replace(memory.origin, **changes))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"model": "llava-1.5-7b", "weights": "f" * 16}, "was made with model llava-1.5-7b, but tiny is loaded"),
        ({"revision": "abc123", "weights": "f" * 16}, "was made with revision abc123 of model tiny"),
        ({"weights": "f" * 16}, f"was made with revision {'f' * 16} of model tiny"),
        ({"dtype": "bfloat16"}, "was made in bfloat16, but model tiny is loaded in float32"),
        ({"preprocessing": "pictures of 7"}, "was made from pictures of 7, but model tiny takes pictures of"),
    ],
)
def test_another_model_is_refused(qa, small, changes, said):
    with pytest.raises(ModelError, match=said):
        qa.encode(other(small, **changes))


def test_the_name_of_the_same_weights_does_not_matter(qa, small):
    same(qa.encode(other(small, model="/models/copy", revision="main")), qa.encode(small))


@pytest.mark.parametrize("kind", KINDS)
def test_fewer_bytes_are_nearly_the_same_numbers(qa, film, whole, kind):
    memory = qa.remember(film, numbers=kind)
    exact, near = (one.features(qa.model).patches([0, 7, 39]) for one in (whole, memory))
    worst = {"same": 0.0, "float16": 2**-11, "int8": 0.5 / 127}[kind]
    most = exact.abs().amax(-1, keepdim=True) * (worst * 1.01)
    assert ((near - exact).abs() <= most + 1e-6).all()
    assert memory.tensors["patches"].element_size() == {"same": 4, "float16": 2, "int8": 1}[kind]


def test_merging_goes_on_from_what_was_merged_by_halves(qa, film, whole):
    """As long as no key frame is given more tokens than are kept."""
    memory = qa.remember(film, segments=40, max_mb=0.6)
    kept = memory.tensors["patches"].shape[1]
    assert 1 < kept < 36
    for budget in (9, 40):
        strategy = dyto.Plus(token_budget=budget)
        exact, merged = (dyto.VideoQA(qa.model, strategy).encode(one) for one in (whole, memory))
        assert np.bincount(merged.keyframe).max() <= kept
        same(exact, merged)


def test_what_is_not_kept_is_seen_again_in_the_picture(qa, film, whole):
    memory = qa.remember(film, segments=40, max_mb=0.9)
    exact, again = (dyto.VideoQA(qa.model, dyto.Plus(token_budget=300)).encode(one) for one in (whole, memory))
    kept = memory.tensors["patches"].shape[1]
    assert np.bincount(again.keyframe).max() > kept
    assert again.keyframes.indices.tolist() == exact.keyframes.indices.tolist()
    assert torch.nn.functional.cosine_similarity(exact.data.mean(0), again.data.mean(0), dim=0) > 0.95


def test_the_deep_features_of_merged_patches_are_their_means():
    qa = dyto.VideoQA(qwen_adapter("qwen3_vl"), dyto.Plus(token_budget=8))
    scenes = np.random.default_rng(0).integers(0, 255, (4, 56, 84, 3), dtype=np.uint8)
    video = np.repeat(scenes, 3, axis=0)
    exact = qa.encode(video)
    memory = qa.remember(video, segments=12, max_mb=0.16)
    n = memory.about.grid[0] * memory.about.grid[1]
    assert 2 < memory.tensors["patches"].shape[1] < n
    merged = qa.encode(memory)
    assert torch.equal(exact.data, merged.data)
    torch.testing.assert_close(exact.deep, merged.deep, rtol=1e-5, atol=1e-5)
    same(exact, qa.encode(qa.remember(video)))
    more = dyto.VideoQA(qa.model, dyto.Plus(token_budget=4 * n)).encode(memory)
    assert more.deep.shape[1] == len(more) > 4 * memory.tensors["patches"].shape[1]


def test_a_file_of_a_large_model_fits():
    """128 segments at the shapes of LLaVA-1.5 7B in 64 MB, pictures of noise, the worst there are."""
    rng = np.random.default_rng(0)
    features = dyto.FrameFeatures.from_projected(torch.zeros(1, 577, 4096, dtype=torch.bfloat16))
    sizes = {}
    for kind in KINDS:
        how = Packing.fitting(features, 128, kind, 64)
        pack = how.pack(features, 0, rng.integers(0, 255, (336, 336, 3), dtype=np.uint8))
        sizes[kind] = sum(tensor.nbytes for tensor in pack.values()) + 4 * 4096 + packing.COLUMNS
        assert 128 * sizes[kind] <= 64e6
        assert len(pack["patches"]) == how.patches
    assert Packing.fitting(features, 128, "int8", 64).patches > Packing.fitting(features, 128, "same", 64).patches
    assert Packing.fitting(features, 8, "same", 64).patches == 576


def test_too_little_room_is_refused(qa, film):
    with pytest.raises(ConfigError, match=r"do not fit into 0.001 MB"):
        qa.remember(film, max_mb=0.001)
    with pytest.raises(ConfigError, match="max_mb is -1"):
        qa.remember(film, max_mb=-1)
    with pytest.raises(ConfigError, match="did you mean 'int8'"):
        qa.remember(film, numbers="int4")


def test_the_picture_of_a_segment(film, whole):
    place = {int(number): row for row, number in enumerate(film.indices)}
    for segment in (0, 11):
        picture = whole.picture(segment)
        true = film.data[place[int(whole.segments.frames[segment])]]
        assert picture.shape == true.shape
        assert np.abs(picture.astype(int) - true).mean() < 6


def test_a_picture_takes_no_more_than_it_may():
    noise = np.random.default_rng(0).integers(0, 255, (200, 300, 3), dtype=np.uint8)
    for most in (100_000, 9000, 2000, 700):
        data = jpeg(noise, most)
        assert len(data) <= most
        assert picture_of(data).shape[0] <= 200


def test_the_vectors_of_a_memory_can_be_searched(qa, film, whole):
    features = qa.model.encode(film)
    assert torch.equal(whole.vectors, features.summary)
    np.testing.assert_array_equal(whole.seconds, film.seconds)


def test_how_many_frames_are_added_at_a_time_does_not_matter(qa, film):
    features, made = qa.model.encode(film), []
    for sizes in ([40], [1] * 40, [7, 20, 13]):
        growing, start = GrowingMemory(9), 0
        for size in sizes:
            rows = np.arange(start, start + size)
            growing.add(dyto.features.select(features, rows), film.data[rows], film.source_size)
            start += size
        made.append(memory_of(growing.snapshot(), Origin.of(qa.model), growing.about))
    for memory in made[1:]:
        assert memory.thumbnails == made[0].thumbnails
        assert all(torch.equal(tensor, made[0].tensors[name]) for name, tensor in memory.tensors.items())
        for one, other_ in zip(memory.segments, made[0].segments, strict=True):
            np.testing.assert_array_equal(one, other_)
        np.testing.assert_array_equal(memory.noise, made[0].noise)


def test_merging_that_goes_on_gives_what_merging_at_once_gives():
    x = torch.randn(3, 36, 8, generator=torch.Generator().manual_seed(0))
    how = Merging("max", "alternate", "raster", 1)
    for halves in (18, 9, 5):
        first, owners = how.merge(x, halves)
        for keep in range(1, halves + 1):
            tokens, later = how.merge(first, keep)
            at_once, owner = how.merge(x, keep)
            if keep <= halves:
                assert torch.equal(tokens, at_once)
                assert torch.equal(later.gather(1, owners), owner)


def test_a_model_behind_an_endpoint_remembers_nothing():
    qa = dyto.VideoQA.from_pretrained("endpoint:any", base_url="http://127.0.0.1:1/v1", eye="pixels")
    with pytest.raises(ModelError, match="hands out no features"):
        qa.remember(np.zeros((3, 48, 48, 3), np.uint8))
