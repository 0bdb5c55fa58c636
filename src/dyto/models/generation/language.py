"""Writing of a prompt and a video for a language model, and reading by it; the same for all families.

They are fed to stock transformers as `inputs_embeds`; families override hooks for their differences.
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
from dyto.models.generation.chats import Chat
from dyto.models.generation.decoding import check_time_text
from dyto.models.generation.finite import cause, check_computed, not_finite
from dyto.models.generation.layout import Layout, TextRun, runs_of
from dyto.models.generation.prefix import Prefix
from dyto.models.generation.tokenizing import token_ids
from dyto.models.loading.placement import device_of
from dyto.models.loading.versions import cache_argument
from dyto.models.pixels import Normalization
from dyto.models.rope import RopeScaling
from dyto.models.stock import StockModel, Tokenizer
from dyto.prompts import IMAGE

MOST_SPELLED = 4096
"""Number of texts between visual tokens, such as times, whose ids are kept: each question counts them."""


@dataclass(frozen=True)
class Encoded:
    """A prompt as token ids: (P,) before the video and (S,) after it."""

    before: Tensor
    after: Tensor


class LanguageSide(ABC):
    """The language model of a checkpoint, and its inputs; see `dyto.models.base.VideoModel`."""

    own_time_text: ClassVar[str] = ""
    """The `time_text` with which the family was trained."""

    def __init__(
        self,
        name: str,
        model: StockModel,
        tokenizer: Tokenizer,
        *,
        normalization: Normalization,
        chat: str | Chat,
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
        """Return the decoder that holds `rotary_emb`."""

    def causal_lm(self) -> Any:
        """Return the stock model whose `forward` and `generate` take `inputs_embeds`."""
        return self.model

    def frame_texts(self, seconds: FloatArray) -> list[str]:
        """Return R + 1 texts: one before the tokens of each of R frames at these seconds, and one after the last."""
        return [*(self.time_text.format(seconds=second) for second in seconds.tolist()), ""]

    def embed_words(self, ids: Tensor) -> Tensor:
        """Return (n, D) embeddings of (n,) text ids before and inside a video."""
        words: Tensor = self.model.get_input_embeddings()(ids)
        return words

    def video_end(self) -> Tensor | None:
        """Return (n, D) embeddings that end a video and are not text."""
        return None

    def positions(self, video: VisualTokens, runs: Sequence[TextRun]) -> tuple[Tensor | None, int]:
        """Return `Layout.positions` and `Layout.advance` of a video."""
        return None, sum(map(len, runs))

    def axes(self, positions: Tensor) -> Tensor:
        """Return (4, B, n) places: index, time, height and width, as the stock model takes them."""
        return positions

    def beside(self, ids: Tensor) -> dict[str, Tensor]:
        """Return further inputs of the stock model for (B, n) text ids, which are -1 at visual tokens."""
        return {}

    def read_prompt(self, embeds: Tensor, cache: DynamicCache, layout: Layout, positions: Tensor | None) -> Tensor:
        """Read (1, P, D) embeddings, which end with the layout's, into an empty cache of the language model.

        Returns:
            The output at the last place: logits or states.
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
        """Device of the language model's input."""
        return device_of(self.model.get_input_embeddings())

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights."""
        dtype: torch.dtype = self.model.dtype
        return dtype

    @property
    def context_length(self) -> int:
        """Number of positions that prompt, video and answer may take together."""
        return int(self._rope.original_context * self.rope_factor)

    def tokenize(self, before: str, after: str) -> Encoded:
        """Turn the two sides of a filled prompt into token ids.

        Args:
            before: Text before the video.
            after: Text after the video.

        Returns:
            The ids on the model's device, with the beginning-of-text token if the tokenizer has one.
        """
        ids = token_ids(self.tokenizer, before + IMAGE + after).to(self.device)
        place = (ids == self._image_id).nonzero().flatten()
        if len(place) != 1:
            raise BadQuestionError(f"the prompt holds {IMAGE!r} {len(place)} times, expected it once")
        split = int(place[0])
        return Encoded(ids[:split], ids[split + 1 :])

    @cached_property
    def _marks(self) -> frozenset[str]:
        """Return texts that the tokenizer reads as marks of a conversation or a video, not as words."""
        added = (token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special)
        return frozenset(mark for mark in (*added, *self.tokenizer.all_special_tokens) if mark)

    def check_words(self, question: str, choices: Sequence[str] | None = None) -> None:
        """Check that a question has only words, and no mark that could change the structure of the prompt.

        Args:
            question: The question.
            choices: The options, or None.

        Raises:
            BadQuestionError: The question or an option holds a mark.
        """
        for what, text in (("question", question), *(("choices", choice) for choice in choices or ())):
            found = [mark for mark in self._marks if mark in text]
            if found:
                mark = max(found, key=lambda mark: (len(mark), mark))
                raise BadQuestionError(
                    f"the {what} holds {mark!r}, expected words: model {self.name} reads it as a mark of the prompt; "
                    "write it another way"
                )

    def without_marks(self, text: str) -> str:
        """Return a text that is not the user's own without what the tokenizer reads as marks, each replaced by a space.

        Args:
            text: Words from a file, such as subtitles.
        """
        for _ in range(len(text)):
            found = [mark for mark in (*self._marks, IMAGE) if mark in text]
            if not found:
                return text
            text = text.replace(max(found, key=lambda mark: (len(mark), mark)), " ")
        return ""

    def count_words(self, text: str) -> int:
        """Return how many tokens a text takes inside a prompt, about."""
        return len(token_ids(self.tokenizer, text, add_special_tokens=False))

    def count_text(self, video: VisualTokens) -> int:
        """Count the tokens among and after the visual tokens (times, marks), which the budget does not count."""
        end = self.video_end()
        return sum(len(run.text) for run in self._runs(video)) + (0 if end is None else len(end))

    def expected(self, prompt: Encoded, tokens: VisualTokens, max_new_tokens: int) -> int:
        """Return how many tokens a question takes at most: prompt, video, the text between, and answer."""
        return len(prompt.before) + len(prompt.after) + len(tokens) + self.count_text(tokens) + max_new_tokens

    def check_fit(self, prompt: Encoded, video: VisualTokens | int | None, max_new_tokens: int) -> bool:
        """Check that a question fits, and return whether its positions must be scaled.

        Args:
            prompt: The tokenized prompt.
            video: The visual tokens, or their number; None if the number is unknown, but at least 1.
            max_new_tokens: Largest number of tokens in the answer.

        Returns:
            True if the original context is exceeded and RoPE scaling makes room.

        Raises:
            DoesNotFitError: The question does not fit.
        """
        text = len(prompt.before) + len(prompt.after)
        visual = len(video) if isinstance(video, VisualTokens) else video
        between = self.count_text(video) if isinstance(video, VisualTokens) else 0
        need = text + (visual or 1) + between + max_new_tokens
        if need > self.context_length:
            advice = "lower token_budget or max_new_tokens"
            if text + 1 + max_new_tokens > self.context_length:  # no budget is small enough
                shorter = " or lower max_new_tokens" if text + 1 < self.context_length else ""
                advice = f"ask a shorter question{shorter}"
            if self.rope_factor == 1.0 and need <= 2 * self._rope.original_context and self._rope.possible:
                advice += ", or set rope_scaling_factor 2"
            raise DoesNotFitError(
                f"prompt {text} + video {visual or 'at least 1'}{f' + times {between}' if between else ''}"
                f" + new {max_new_tokens} = {need} tokens, but the context is {self.context_length}: {advice}"
            )
        return need > self._rope.original_context

    def _runs(self, video: VisualTokens) -> list[TextRun]:
        """Return the visual tokens key frame by key frame, with the text between them."""
        places = list(runs_of(video.keyframe))
        texts = self.frame_texts(video.keyframes.seconds[[frame for _, frame in places]])
        if not any(texts):
            return [TextRun(self._ids_of(""), slice(0, len(video)))]
        slices = [*(tokens for tokens, _ in places), slice(len(video), len(video))]
        return [TextRun(self._ids_of(text), tokens) for text, tokens in zip(texts, slices, strict=True)]

    @cached_property
    def _ids_by_text(self) -> dict[str, Tensor]:
        return {}

    def _ids_of(self, text: str) -> Tensor:
        """Return (n,) ids of a text inside a prompt; in some families `<image>` is a mark around a picture."""
        if (found := self._ids_by_text.get(text)) is None:
            with torch.inference_mode(False):  # what is kept may be used with gradients
                mark = torch.tensor([self._image_id], device=self.device)
                parts = [part for piece in text.split(IMAGE) for part in (mark, self.tokenize("", piece).after)]
                found = torch.cat(parts[1:]) if text else mark[:0]
            if len(self._ids_by_text) < MOST_SPELLED:  # times recur: the first ones serve most videos
                self._ids_by_text[text] = found
        return found.to(self.device)  # the model may have moved since

    def lay_out(self, video: VisualTokens | Tensor) -> Layout:
        """Lay out a video as the family writes it: its tokens, with the text between them.

        Args:
            video: The visual tokens; or (L, D) embeddings, for a family that writes nothing between them and counts
                places. For a prompt without a video, L is 0 in any family.

        Returns:
            The layout of the video.

        Raises:
            ModelError: The width of the tokens does not match the model, or the model needs their sources.
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
                raise ModelError(
                    f"model {self.name} writes between the tokens, so it needs VisualTokens: pass the whole object"
                )
            visual = data.new_ones(len(data), dtype=torch.bool)
            return Layout(data, visual, None, len(data), ids=-visual.long())
        runs = self._runs(video)
        end = self.video_end()
        parts = [part for run in runs for part in (self.embed_words(run.text), data[run.tokens])]
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
            scaled: As returned by `check_fit`.

        Returns:
            The prefix, for `generate`.

        Raises:
            ModelError: The tokens belong to another model.
            BadFeaturesError: The tokens, or the language model's results, hold NaN or infinity.
        """
        layout = self.lay_out(video)
        embeds = torch.cat([self.embed_words(before), layout.embeds])[None]  # (1, P + V, D)
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
        """Return the error for NaN or infinity in the language model's input: from the video, or from its own words."""
        if torch.isfinite(layout.embeds[layout.visual]).all():
            return not_finite(self.model, "looked up the words of the prompt")
        return BadFeaturesError(
            f"visual tokens hold NaN or infinity in {self.dtype}, expected numbers: {cause(self.model)}"
        )
