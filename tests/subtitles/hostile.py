"""Functions that read files badly, for the child process of `test_passing.py`."""

import os
import time


def crash(path, **options):
    os.abort()
    yield {}


def hang(path, **options):
    time.sleep(60)
    yield {}


def endless(path, **options):
    while True:
        yield {"lines": []}


def fail(path, **options):
    yield {"lines": []}
    raise KeyError("x")
