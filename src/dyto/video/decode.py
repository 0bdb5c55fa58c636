"""Reading chosen frames of a video file with PyAV.

One demuxing pass gives an index of all packets. Where it can be trusted to stand for the frames, only the
stretches from a key frame to a wanted frame are decoded. Where it cannot, or where what comes out is not what
it promised, a pass over everything says what the frames are.
"""

from __future__ import annotations

import logging
from functools import partial
from pathlib import Path

import av

from dyto.errors import VideoError
from dyto.savings import Savings
from dyto.video.arrival import Arrival, FramesChanged
from dyto.video.index import Index
from dyto.video.limits import Limits
from dyto.video.sampling import FrameBuffer, Request, TargetSize
from dyto.video.still import read_still
from dyto.video.stretches import IndexBroken, read_stretches
from dyto.video.through import Decoded, read_through
from dyto.video.whole import missing_bytes

log = logging.getLogger(__name__)


def read_video(
    path: Path, request: Request, fit: TargetSize, allow_partial: bool, savings: Savings, limits: Limits
) -> Decoded:
    """Read the frames of a video file that are asked for.

    Args:
        path: an existing file.
        request: which frames.
        fit: the size to keep them in.
        allow_partial: be content with what can be read of a broken file.
        savings: with `overlap` the buffer is an `Arrival` where the index can be trusted and nothing is still.
        limits: what it may hold.

    Raises:
        VideoError: it is no video, it is broken, over a limit, or the clip does not lie in it.
    """
    try:
        missing = missing_bytes(path)
        index = Index.scan(path, limits)
        if index.trusted and not missing:
            wanted, total = request.choose(index.timeline, path.name)
            notes, read = request.notes(index.timeline), partial(read_stretches, path, index, savings)
            try:
                buffer = read_still(path.name, index, wanted, fit, read) if savings.still else None
                if buffer is None and savings.overlap and len(wanted) > 1:
                    buffer = Arrival(wanted, fit, path.name, read)
                    buffer.first()
                elif buffer is None:
                    buffer = FrameBuffer(wanted, fit, path.name)
                    read(buffer)
                return Decoded(buffer, index.timeline, total, (*notes, *buffer.notes))
            except (IndexBroken, FramesChanged, av.FFmpegError) as err:
                log.info("%s: decoding every frame, since its index does not hold: %s", path.name, err)
        return read_through(path, index, request, fit, missing, allow_partial, savings.repeats)
    except (av.FFmpegError, OSError, MemoryError) as err:
        raise VideoError(f"{path.name} cannot be read: {err}; expected a video: check or convert it") from err
