"""Model families on stock transformers: one adapter each, found by the `model_type` of a checkpoint."""

from __future__ import annotations

from dyto.models.base import Prefix, VideoModel
from dyto.models.catalog import CATALOG, ModelEntry
from dyto.models.loading import load_model
from dyto.models.pixels import Normalization
from dyto.models.towers import FrameTower

__all__ = ["CATALOG", "FrameTower", "ModelEntry", "Normalization", "Prefix", "VideoModel", "load_model"]
