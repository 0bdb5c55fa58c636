"""A long video in which little happens, as a talk over slides or a recorded screen: made fast, by PyAV."""

from typing import Any

import av
import numpy as np
from PIL import Image, ImageDraw

RATE, SIZE = 25, (480, 854)
SLIDE_SECONDS, REST_SECONDS, MOVE_SECONDS = 300, 120, 3
CURSOR = 12


def slide(number, size=SIZE):
    """(H, W, 3) a page of boxes and lines."""
    height, width = size
    rng = np.random.default_rng(number)
    page = Image.new("RGB", (width, height), tuple(rng.integers(150, 255, 3).tolist()))
    draw = ImageDraw.Draw(page)
    for _ in range(30):
        x, y = rng.integers(0, width - 60), rng.integers(0, height - 40)
        box = (x, y, x + rng.integers(10, 200), y + rng.integers(4, 60))
        draw.rectangle(tuple(map(int, box)), fill=tuple(rng.integers(0, 255, 3).tolist()))
    return np.asarray(page)


def cursor_at(number, size=SIZE):
    """(row, column) of the cursor in a frame: it rests, then goes elsewhere for a few seconds."""
    turn, inside = divmod(number, REST_SECONDS * RATE)
    places = [np.random.default_rng((7, n)).integers(20, (size[0] - 40, size[1] - 40)) for n in (turn, turn + 1)]
    share = max(0.0, (inside - (REST_SECONDS - MOVE_SECONDS) * RATE) / (MOVE_SECONDS * RATE))
    return np.rint(places[0] + (places[1] - places[0]) * share).astype(int)


def write_hour(path, minutes=60, group=250, preset="ultrafast", size=SIZE):
    """Write the video: a slide every five minutes, and a cursor that moves for three seconds every two minutes."""
    with av.open(str(path), "w") as container:
        options = {"preset": preset, "threads": "1"}
        stream = container.add_stream("libx264", rate=RATE, options=options)
        stream.height, stream.width = size
        stream.pix_fmt, stream.gop_size = "yuv420p", group
        page: Any = None
        shown: Any = None
        frame: Any = None
        for number in range(int(minutes * 60 * RATE)):
            row, column = cursor_at(number, size)
            at = number // (SLIDE_SECONDS * RATE), row, column
            if shown != at:
                if page is None or shown[0] != at[0]:
                    page = slide(at[0], size)
                picture = page.copy()
                picture[row : row + CURSOR, column : column + CURSOR] = (200, 0, 0)
                frame = av.VideoFrame.from_ndarray(picture, format="rgb24").reformat(format="yuv420p")
                shown = at
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
