"""A model behind an endpoint: an eye finds the key frames here, and the endpoint sees them as pictures.

Nothing is merged, since an endpoint takes pictures and no tokens. A strategy chooses key frames, and how many tokens
each gets decides how large it is sent. The tokenizer only spells the text on its way to the request.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, NoReturn

import torch
from torch import Tensor
from transformers import DynamicCache

from dyto.errors import ConfigError, DoesNotFitError, EndpointError, unknown
from dyto.eye import Eye
from dyto.features import FrameFeatures, VisualTokens
from dyto.models.base import VideoModel
from dyto.models.endpoint.client import Endpoint
from dyto.models.endpoint.forms import EndpointNet, SeenPrefix
from dyto.models.endpoint.passing import Passed, PassedReply, pass_on, with_pictures
from dyto.models.endpoint.pictures import SentPictures, as_whole_pictures, size_within
from dyto.models.endpoint.reading import EndpointReply, OddReplyError
from dyto.models.endpoint.sending import RequestFailedError, Sender, TooLongError
from dyto.models.endpoint.service import OWN_KEY, PREFIX, Service, Spending, text_tokens
from dyto.models.generation.decoding import check_time_text
from dyto.models.generation.language import Encoded
from dyto.models.generation.prefix import Prefix
from dyto.models.generation.tokenizing import spelling_tokenizer
from dyto.models.pixels import Normalization, Pictures, as_pictures
from dyto.models.stock import Tokenizer

if TYPE_CHECKING:
    from dyto.strategies.calling import BoundStrategy
    from dyto.video import Frames

AT_A_TIME = 4
"""Number of simultaneous requests."""

STAND_IN = 8
"""Numbers of a stand-in patch: all are 1, since a strategy only learns how many there are."""

GIVE_UP_AFTER = 8
"""Number of failed requests in a row after which no more are sent."""

SAMPLING = {"do_sample": None, "temperature": "temperature", "top_p": "top_p"}
"""Generation options that an endpoint takes, with their names there."""


class EndpointModel(VideoModel):
    """A model behind an OpenAI-compatible endpoint.

    Args:
        name: Its name at the endpoint.
        service: How to reach it.
        eye: What frames are compared by.

    Attributes:
        spent: What was spent so far.

    Raises:
        MissingExtraError: The official client is not installed.
        ConfigError: There is neither an address nor a key.
    """

    own_time_text = "{seconds:.1f} s:\n"
    can_cache = False
    answers_elsewhere = True
    gives_likelihoods = False

    def __init__(self, name: str, service: Service, eye: Eye) -> None:
        # there is no language model, so the constructor of the base class is not called
        self.name = f"{PREFIX}{name}"
        self.tokenizer: Tokenizer = spelling_tokenizer()
        self.model = EndpointNet(self.name, self.tokenizer)  # type: ignore[assignment]
        self.normalization = Normalization()
        self.chat, self.rope_factor = "endpoint", 1.0
        self.time_text = check_time_text(self.own_time_text)
        self._image_id = int(self.tokenizer.convert_tokens_to_ids("<image>") or 0)
        self._rule, self._eye, self._service = service.rule(name), eye, service
        self.notices = (f"an endpoint's pictures are counted by rule: {self._rule.said}",)
        self.image_size = lambda height, width: size_within(height, width, service.picture_side)
        self.num_patches = self._rule.count(service.picture_side, service.picture_side)
        self.spent = Spending(service.max_requests, service.max_tokens)
        self._where = service.address or "https://api.openai.com/v1"
        self._place = f"{self.name} at {self._where}"
        what = "A model behind an endpoint"
        self._endpoint = Endpoint(
            name, service.key(), service.address, service.timeout, most_tokens=128, what=what, extra="endpoint"
        )
        self._sender = Sender(
            self._endpoint,
            kind="the endpoint",
            name=self._place.removeprefix(PREFIX),
            error=EndpointError,
            attempts=service.attempts,
            backoff=service.backoff,
            give_up_after=GIVE_UP_AFTER,
            kept=f"Check the address, and the key in {OWN_KEY}",
        )

    # --- the eye ----------------------------------------------------------------------------------------

    def encode(self, images: Frames | Pictures, *, attention_layer: int | None = None) -> FrameFeatures:
        pictures, indices, seconds = as_pictures(images)
        if not len(pictures):
            raise ConfigError("found no pictures, expected at least one")
        full = self._rule.count(*pictures[0].shape[:2])
        return FrameFeatures(
            summary=self._eye.summaries(pictures).float().cpu(),
            grid=(1, full),
            load_patches=lambda positions: torch.ones(len(positions), full, STAND_IN),
            indices=indices,
            seconds=seconds,
            summary_source=f"eye {self._eye.name}",
            patch_dim=STAND_IN,
        )

    def accept(self, strategy: BoundStrategy) -> BoundStrategy:
        if not strategy.picks_keyframes:
            raise ConfigError(
                f"strategy {strategy.name!r} makes tokens that are not key frames, but an endpoint takes only "
                "pictures: use plus, dyto, kmeans or uniform, or query or aks with towers (a strategy of your own says "
                "picks_keyframes = True if whole key frames can stand for its tokens)"
            )
        if "words" in strategy.needs:
            raise self._no_words(strategy.name)
        return strategy

    def finish(self, tokens: VisualTokens, frames: Frames) -> VisualTokens:
        return as_whole_pictures(tokens, frames, self._rule.count)

    def compiled_tower(self) -> AbstractContextManager[None]:
        return nullcontext()

    def embed_text(self, text: str) -> Tensor:
        raise self._no_words("this one")

    def _no_words(self, strategy: str) -> ConfigError:
        return ConfigError(
            f"strategy {strategy!r} compares frames with words, but an endpoint gives no embeddings of words: name a "
            "CLIP or SigLIP checkpoint, as in query:towers=openai/clip-vit-base-patch32"
        )

    # --- the request ------------------------------------------------------------------------------------

    def language_model(self) -> Any:
        return self.model

    @property
    def where(self) -> str:
        return self._where

    @property
    def device(self) -> torch.device:
        return torch.device("cpu")

    @property
    def context_length(self) -> int:
        """Unknown, so practically without limit; the endpoint refuses what is too long."""
        return 1 << 31

    def check_words(self, question: str, choices: Sequence[str] | None = None) -> None:
        """Accept any words: a request keeps them apart from everything else."""

    def count_words(self, text: str) -> int:
        return text_tokens(text)

    def check_fit(self, prompt: Encoded, video: VisualTokens | int | None, max_new_tokens: int) -> bool:
        return False

    def count_text(self, video: VisualTokens) -> int:
        return sum(text_tokens(text) for text in self.frame_texts(video.keyframes.seconds))

    def prefill(self, before: Tensor, video: VisualTokens | Tensor, *, scaled: bool = False) -> SeenPrefix:
        text = self._spelled(before)
        if isinstance(video, Tensor) and not len(video):  # a prompt without a video
            return SeenPrefix(torch.zeros(1, 1, 0), DynamicCache(), False, None, (_text(text),) if text else ())
        if not isinstance(video, SentPictures):
            raise ConfigError(f"found tokens of another model, expected pictures: encode the video with {self.name}")
        parts: list[Mapping[str, Any]] = []
        if text:
            parts.append(_text(text))
        for said, picture in zip(self.frame_texts(video.keyframes.seconds), video.pictures, strict=False):
            parts += [_text(said)] if said else []
            parts.append({"type": "image_url", "image_url": {"url": picture.url}})
        cost = len(video) + self.count_text(video) + text_tokens(text)
        return SeenPrefix(torch.zeros(1, 1, 0), DynamicCache(), False, None, tuple(parts), cost)

    def generate(
        self,
        prefix: Prefix | Sequence[Prefix],
        after: Sequence[Tensor],
        *,
        max_new_tokens: int,
        stop: Callable[[], bool] | None = None,
        streamer: Any = None,
        compiled: bool = False,
        batch_size: int | None = None,
        **sampling: Any,
    ) -> list[str]:
        prefixes = [prefix] * len(after) if isinstance(prefix, Prefix) else list(prefix)
        if len(prefixes) != len(after) or (batch_size is not None and batch_size < 1):
            raise ConfigError(f"{len(prefixes)} prefixes for {len(after)} questions in batches of {batch_size}")
        settings = _settings(sampling) | {"max_tokens": max_new_tokens}
        asked = [(one, self._spelled(ids)) for one, ids in zip(prefixes, after, strict=True)]
        with ThreadPoolExecutor(min(AT_A_TIME, max(1, len(asked)))) as pool:
            texts = list(pool.map(lambda pair: self._ask(pair[0], pair[1], settings), asked))
        if streamer is not None:
            streamer.put(self.tokenizer(texts[0], return_tensors="pt").input_ids[0])
            streamer.end()
        return texts

    def batch_size(self, prefix: Prefix) -> int:
        return AT_A_TIME

    def logits(self, prefix: Prefix, after: Tensor) -> NoReturn:
        raise ConfigError(
            f"model {self.name} gives no likelihoods, only text: leave out --evidence and --scoring likelihood"
        )

    def account(self, tokens: VisualTokens, question: str, choices: Sequence[str] | None) -> dict[str, Any]:
        assert isinstance(tokens, SentPictures)
        pictures = [
            {"second": round(second, 3), "width": one.width, "height": one.height, "tokens": one.tokens}
            for second, one in zip(tokens.keyframes.seconds.tolist(), tokens.pictures, strict=True)
        ]
        held = sum(len(picture.content) for picture in tokens.pictures)
        saved = tokens.uncompressed - len(tokens)
        return {
            "pictures": pictures,
            "sent": {"pictures": len(pictures), "tokens": len(tokens), "bytes": held},
            "saved": {"tokens": saved, "share": round(saved / max(1, tokens.uncompressed), 4)},
            "spent": {"requests": self.spent.requests, "tokens": self.spent.tokens},
        }

    def expected(self, prompt: Encoded, tokens: VisualTokens, max_new_tokens: int) -> int:
        """Return how many tokens a question is expected to take at most, pictures, text and answer together."""
        text = self._spelled(prompt.before) + self._spelled(prompt.after)
        return len(tokens) + self.count_text(tokens) + text_tokens(text) + max_new_tokens

    def _spelled(self, ids: Tensor) -> str:
        return str(self.tokenizer.decode(ids.tolist(), skip_special_tokens=False))

    def _ask(self, prefix: Prefix, after: str, settings: Mapping[str, Any]) -> str:
        assert isinstance(prefix, SeenPrefix)
        key = after, int(settings["max_tokens"])
        if settings["temperature"] == 0 and key in prefix.answers:
            return prefix.answers[key]
        expected = prefix.tokens + text_tokens(after) + int(settings["max_tokens"])
        self.spent.ask_for(expected)
        content = [*prefix.parts, *([_text(after)] if after else [])]
        try:
            reply = self._sender.send([{"role": "user", "content": content}], **settings)
        except OddReplyError as err:
            raise EndpointError(f"{self._place} sent no chat completion ({err}): check the address") from err
        except TooLongError as err:
            raise DoesNotFitError(f"{self._place}: {err}") from err
        except RequestFailedError as err:
            raise EndpointError(f"{self._place}: {err}") from err
        used = None if reply.prompt_tokens is None else reply.prompt_tokens + (reply.reply_tokens or 0)
        self.spent.correct(expected, used)
        prefix.answers[key] = text = self._answer(reply)
        return text

    def pass_on(self, tokens: VisualTokens, prompt: Encoded, passed: Passed) -> PassedReply:
        """Ask the endpoint once and tell its answer as it arrives, for any number of threads.

        Args:
            tokens: The video.
            prompt: The prompt, for a question that brings no chat.
            passed: What else is passed on, and to whom the answer is told.

        Raises:
            EndpointError: There is no answer.
        """
        if passed.messages is None:
            parts = [*self.prefill(prompt.before, tokens).parts, _text(self._spelled(prompt.after))]
            messages: Sequence[Mapping[str, Any]] = [{"role": "user", "content": parts}]
        else:
            messages = with_pictures(passed.messages, self.prefill(prompt.before[:0], tokens).parts)
        return pass_on(self._endpoint, self.spent, messages, passed, self.expected(prompt, tokens, 0))

    def _answer(self, reply: EndpointReply) -> str:
        """Return the text of a reply.

        Raises:
            EndpointError: It is a refusal, or a filter held it back.
        """
        if reply.ended == "content_filter":
            raise EndpointError(f"{self._place} held its answer back (content_filter): ask another way")
        if reply.refusal and not reply.text.strip():
            raise EndpointError(f"{self._place} refuses to answer: {reply.refusal[:200]}")
        return reply.text.strip()


def _text(text: str) -> Mapping[str, Any]:
    return {"type": "text", "text": text}


def _settings(sampling: Mapping[str, Any]) -> dict[str, Any]:
    """Translate generation options.

    Raises:
        ConfigError: The endpoint takes no such option.
    """
    for name in sampling:
        if name not in SAMPLING:
            raise unknown("generation option of an endpoint", name, SAMPLING)
    if not sampling.get("do_sample"):
        return {"temperature": 0}
    given = {other: sampling[name] for name, other in SAMPLING.items() if other and name in sampling}
    return {"temperature": 1.0, **given}
