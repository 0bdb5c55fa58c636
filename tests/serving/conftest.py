"""Fixtures of the service's tests: one service for all, a folder of media, a clip as an address."""

import base64

import pytest

from dyto.serving.media import MediaPolicy

from serving_client import start


@pytest.fixture(scope="session")
def media_root(tmp_path_factory, clip):
    """A folder of videos, with ways out of it."""
    folder = tmp_path_factory.mktemp("media")
    (folder / "clip.mp4").write_bytes(clip.read_bytes())
    (folder / "inner").mkdir()
    (folder / "inner" / "again.mp4").symlink_to(folder / "clip.mp4")
    (folder / "out.mp4").symlink_to(clip)
    (folder / "up").symlink_to(clip.parent, target_is_directory=True)
    (folder / "note.txt").write_text("no video")
    return folder


@pytest.fixture(scope="session")
def service(tiny, media_root):
    running = start(tiny, policy=MediaPolicy(media_root, ("allowed.example", "inside.example:8443"), megabytes=2))
    yield running
    running.stop()


@pytest.fixture
def client(service):
    with service.client() as client:
        yield client


@pytest.fixture(scope="session")
def inline(clip):
    """The clip as an address that holds it."""
    return "data:video/mp4;base64," + base64.b64encode(clip.read_bytes()).decode()
