"""Generation of answers, in batches or as a stream; the same for all families."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import torch
from torch import Tensor
from transformers import Cache

from dyto.errors import ConfigError
from dyto.models.generation.compiling import StaticRoom, can_compile, compile_errors, compiled_steps, spread_out
from dyto.models.generation.decoding import (
    end_ids,
    generation_config,
    pad_id,
    stopping,
    through_end,
    without_options,
)
from dyto.models.generation.finite import FiniteScores, check_computed
from dyto.models.generation.greedy import can_step, write_greedily
from dyto.models.generation.language import LanguageSide
from dyto.models.generation.prefix import Batch, Prefix
from dyto.models.generation.rows import Row, Rows
from dyto.models.loading.versions import cache_argument

CACHE_BYTES = 4 << 30
"""Bytes for the repeated prefix caches of a batch; they determine the default batch size."""


class Generates(LanguageSide):
    """Generation of answers after prefixes; see `dyto.models.base.VideoModel`."""

    plain_steps: ClassVar[bool] = False
    """Whether a step of the family's stock `generate` reads token ids and counted places, and nothing else. Greedy
    answers are then written without its preparations, see `dyto.models.generation.greedy`."""

    @cached_property
    def _room(self) -> StaticRoom:
        return StaticRoom()

    @cached_property
    def _compiled_writer(self) -> Any:
        """Return the same object for all answers, because it holds compiled code."""
        return without_options(self.causal_lm())

    @torch.inference_mode()
    def generate(
        self,
        prefix: Prefix | Sequence[Prefix],
        after: Sequence[Tensor],
        *,
        max_new_tokens: int,
        batch_size: int | None = None,
        streamer: Any = None,
        stop: Callable[[], bool] | None = None,
        compiled: bool = False,
        **sampling: Any,
    ) -> list[str]:
        """Answer questions about videos, greedily by default.

        Args:
            prefix: A result of `prefill`, for one video or for each question; it is not changed.
            after: For each question the (S,) token ids after the video.
            max_new_tokens: Largest number of tokens in an answer.
            batch_size: Number of questions at a time; None for as many as reasonably fit in memory.
            streamer: A transformers streamer, for a single question.
            stop: Function called after each token; True ends the answer.
            compiled: Compile the steps of an answer, with a static cache, if possible (see
                `dyto.models.generation.compiling`).
            **sampling: Further generation options of transformers, such as `do_sample` and `temperature`.

        Returns:
            One text per question, without special tokens.

        Raises:
            ConfigError: The batch is empty, or the prefixes cannot be read together.
            BadFeaturesError: The language model computes NaN or infinity.
        """
        prefixes = [prefix] * len(after) if isinstance(prefix, Prefix) else list(prefix)
        if len(prefixes) != len(after) or len({one.scaled for one in prefixes}) > 1:
            raise ConfigError(f"{len(prefixes)} prefixes for {len(after)} questions, expected one each, scaled alike")
        size = min(map(self.batch_size, prefixes), default=1) if batch_size is None else batch_size
        if size < 1:
            raise ConfigError(f"batch_size is {batch_size}, expected at least 1, or None to choose")
        groups: dict[Hashable, list[int]] = {}
        for index, ids in enumerate(after):
            groups.setdefault(self.company(prefixes[index], len(ids)), []).append(index)
        texts = [""] * len(after)
        for group in groups.values():
            for start in range(0, len(group), size):
                rows = group[start : start + size]
                some, asked = [prefixes[i] for i in rows], [after[i] for i in rows]
                checks = [FiniteScores(self.model, masked=bool(sampling))]
                stops = [] if stop is None else stopping(stop)
                ids = self._generate(some, asked, max_new_tokens, sampling, compiled, checks, streamer, stops)
                answers = through_end(ids, sampling.get("eos_token_id", end_ids(self.model, self.tokenizer)))
                for row, text in zip(rows, self.tokenizer.batch_decode(answers, skip_special_tokens=True), strict=True):
                    texts[row] = text.strip()
        return texts

    @torch.inference_mode()
    def write(
        self, prefixes: Sequence[Prefix], after: Sequence[Tensor], rows: Sequence[Row], *, compiled: bool
    ) -> None:
        """Answer one batch of questions, each in a row of its own length, sampling and end.

        An adapter that replaces `generate` writes whole answers with it, which the rows then receive.

        Args:
            prefixes: The prefix of each question; all have the same `company`, and are scaled alike.
            after: For each question the (S,) token ids after the video.
            rows: The rows, which receive the tokens one by one.
            compiled: As in `generate`.

        Raises:
            BadFeaturesError: The language model computes NaN or infinity.
        """
        if type(self).generate is not Generates.generate:
            self._write_whole(prefixes, after, rows, compiled)
            return
        company = Rows(rows, end_ids(self.model, self.tokenizer))
        checks, most = [FiniteScores(self.model, masked=False), company], max(row.max_new_tokens for row in rows)
        self._generate(prefixes, after, most, {}, compiled, checks, None, [company.stopped])

    def _write_whole(
        self, prefixes: Sequence[Prefix], after: Sequence[Tensor], rows: Sequence[Row], compiled: bool
    ) -> None:
        """Answer as `write` does, by `generate`; rows with the same options together."""
        groups: dict[tuple[int, float, float], list[int]] = {}
        for number, row in enumerate(rows):
            groups.setdefault((row.max_new_tokens, row.temperature, row.top_p), []).append(number)
        for (most, temperature, top_p), group in groups.items():
            sampling: dict[str, Any] = {"do_sample": True, "temperature": temperature, "top_p": top_p}
            texts = self.generate(
                [prefixes[number] for number in group],
                [after[number] for number in group],
                max_new_tokens=most,
                compiled=compiled,
                **(sampling if temperature else {}),
            )
            for number, text in zip(group, texts, strict=True):
                for token in self.tokenizer(text, add_special_tokens=False).input_ids:
                    rows[number].take(token, frozenset())
                rows[number].end("stop")

    def _generate(
        self,
        prefixes: Sequence[Prefix],
        after: Sequence[Tensor],
        max_new_tokens: int,
        sampling: Mapping[str, Any],
        compiled: bool,
        processors: Sequence[Any],
        streamer: Any,
        stops: Sequence[Any],
    ) -> Tensor:
        """Return (Q, n) ids of the answers to one batch of questions."""
        batch = Batch.of(prefixes, [self.model.get_input_embeddings()(ids) for ids in after])
        least = sampling.get("min_new_tokens") or 0
        is_plain = (
            sampling.keys() <= {"min_new_tokens"} and isinstance(least, int) and not compiled and streamer is None
        )
        if self.plain_steps and is_plain and can_step(self.causal_lm(), batch):
            with self._rope.active(prefixes[0].scaled):
                return write_greedily(
                    self.causal_lm(),
                    batch,
                    max_new_tokens=max_new_tokens,
                    min_new_tokens=least,
                    ends=end_ids(self.model, self.tokenizer),
                    pad=pad_id(self.model, self.tokenizer),
                    processors=processors,
                    stops=stops,
                )
        options = generation_config(self.model, self.tokenizer, max_new_tokens, sampling)
        extra: dict[str, Any] = {"stopping_criteria": list(stops)} if stops else {}
        if batch.positions is not None:
            extra["position_ids"] = self.axes(batch.positions)
        cache: Cache = batch.cache
        writer = without_options(self.causal_lm())
        if compiled and not spread_out(self.model) and can_compile(self.device.type):
            places = batch.mask.shape[1] + options.max_new_tokens
            static = self._room.filled(batch.cache, self.causal_lm().config.get_text_config(), places)
            if static is not None:
                cache, writer = static, self._compiled_writer
                compiled_steps(options, self.device)
        with self._rope.active(prefixes[0].scaled), compile_errors():
            ids: Tensor = writer.generate(
                inputs_embeds=batch.embeds,
                attention_mask=batch.mask,
                generation_config=options,
                streamer=streamer,
                logits_processor=list(processors),
                **self.beside(_stacked(after)),
                **cache_argument(writer, cache),
                **extra,
            )
        return ids

    @torch.inference_mode()
    def logits(self, prefix: Prefix, after: Tensor) -> Tensor:
        """Return the language model's logits at each place of a text after a prefix.

        Args:
            prefix: A result of `prefill`; it is not changed.
            after: (S,) token ids.

        Returns:
            (S, V) logits; row i predicts the token after `after[i]`.

        Raises:
            BadFeaturesError: The logits hold NaN or infinity.
        """
        batch = Batch.of([prefix], [self.model.get_input_embeddings()(after)])
        extra = {} if batch.positions is None else {"position_ids": self.axes(batch.positions[..., len(prefix) :])}
        with self._rope.active(prefix.scaled):
            logits: Tensor = self.causal_lm()(
                inputs_embeds=batch.questions,
                attention_mask=batch.mask,
                **self.beside(after[None]),
                **cache_argument(self.causal_lm(), batch.cache),
                **extra,
            ).logits
        check_computed(logits, self.model, "read the question")
        return logits[0]

    def company(self, prefix: Prefix, length: int) -> Hashable:
        """Return a key that is equal for questions that can be answered in one batch."""
        return prefix.company(length)

    def batch_size(self, prefix: Prefix) -> int:
        """Return how many questions about prefixes of this size reasonably fit in memory at a time."""
        return int(min(16, max(1, CACHE_BYTES // max(1, prefix.nbytes))))


def _stacked(questions: Sequence[Tensor]) -> Tensor:
    """Stack the ids of questions, (Q, S), with shorter ones padded on the left and the padding masked."""
    longest = max(map(len, questions))
    return torch.stack([torch.nn.functional.pad(ids, (longest - len(ids), 0)) for ids in questions])
