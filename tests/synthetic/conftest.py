"""The models here are small: every test runs with one thread."""

import pytest


@pytest.fixture(autouse=True)
def _one_thread(one_thread):
    """For every test of this folder."""
