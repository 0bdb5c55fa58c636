"""Questions about videos: the whole method on one screen.

`strategies/videos.py` samples frames and calls the strategy on them; `models/generation/answering.py` answers::

    frames = sample_frames(path, num_frames=100)     # uint8 (T, H, W, 3), seconds
    tokens = strategy(frames, model.encode)          # (L, D), L <= token_budget
    text = model.generate(prefix, question)          # stock transformers
"""

from __future__ import annotations

import copy
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

from dyto.answer import Answer
from dyto.conversation.talking import Conversation
from dyto.errors import ConfigError
from dyto.features import VisualTokens
from dyto.memory.remembered import Memory
from dyto.memory.remembering import Remembers, is_remembered
from dyto.models.base import Encoded, VideoModel
from dyto.models.generation.answering import VIDEOS_AT_A_TIME, Answerer, by_video
from dyto.models.generation.decoding import check_generation, check_time_text
from dyto.models.generation.keeping import KEEP_GB, KeptVideos, bytes_allowed
from dyto.models.generation.preparing import PreparedQuestion, said_in, tokenize_question, with_subtitles
from dyto.models.loading.load import load_model
from dyto.prompts import Prompt, choose_prompt, get_prompt
from dyto.savings import Savings
from dyto.strategies import DEFAULT, Strategy, build_strategy
from dyto.strategies.videos import VideoEncoder, decode_once
from dyto.subtitles.finding import AUTO, SubtitleChoice
from dyto.video import Frames, VideoSource

Video: TypeAlias = "VideoSource | Frames | VisualTokens | Memory"
"""A video to ask about: a file, a folder of pictures, arrays, sampled frames, encoded tokens, or a memory."""


class VideoQA(Remembers):
    """A model with a strategy and prompts; each call names its own video.

    The tokens of the last videos, and the model's state after reading them, are kept within a limit of memory; `forget`
    frees them. Tokens are kept for videos in files, if the strategy is a frozen dataclass. Use one object per thread.

    Example:
        >>> import numpy as np, dyto
        >>> qa = dyto.VideoQA.from_pretrained("tiny")
        >>> video = np.random.default_rng(0).integers(0, 255, (12, 64, 64, 3), dtype=np.uint8)
        >>> answer = qa.ask(video, "what is shown ?", max_new_tokens=4)
        >>> answer.num_visual_tokens <= 230
        True
    """

    def __init__(
        self,
        model: VideoModel,
        strategy: Strategy | str = DEFAULT,
        *,
        prompt: str | Path | Prompt | None = None,
        choice_prompt: str | Path | Prompt | None = None,
        savings: Savings | None = None,
        keep_gb: float = KEEP_GB,
        kept: KeptVideos | None = None,
    ) -> None:
        """Combine a loaded model and a strategy.

        Args:
            model: A model from `dyto.models.load_model`, or your own adapter.
            strategy: A strategy or its name.
            prompt: Template for open questions: a name, a file or a `Prompt`; None for the model's own.
            choice_prompt: Template for multiple choice, in the same forms.
            savings: The savings to use; None for those that are on by default.
            keep_gb: Limit in GB on what is kept of videos for further questions; the last video is always kept.
            kept: Store to share with other pipelines that use the same model; None for a new one.

        Raises:
            ConfigError: A name is unknown, or the limit is not a number of at least 0.
        """
        self.model = model
        self.strategy = build_strategy(strategy) if isinstance(strategy, str) else strategy
        self._prompts = (choose_prompt(prompt, model.chat, False), choose_prompt(choice_prompt, model.chat, True))
        self.savings = savings or Savings()
        most = bytes_allowed(keep_gb)
        self.kept = KeptVideos(model, most, keep=self.savings.keep_prefix) if kept is None else kept
        self._answerer = Answerer(model, self.kept)
        self._encoder = VideoEncoder(model, self.kept)
        self.on_stage = None
        self.on_frames = None

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path | None = None,
        strategy: Strategy | str = DEFAULT,
        *,
        time_text: str | None = None,
        prompt: str | Path | Prompt | None = None,
        choice_prompt: str | Path | Prompt | None = None,
        savings: Savings | None = None,
        keep_gb: float = KEEP_GB,
        **loading: Any,
    ) -> VideoQA:
        """Load a model and combine it with a strategy.

        Args:
            model: A short name, a folder or a Hub name; None for the environment variable DYTO_MODEL, or "tiny".
            strategy: A strategy or its name.
            time_text: Text before each key frame's tokens, as "{seconds:.1f} s: "; "" for none, None for the family's.
            prompt: Template for open questions, as in `VideoQA`.
            choice_prompt: Template for multiple choice, as in `VideoQA`.
            savings: The savings to use, as in `VideoQA`.
            keep_gb: Limit on what is kept of videos, as in `VideoQA`.
            **loading: Further options of `dyto.load_model`, such as `revision`, `device`, `dtype` and `quantization`.

        Raises:
            ConfigError: A name or option is unknown.
            ModelError: The checkpoint cannot be loaded.
            MissingExtraError: A device map without accelerate, or quantization without bitsandbytes.
        """
        chosen = build_strategy(strategy) if isinstance(strategy, str) else strategy
        named = [get_prompt(p) if isinstance(p, (str, Path)) else p for p in (prompt, choice_prompt)]
        loaded = load_model(model, **loading)
        if time_text is not None:
            loaded.time_text = check_time_text(time_text)
        return cls(loaded, chosen, prompt=named[0], choice_prompt=named[1], savings=savings, keep_gb=keep_gb)

    def encode(
        self, video: Video, *, question: str | None = None, subtitles: SubtitleChoice = None, **sampling: Any
    ) -> VisualTokens:
        """Encode a video as the tokens that the language model reads, for any number of questions.

        Args:
            video: A file, a folder of pictures, an array (T, H, W, 3), a list of pictures, or `Frames`; a `Memory`, or
                its file.
            question: The question, for a strategy that reads it.
            subtitles: What is said in the video, for the prompts: as for `dyto.find_subtitles`; None for nothing.
                "auto" takes what a memory holds.
            **sampling: Options of `dyto.sample_frames`, such as `num_frames`, `start`, `end` and `allow_partial`; with
                a memory, `start` and `end` alone.

        Returns:
            The tokens. If `video` is already encoded, it is returned unchanged.

        Raises:
            VideoError: The video cannot be read.
            ConfigError: The budget or an option is impossible.
        """
        if isinstance(video, VisualTokens):
            if sampling:
                raise ConfigError(f"sampling options {', '.join(sampling)} given with tokens encoded before")
            return video if subtitles is None else replace(video, subtitles=said_in(None, subtitles, self.model))
        if isinstance(video, Memory) or is_remembered(video):
            tokens = self.recall(video, question, sampling, hears=subtitles == AUTO)
            return self.encode(tokens, subtitles=None if subtitles == AUTO else subtitles)
        own: dict[str, Any] = {"on_stage": self.on_stage, "on_frames": self.on_frames}
        own["subtitles"] = said_in(video, subtitles, self.model, sampling)
        return self._encoder.encode(video, question, self._strategy, self.savings, sampling, **own)

    def ask(
        self,
        video: Video,
        question: str,
        *,
        choices: Sequence[str] | None = None,
        max_new_tokens: int = 128,
        generation: dict[str, Any] | None = None,
        **sampling: Any,
    ) -> Answer:
        """Ask one question.

        Args:
            video: A video as in `encode`, or encoded tokens.
            question: The question.
            choices: Options of a multiple choice question.
            max_new_tokens: Largest number of tokens in the answer.
            generation: Generation options of transformers, such as `do_sample`; greedy by default.
            **sampling: As in `encode`.

        Returns:
            The answer; its `choice` is the index of the option that it names, or None if it names none.

        Raises:
            VideoError: The video cannot be read.
            ModelError: The question does not fit the context.
            ConfigError: The question is empty, or an option is impossible.
        """
        own: dict[str, Any] = {"max_new_tokens": max_new_tokens, "generation": generation}
        return self.ask_batch([(video, question, choices)], **own, **sampling)[0]

    def ask_many(
        self,
        video: Video,
        questions: Sequence[str],
        *,
        choices: Sequence[Sequence[str] | None] | None = None,
        max_new_tokens: int = 128,
        batch_size: int | None = None,
        generation: dict[str, Any] | None = None,
        **sampling: Any,
    ) -> list[Answer]:
        """Ask several questions about one video; it is encoded once, and the language model reads it once.

        The answers are the same as one by one. A strategy that reads the question encodes anew for each question.

        Args:
            video: As in `ask`.
            questions: The questions.
            choices: The options of each question, or None for an open question.
            max_new_tokens: Largest number of tokens in an answer.
            batch_size: Number of questions answered at a time; None for as many as reasonably fit in memory.
            generation: As in `ask`.
            **sampling: As in `encode`.

        Returns:
            One answer per question, in order. Each reports the seconds of shared stages.
        """
        if isinstance(questions, str):
            raise ConfigError("questions is one text, expected a list of them: use ask for one")
        options = [None] * len(questions) if choices is None else list(choices)
        if len(options) != len(questions):
            raise ConfigError(f"{len(questions)} questions, but choices for {len(options)}")
        requests, asker = list(zip(questions, options, strict=True)), copy.copy(self)
        sampled = isinstance(video, (Frames, VisualTokens, Memory)) or is_remembered(video)
        if self.uses_question and not sampled and len(questions) > 1:
            assert not isinstance(video, (VisualTokens, Memory))
            said = said_in(video, sampling.pop("subtitles", None), self.model, sampling)
            video, asker.savings = decode_once(video, self.model, self.savings, sampling)
            sampling = {"subtitles": said}
        own: dict[str, Any] = {"max_new_tokens": max_new_tokens, "batch_size": batch_size, "generation": generation}
        return asker.ask_batch([(video, *request) for request in requests], **own, **sampling)

    def ask_batch(
        self,
        requests: Sequence[tuple[Video, str] | tuple[Video, str, Sequence[str] | None]],
        *,
        max_new_tokens: int = 128,
        batch_size: int | None = None,
        generation: dict[str, Any] | None = None,
        **sampling: Any,
    ) -> list[Answer]:
        """Ask questions about several videos, several at a time in one `generate`.

        The answers are the same as one by one. If several questions concern the same video (the same path, array or
        object), it is encoded once, and the language model reads it once.

        Args:
            requests: Pairs (video, question), or triples (video, question, choices).
            max_new_tokens: Largest number of tokens in an answer.
            batch_size: Number of questions answered at a time; None for as many as reasonably fit in memory, up to 16.
            generation: As in `ask`.
            **sampling: As in `encode`, for all videos.

        Returns:
            One answer per request, in order. Each reports the seconds of shared stages. Errors are those of `ask`.
        """
        options, size = self._options(max_new_tokens, generation), batch_size
        if size is not None and size < 1:
            raise ConfigError(f"batch_size is {batch_size}, expected at least 1, or None to choose")
        size = batch_size if self.savings.batch_questions else 1
        full = [(one[0], one[1], one[2] if len(one) == 3 else None) for one in requests]
        for _, question, choices in full:  # a bad question fails before a video is read
            self.tokenize(question, choices, max_new_tokens)
        answers: dict[int, Answer] = {}

        def encode(video: Video, question: str) -> VisualTokens:
            return self.encode(video, question=self.question_for_strategy(question), **sampling)

        for tokens in by_video(full, encode, size or VIDEOS_AT_A_TIME, self.uses_question):
            load = {index: self.prepare(one, *full[index][1:], max_new_tokens) for index, one in tokens.items()}
            found = self._answerer.answer(list(load.values()), batch_size=size, **options)
            for (index, one), (text, seconds) in zip(load.items(), found, strict=True):
                answers[index] = self.answer_of(one, text, *full[index][1:], seconds)
        return [answers[index] for index in range(len(full))]

    def stream(
        self,
        video: Video,
        question: str,
        *,
        choices: Sequence[str] | None = None,
        max_new_tokens: int = 128,
        generation: dict[str, Any] | None = None,
        **sampling: Any,
    ) -> Generator[str, None, Answer]:
        """Ask one question and yield the answer piece by piece, as the model writes it.

        Arguments and errors are the same as for `ask`.

        Yields:
            Pieces of text. Joined and stripped, they are the text of the answer.

        Returns:
            The same answer as `ask`, as the value of the generator (`answer = yield from ...`).
        """
        options = self._options(max_new_tokens, generation)
        self.tokenize(question, choices, max_new_tokens)  # a bad question fails before the video is read
        tokens = self.encode(video, question=self.question_for_strategy(question), **sampling)
        one = self.prepare(tokens, question, choices, max_new_tokens)
        text, seconds = yield from self._answerer.stream(one, start=self.prompt_for(choices).answer_start, **options)
        return self.answer_of(one, text, question, choices, seconds)

    def chat(self, video: Video, **options: Any) -> Conversation:
        """Begin a conversation about a video, which is read once for all its questions.

        Args:
            video: A video as in `encode`, or encoded tokens.
            **options: `max_new_tokens` and `generation` as in `ask`, and sampling options as in `encode`.
        """
        return Conversation(self, video, **options)

    def forget(self) -> None:
        """Free everything kept from videos."""
        self.kept.forget()
        self._encoder.forget()

    def prompt_for(self, choices: Sequence[str] | None) -> Prompt:
        """Return the template for a question with these options, or for an open question."""
        return self._prompts[choices is not None]

    def _options(self, max_new_tokens: int, generation: dict[str, Any] | None) -> dict[str, Any]:
        own = {"compiled": self.savings.compiled, "on_stage": self.on_stage, "max_new_tokens": max_new_tokens}
        return {**check_generation(max_new_tokens, generation), **own}

    def tokenize(self, question: str, choices: Sequence[str] | None, max_new_tokens: int) -> Encoded:
        """Return the prompt as token ids, after checking, with the errors of `ask`, that it fits without a video."""
        return tokenize_question(self.model, self.prompt_for(choices), question, choices, max_new_tokens)

    def prepare(
        self, tokens: VisualTokens, question: str, choices: Sequence[str] | None, max_new_tokens: int
    ) -> PreparedQuestion:
        """Return a question about an encoded video, with as much of the video's subtitles as there is room for."""
        one = PreparedQuestion(tokens, self.tokenize(question, choices, max_new_tokens))
        return with_subtitles(self.model, self.prompt_for(choices), one, question, choices, max_new_tokens)

    def answer_of(
        self, one: PreparedQuestion, text: str, question: str, choices: Sequence[str] | None, seconds: dict[str, float]
    ) -> Answer:
        """Return the answer for a text that the model has written, given the seconds of the stages after encoding."""
        own: dict[str, Any] = {"start": self.prompt_for(choices).answer_start, "spoken": one.spoken}
        own |= {"strategy": self._strategy.description, "details": self.model.account(one.tokens, question, choices)}
        return Answer.of(self.model, one.tokens, text, choices, seconds, **own)
