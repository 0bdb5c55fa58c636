"""The recipe: first the eye learns to see, then the language model learns to answer about what it sees."""

from __future__ import annotations

import json
import logging
import math
import signal
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import LlavaNextForConditionalGeneration

from dyto.system.files import replacing
from dyto_tiny.eye import Probes, eye_loss
from dyto_tiny.model import build_model, save_tiny
from dyto_tiny.optim import Muon
from dyto_tiny.pages import FREE, LETTER, LOOKUP, draw_lesson
from dyto_tiny.state import check_settings, load_facts, load_tensors, save_state
from dyto_tiny.talk import ATTENTION, Bank, talk_loss
from dyto_tiny.tiles import TileBatch, tile_batch
from dyto_tiny.words import teach_words

log = logging.getLogger(__name__)

SAVE_SECONDS = 180.0
LOG_STEPS = 25
EPOCH = 1500
"""Steps of the language model before its gallery is drawn anew."""


@dataclass(frozen=True)
class TrainingSettings:
    """What decides the weights, with the seed; a run goes on only with the same.

    Attributes:
        seed: Of the weights and of every lesson.
        steps: All steps.
        eye_share: The share of them in which tower and projector learn; the language model has the rest.
        tiles: Tiles in a step of the eye.
        pictures: Images, each with many questions, in a step of the language model.
        precise: Compute in float32 rather than bfloat16.
    """

    seed: int = 0
    steps: int = 9400
    eye_share: float = 0.383
    tiles: int = 64
    pictures: int = 8
    precise: bool = False

    @property
    def eye_steps(self) -> int:
        """Steps of the first stage."""
        return round(self.steps * self.eye_share)

    def epoch(self, step: int) -> int:
        """Which gallery a step of the second stage shows."""
        return (step - self.eye_steps) // EPOCH


class Lessons(Dataset[Any]):
    """The batches of one stage by step; each a pure function of the settings and its step."""

    def __init__(self, settings: TrainingSettings, first: int, end: int) -> None:
        self.settings, self.first, self.end = settings, first, end

    def __len__(self) -> int:
        return self.end - self.first

    def __getitem__(self, index: int) -> Any:
        step, settings = self.first + index, self.settings
        if step < settings.eye_steps:
            return tile_batch(settings.seed, step, settings.tiles)
        progress = (step - settings.eye_steps) / (settings.steps - settings.eye_steps)
        return draw_lesson(settings.seed, step, settings.epoch(step), progress, settings.pictures)


def rate(step: int, steps: int, steady: float = 0.4, warmup: int = 100) -> float:
    """The learning rate as a fraction of its peak: warm-up, a plateau, then linear to 2 %.

    Args:
        step: From 0.
        steps: Of the stage.
        steady: Share of the stage before the decay.
        warmup: Steps of warm-up, at most a tenth of the stage.

    Returns:
        A fraction of the peak.

    Example:
        >>> [round(rate(s, 1000), 2) for s in (0, 99, 400, 700, 999)]
        [0.01, 1.0, 1.0, 0.51, 0.02]
    """
    warm = min(1.0, (step + 1) / max(1, min(warmup, steps // 10)))
    left = (steps - step) / max(1.0, steps * (1 - steady))
    return warm * (0.02 + 0.98 * min(1.0, left))


class Trainer:
    """One run of the recipe.

    Args:
        settings: What decides the weights.
        state: The file that holds the run; where it exists, the run goes on from it.
        device: "cpu" or "cuda".
        workers: Processes that draw lessons; 0 draws them in this one.

    Raises:
        ConfigError: The file belongs to a run with other settings.
        ModelError: The file is no state.
    """

    def __init__(self, settings: TrainingSettings, state: Path, device: str = "cpu", workers: int = 0) -> None:
        self.settings, self.path, self.device, self.workers = settings, state, torch.device(device), workers
        self.model: LlavaNextForConditionalGeneration = build_model(settings.seed)
        teach_words(self.model, settings.seed)
        self.model = self.model.to(self.device).train()
        self.model.model.vision_tower.set_attn_implementation("eager")
        self.model.model.language_model.set_attn_implementation(ATTENTION)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            self.probes = Probes().to(self.device)
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self._recent: dict[str, list[float]] = {}
        self._bank: tuple[int, Bank] | None = None
        if state.exists():
            self._load()
        else:
            self.optimizer = self._new_optimizer()

    def _new_optimizer(self) -> Muon:
        """That of the stage which the next step belongs to."""
        model = self.model.model
        if self.step < self.settings.eye_steps:
            modules = [model.vision_tower, model.multi_modal_projector, self.probes]
            return Muon(modules, lr=5e-3, adam_lr=4e-3)
        newline = torch.nn.ParameterList([model.image_newline])
        return Muon([model.language_model, self.model.lm_head, newline], lr=2e-3, adam_lr=2e-3)

    def tensors(self) -> dict[str, Tensor]:
        """Everything that changes, by name."""
        named = {f"model.{name}": t for name, t in self.model.state_dict().items()}
        named |= {f"probes.{name}": t for name, t in self.probes.state_dict().items()}
        return named | {f"optimizer.{name}": t for name, t in self.optimizer.state().items()}

    def save(self) -> None:
        """Write the state file."""
        facts = {
            "settings": asdict(self.settings),
            "step": self.step,
            "count": self.optimizer.count,
            "history": self.history,
        }
        save_state(self.path, self.tensors(), facts)

    def _load(self) -> None:
        facts = load_facts(self.path)
        check_settings(self.path, facts["settings"], asdict(self.settings))
        self.step, self.history = facts["step"], facts["history"]
        self.optimizer = self._new_optimizer()
        load_tensors(self.path, self.tensors())
        self.optimizer.count = facts["count"]
        log.info("going on from step %d of %s", self.step, self.path)

    def run(self, until: int | None = None, stop: Callable[[], bool] = lambda: False) -> bool:
        """Train.

        Args:
            until: Stop before this step; all steps by default.
            stop: Asked after every step whether to stop.

        Returns:
            Whether all steps are done. The state is saved in any case.
        """
        last = self.settings.steps if until is None else min(until, self.settings.steps)
        saved = began = time.monotonic()
        first = self.step
        for lesson in self._lessons(last):
            measures = self._eye_step(lesson) if self.step < self.settings.eye_steps else self._talk_step(lesson)
            self.step += 1
            if self.step == self.settings.eye_steps:
                self.optimizer = self._new_optimizer()
            self._note(measures, (time.monotonic() - began) / (self.step - first))
            if time.monotonic() - saved > SAVE_SECONDS:
                self.save()
                saved = time.monotonic()
            if stop():
                break
        self.save()
        return self.step >= self.settings.steps

    def _lessons(self, end: int) -> Iterator[Any]:
        lessons = Lessons(self.settings, self.step, max(self.step, end))
        if not self.workers:
            return (lessons[i] for i in range(len(lessons)))
        loader: DataLoader[Any] = DataLoader(
            lessons,
            batch_size=None,
            shuffle=False,
            num_workers=self.workers,
            multiprocessing_context="spawn",
            worker_init_fn=_quiet_worker,
        )
        return iter(loader)

    def _eye_step(self, batch: Any) -> dict[str, float]:
        with self._autocast():
            moved = cast(TileBatch, self._moved(batch))
            loss, measures = eye_loss(self.model, self.probes, moved, self.step)
        torch.autograd.backward(loss)
        self.optimizer.step(rate(self.step, self.settings.eye_steps, steady=0.6))
        return {"loss": loss.item(), **measures}

    def _talk_step(self, lesson: Any) -> dict[str, float]:
        bank = self._gallery_bank()
        parts = []
        with self._autocast():
            if lesson["pictures"]:
                newline = self.model.model.image_newline
                visual = [bank.tokens(picture, newline) for picture in lesson["pictures"]]
                parts.append((1.0, talk_loss(self.model, visual, self._moved(lesson["pages"]))))
            if lesson["lookups"] is not None:
                weight = 0.2 if parts else 1.0
                parts.append((weight, talk_loss(self.model, [], self._moved(lesson["lookups"]))))
        loss = torch.stack([weight * part[0] for weight, part in parts]).sum()
        torch.autograd.backward(loss)
        first = self.settings.eye_steps
        self.optimizer.step(rate(self.step - first, self.settings.steps - first, steady=0.4))
        right = torch.cat([part[1] for _, part in parts]).float()
        kind = torch.cat([part[2] for _, part in parts])
        named = {"free": FREE, "letter": LETTER, "lookup": LOOKUP}
        return {"loss": loss.item()} | {n: right[kind == k].mean().item() for n, k in named.items()}

    def _gallery_bank(self) -> Bank:
        epoch = self.settings.epoch(self.step)
        if self._bank is None or self._bank[0] != epoch:
            self._bank = None  # free the old one first
            with self._autocast():
                self._bank = epoch, Bank(self.model, self.settings.seed, epoch, self.device)
        return self._bank[1]

    def _moved(self, tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {name: tensor.to(self.device) for name, tensor in tensors.items()}

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=not self.settings.precise)

    def _note(self, measures: dict[str, float], seconds: float) -> None:
        for name, value in measures.items():
            if not math.isnan(value):
                self._recent.setdefault(name, []).append(value)
        if self.step % LOG_STEPS and self.step != self.settings.steps:
            return
        means = {name: sum(values) / len(values) for name, values in self._recent.items()}
        self._recent = {}
        text = " ".join(f"{name} {value:.3f}" for name, value in means.items())
        left = (self.settings.steps - self.step) * seconds / 60
        log.info("step %d/%d  %s  %.2f s/step  %.0f min left", self.step, self.settings.steps, text, seconds, left)
        if self.step % (4 * LOG_STEPS) == 0:
            self.history.append({"step": self.step} | {name: round(value, 4) for name, value in means.items()})


def _quiet_worker(_: int) -> None:
    """An interrupt stops the run in the main process only, after a whole step."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def on_signals() -> Callable[[], bool]:
    """Turn SIGINT and SIGTERM into a question that `Trainer.run` asks."""
    seen: list[int] = []
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda n, _frame: seen.append(n))
    return lambda: bool(seen)


def write_checkpoint(trainer: Trainer, out: Path) -> None:
    """Write the checkpoint, with the settings and the history of the run beside it.

    Args:
        trainer: A finished run.
        out: The folder.
    """
    save_tiny(trainer.model, out)
    record = {"settings": asdict(trainer.settings), "torch": torch.__version__, "history": trainer.history}
    with replacing(out / "training.json") as half:
        half.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
