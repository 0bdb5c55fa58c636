"""Tokenizers of checkpoints: only stock classes, and no rules that make a text grow without limit."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable
from typing import Any

from tokenizers import AddedToken, decoders, pre_tokenizers
from tokenizers import Tokenizer as FastTokenizer
from tokenizers.models import Unigram
from torch import Tensor
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from dyto.errors import ModelError
from dyto.models.stock import Tokenizer

MOST_GROWTH = 64
"""Largest factor by which a tokenizer's rules may lengthen a text; known tokenizers keep the length."""


def check_class(source: str, name: Any) -> None:
    """Check that a class name belongs to a tokenizer; any other class would be loaded from the checkpoint.

    Args:
        source: The checkpoint.
        name: The class name in one of its files; None for none.

    Raises:
        ModelError: The class is not a tokenizer.
    """
    if name is None:
        return
    kind = getattr(importlib.import_module("transformers"), name, None) if isinstance(name, str) else name
    stands_for = type(kind).__name__ == "DummyObject"  # a tokenizer whose package is not installed
    if kind is None or stands_for or (isinstance(kind, type) and issubclass(kind, PreTrainedTokenizerBase)):
        return
    raise ModelError(
        f"model {source} says that its tokenizer is of the class {str(name)[:80]!r}, expected the name of a "
        "tokenizer of transformers: do not use this checkpoint"
    )


def check_growth(source: str, tokenizer: Tokenizer) -> None:
    """Check for rules that repeatedly replace letters by more letters, so that a short text would fill the memory.

    Raises:
        ModelError: The rules exceed the limit.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    for name in ("normalizer", "decoder"):
        part = getattr(backend, name, None)
        growth = 1.0 if part is None else _growth(json.loads(part.__getstate__()))
        if growth > MOST_GROWTH:
            raise ModelError(
                f"tokenizer.json of model {source} has a {name} that can make a text {growth:.3g} times as long, "
                f"expected {MOST_GROWTH} times at most: do not use this checkpoint"
            )


def _growth(rule: dict[str, Any]) -> float:
    """Return the largest factor by which a rule can lengthen a text."""
    total = 1.0
    for part in rule.get("normalizers", rule.get("decoders", [])):
        total = min(1e300, total * _growth(part))
    if rule.get("type") == "Replace":
        least = max(1, len(rule.get("pattern", {}).get("String", "")))  # a pattern may match a single letter
        total *= max(1.0, len(rule.get("content", "")) / least)
    return total


def token_ids(tokenizer: Tokenizer, text: str, **options: Any) -> Tensor:
    """Return (n,) ids of the tokens of a text.

    Raises:
        ModelError: The rules of the tokenizer cannot be applied to the text.
    """
    try:
        ids: Tensor = tokenizer(text, return_tensors="pt", verbose=False, **options).input_ids[0]
    except BaseException as err:
        if type(err).__name__ != "PanicException":  # a pattern that takes too many steps; not an `Exception`
            raise
        raise ModelError(
            f"the tokenizer cannot read a text of {len(text)} characters ({err}), expected rules that read any: take "
            "another checkpoint"
        ) from None
    return ids


_MARKS = ("<pad>", "<s>", "</s>", "<unk>", "<image>")


def spelling_tokenizer(pieces: Iterable[str] = ()) -> PreTrainedTokenizerFast:
    """Build a tokenizer of some words, and of bytes for everything else: any text stays unchanged.

    Args:
        pieces: Words that are one token each.

    Example:
        >>> tokenizer = spelling_tokenizer()
        >>> tokenizer.decode(tokenizer("Was <0x41> ein \u00c4ffchen?").input_ids)
        'Was <0x41> ein \u00c4ffchen?'
    """
    scored = [
        *((mark, -100.0) for mark in _MARKS),
        *((f"<0x{byte:02X}>", -100.0) for byte in range(256)),
        *((piece, -1.0) for piece in pieces),
    ]
    tokenizer = FastTokenizer(Unigram(scored, unk_id=_MARKS.index("<unk>"), byte_fallback=True))
    tokenizer.pre_tokenizer = pre_tokenizers.Split("<", "isolated")  # so that "<0x41>" in a text stays unchanged
    tokenizer.decoder = decoders.Sequence([decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens([AddedToken(mark, normalized=False) for mark in _MARKS])
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<s>",
        eos_token="</s>",
        unk_token="<unk>",
        pad_token="<pad>",
        clean_up_tokenization_spaces=False,
        model_input_names=["input_ids", "attention_mask"],
    )
