"""Eyes that encode frames without a download at run time: a small network trained on photographs, and plain pixels."""

from dyto.eye.base import Eye as Eye
from dyto.eye.pixels import PixelEye as PixelEye
from dyto.eye.weights import can_see as can_see
from dyto.eye.weights import load_eye as load_eye

__all__ = ["Eye", "PixelEye", "can_see", "load_eye"]
