"""A small eye trained on photographs, which encodes frames without a download at run time."""

from dyto.eye.base import Eye as Eye
from dyto.eye.weights import load_eye as load_eye

__all__ = ["Eye", "load_eye"]
