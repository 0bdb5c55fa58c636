"""A server on loopback, and the bundled model behind it."""

from importlib.resources import files

import pytest

import dyto
from dyto.models.endpoint.service import ADDRESS, OPENAI_KEY, OWN_KEY

from endpoints import StockModel, StubEndpoint, say


@pytest.fixture
def server(monkeypatch):
    """A server that answers "a red ring" until it is told otherwise."""
    pytest.importorskip("openai", reason="a model behind an endpoint needs the extra 'endpoint'")
    for name in (ADDRESS, OPENAI_KEY, OWN_KEY):
        monkeypatch.delenv(name, raising=False)
    stub = StubEndpoint()
    stub.script = lambda number, request: say("a red ring")
    yield stub
    stub.close()


@pytest.fixture
def reach(server):
    """Make a `VideoQA` with a model behind the server; nothing waits long."""

    def make(strategy="plus", *, name="m", **options):
        quick = {"eye": "pixels", "timeout": 5.0, "attempts": 2, "backoff": 0.01}
        return dyto.VideoQA.from_pretrained(f"endpoint:{name}", strategy, base_url=server.url, **(quick | options))

    return make


@pytest.fixture(scope="session")
def stock():
    """The bundled checkpoint with stock classes alone."""
    return StockModel(files("dyto") / "checkpoints" / "tiny")
