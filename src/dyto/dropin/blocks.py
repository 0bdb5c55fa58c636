"""Which models stand in a block now, and what stands in the place of their methods."""

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
"""For every model in a block what was put there, and what stood there before; None for nothing."""

_active: WeakKeyDictionary[Any, list[tuple[int, Any]]] = WeakKeyDictionary()
"""For every model in a block the thread and the object of each of its blocks, the outermost first."""

_inside = threading.local()


def enter(model: StockModel, block: Any, replacements: Mapping[str, Callable[[Any], Any]]) -> None:
    """Begin a block: the first one of a model replaces attributes of the instance.

    Args:
        model: The model.
        block: What `current` gives for it.
        replacements: For each attribute what makes the new one of the old one.
    """
    with _lock:
        stack = _active.setdefault(model, [])
        if not stack:
            new = {name: replaced_by(getattr(model, name)) for name, replaced_by in replacements.items()}
            _replaced[model] = {name: (replacement, vars(model).get(name)) for name, replacement in new.items()}
            vars(model).update(new)
        stack.append((threading.get_ident(), block))


def leave(model: StockModel, block: Any) -> None:
    """End a block: the last one of a model puts back what was there before, if anything was."""
    with _lock:
        stack = _active[model]
        stack.remove(next(entry for entry in stack if entry[1] is block))
        if stack:
            return
        del _active[model]
        for name, (replacement, own) in _replaced.pop(model).items():
            if vars(model).get(name) is not replacement:
                logger.warning("%s of the model was replaced inside a block that compresses, and stays as it is", name)
            elif own is None:
                del vars(model)[name]
            else:
                vars(model)[name] = own


def current(model: StockModel) -> Any:
    """The innermost block of this thread; else, as for a thread started in the block, the innermost of all.

    None past the end of all blocks, where somebody kept hold of what stood in the model inside.
    """
    with _lock:
        stack = _active.get(model, [])
        mine = [entry for entry in stack if entry[0] == threading.get_ident()]
        return (mine or stack)[-1][1] if stack else None


@contextmanager
def calling(model: StockModel) -> Iterator[None]:
    """While a call of a model runs in this thread: its own calls of itself are no calls of the user."""
    running: set[int] = vars(_inside).setdefault("running", set())
    running.add(id(model))
    try:
        yield
    finally:
        running.discard(id(model))


def is_calling(model: StockModel) -> bool:
    """Whether a call of the model runs in this thread."""
    return id(model) in vars(_inside).get("running", ())
