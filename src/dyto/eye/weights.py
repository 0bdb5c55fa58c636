"""The eye's weights, from an optional package, checked by their hash."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from hashlib import sha256
from io import BytesIO

import numpy as np
import numpy.typing as npt
import torch
from PIL import Image
from torch import Tensor

from dyto.errors import ModelError
from dyto.eye.lite0 import WIDTH, Lite0, folded
from dyto.eye.package import PACKAGE, weights_path

SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
"""SHA-256 of the file of weights; no other file is loaded."""

CHUNK = 16
"""Pictures per batch."""


class Lite0Eye:
    """The eye `nouns`: the features of an image classifier before its last layer.

    Attributes:
        name: "nouns".
        weights: Beginning of the hash of its file of weights.
        image_size: 224 x 224 pixels.
        grid: 7 x 7 patches.
        width: 1280 numbers a patch, none below 0 or above 6.
        net: The network, with its classifier.
    """

    name = "nouns"
    weights = SHA256[:16]
    image_size = (224, 224)
    grid = (7, 7)
    width = WIDTH

    def __init__(self, net: Lite0) -> None:
        self.net = net

    @torch.inference_mode()
    def patches(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> Tensor:
        """See `Eye.patches`."""
        return torch.cat([self._see(pictures[at : at + CHUNK]) for at in range(0, len(pictures), CHUNK)])

    @torch.inference_mode()
    def summaries(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> Tensor:
        """See `Eye.summaries`."""
        return torch.cat([self._see(pictures[at : at + CHUNK]).mean(1) for at in range(0, len(pictures), CHUNK)])

    def _see(self, pictures: Sequence[npt.NDArray[np.uint8]]) -> Tensor:
        pixels = np.stack([self._resized(picture) for picture in pictures])  # (B, H, W, 3)
        x = torch.from_numpy(pixels).permute(0, 3, 1, 2).to(self.net.classifier.weight)
        patches: Tensor = self.net((x - 127) / 128)
        return patches.float()

    def _resized(self, picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
        if picture.shape[:2] == self.image_size:
            return picture
        return np.asarray(Image.fromarray(picture).resize(self.image_size[::-1], Image.Resampling.BICUBIC))


def load_eye() -> Lite0Eye:
    """Load the bundled eye from the extra `see`.

    Returns:
        The eye, on the CPU, in float32.

    Raises:
        MissingExtraError: The extra is not installed.
        ModelError: The file of weights is not the known one.

    Example:
        >>> import numpy as np
        >>> load_eye().summaries([np.zeros((48, 64, 3), np.uint8)]).shape
        torch.Size([1, 1280])
    """
    path = weights_path()
    try:
        content = path.read_bytes()
    except OSError as err:
        raise ModelError(f"{path} cannot be read ({err.strerror}): install {PACKAGE} again") from err
    if (found := sha256(content).hexdigest()) != SHA256:
        raise ModelError(f"{path} has sha256 {found}, expected {SHA256}: install version 0.1.0 of {PACKAGE} again")
    try:
        weights = torch.load(BytesIO(content), map_location="cpu", weights_only=True)
    except (RuntimeError, pickle.UnpicklingError) as err:
        raise ModelError(f"{path} cannot be loaded ({err}): install {PACKAGE} again") from err
    with torch.device("meta"):
        net = Lite0()
    net.load_state_dict(folded(weights), assign=True)
    for part in net.modules():
        if isinstance(part, torch.nn.Conv2d):
            part.weight.data = part.weight.data.contiguous(memory_format=torch.channels_last)
    return Lite0Eye(net.requires_grad_(False).eval())
