"""The models that are inside a block now, and the replacements of their methods."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from dyto.models.stock import StockModel

logger = logging.getLogger(__name__)

_lock = threading.RLock()
_replaced: WeakKeyDictionary[Any, dict[str, tuple[Any, Any]]] = WeakKeyDictionary()
"""For every model in a block the replaced attributes: the new value, and the old one or None."""

_active: WeakKeyDictionary[Any, list[tuple[int, Any]]] = WeakKeyDictionary()
"""For every model in a block the thread and the object of each block, outermost first."""

_inside = threading.local()


def enter(model: StockModel, block: Any, replacements: Mapping[str, Callable[[Any], Any]]) -> None:
    """Enter a block; a model's first block replaces attributes of the instance.

    Args:
        model: The model.
        block: The object that `current` returns in the block.
        replacements: For each attribute a function from the old value to the new one.
    """
    with _lock:
        stack = _active.setdefault(model, [])
        if not stack:
            new = {name: replaced_by(getattr(model, name)) for name, replaced_by in replacements.items()}
            _replaced[model] = {name: (replacement, vars(model).get(name)) for name, replacement in new.items()}
            vars(model).update(new)
        stack.append((threading.get_ident(), block))


def leave(model: StockModel, block: Any) -> None:
    """Leave a block; a model's last block restores the old attributes."""
    with _lock:
        stack = _active[model]
        stack.remove(next(entry for entry in stack if entry[1] is block))
        if stack:
            return
        del _active[model]
        for name, (replacement, own) in _replaced.pop(model).items():
            if vars(model).get(name) is not replacement:
                logger.warning("%s of the model was replaced inside a compressing block, and stays replaced", name)
            elif own is None:
                del vars(model)[name]
            else:
                vars(model)[name] = own


def current(model: StockModel) -> Any:
    """Return the innermost block of this thread; for a thread started in a block, the innermost of all blocks.

    Returns None after the last block, if somebody kept a replaced method.
    """
    with _lock:
        stack = _active.get(model, [])
        mine = [entry for entry in stack if entry[0] == threading.get_ident()]
        return (mine or stack)[-1][1] if stack else None


@contextmanager
def calling(model: StockModel) -> Iterator[None]:
    """Mark that a call of a model runs in this thread, because the model's inner calls are not the user's calls."""
    running: set[int] = vars(_inside).setdefault("running", set())
    running.add(id(model))
    try:
        yield
    finally:
        running.discard(id(model))


def is_calling(model: StockModel) -> bool:
    """Return whether a call of the model runs in this thread."""
    return id(model) in vars(_inside).get("running", ())
