"""Memories in the place of videos: in the engine, by the id of an upload, and below the media root."""

import dataclasses
import shutil

import numpy as np
import pytest

import dyto
from dyto.errors import BadMemoryError, ConfigError, OtherModelError

from serving_client import ask

ASKED = "what color is the square ?"


@pytest.fixture(scope="module")
def memory(tiny, clip):
    return dyto.VideoQA(tiny).remember(clip, num_frames=20)


@pytest.fixture(scope="module")
def path(memory, tmp_path_factory):
    return memory.save(tmp_path_factory.mktemp("memory") / "clip.dyto")


@pytest.fixture
def other(memory):
    """What another model remembers."""
    return dataclasses.replace(memory, origin=dataclasses.replace(memory.origin, model="other", weights="0" * 16))


def test_the_engine_answers_from_a_memory_and_from_its_file(tiny, clip, memory, path, other):
    expected = dyto.VideoQA(tiny).ask(clip, ASKED, num_frames=20)
    with dyto.Engine(tiny) as engine:
        seen = []
        for video in (memory, path, str(path)):
            reply = engine.ask(video, ASKED, on_seen=lambda *view: seen.append(view))
            assert reply.text == expected.text
            assert reply.answer.keyframes.seconds.tolist() == expected.keyframes.seconds.tolist()
        assert engine.ask(path, ASKED).reused
        assert [frames.data.shape for frames, _ in seen] == [(20, 84, 84, 3)] * 3
        part = engine.ask(path, ASKED, sampling={"start": 2.0}).answer.keyframes.seconds
        assert part.min() >= 2
        with pytest.raises(ConfigError, match="num_frames given with a memory"):
            engine.ask(path, ASKED, sampling={"num_frames": 5})
        with pytest.raises(OtherModelError, match="was made with model other, but tiny is loaded"):
            engine.ask(other, ASKED)


def test_a_memory_is_asked_by_the_id_of_its_upload(client, clip, path, tiny):
    expected = dyto.VideoQA(tiny).ask(clip, ASKED, num_frames=20)
    sent = client.post("/v1/files", files={"file": ("clip.dyto", path.read_bytes())}).json()
    part = {"type": "file", "file": {"file_id": sent["id"]}}
    reply = ask(client, part, ASKED).json()
    assert reply["choices"][0]["message"]["content"] == expected.text
    assert reply["dyto"]["seconds"]["encode"] == 0
    assert ask(client, part, "what is shown ?").json()["dyto"]["reused"]
    small = ask(client, part, ASKED, dyto={"token_budget": 18, "start": 1}).json()
    assert small["dyto"]["tokens"]["used"] <= 18
    wrong = ask(client, part, ASKED, dyto={"num_frames": 5})
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (400, "invalid_value")
    client.delete(f"/v1/files/{sent['id']}")


def test_a_memory_below_the_media_root_is_read_again_when_it_has_grown(client, media_root, tiny):
    pictures = np.random.default_rng(3).integers(0, 255, (8, 84, 84, 3), dtype=np.uint8)
    place = media_root / "yard.dyto"
    with dyto.VideoQA(tiny).watch(segments=8, save=place, seal_seconds=1) as watch:
        counts = []
        for second, picture in enumerate(pictures):
            watch.feed(picture, second)
            if second in (3, 7):
                reply = ask(client, f"file://{place}").json()
                counts.append(reply["dyto"]["tokens"]["uncompressed"])
    place.unlink()
    assert counts == [4 * 36, 8 * 36]


def test_a_memory_that_cannot_be_asked_says_why_and_not_where(client, media_root, path, other):
    (media_root / "cut.dyto").write_bytes(path.read_bytes()[:-9])
    other.save(media_root / "other.dyto")
    shutil.copy(media_root / "note.txt", media_root / "note.dyto")
    for name, said in {
        "cut": "cut.dyto has ",
        "other": "was made with model other, but tiny is loaded",
        "note": "note.dyto is cut within its header",
    }.items():
        reply = ask(client, f"file://{media_root}/{name}.dyto")
        error = reply.json()["error"]
        assert (reply.status_code, error["code"]) == (400, "invalid_media"), error
        assert said in error["message"]
        assert str(media_root) not in error["message"]


def test_a_hostile_size_fills_no_memory(memory, path, tmp_path):
    about = dataclasses.replace(memory.about, size=(1 << 20, 1 << 20))
    dataclasses.replace(memory, about=about).save(tmp_path / "large.dyto")
    with pytest.raises(BadMemoryError, match="are no rows and columns"):
        dyto.Memory.open(tmp_path / "large.dyto")
    broken = dataclasses.replace(memory, thumbnails=(b"no JPEG", *memory.thumbnails[1:]))
    with pytest.raises(BadMemoryError, match="holds a damaged picture of 0.1 s"):
        broken.picture(0)
