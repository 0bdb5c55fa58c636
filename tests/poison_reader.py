"""A reader whose decoder does what the name of a file says: hang, fill the memory, crash, lie."""

import ctypes
import os
import time
from pathlib import Path

from dyto import _reader
from dyto.guarded import Channel

HOARD = []
genuine = _reader.sample_frames


def sample_frames(path, **options):
    name = Path(path).stem
    if name == "hang":
        time.sleep(60)
    if name == "hoard":
        while True:
            HOARD.append(bytearray(os.urandom(1 << 20)) * 64)
    if name == "swell":  # memory that no limit of the address space knows: the watch must see it
        ctypes.memset(ctypes.create_string_buffer(600 << 20), 1, 600 << 20)
        time.sleep(60)
    if name == "crash":
        ctypes.string_at(0)
    if name == "leave":
        os._exit(3)
    if name == "babble":
        _reader._TellingLimits.channel.end.sendall(b"\xff" * 64)
        time.sleep(60)
    if name == "lie":
        _reader._TellingLimits.channel.send(
            {"frames": {"shape": [1 << 40, 1, 1, 3], "preview": None}}, os.open("/dev/null", 0)
        )
        time.sleep(60)
    return genuine(path, **options)


_reader.sample_frames = sample_frames
assert Channel

if __name__ == "__main__":
    _reader.main()
