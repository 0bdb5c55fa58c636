"""Memory that the C library keeps between two uses."""

import subprocess
import sys

import pytest

AGAIN = """
import resource, sys
import numpy as np
from dyto.system.memory import _trim, keep_freed_at_hand
if _trim() is None:
    sys.exit("not here")
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    blocks = [np.ones(1_000_000, np.uint8) for _ in range(30)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
def later():
    faults()
    return faults()
without = later()
keep_freed_at_hand()
print(without, later())
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counts page faults")
def test_freed_memory_stays_at_hand():
    done = subprocess.run([sys.executable, "-c", AGAIN], capture_output=True, text=True, timeout=120)
    if "not here" in done.stderr:
        pytest.skip("another C library than glibc")
    without, kept = map(int, done.stdout.split())
    assert without > 5000 > 200 > kept  # of 7300 pages
