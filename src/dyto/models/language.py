"""How a prompt and a video are written for a language model, and read by it: the same for all families.

They are fed to stock transformers as `inputs_embeds`; what differs between families has a hook.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from transformers import DynamicCache

from dyto.errors import BadFeaturesError, BadQuestionError, DoesNotFitError, ModelError
from dyto.features import VisualTokens
from dyto.finch import FloatArray
from dyto.models.decoding import check_time_text
from dyto.models.finite import cause, check_computed, not_finite
from dyto.models.layout import Layout, Run, runs_of
from dyto.models.pixels import Normalization
from dyto.models.placement import device_of
from dyto.models.prefix import Prefix
from dyto.models.rope import RopeScaling
from dyto.models.stock import StockModel, Tokenizer
from dyto.models.tokenizing import token_ids
from dyto.models.versions import cache_argument
from dyto.prompts import IMAGE


@dataclass(frozen=True)
class Encoded:
    """A prompt as token ids: what comes before the video, (P,), and after it, (S,)."""

    before: Tensor
    after: Tensor


class LanguageSide(ABC):
    """The language model of a checkpoint, and what it reads; see `dyto.models.base.VideoModel`."""

    own_time_text: ClassVar[str] = ""
    """The `time_text` with which the family was trained."""

    def __init__(
        self,
        name: str,
        model: StockModel,
        tokenizer: Tokenizer,
        *,
        normalization: Normalization,
        chat: str,
        rope_factor: float = 1.0,
        notices: Sequence[str] = (),
        time_text: str | None = None,
    ) -> None:
        self.name = name
        self.model = model
        self.tokenizer = tokenizer
        self.normalization = normalization
        self.chat = chat
        self.notices = tuple(notices)
        self.time_text = self.own_time_text if time_text is None else check_time_text(time_text)
        if IMAGE not in tokenizer.get_vocab():
            tokenizer.add_tokens([IMAGE], special_tokens=True)
        self._image_id = int(tokenizer.convert_tokens_to_ids(IMAGE) or 0)
        self._rope = RopeScaling(self.language_model(), rope_factor)
        self.rope_factor = rope_factor

    # --- what a family says -----------------------------------------------------------------------------

    @abstractmethod
    def language_model(self) -> Any:
        """The decoder that holds `rotary_emb`."""

    def causal_lm(self) -> Any:
        """The stock model whose `forward` and `generate` take `inputs_embeds`."""
        return self.model

    def frame_texts(self, seconds: FloatArray) -> list[str]:
        """What stands before the tokens of each of R frames of these seconds, and after the last: R + 1 texts."""
        return [*(self.time_text.format(seconds=second) for second in seconds.tolist()), ""]

    def video_end(self) -> Tensor | None:
        """(n, D) embeddings, of no text, with which a video ends."""
        return None

    def positions(self, video: VisualTokens, runs: Sequence[Run]) -> tuple[Tensor | None, int]:
        """`Layout.positions` and, with them, `Layout.advance` of a video."""
        return None, sum(map(len, runs))

    def axes(self, positions: Tensor) -> Tensor:
        """(4, B, n) places, then time, height and width, as the stock model takes them."""
        return positions

    def beside(self, ids: Tensor) -> dict[str, Tensor]:
        """What the stock model is told beside embeddings: by (B, n) ids of the text, -1 where a visual token stands."""
        return {}

    def read_prompt(self, embeds: Tensor, cache: DynamicCache, layout: Layout, positions: Tensor | None) -> Tensor:
        """Let the language model read (1, P, D) embeddings, of which the last are the layout's, into an empty cache.

        Returns what it makes of the last place: logits or states.
        """
        logits: Tensor = self.causal_lm()(
            inputs_embeds=embeds,
            attention_mask=torch.ones(embeds.shape[:2], dtype=torch.int64, device=embeds.device),
            use_cache=True,
            logits_to_keep=1,
            **layout.beside,
            **cache_argument(self.causal_lm(), cache),
            **({} if positions is None else {"position_ids": positions}),
        ).logits
        return logits

    # --- what all families share ------------------------------------------------------------------------

    @property
    def device(self) -> torch.device:
        """Where the language model's input goes."""
        return device_of(self.model.get_input_embeddings())

    @property
    def dtype(self) -> torch.dtype:
        """Of the weights."""
        dtype: torch.dtype = self.model.dtype
        return dtype

    @property
    def context_length(self) -> int:
        """Positions that prompt, video and answer may take together."""
        return int(self._rope.original_context * self.rope_factor)

    def tokenize(self, before: str, after: str) -> Encoded:
        """Turn the two sides of a filled prompt into token ids.

        Args:
            before: Text before the video.
            after: Text after it.

        Returns:
            The ids on the model's device, with the beginning-of-text token where the tokenizer has one.
        """
        ids = token_ids(self.tokenizer, before + IMAGE + after).to(self.device)
        place = (ids == self._image_id).nonzero().flatten()
        if len(place) != 1:
            raise BadQuestionError(f"the prompt holds {IMAGE!r} {len(place)} times, expected it once")
        split = int(place[0])
        return Encoded(ids[:split], ids[split + 1 :])

    @cached_property
    def _marks(self) -> frozenset[str]:
        """Texts that the tokenizer takes for marks of a conversation or a video, not for words."""
        added = (token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special)
        return frozenset(mark for mark in (*added, *self.tokenizer.all_special_tokens) if mark)

    def check_words(self, question: str, choices: Sequence[str] | None = None) -> None:
        """Check that what somebody asks is words alone, and no mark by which it would leave its place in the prompt.

        Args:
            question: The question.
            choices: Its options, or None.

        Raises:
            BadQuestionError: A mark in one of them.
        """
        for what, text in (("question", question), *(("choices", choice) for choice in choices or ())):
            found = [mark for mark in self._marks if mark in text]
            if found:
                mark = max(found, key=lambda mark: (len(mark), mark))
                raise BadQuestionError(
                    f"the {what} holds {mark!r}, expected words: model {self.name} reads it as a mark of the prompt; "
                    "write it another way"
                )

    def count_text(self, video: VisualTokens) -> int:
        """Places between and behind the visual tokens of a video: times, marks; the budget does not count them."""
        end = self.video_end()
        return sum(len(run.text) for run in self._runs(video)) + (0 if end is None else len(end))

    def check_fit(self, prompt: Encoded, video: VisualTokens | int | None, max_new_tokens: int) -> bool:
        """Check that a question fits, and tell whether its positions must be scaled.

        Args:
            prompt: The tokenized prompt.
            video: The visual tokens, or their number; None while it is not known, but at least 1.
            max_new_tokens: Most tokens of the answer.

        Returns:
            True if the original context is exceeded and RoPE scaling makes room.

        Raises:
            DoesNotFitError: It does not fit.
        """
        text = len(prompt.before) + len(prompt.after)
        visual = len(video) if isinstance(video, VisualTokens) else video
        between = self.count_text(video) if isinstance(video, VisualTokens) else 0
        need = text + (visual or 1) + between + max_new_tokens
        if need > self.context_length:
            advice = "lower token_budget or max_new_tokens"
            if text + 1 + max_new_tokens > self.context_length:  # no budget is small enough
                advice = "ask a shorter question"
                if text + 1 < self.context_length:
                    advice += " or lower max_new_tokens"
            if self.rope_factor == 1.0 and need <= 2 * self._rope.original_context and self._rope.possible:
                advice += ", or set rope_scaling_factor 2"
            raise DoesNotFitError(
                f"prompt {text} + video {visual or 'at least 1'}{f' + times {between}' if between else ''}"
                f" + new {max_new_tokens} = {need} tokens, but the context is {self.context_length}: {advice}"
            )
        return need > self._rope.original_context

    def _runs(self, video: VisualTokens) -> list[Run]:
        """The visual tokens key frame by key frame, with the text between them."""
        places = list(runs_of(video.keyframe))
        texts = self.frame_texts(video.keyframes.seconds[[frame for _, frame in places]])
        if not any(texts):
            return [Run(self._ids_of(""), slice(0, len(video)))]
        slices = [*(tokens for tokens, _ in places), slice(len(video), len(video))]
        return [Run(self._ids_of(text), tokens) for text, tokens in zip(texts, slices, strict=True)]

    def _ids_of(self, text: str) -> Tensor:
        """(n,) ids of a text that stands inside a prompt."""
        return self.tokenize("", text).after if text else torch.empty(0, dtype=torch.int64, device=self.device)

    def lay_out(self, video: VisualTokens | Tensor) -> Layout:
        """Write a video as the family does: its tokens, with what text stands between them.

        Args:
            video: The visual tokens; or (L, D) embeddings, for a family that writes nothing between them and counts
                places; none of them, for any family, for a prompt without a video.

        Returns:
            What stands in the place of the video.

        Raises:
            ModelError: The tokens are of another width than this model's, or it needs to know where they come from.
        """
        embed = self.model.get_input_embeddings()
        data = video.data if isinstance(video, VisualTokens) else video
        if data.shape[1] != embed.weight.shape[1]:
            raise BadFeaturesError(
                f"visual tokens have {data.shape[1]} dimensions, but model {self.name} reads "
                f"{embed.weight.shape[1]}: encode the video with this model"
            )
        data = data.to(self.device, self.dtype)
        if not isinstance(video, VisualTokens):
            if len(data) and any(self.frame_texts(np.zeros(1))):
                raise ModelError(f"model {self.name} writes between tokens, expected VisualTokens: pass them whole")
            visual = data.new_ones(len(data), dtype=torch.bool)
            return Layout(data, visual, None, len(data), ids=-visual.long())
        runs = self._runs(video)
        end = self.video_end()
        parts = [part for run in runs for part in (embed(run.text), data[run.tokens])]
        parts.append(data[:0] if end is None else end.to(data))
        visual = torch.cat(
            [data.new_full((len(part),), number % 2 == 1, dtype=torch.bool) for number, part in enumerate(parts)]
        )
        written = torch.cat([run.text for run in runs])
        ids = torch.full_like(visual, -1, dtype=torch.int64)
        ids[(~visual).nonzero()[: len(written), 0]] = written
        return Layout(torch.cat(parts), visual, *self.positions(video, runs), video.deep, ids)

    @torch.inference_mode()
    def prefill(self, before: Tensor, video: VisualTokens | Tensor, *, scaled: bool = False) -> Prefix:
        """Read the text before the video, and the video, once.

        Args:
            before: (P,) token ids.
            video: The visual tokens, as in `lay_out`.
            scaled: As `check_fit` says.

        Returns:
            The prefix, for `generate`.

        Raises:
            ModelError: The tokens are not of this model.
            BadFeaturesError: They, or what the language model makes of them, hold NaN or infinity.
        """
        layout = self.lay_out(video)
        embeds = torch.cat([self.model.get_input_embeddings()(before), layout.embeds])[None]  # (1, P + V, D)
        if not torch.isfinite(embeds).all():
            raise self._bad_embeddings(layout)
        positions = None
        if layout.positions is not None:
            places = torch.arange(embeds.shape[1], device=self.device)[None]  # (1, P + V)
            axes = torch.cat([places[:, : len(before)].expand(3, -1), layout.positions + len(before)], 1)
            positions = self.axes(torch.cat([places, axes])[:, None])  # (4, 1, P + V)
        if layout.ids is not None:
            layout = replace(layout, beside=self.beside(torch.cat([before, layout.ids])[None]))
        cache = DynamicCache(config=self.causal_lm().config.get_text_config())
        with self._rope.active(scaled):
            read = self.read_prompt(embeds, cache, layout, positions)
        check_computed(read, self.model, "read the video")
        return Prefix(embeds, cache, scaled, None if positions is None else len(before) + layout.advance)

    def _bad_embeddings(self, layout: Layout) -> BadFeaturesError:
        """The error for NaN or infinity in what the language model is given: from the video, or from its own words."""
        if torch.isfinite(layout.embeds[layout.visual]).all():
            return not_finite(self.model, "looked up the words of the prompt")
        return BadFeaturesError(
            f"visual tokens hold NaN or infinity in {self.dtype}, expected numbers: {cause(self.model)}"
        )
