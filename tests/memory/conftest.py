"""A film, and what the bundled model remembers of it."""

import numpy as np
import pytest

import dyto
from dyto.synthetic.filming import sample_long_film
from dyto.synthetic.long_films import draw_long_film


@pytest.fixture(scope="session")
def film():
    """Forty frames of a minute with events."""
    return sample_long_film(draw_long_film(np.random.default_rng(4), "brief", 60), num_frames=40, side=84)


@pytest.fixture
def qa(tiny):
    return dyto.VideoQA(tiny)


@pytest.fixture(scope="session")
def whole(tiny, film):
    """A memory of every frame."""
    return dyto.VideoQA(tiny).remember(film)


@pytest.fixture(scope="session")
def small(tiny, film):
    """A memory of twelve segments."""
    return dyto.VideoQA(tiny).remember(film, segments=12)
