"""The answer piece by piece: generation in a thread, its text as a generator."""

from __future__ import annotations

import queue
import threading
from collections.abc import Generator
from typing import Any

from torch import Tensor
from transformers import TextIteratorStreamer

from dyto.models.base import Prefix, VideoModel


def stream_text(
    model: VideoModel, prefix: Prefix, after: Tensor, *, max_new_tokens: int, **sampling: Any
) -> Generator[str, None, str]:
    """Answer one question about a prefix and yield the text as it is written.

    A generator that is closed early stops the generation. What goes wrong in the thread is raised here.

    Args:
        model: Whose prefix it is.
        prefix: What `VideoModel.prefill` made.
        after: (S,) token ids that follow the video.
        max_new_tokens: Most tokens of the answer.
        **sampling: Generation options of transformers.

    Yields:
        Pieces of text.

    Returns:
        The whole text, as `VideoModel.generate` gives it.
    """
    streamer = TextIteratorStreamer(model.tokenizer, skip_prompt=False, skip_special_tokens=True)
    closed = threading.Event()
    outcome: queue.SimpleQueue[list[str] | BaseException] = queue.SimpleQueue()

    def work() -> None:
        try:
            outcome.put(
                model.generate(
                    prefix,
                    [after],
                    max_new_tokens=max_new_tokens,
                    streamer=streamer,
                    stop=closed.is_set,
                    **sampling,
                )
            )
        except BaseException as err:  # noqa: BLE001 - raised again in the caller's thread, below
            outcome.put(err)
            streamer.end()

    thread = threading.Thread(target=work, name="dyto-stream", daemon=True)
    thread.start()
    try:
        for piece in streamer:
            if piece:
                yield piece
    finally:
        closed.set()
        thread.join()
    result = outcome.get()
    if isinstance(result, BaseException):
        raise result
    return result[0]
