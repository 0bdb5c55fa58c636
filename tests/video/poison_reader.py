"""A reader whose decoder does what the name of a file says: hang, fill the memory, crash, lie."""

import ctypes
import fcntl
import os
import time
from pathlib import Path

from dyto.video import reader as _reader
from dyto.video.channel import ADD_SEALS, SEALED
from dyto.video.guarded import Channel

HOARD = []
FRAMES = {"shape": [1, 2, 2, 3], "preview": None, "indices": [0], "seconds": [0.0], "source_size": [2, 2], "total": 1,
          "warnings": []}  # fmt: skip
NONSENSE = [
    {}, {"frames": 3}, {"frames": {}}, {"frames": FRAMES | {"shape": "x"}}, {"frames": FRAMES | {"shape": [-1, 2, 2, 3]}},
    {"frames": FRAMES | {"indices": ["a"]}}, {"frames": FRAMES | {"seconds": [float("nan")]}}, {"lasts": "x"},
    {"frames": FRAMES | {"source_size": 4}}, {"frames": FRAMES | {"warnings": [3]}}, {"size_of": 3}, {"size_of": [1]},
    {"frames": FRAMES | {"indices": [0, 1]}}, {"frames": FRAMES | {"total": None}}, {"frames": FRAMES | {"shape": []}},
    {"size_of": ["a", "b"]}, {"lasts": None}, {"error": "VideoError"},
]  # fmt: skip
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
    channel = _reader._TellingLimits.channel
    if name == "stall":  # it stops in the middle of a word
        channel.end.sendall(b"\0\0")
        time.sleep(60)
    if name == "forever":  # it claims that it may take as long as it likes
        channel.send({"lasts": 1e300})
        time.sleep(60)
    if name == "chatter":
        while True:
            channel.send({"lasts": 1.0})
    if name == "deaf":
        while True:
            channel.send({"size_of": [4, 4]})
    if name == "holes":
        file = os.memfd_create("x", os.MFD_ALLOW_SEALING)
        os.ftruncate(file, 3 << 40)
        fcntl.fcntl(file, ADD_SEALS, SEALED)
        channel.send({"frames": FRAMES | {"shape": [1, 1 << 20, 1 << 20, 3]}}, file)
        time.sleep(60)
    if name.startswith("nonsense"):
        channel.send(NONSENSE[int(name[8:])])
        time.sleep(60)
    return genuine(path, **options)


_reader.sample_frames = sample_frames
assert Channel

if __name__ == "__main__":
    _reader.main()
