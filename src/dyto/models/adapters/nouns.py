"""The bundled model for real videos: an eye that names 1,000 nouns, and a grammar of questions.

Its visual tokens are the eye's features of patches before the classifier, (L, 1280), so strategies choose and merge
features of real pixels. No language model reads them: a grammar parses the question and reports what the
eye's classifier sees in the tokens of each key frame, and when. The eye has the only weights.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from transformers import DynamicCache, GenerationConfig, PretrainedConfig, PreTrainedTokenizerFast

from dyto.errors import BadFeaturesError, ConfigError, DoesNotFitError
from dyto.eye.lite0 import WIDTH, Lite0
from dyto.eye.weights import load_eye
from dyto.features import VisualTokens
from dyto.models.generation.decoding import check_time_text
from dyto.models.generation.language import Encoded
from dyto.models.generation.prefix import Prefix
from dyto.models.generation.tokenizing import spelling_tokenizer
from dyto.models.loading.placement import Placement
from dyto.models.pixels import Normalization
from dyto.models.stock import Tokenizer
from dyto.models.suitable import for_more
from dyto.models.towers import FrameTower
from dyto.nouns.answers import reply
from dyto.nouns.questions import understand
from dyto.nouns.replies import Reply
from dyto.nouns.seeing import Timeline
from dyto.nouns.table import nouns
from dyto.nouns.writing import likelihood

CONTEXT = 1 << 20
"""Largest number of tokens of prompt, video and answer together; the grammar reads texts of any length."""

MOST_ACTIVE = 0.22
"""Upper bound of the mean of the eye's features for nine of ten measured photographs. Strategies that keep the
maximum of merged patches raise the mean, which would make every answer surer, so higher means are scaled down."""

ANSWER = "\nAnswer:"
"""Text between a question and its answer in the prompts of this model."""

_WORDS = """
a an and answer as at before after by can cannot clearly do did first for frames how I in is it kinds know
last like looked looks many name named not no nothing of one option or out people perhaps picture question s
say see seen something sure that the them then there they thing things this to was what when whether who yes 0
1 2 3 4 5 6 7 8 9 . , : ; ( ) ?
"""


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Build a tokenizer of whole words, with and without a leading space, and of bytes for everything else.

    Example:
        >>> tokenizer = build_tokenizer()
        >>> tokenizer.decode(tokenizer("Is there a giant panda?").input_ids)
        'Is there a giant panda?'
    """
    words = {word for name in nouns().names for word in name.split()} | set(_WORDS.split())
    pieces = [piece for word in sorted(words) for piece in (word, f" {word}")]
    return spelling_tokenizer(pieces)


class NounsNet(nn.Module):
    """The eye as a stock model, with a config, and with word embeddings that are all zero.

    Attributes:
        eye: The network.
        config: A config without an architecture, which names the model.
        generation_config: A config with the ids of the tokenizer.
    """

    def __init__(self, eye: Lite0, tokenizer: Tokenizer) -> None:
        super().__init__()
        self.eye = eye
        self.config = PretrainedConfig(dyto_prompt="nouns", name_or_path="nouns")
        self.name_or_path = "nouns"
        self.generation_config = GenerationConfig(
            do_sample=False, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id
        )
        self._words = nn.Embedding(len(tokenizer.get_vocab()), WIDTH, _weight=torch.zeros(1, WIDTH).expand(
            len(tokenizer.get_vocab()), WIDTH), _freeze=True)  # fmt: skip

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights."""
        return self.eye.classifier.weight.dtype

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the (V, 1280) embeddings, all zeros: the grammar reads the words."""
        return self._words


@dataclass(frozen=True)
class NounsPrefix(Prefix):
    """A video that has been read.

    Attributes:
        timeline: What was seen, and when.
    """

    timeline: Timeline | None = None


class NounsModel(FrameTower):
    """The adapter of the bundled eye and of the grammar that reads it."""

    def __init__(self, net: NounsNet, tokenizer: Tokenizer, notices: Sequence[str] = ()) -> None:
        # there is no language model, so the constructor of the base class is not called
        self.name, self.model, self.tokenizer = "nouns", net, tokenizer  # type: ignore[assignment]
        self.normalization = Normalization((127 / 255,) * 3, (128 / 255,) * 3)
        self.chat, self.notices, self.rope_factor = "nouns", tuple(notices), 1.0
        self.time_text = check_time_text("")
        self._image_id = int(tokenizer.convert_tokens_to_ids("<image>") or 0)
        self._net = net
        self.set_grid((224, 224), (7, 7))

    # --- the eye ----------------------------------------------------------------------------------------

    def tower(self) -> Lite0:
        return self._net.eye

    def tower_states(self, pixels: Tensor) -> Tensor:
        states: Tensor = self._net.eye(pixels.contiguous(memory_format=torch.channels_last))
        return states

    def project(self, states: Tensor) -> Tensor:
        return states

    def compiled_tower(self) -> AbstractContextManager[None]:
        return nullcontext()

    @torch.inference_mode()
    def embed_text(self, text: str) -> Tensor:
        """Return (n, 1280) classifier weights for each thing that a text names, or for all things."""
        weight = self._net.eye.classifier.weight
        found = [weight[sorted(concept.classes)].mean(0) for concept in nouns().concepts(text)]
        return torch.stack(found or [weight.mean(0)])

    @property
    def reads_subtitles(self) -> bool:
        return False

    # --- the grammar ------------------------------------------------------------------------------------

    def language_model(self) -> Any:
        return self.model

    @property
    def context_length(self) -> int:
        return CONTEXT

    def check_fit(self, prompt: Encoded, video: VisualTokens | int | None, max_new_tokens: int) -> bool:
        visual = len(video) if isinstance(video, VisualTokens) else video or 1
        need = len(prompt.before) + len(prompt.after) + visual + max_new_tokens
        if need > CONTEXT:
            raise DoesNotFitError(f"{need} tokens, but the context is {CONTEXT}: lower token_budget or max_new_tokens")
        return False

    @torch.inference_mode()
    def prefill(self, before: Tensor, video: VisualTokens | Tensor, *, scaled: bool = False) -> NounsPrefix:
        layout = self.lay_out(video)  # also checks the width
        if not torch.isfinite(layout.embeds).all():
            raise BadFeaturesError("visual tokens hold NaN or infinity, expected numbers: encode the video again")
        places = torch.zeros(1, len(before) + len(layout.embeds), 0, device=self.device)
        return NounsPrefix(places, DynamicCache(), scaled, None, self.timeline(video))

    def timeline(self, video: VisualTokens | Tensor) -> Timeline:
        """Classify the remaining patches of each key frame."""
        if not isinstance(video, VisualTokens):
            nothing = np.zeros(0)
            return Timeline.of(np.zeros((0, WIDTH)), np.zeros((0, 1000)), nothing)
        data, sources = video.data.to(self.device, self.dtype), video.sources
        frames, place = np.unique(sources.keyframe, return_inverse=True)
        index = torch.from_numpy(place).to(self.device)
        sums = data.new_zeros(len(frames), WIDTH).index_add_(0, index, data[torch.from_numpy(sources.token)])
        features = sums / torch.bincount(index, minlength=len(frames))[:, None]  # (K, 1280)
        features = features * (MOST_ACTIVE / features.mean(1, keepdim=True).clamp(min=MOST_ACTIVE))
        logits = self._net.eye.classifier(features).double().cpu().numpy()
        return Timeline.of(features.double().cpu().numpy(), logits, video.keyframes.seconds[frames])

    def generate(
        self,
        prefix: Prefix | Sequence[Prefix],
        after: Sequence[Tensor],
        *,
        batch_size: int | None = None,
        streamer: Any = None,
        stop: Callable[[], bool] | None = None,
        **options: Any,
    ) -> list[str]:
        prefixes = [prefix] * len(after) if isinstance(prefix, Prefix) else list(prefix)
        if len(prefixes) != len(after) or (batch_size is not None and batch_size < 1):
            raise ConfigError(f"{len(prefixes)} prefixes for {len(after)} questions in batches of {batch_size}")
        texts = []
        for one, ids in zip(prefixes, after, strict=True):
            written = self.tokenizer(self._reply(one, ids).text).input_ids[: options["max_new_tokens"]]
            texts.append(str(self.tokenizer.decode(written, skip_special_tokens=True)).strip())
            if streamer is not None:
                for token in written:
                    if stop is not None and stop():
                        break
                    streamer.put(torch.tensor([token]))
                streamer.end()
        return texts

    def _reply(self, prefix: Prefix, after: Tensor) -> Reply:
        question, _ = self._parts(after)
        return reply(_read(prefix), understand(question))

    def _parts(self, after: Tensor) -> tuple[str, str]:
        """Split a prompt into the question and what follows it."""
        question, _, answer = str(self.tokenizer.decode(after.tolist())).partition(ANSWER)
        return question.strip(), answer.strip()

    @torch.inference_mode()
    def logits(self, prefix: Prefix, after: Tensor) -> Tensor:
        """Give every token of the answer the likelihood of what it states; see `VideoModel.logits`."""
        question, answer = self._parts(after)
        chance = min(max(likelihood(_read(prefix), understand(question), answer), 1e-6), 1 - 1e-6)
        size = len(self.tokenizer.get_vocab())
        logits = torch.full((len(after), size), math.log((1 - chance) / (size - 1)), device=self.device)
        following = torch.roll(after, -1).to(self.device)
        return logits.scatter_(1, following[:, None], math.log(chance))

    def account(self, tokens: VisualTokens, question: str, choices: Sequence[str] | None) -> dict[str, Any]:
        asked = understand(question)
        if choices is not None:
            asked = replace(asked, options=tuple(choice.strip() for choice in choices))
        told = reply(self.timeline(tokens), asked)
        things = [
            {"name": one.verdict.name, "confidence": round(one.verdict.sure, 4), "start": round(one.start, 3),
             "end": round(one.end, 3)}
            for one in told.seen if one.verdict.name
        ]  # fmt: skip
        confidence = None if told.confidence is None else round(float(told.confidence), 4)
        return {"confidence": confidence, "reason": told.reason, "things": things}


def _read(prefix: Prefix) -> Timeline:
    if not isinstance(prefix, NounsPrefix) or prefix.timeline is None:
        raise ConfigError("found the prefix of another model, expected one of nouns: encode the video with this model")
    return prefix.timeline


def load_nouns(placement: Placement, factor: float) -> NounsModel:
    """Load the bundled eye and the grammar.

    Raises:
        MissingExtraError: The extra `see` is not installed.
        ModelError: The file of weights is not the known one.
        ConfigError: This model lacks a given option.
    """
    placement.refuse_for("nouns", factor)
    if placement.dtype not in (None, torch.float32):
        raise ConfigError(f"dtype {placement.dtype} was given, but model nouns computes in float32: leave it out")
    tokenizer = build_tokenizer()
    net = NounsNet(load_eye().net, tokenizer).to(placement.device).eval()
    more = for_more(placement.device, "anything else")
    note = f"recognises 1,000 kinds of things, but no people; {more}"
    return NounsModel(net, tokenizer, (note,))
