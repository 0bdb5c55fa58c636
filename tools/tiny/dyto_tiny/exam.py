"""Held-out images: what the model answers about single scenes by the stock path, without this package's own."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from transformers import LlavaNextForConditionalGeneration

from dyto.synthetic.questions import ASKERS
from dyto.synthetic.render import Pixels, draw_accidents, render
from dyto.synthetic.videos import Asked, ask_both_ways, is_right
from dyto.synthetic.world import Scene, draw_scene
from dyto_tiny.pages import prompt_text
from dyto_tiny.tiles import draw_things

IMAGE_TYPES = ("exist", "color", "shape", "background", "count", "position", "description", "which")


class Score(NamedTuple):
    """How many of how many are right."""

    right: int
    asked: int

    @property
    def share(self) -> float:
        """Right of asked; 0 where nothing was asked."""
        return self.right / self.asked if self.asked else 0.0


class StockCheckpoint:
    """A checkpoint as stock transformers loads it: processor and `generate`, nothing of ours.

    Args:
        folder: Of the checkpoint.
    """

    def __init__(self, folder: str | Path) -> None:
        from transformers import AutoProcessor, LlavaNextForConditionalGeneration

        self.processor: Any = AutoProcessor.from_pretrained(folder, trust_remote_code=False)
        self.model: LlavaNextForConditionalGeneration = LlavaNextForConditionalGeneration.from_pretrained(
            folder, dtype=torch.float32
        )

    @torch.inference_mode()
    def answer(self, image: Pixels, asked: list[Asked]) -> list[str]:
        """Answer questions about one image, greedily.

        Args:
            image: (H, W, 3) uint8 RGB.
            asked: The questions.

        Returns:
            One text each.
        """
        prompts = [f"USER: <image>\n{prompt_text(a.question, a.choices or ())}" for a in asked]
        pictures = [Image.fromarray(image)] * len(asked)
        inputs = self.processor(images=pictures, text=prompts, padding=True, return_tensors="pt")
        ids = self.model.generate(**inputs, max_new_tokens=24, do_sample=False)
        texts: list[str] = self.processor.batch_decode(ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True)
        return [text.strip() for text in texts]


def held_out_image(seed: int, number: int) -> tuple[Scene, Pixels, list[Asked]]:
    """An image that no lesson shows, and one question of every type about it.

    Args:
        seed: Of the exam.
        number: Which image.

    Returns:
        The scene, (84, 84, 3) uint8 RGB, and the questions.
    """
    rng = np.random.default_rng((seed, 8, number))
    scene = draw_scene(rng, things=draw_things(rng))
    image, _ = render(scene, draw_accidents(rng, len(scene.things)))
    questions = [ASKERS[name](rng, [scene]) for name in IMAGE_TYPES]
    return scene, image, [asked for q in questions if q is not None for asked in ask_both_ways(rng, q)]


def image_exam(folder: str | Path, images: int = 200, seed: int = 9) -> dict[str, dict[str, Score]]:
    """Accuracy on held-out single images by the stock path.

    Args:
        folder: Of the checkpoint.
        images: How many.
        seed: Of the exam.

    Returns:
        For "free" and "letters" the score of every type of question.
    """
    model = StockCheckpoint(folder)
    tally: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for number in range(images):
        _, image, asked = held_out_image(seed, number)
        for a, text in zip(asked, model.answer(image, asked), strict=True):
            tally["letters" if a.choices else "free", a.type].append(is_right(a, text))
    return {
        mode: {name: Score(sum(tally[mode, name]), len(tally[mode, name])) for name in IMAGE_TYPES if tally[mode, name]}
        for mode in ("free", "letters")
    }
