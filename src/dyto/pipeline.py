"""Ask a video a question: the whole method on one screen.

Frames are sampled, a strategy turns them into tokens, a language model answers::

    frames = sample_frames(path, num_frames=100)     # uint8 (T, H, W, 3), seconds
    tokens = strategy(frames, model.encode)          # (L, D), L <= token_budget
    text = model.generate(prefix, question)          # stock transformers
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias

from dyto.answer import Answer
from dyto.errors import ConfigError
from dyto.features import VisualTokens
from dyto.models.answering import VIDEOS_AT_A_TIME, Answerer, PreparedQuestion, by_video
from dyto.models.base import Encoded, VideoModel
from dyto.models.decoding import check_generation, check_time_text
from dyto.models.loading import load_model
from dyto.prompts import Prompt, choose_prompt, get_prompt
from dyto.savings import Savings
from dyto.strategies import Strategy, build_strategy
from dyto.strategies.calling import BoundStrategy
from dyto.strategies.encoding import KeptFeatures
from dyto.strategies.running import run_strategy
from dyto.timing import Stopwatch
from dyto.video import Frames, VideoSource, sample_frames
from dyto.video.arrival import FramesChanged

log = logging.getLogger(__name__)
Video: TypeAlias = "VideoSource | Frames | VisualTokens"
"""What can be asked about: a file, a folder of pictures, arrays, sampled frames, or tokens encoded before."""


class VideoQA:
    """A model, a strategy and the way questions are put; videos come with the calls.

    What the language model made of the video asked about last is kept for further questions about the same
    `VisualTokens`; `forget` frees it. One object serves one thread.

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
        strategy: Strategy | str = "dyto",
        *,
        prompt: str | Path | Prompt | None = None,
        choice_prompt: str | Path | Prompt | None = None,
        savings: Savings | None = None,
    ) -> None:
        """Put a loaded model and a strategy together.

        Args:
            model: As `dyto.models.load_model` returns it, or an adapter of your own.
            strategy: A strategy, or the name of one.
            prompt: Template for open questions: a name, a file or a `Prompt`; None for the model's own.
            choice_prompt: Template for multiple choice, likewise.
            savings: Which savings are on; None for those that change no answer.
        """
        self.model = model
        self.strategy = build_strategy(strategy) if isinstance(strategy, str) else strategy
        self._prompts = (choose_prompt(prompt, model.chat, False), choose_prompt(choice_prompt, model.chat, True))
        self.savings = savings or Savings()
        self._answerer = Answerer(model, self.savings.keep_prefix)
        self._features = KeptFeatures()
        self.on_stage: Callable[[str], None] | None = None  # called with the name of each stage as it begins
        self.on_frames: Callable[[Frames], None] | None = None  # called with the frames of a file once they are read

    @classmethod
    def from_pretrained(
        cls,
        model: str | Path | None = None,
        strategy: Strategy | str = "dyto",
        *,
        time_text: str | None = None,
        prompt: str | Path | Prompt | None = None,
        choice_prompt: str | Path | Prompt | None = None,
        savings: Savings | None = None,
        **loading: Any,
    ) -> VideoQA:
        """Load a model and put it together with a strategy.

        Args:
            model: A short name, a folder or a hub name; None for the environment variable DYTO_MODEL, or "tiny".
            strategy: A strategy, or the name of one.
            time_text: What is written before the tokens of each key frame, such as "{seconds:.1f} s: "; "" for
                nothing, None for what the model's family was trained with.
            prompt: As `VideoQA` takes it, like the two that follow.
            choice_prompt: Template for multiple choice.
            savings: Which savings are on.
            **loading: Further options of `dyto.load_model`: `revision`, `device`, `dtype`, `attn_implementation`,
                `device_map`, `quantization` and `rope_scaling_factor`.

        Raises:
            ConfigError: An unknown name or option.
            ModelError: The checkpoint cannot be loaded.
            MissingExtraError: A device map without accelerate, or quantization without bitsandbytes.
        """
        chosen = build_strategy(strategy) if isinstance(strategy, str) else strategy
        named = [get_prompt(p) if isinstance(p, (str, Path)) else p for p in (prompt, choice_prompt)]
        loaded = load_model(model, **loading)
        if time_text is not None:
            loaded.time_text = check_time_text(time_text)
        return cls(loaded, chosen, prompt=named[0], choice_prompt=named[1], savings=savings)

    def encode(self, video: Video, *, question: str | None = None, **sampling: Any) -> VisualTokens:
        """Turn a video into the tokens that the language model reads; reusable for any number of questions.

        Args:
            video: A file, a folder of pictures, an array (T, H, W, 3), a list of pictures, or `Frames`.
            question: For a strategy that looks at the question.
            **sampling: Options of `dyto.sample_frames`, such as `num_frames`, `start`, `end` and `allow_partial`.

        Returns:
            The tokens; those passed in come back as they are.

        Raises:
            VideoError: The video cannot be read.
            ConfigError: A budget or option that cannot be met.
        """
        if isinstance(video, VisualTokens):
            if sampling:
                raise ConfigError(f"sampling options {', '.join(sampling)} given with tokens encoded before")
            return video
        savings = self.savings.on(self.model.device.type)
        try:
            return self._encode(video, question, savings, sampling)
        except FramesChanged as err:
            log.info("reading again, one thing after another: %s", err)
            return self._encode(video, question, replace(savings, overlap=False), sampling)

    def _encode(
        self, video: VideoSource | Frames, question: str | None, savings: Savings, sampling: dict[str, Any]
    ) -> VisualTokens:
        """frames = sample_frames(path), tokens = strategy(frames, encode)."""
        watch = Stopwatch(self.model.device, self.on_stage)
        run = partial(run_strategy, self._strategy, model=self.model, question=question, savings=savings, watch=watch)
        if isinstance(video, Frames) and not sampling:
            return run(video, kept=self._features)
        with watch.stage("decode"):
            frames = sample_frames(video, size=self.model.image_size, savings=savings, **sampling)
        with closing(frames):
            tokens = run(frames)
        if self.on_frames:
            self.on_frames(frames)
        return tokens

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
            video: A video as in `encode`, or tokens encoded before.
            question: The question.
            choices: Options of a multiple choice question.
            max_new_tokens: Most tokens of the answer.
            generation: Generation options of transformers, such as `do_sample`; greedy by default.
            **sampling: As in `encode`.

        Returns:
            The answer; `choice` is the index of the option it names, or None if it names none.

        Raises:
            VideoError: The video cannot be read.
            ModelError: The question does not fit the context.
            ConfigError: An empty question, or options that cannot be met.
        """
        request = (video, question, choices)
        return self.ask_batch([request], max_new_tokens=max_new_tokens, generation=generation, **sampling)[0]

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
        """Ask several questions about one video, which is encoded and read by the language model once.

        The answers are those of asking one by one. A strategy that looks at the question encodes for each anew.

        Args:
            video: A video as in `encode`, or tokens encoded before.
            questions: The questions.
            choices: For each question its options, or None.
            max_new_tokens: Most tokens of an answer.
            batch_size: Questions answered at a time; None for as many as memory sensibly holds.
            generation: As in `ask`.
            **sampling: As in `encode`.

        Returns:
            One answer per question, in their order. The seconds of shared stages are stated in each.
        """
        if isinstance(questions, str):
            raise ConfigError("questions is one text, expected a list of them: use ask for one")
        options = [None] * len(questions) if choices is None else list(choices)
        if len(options) != len(questions):
            raise ConfigError(f"{len(questions)} questions, but choices for {len(options)}")
        if self.uses_question and not isinstance(video, (Frames, VisualTokens)) and len(questions) > 1:
            reading = replace(self.savings, overlap=False)
            video = sample_frames(video, size=self.model.image_size, savings=reading, **sampling)
            sampling = {}
        requests = [(video, question, choice) for question, choice in zip(questions, options, strict=True)]
        return self.ask_batch(
            requests, max_new_tokens=max_new_tokens, batch_size=batch_size, generation=generation, **sampling
        )

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

        The answers are those of asking one by one. A video that is asked about more than once (the same path, array
        or object) is encoded and read by the language model once.

        Args:
            requests: Pairs (video, question), or triples (video, question, choices).
            max_new_tokens: Most tokens of an answer.
            batch_size: Questions answered at a time; None for as many as memory sensibly holds, up to 16.
            generation: As in `ask`.
            **sampling: As in `encode`, for all videos.

        Returns:
            One answer per request, in their order. The seconds of shared stages are stated in each.

        Raises:
            DytoError: As `ask` does.
        """
        options = self._options(max_new_tokens, generation)
        if batch_size is not None and batch_size < 1:
            raise ConfigError(f"batch_size is {batch_size}, expected at least 1, or None to choose")
        size = batch_size if self.savings.batch_questions else 1
        full = [(one[0], one[1], one[2] if len(one) == 3 else None) for one in requests]
        prompts = [self._tokenize(question, choices, max_new_tokens) for _, question, choices in full]
        answers: dict[int, Answer] = {}

        def encode(video: Video, question: str) -> VisualTokens:
            return self.encode(video, question=self.question_for_strategy(question), **sampling)

        for load in by_video(full, prompts, encode, size or VIDEOS_AT_A_TIME, self.uses_question):
            found = self._answerer.answer(list(load.values()), batch_size=size, **options)
            for (index, one), (text, seconds) in zip(load.items(), found, strict=True):
                answers[index] = self._answer(one.tokens, text, *full[index][1:], seconds)
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
        """Ask one question and yield the answer piece by piece, as it is written.

        The arguments and errors are those of `ask`.

        Yields:
            Pieces of text; together, but for blanks at both ends, the text of the answer.

        Returns:
            What `ask` gives, as the value of the generator (`answer = yield from ...`).
        """
        options = self._options(max_new_tokens, generation)
        prompt = self._tokenize(question, choices, max_new_tokens)
        tokens = self.encode(video, question=self.question_for_strategy(question), **sampling)
        start = self.prompt_for(choices).answer_start
        text, seconds = yield from self._answerer.stream(PreparedQuestion(tokens, prompt), start=start, **options)
        return self._answer(tokens, text, question, choices, seconds)

    def forget(self) -> None:
        """Free what is kept of the video asked about last."""
        self._answerer.forget()
        self._features.forget()

    @property
    def strategy(self) -> Strategy:
        """The strategy; another may be put in its place at any time."""
        return self._strategy.inner

    @strategy.setter
    def strategy(self, strategy: Strategy) -> None:
        self._strategy = BoundStrategy(strategy)

    @property
    def uses_question(self) -> bool:
        """Whether the strategy looks at the question, so that no encoding serves two questions."""
        return self._strategy.uses_question

    def question_for_strategy(self, question: str | None) -> str | None:
        """The question, to be passed to `encode`, where the strategy looks at it; else None."""
        return self._strategy.question(question)

    def prompt_for(self, choices: Sequence[str] | None) -> Prompt:
        """The template of a question with these options, or of an open one."""
        return self._prompts[choices is not None]

    def _options(self, max_new_tokens: int, generation: dict[str, Any] | None) -> dict[str, Any]:
        own = {"compiled": self.savings.compiled, "on_stage": self.on_stage, "max_new_tokens": max_new_tokens}
        return {**check_generation(max_new_tokens, generation), **own}

    def _tokenize(self, question: str, choices: Sequence[str] | None, max_new_tokens: int) -> Encoded:
        """The prompt as token ids, once it fits any video."""
        before, after = self.prompt_for(choices).fill(question, choices)
        self.model.check_words(question, choices)
        prompt = self.model.tokenize(before, after)
        self.model.check_fit(prompt, None, max_new_tokens)
        return prompt

    def _answer(
        self, tokens: VisualTokens, text: str, question: str, choices: Sequence[str] | None, seconds: dict[str, float]
    ) -> Answer:
        start, strategy = self.prompt_for(choices).answer_start, self._strategy.description
        details = self.model.account(tokens, question, choices)
        return Answer.of(self.model, tokens, text, choices, seconds, start=start, strategy=strategy, details=details)
