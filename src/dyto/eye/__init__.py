"""A small eye that was trained on photographs: it sees frames without any model being downloaded."""

from dyto.eye.base import Eye as Eye
from dyto.eye.weights import load_eye as load_eye

__all__ = ["Eye", "load_eye"]
