"""Reading chosen frames of a video file with PyAV.

One demuxing pass gives an index of all packets. If the index can be trusted to describe the frames, only the
stretches from a key frame to a wanted frame are decoded. If it cannot, or if the decoded frames contradict it, a
pass over the whole file finds the frames.
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
    """Read the requested frames of a video file.

    Args:
        path: An existing file.
        request: The frames to read.
        fit: The size to keep them in.
        allow_partial: Accept the readable part of a broken file.
        savings: With `overlap` the buffer is an `Arrival`, if the index can be trusted and no stretch is still.
        limits: Limits of the file.

    Raises:
        VideoError: The file is not a video, is broken or over a limit, or the clip is outside it.
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
                log.info("%s: decoding every frame, because its index is wrong: %s", path.name, err)
        return read_through(path, index, request, fit, missing, allow_partial, savings)
    except (av.FFmpegError, OSError, MemoryError) as err:
        raise VideoError(f"{path.name} cannot be read: {err}; expected a video: check or convert it") from err
