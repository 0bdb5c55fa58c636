"""What every model family offers to the pipeline, and the text side that they share.

A family implements the vision side (`encode`) and says where its parts are; prompts, prefix reuse, batches,
streaming and RoPE scaling are the same for all that stock transformers feeds with `inputs_embeds`.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from transformers import DynamicCache

from dyto.errors import ConfigError, ModelError
from dyto.features import FrameFeatures
from dyto.models.decoding import generation_config
from dyto.models.pixels import Normalization, Pictures
from dyto.models.rope import RopeScaling
from dyto.prompts import IMAGE

if TYPE_CHECKING:
    from dyto.video import Frames

CACHE_BYTES = 4 << 30
"""Room for the repeated prefix caches of a batch of questions; decides the batch size where none is given."""


@dataclass(frozen=True)
class Prefix:
    """Prompt text and video, read once by the language model and reusable for any number of questions.

    Attributes:
        embeds: (1, P, D) embeddings of the text before the video and of the video.
        cache: Keys and values of these P positions.
        scaled: Whether its positions are RoPE-scaled.
    """

    embeds: Tensor
    cache: DynamicCache
    scaled: bool

    def __len__(self) -> int:
        return self.embeds.shape[1]


@dataclass(frozen=True)
class Encoded:
    """A prompt as token ids: what comes before the video, (P,), and after it, (S,)."""

    before: Tensor
    after: Tensor


class VideoModel(ABC):
    """One checkpoint of one family.

    Attributes:
        name: As the user gave it.
        model: The stock transformers model.
        tokenizer: The stock tokenizer; it holds `<image>` as one token.
        normalization: Mean and deviation of the tower's input.
        chat: The chat format its prompts take, a key of `dyto.prompts.PROMPT_PAIRS`.
        image_size: Height and width to which frames are resized before the tower, pixels.
        num_patches: Patches per frame, N.
        rope_factor: How many times the original context may be used; 1 for no scaling.
        notices: What a reader of any of its answers should know.
    """

    image_size: tuple[int, int]
    num_patches: int

    def __init__(
        self,
        name: str,
        model: Any,
        tokenizer: Any,
        *,
        normalization: Normalization,
        chat: str,
        rope_factor: float = 1.0,
        notices: Sequence[str] = (),
    ) -> None:
        self.name = name
        self.model = model
        self.tokenizer = tokenizer
        self.normalization = normalization
        self.chat = chat
        self.notices = tuple(notices)
        if IMAGE not in tokenizer.get_vocab():
            tokenizer.add_tokens([IMAGE], special_tokens=True)
        self._image_id: int = tokenizer.convert_tokens_to_ids(IMAGE)
        self._rope = RopeScaling(self._language_model(), rope_factor)
        self.rope_factor = rope_factor

    @abstractmethod
    def encode(self, images: Frames | Pictures, *, attention_layer: int | None = None) -> FrameFeatures:
        """Encode frames, or any pictures, for a strategy.

        Args:
            images: Frames, or uint8 (H, W, 3) pictures of any size.
            attention_layer: Layer of the tower whose attention to the patches is wanted, too.

        Returns:
            Their features; patches are projected only when asked for.
        """

    @abstractmethod
    def _language_model(self) -> Any:
        """The decoder that holds `rotary_emb`."""

    @property
    def device(self) -> torch.device:
        """Where the language model's input goes."""
        device: torch.device = self.model.get_input_embeddings().weight.device
        return device

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
        ids = self.tokenizer(before + IMAGE + after, return_tensors="pt").input_ids[0].to(self.device)
        place = (ids == self._image_id).nonzero().flatten()
        if len(place) != 1:
            raise ConfigError(f"the prompt holds {IMAGE!r} {len(place)} times, expected it once")
        split = int(place[0])
        return Encoded(ids[:split], ids[split + 1 :])

    def check_fit(self, prompt: Encoded, video: int | None, max_new_tokens: int) -> bool:
        """Check that a question fits, and tell whether its positions must be scaled.

        Args:
            prompt: The tokenized prompt.
            video: Number of visual tokens; None while it is not known, but at least 1.
            max_new_tokens: Most tokens of the answer.

        Returns:
            True if the original context is exceeded and RoPE scaling makes room.

        Raises:
            ModelError: It does not fit.
        """
        text = len(prompt.before) + len(prompt.after)
        need = text + (video or 1) + max_new_tokens
        if need > self.context_length:
            advice = "lower token_budget or max_new_tokens"
            if self.rope_factor == 1.0 and need <= 2 * self._rope.original_context and self._rope.possible:
                advice += ", or set rope_scaling_factor 2"
            raise ModelError(
                f"prompt {text} + video {video or 'at least 1'} + new {max_new_tokens} = {need} tokens, "
                f"but the context is {self.context_length}: {advice}"
            )
        return need > self._rope.original_context

    @torch.inference_mode()
    def prefill(self, before: Tensor, video: Tensor, *, scaled: bool = False) -> Prefix:
        """Read the text before the video, and the video, once.

        Args:
            before: (P,) token ids.
            video: (L, D) visual tokens.
            scaled: As `check_fit` says.

        Returns:
            The prefix, for `generate`.

        Raises:
            ModelError: The tokens are of another width than this model's, or hold NaN or infinity.
        """
        text = self.model.get_input_embeddings()(before)  # (P, D)
        if video.shape[1] != text.shape[1]:
            raise ModelError(
                f"visual tokens have {video.shape[1]} dimensions, but model {self.name} reads {text.shape[1]}: "
                "encode the video with this model"
            )
        embeds = torch.cat([text, video.to(self.device, self.dtype)])[None]  # (1, P + L, D)
        if not torch.isfinite(embeds).all():
            raise ModelError(f"visual tokens hold NaN or infinity in {self.dtype}, expected numbers: try another dtype")
        cache = DynamicCache(config=self.model.config.get_text_config())
        mask = torch.ones(embeds.shape[:2], dtype=torch.int64, device=self.device)
        with self._rope.active(scaled):
            self.model(
                inputs_embeds=embeds,
                attention_mask=mask,
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return Prefix(embeds, cache, scaled)

    @torch.inference_mode()
    def generate(
        self,
        prefix: Prefix,
        after: Sequence[Tensor],
        *,
        max_new_tokens: int,
        batch_size: int | None = None,
        streamer: Any = None,
        stop: Callable[[], bool] | None = None,
        **sampling: Any,
    ) -> list[str]:
        """Answer questions about one prefix, greedily unless told otherwise.

        Args:
            prefix: What `prefill` made; it is left as it was.
            after: For each question the (S,) token ids that follow the video.
            max_new_tokens: Most tokens of an answer.
            batch_size: Questions at a time; None for as many as memory sensibly holds.
            streamer: A transformers streamer, for a single question.
            stop: Asked after each token; True ends the answer.
            **sampling: Further generation options of transformers, such as `do_sample` and `temperature`.

        Returns:
            One text per question, without special tokens.

        Raises:
            ConfigError: A batch of no question.
        """
        size = self._batch_size(prefix) if batch_size is None else batch_size
        if size < 1:
            raise ConfigError(f"batch_size is {batch_size}, expected at least 1, or None to choose")
        texts: list[str] = []
        for start in range(0, len(after), size):
            ids = self._generate_batch(prefix, after[start : start + size], max_new_tokens, streamer, stop, sampling)
            texts += self.tokenizer.batch_decode(ids, skip_special_tokens=True)
        return [text.strip() for text in texts]

    @torch.inference_mode()
    def logits(self, prefix: Prefix, after: Tensor) -> Tensor:
        """What the language model expects at each place of a text that follows a prefix.

        Args:
            prefix: What `prefill` made; it is left as it was.
            after: (S,) token ids.

        Returns:
            (S, V) logits; row i is the expectation of what comes after `after[i]`.
        """
        mask = torch.ones(1, len(prefix) + len(after), dtype=torch.int64, device=self.device)
        with self._rope.active(prefix.scaled):
            return self.model(
                inputs_embeds=self.model.get_input_embeddings()(after)[None],
                attention_mask=mask,
                past_key_values=copy.deepcopy(prefix.cache),
            ).logits[0]

    def _batch_size(self, prefix: Prefix) -> int:
        each = sum(layer.keys.nbytes + layer.values.nbytes for layer in prefix.cache.layers)
        return int(min(16, max(1, CACHE_BYTES // each)))

    def _generate_batch(
        self,
        prefix: Prefix,
        after: Sequence[Tensor],
        max_new_tokens: int,
        streamer: Any,
        stop: Callable[[], bool] | None,
        sampling: dict[str, Any],
    ) -> Tensor:
        """(Q, n) ids of the answers. Shorter questions are padded between video and question, mask 0."""
        count, longest = len(after), max(len(ids) for ids in after)
        shape = (count, len(prefix) + longest)
        mask = torch.ones(shape, dtype=torch.int64, device=self.device)
        padded = torch.zeros(count, longest, dtype=torch.int64, device=self.device)
        for row, ids in enumerate(after):
            padded[row, longest - len(ids) :] = ids
            mask[row, len(prefix) : shape[1] - len(ids)] = 0
        question = self.model.get_input_embeddings()(padded)  # (Q, S, D)
        embeds = torch.cat([prefix.embeds.expand(count, -1, -1), question], 1)  # (Q, P + L + S, D)
        cache = copy.deepcopy(prefix.cache)
        if count > 1:
            cache.batch_repeat_interleave(count)
        extra: dict[str, Any] = {"stopping_criteria": [lambda ids, scores, **_: _stopped(ids, stop)]} if stop else {}
        with self._rope.active(prefix.scaled):
            ids = self.model.generate(
                inputs_embeds=embeds,
                attention_mask=mask,
                past_key_values=cache,
                generation_config=generation_config(self.model, self.tokenizer, max_new_tokens, sampling),
                streamer=streamer,
                **extra,
            )
        answer: Tensor = ids
        return answer


def _stopped(ids: Tensor, stop: Callable[[], bool]) -> Tensor:
    return torch.full((len(ids),), stop(), dtype=torch.bool, device=ids.device)
