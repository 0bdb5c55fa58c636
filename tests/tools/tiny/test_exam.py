"""Held-out images: what the bundled model says of them by stock transformers alone."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from dyto.synthetic.questions import describe
from dyto.synthetic.render import draw_accidents, render
from dyto.synthetic.videos import Asked
from dyto.synthetic.world import draw_scene
from dyto_tiny.exam import StockCheckpoint, image_exam

SHIPPED = Path(str(files("dyto"))) / "checkpoints" / "tiny"


def test_the_shipped_checkpoint_describes_single_images():
    model = StockCheckpoint(SHIPPED)
    rng = np.random.default_rng(31)
    right = 0
    for _ in range(12):
        scene = draw_scene(rng)
        image, _ = render(scene, draw_accidents(rng, 1))
        question = Asked("description", "Describe the scene.", None, describe([scene]))
        right += model.answer(image, [question]) == [question.answer]
    assert right >= 10


@pytest.mark.soak
def test_the_shipped_checkpoint_passes_a_small_exam():
    free = image_exam(SHIPPED, images=20, seed=32)["free"]
    for kind in ("exist", "color", "shape", "background"):
        assert free[kind].share >= 0.8, (kind, free[kind])


def test_a_picture_of_any_size_is_accepted():
    model = StockCheckpoint(SHIPPED)
    for height, width in ((84, 84), (10, 300), (480, 640)):
        image = np.zeros((height, width, 3), np.uint8)
        assert len(model.answer(image, [Asked("", "What is it?", None, "")])) == 1
