"""Streaming of an answer: generation in a thread, with its text as a generator."""

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
    """Answer one question about a prefix and yield the text as the model writes it.

    Closing the generator early stops the generation. Errors in the thread are raised here.

    Args:
        model: The model of the prefix.
        prefix: A result of `VideoModel.prefill`.
        after: (S,) token ids after the video.
        max_new_tokens: Largest number of tokens in the answer.
        **sampling: Generation options of transformers.

    Yields:
        Pieces of text.

    Returns:
        The whole text, as from `VideoModel.generate`.
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
