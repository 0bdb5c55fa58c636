"""Compression inside a user's own transformers code."""

from __future__ import annotations

from dyto.dropin.context import Compression, compressing

__all__ = ["Compression", "compressing"]
