"""Stock transformers as a rival: the same weights by the model's own path for pictures, as one would write it today."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import DynamicCache, GenerationConfig

from dyto.errors import ModelError
from dyto.models.generation.decoding import generation_config
from dyto.models.loading.versions import cache_argument
from dyto.models.stock import StockModel
from dyto.prompts import prompt_for
from dyto.video import sample_frames
from dyto_bench.plan import QUESTIONS, Subject
from dyto_bench.probes import Probe, now
from dyto_bench.sides import FirstAnswer, FollowUps

QWEN_PICTURE = "<|vision_start|><|image_pad|><|vision_end|>"


class Stock:
    """Uniform frames through the stock processor and `generate`; its cache serves further questions.

    It sees as many frames as make at most as many visual tokens as the strategy may give, one at least. A processor
    that cuts pictures into tiles does so as its checkpoint says, or takes one tile a frame, whichever comes nearer to
    that number. It decodes with this library, and so no slower than we do.

    Args:
        subject: What is measured with; it needs a processor.

    Raises:
        ModelError: There is no processor.
    """

    name = "stock"
    about = "stock transformers: the model's own path for pictures, generate, its own cache for further questions"
    has_axes = True

    def __init__(self, subject: Subject) -> None:
        if subject.processor is None:
            raise ModelError(
                f"model {subject.model.name} has no stock processor that works here, expected one for the side "
                "'stock': give --rivals none"
            )
        self.warnings: list[str] = []
        self._subject, self._model = subject, subject.model.model
        self._prompt = prompt_for(subject.model.chat, False)
        self._kept: tuple[Tensor, DynamicCache] | None = None
        self._processor = subject.processor
        self._tiles: Any = None
        self._frames = self._fitting()

    def _fitting(self) -> int:
        """Choose how frames are cut, and return how many of them fit the allowed tokens."""
        most, budget = self._subject.plan.num_frames, self._subject.budget
        picture = sample_frames(self._subject.video, num_frames=1).data[0]
        found: list[tuple[bool, int, int, int, Any, Any]] = []
        for number, (processor, tiles) in enumerate(self._cuts()):
            self._processor = processor
            each = self._visual(self._inputs([picture], QUESTIONS[0])["input_ids"])
            count = max(1, min(most, budget // each))
            found.append((each <= budget, count * each, -number, count, processor, tiles))
        fits, total, _, count, self._processor, self._tiles = max(found, key=lambda one: one[:3])
        if not fits:
            self.warnings.append(f"one frame has {total} tokens, more than the {budget} allowed")
        if self._tiles is not None:
            self.warnings.append(f"its processor is told to take one tile a frame, image_grid_pinpoints {self._tiles}")
        return count

    def _cuts(self) -> Iterator[tuple[Any, Any]]:
        """Yield processors that cut as the checkpoint says and into one tile, with the tiles that the model is told."""
        processor, config = self._subject.processor, self._model.config
        yield processor, None
        if getattr(config, "image_grid_pinpoints", None) and hasattr(processor, "image_processor"):
            tiles = [[config.vision_config.image_size] * 2]
            processor = copy.copy(processor)
            processor.image_processor = copy.deepcopy(processor.image_processor)
            processor.image_processor.image_grid_pinpoints = tiles
            yield processor, tiles

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell the model during a block how its processor cuts."""
        own = getattr(self._model.config, "image_grid_pinpoints", None)
        if self._tiles is not None:
            self._model.config.image_grid_pinpoints = self._tiles
        try:
            yield
        finally:
            if self._tiles is not None:
                self._model.config.image_grid_pinpoints = own

    def _inputs(self, pictures: Sequence[Any], question: str) -> dict[str, Any]:
        """Return the processor's output for pictures and a question, on the device."""
        processor = self._processor
        before, after = self._prompt.fill(question)
        mark = getattr(processor, "image_token", "<image>")
        text = before + (QWEN_PICTURE if mark == "<|image_pad|>" else mark) * len(pictures) + after
        found = processor(text=[text], images=list(pictures), return_tensors="pt")
        device, dtype = self._subject.model.device, self._subject.model.dtype
        return {
            key: value.to(device, dtype if value.is_floating_point() else value.dtype) for key, value in found.items()
        }

    def _visual(self, ids: Tensor) -> int:
        config = self._model.config
        image = getattr(config, "image_token_id", None) or config.image_token_index
        return int((ids == image).sum())

    def _options(self) -> GenerationConfig:
        count = self._subject.plan.new_tokens
        return generation_config(
            self._model, self._subject.model.tokenizer, count, {"min_new_tokens": count, "use_cache": True}
        )

    @torch.inference_mode()
    def first(self) -> FirstAnswer:
        """See `Side.first`."""
        self.release()
        device = self._subject.model.device
        watch = _Parts(self._model, device)
        with Probe(self._subject.model).watching() as probe, watch, self._told():
            start = now(device)
            frames = sample_frames(self._subject.video, num_frames=self._frames)
            decoded = now(device)
            inputs = self._inputs(list(frames.data), QUESTIONS[0])
            prepared = now(device)
            cache = self._empty_cache()
            self._model.generate(**inputs, **cache_argument(self._model, cache), generation_config=self._options())
        probe.check_length(self.name, self._subject.plan.new_tokens)
        (written,) = probe.written
        inside = watch.seconds["encode"] + watch.seconds["project"]
        stages = {
            "decode": decoded - start,
            "encode": prepared - decoded + watch.seconds["encode"],
            "project": watch.seconds["project"],
            "prefill": written.start - prepared - inside,  # the tower runs inside generate
        }
        ids = inputs["input_ids"]
        places = ids.shape[1] - len(self._after(QUESTIONS[0]))
        cache.crop(places - cache.get_seq_length())  # a negative number: so many are taken away
        self._kept = ids[:, :places], cache
        return FirstAnswer.of(
            start, probe, stages, frames=tuple(frames.indices.tolist()), visual_tokens=self._visual(ids)
        )

    @torch.inference_mode()
    def further(self, questions: Sequence[str], batch_size: int) -> FollowUps:
        """See `Side.further`: the cache of the pictures is copied, for a batch repeated, and read on."""
        assert self._kept is not None, "first comes first"
        with Probe(self._subject.model).watching() as probe:
            start = now(self._subject.model.device)
            for begin in range(0, len(questions), batch_size):
                self._answer(questions[begin : begin + batch_size])
        probe.check_length(self.name, self._subject.plan.new_tokens)
        return FollowUps.of(start, probe)

    def _answer(self, questions: Sequence[str]) -> Tensor:
        """Return the (Q, P + S + n) ids of the prompts and answers of one batch."""
        assert self._kept is not None
        ids, kept = self._kept
        cache = copy.deepcopy(kept)
        if len(questions) > 1:
            cache.batch_repeat_interleave(len(questions))
        after = [self._after(question) for question in questions]
        longest = max(map(len, after))
        rows = torch.stack([F.pad(one, (longest - len(one), 0), value=int(ids[0, -1])) for one in after])
        mask = torch.stack([F.pad(torch.ones_like(one), (longest - len(one), 0)) for one in after])
        prefix = ids.expand(len(questions), -1)
        found: Tensor = self._model.generate(
            input_ids=torch.cat([prefix, rows], 1),
            attention_mask=torch.cat([torch.ones_like(prefix), mask], 1),
            **cache_argument(self._model, cache),
            generation_config=self._options(),
        )
        return found

    def check_cache(self) -> None:
        """Ask one further question with the cache and from nothing; a difference becomes a warning."""
        question = self._subject.plan.further(1)[0]
        (kept,) = self.further([question], 1).ids
        frames = sample_frames(self._subject.video, num_frames=self._frames)
        inputs = self._inputs(list(frames.data), question)
        with self._told():
            found = self._model.generate(**inputs, generation_config=self._options())
        if tuple(found[0, inputs["input_ids"].shape[1] :].tolist()) != kept:
            self.warnings.append("its cache gives another answer than reading everything again")

    def _after(self, question: str) -> Tensor:
        """Return the (S,) ids of the text after the pictures."""
        before, after = self._prompt.fill(question)
        return self._subject.model.tokenize(before, after).after

    def _empty_cache(self) -> DynamicCache:
        return DynamicCache(config=self._model.config.get_text_config())

    def release(self) -> None:
        """See `Side.release`."""
        self._kept = None


class _Parts:
    """Seconds in the tower and in the projector, by hooks on the modules that run inside `generate`."""

    def __init__(self, model: StockModel, device: torch.device) -> None:
        parts = model.model
        named = {
            "encode": getattr(parts, "vision_tower", None) or getattr(parts, "visual", None),
            "project": getattr(parts, "multi_modal_projector", None),
        }
        self._parts = {name: part for name, part in named.items() if part is not None}
        self._device = device
        self.seconds = {"encode": 0.0, "project": 0.0}

    def __enter__(self) -> _Parts:
        self._hooks = []
        for name, part in self._parts.items():
            begun: list[float] = []

            def before(*_: Any, begun: list[float] = begun) -> None:
                begun.append(now(self._device))

            def after(*_: Any, begun: list[float] = begun, name: str = name) -> None:
                self.seconds[name] += now(self._device) - begun.pop()

            self._hooks += [part.register_forward_pre_hook(before), part.register_forward_hook(after)]
        return self

    def __exit__(self, *_: Any) -> None:
        for hook in self._hooks:
            hook.remove()
