"""Makers of small video files whose frames carry their own number, and a reader of that number."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from dyto import Savings

ROWS, COLUMNS, BLOCK = 4, 5, 16
HEIGHT, WIDTH = ROWS * BLOCK, COLUMNS * BLOCK
RATE = 10

KINDS_OF_READING = {
    "plainly": Savings.none(),
    "by several decoders": Savings(overlap=False),
    "while they arrive": Savings(overlap=True),
    "where something happens": Savings(overlap=False, still=True),
    "on a card": Savings(overlap=False, hardware=True),
}

Stored = tuple[bytes, int, bool]  # a packet: its data, its presentation time, whether it is a key frame


def picture(number: int, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A frame with `number` in 16 black and white blocks; of its four corners only the first is white."""
    bits = [number >> i & 1 for i in range(16)]
    cells = [1, *bits[:3], 0, *bits[3:13], 0, *bits[13:], 0]
    grid = np.array(cells, np.uint8).reshape(ROWS, COLUMNS) * 255
    rows, columns = np.arange(height) * ROWS // height, np.arange(width) * COLUMNS // width
    return np.repeat(grid[rows][:, columns, None], 3, axis=-1)


def number_in(frame: np.ndarray) -> int:
    """The number a frame carries, at whatever size; fails if the frame is turned or mirrored."""
    height, width = frame.shape[:2]
    rows = (2 * np.arange(ROWS) + 1) * height // (2 * ROWS)
    columns = (2 * np.arange(COLUMNS) + 1) * width // (2 * COLUMNS)
    cells = (frame[rows][:, columns].mean(axis=-1) > 127).astype(int).ravel().tolist()
    assert (cells[0], cells[4], cells[15], cells[19]) == (1, 0, 0, 0), "the frame is not upright"
    bits = [*cells[1:4], *cells[5:15], *cells[16:19]]
    return sum(bit << i for i, bit in enumerate(bits))


def numbers_in(data: np.ndarray) -> list[int]:
    return [number_in(frame) for frame in data]


def write_video(
    path: Path,
    count: int = 30,
    *,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    times: Sequence[int] | None = None,
    gop: int = 12,
    size: tuple[int, int] = (HEIGHT, WIDTH),
    turns: int = 0,
    options: dict[str, str] | None = None,
    container_options: dict[str, str] | None = None,
    container_format: str | None = None,
    sound_seconds: float = 0,
    noise: int = 0,
    shown: Sequence[int] | None = None,
) -> Path:
    """Encode frames 0 to count - 1, 10 a second or at `times` in ms, turned left `turns` times.

    They carry the numbers `shown`, or their own.
    """
    random = np.random.default_rng(0)
    with av.open(str(path), "w", format=container_format, options=container_options or {}) as container:
        stream = container.add_stream(codec, rate=RATE, options=options or {})
        stream.height, stream.width = size if turns % 2 == 0 else size[::-1]
        stream.pix_fmt = pix_fmt
        stream.codec_context.gop_size = gop
        base = Fraction(1, RATE) if times is None else Fraction(1, 1000)
        if times is not None:
            stream.codec_context.time_base = stream.time_base = base
        sound = container.add_stream("aac", rate=8000, layout="mono") if sound_seconds else None
        for number in range(count):
            pixels = np.ascontiguousarray(np.rot90(picture(shown[number] if shown else number, *size), turns))
            if noise:
                grain = random.integers(-noise, noise, pixels.shape)
                pixels = (pixels.astype(int) + grain).clip(0, 255).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = number if times is None else times[number], base
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if sound is not None:
            write_sound(container, sound, sound_seconds)
    return path


def write_sound(container: av.container.OutputContainer, stream: av.AudioStream, seconds: float) -> None:
    """Mux silence."""
    for start in range(0, int(seconds * 8000), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 8000, start, Fraction(1, 8000)
        container.mux(stream.encode(frame))
    container.mux(stream.encode(None))


def turn_right(path: Path, turns: int) -> Path:
    """Write into the header of an MP4 that it is to be shown turned right by `turns` quarters."""
    cos, sin = ((1, 0), (0, 1), (-1, 0), (0, -1))[turns % 4]
    return set_matrix(path, path, cos << 16, sin << 16, -sin << 16, cos << 16)


def set_matrix(path: Path, out: Path, a: int, b: int, c: int, d: int) -> Path:
    """Copy an MP4 with a display matrix: its width goes along (a, b), its height along (c, d), in parts of 65536."""
    data = bytearray(path.read_bytes())
    struct.pack_into(">9i", data, data.index(b"tkhd") + 44, a, b, 0, c, d, 0, 0, 0, 1 << 30)
    out.write_bytes(data)
    return out


def remux(path: Path, out: Path, edit: Callable[[list[Stored]], list[Stored]]) -> Path:
    """Copy the video packets of a file, as `edit` changes them; times are in ticks of the file."""
    with av.open(str(path)) as source, av.open(str(out), "w") as copy:
        stream = copy.add_stream_from_template(source.streams.video[0])
        packets = [packet for packet in source.demux(video=0) if packet.size]
        for data, time, key in edit([(bytes(p), p.pts, p.is_keyframe) for p in packets]):
            packet = av.Packet(data)
            packet.time_base, packet.stream = packets[0].time_base, stream
            packet.pts = packet.dts = time
            packet.is_keyframe = key
            copy.mux(packet)
    return out


def with_hidden_pictures(packets: list[Stored]) -> list[Stored]:
    """VP8 packets, with a picture that is decoded and not shown before every key frame but the first."""
    out: list[Stored] = []
    for data, time, key in packets:
        if key and out:
            before = out[-1][0]
            out.append((bytes([before[0] & ~0x10]) + before[1:], time - 5, False))
        out.append((data, time, key))
    return out


def stamped_in_decoding_order(packets: list[Stored]) -> list[Stored]:
    """Packets with B-frames whose times were lost and made up again, as happens on the way out of AVI."""
    times = sorted(time for _, time, _ in packets)
    return [(data, time, key) for (data, _, key), time in zip(packets, times, strict=True)]
