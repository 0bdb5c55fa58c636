"""The model interface of lmms-eval, implemented with `VideoQA`."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from dyto.errors import ConfigError, unknown
from dyto.features import VisualTokens
from dyto.lmms.requests import cut, generation_of, name_of, plain_prompt, question_of, video_of
from dyto.models.generation.keeping import KeptVideos
from dyto.pipeline import VideoQA
from dyto.strategies import build_strategy

LOADING = ("revision", "dtype", "attn_implementation", "device_map", "quantization", "rope_scaling_factor")
SAMPLING = ("num_frames", "fps", "sampling", "allow_partial")
STRATEGY = ("preset", "token_budget")
TAKEN = (*LOADING, *SAMPLING, *STRATEGY, "pretrained", "model", "strategy", "strategy_options", "device", "batch_size")
"""Arguments allowed in `--model_args`; `strategy_options` is JSON with further fields of the strategy."""


class LmmsModel:
    """The model interface of lmms-eval on `VideoQA`; `model_class` makes it one of lmms-eval's models.

    Args:
        pretrained: Name of the model, as in `dyto.load_model`; `model` is an alias.
        strategy: Name of a strategy; None for the default, see `dyto.strategies.build_strategy`.
        batch_size: Number of questions about one video at a time; "auto" for as many as reasonably fit in memory.
        device: A torch device; several processes use one CUDA device each.
        **options: Other arguments in `TAKEN`. The string "none" counts as not given.

    Raises:
        ConfigError: An argument is unknown.
    """

    is_simple = True
    task_dict: Mapping[str, Any]

    def __init__(
        self,
        pretrained: str | None = None,
        strategy: str | None = None,
        batch_size: int | str | None = 1,
        device: str | None = None,
        max_batch_size: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__()
        for name in options:
            if name not in TAKEN:
                raise unknown("model argument", name, TAKEN)
        given = {key: value for key, value in options.items() if value is not None and value != "none"}
        fields = {key: given[key] for key in STRATEGY if key in given} | _json(given.get("strategy_options", "{}"))
        loading = {key: given[key] for key in LOADING if key in given}
        if "device_map" not in loading:
            loading["device"] = _local(device)
        self._sampling = {key: given[key] for key in SAMPLING if key in given}
        self._batch = None if batch_size in (None, "auto") else int(batch_size)
        self.qa = VideoQA.from_pretrained(
            pretrained or given.get("model"), build_strategy(strategy, **fields), **loading
        )
        self._prompt = plain_prompt(self.qa.model.chat)
        self._kept = KeptVideos(self.qa.model, 0)
        self.qa = VideoQA(self.qa.model, self.qa.strategy, prompt=self._prompt)

    @property
    def device(self) -> torch.device:
        """Device of the model."""
        return self.qa.model.device

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Answer requests; those about one video with the same options share its encoding and prefix.

        Args:
            requests: Requests with `args`: context, generation options, doc_to_visual, doc_id, task, split.

        Returns:
            The answers in the order of the requests, each cut before the first of its `until` texts.
        """
        groups: dict[tuple[str, str], list[int]] = {}
        videos: dict[tuple[str, str], Any] = {}
        for index, request in enumerate(requests):
            _, options, to_visual, doc_id, task, split = request.args
            visuals = to_visual(self.task_dict[task][split][doc_id])
            name = name_of(visuals, f"{task}/{split}/{doc_id}")
            key = (name, json.dumps(options, sort_keys=True, default=str))
            groups.setdefault(key, []).append(index)
            videos[key] = visuals
        answers = [""] * len(requests)
        tokens: tuple[str, VisualTokens] | None = None
        for key in sorted(groups):
            if tokens is None or tokens[0] != key[0] or self.qa.uses_question:
                tokens = None  # free the old tokens first
            found, shared = self._answer(key, videos[key], [requests[i].args for i in groups[key]], tokens)
            tokens = None if shared is None else (key[0], shared)
            for index, text in zip(groups[key], found, strict=True):
                answers[index] = text
                self._remember(requests[index], text)
        self.qa.forget()
        return answers

    def _answer(
        self,
        key: tuple[str, str],
        visuals: Any,
        asked: Sequence[tuple[Any, ...]],
        kept: tuple[str, VisualTokens] | None,
    ) -> tuple[list[str], VisualTokens | None]:
        """Return answers to questions about one video, and its tokens for the next questions."""
        until, count, generation = generation_of(asked[0][1])
        questions = [question_of(context) for context, *_ in asked]
        if self.qa.uses_question:
            source: Any = video_of(visuals)
        else:
            source = kept[1] if kept else self.qa.encode(video_of(visuals), **self._sampling)
        replies = self.qa.ask_many(
            source,
            questions,
            max_new_tokens=count,
            batch_size=self._batch,
            generation=generation,
            **({} if isinstance(source, VisualTokens) else self._sampling),
        )
        return [cut(reply.text, until) for reply in replies], source if isinstance(source, VisualTokens) else None

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Return how likely continuations are.

        Args:
            requests: Requests with `args`: context, continuation (or doc_to_target, which makes it from the
                document), doc_to_visual, doc_id, task, split.

        Returns:
            For each request the mean loss per token, of which lmms-eval takes the smallest, and whether the model would
            write the continuation greedily.
        """
        found = []
        kept: tuple[str, VisualTokens] | None = None
        for request in requests:
            if len(request.args) != 6:
                raise ConfigError(
                    "found a likelihood request without a video, expected one with a document: drop acc_mutual_info"
                )
            context, target, to_visual, doc_id, task, split = request.args
            document = self.task_dict[task][split][doc_id]
            continuation = str(target(document)) if callable(target) else str(target)
            visuals, question = to_visual(document), question_of(context)
            name = name_of(visuals, f"{task}/{split}/{doc_id}") + (question if self.qa.uses_question else "")
            if kept is None or kept[0] != name:
                own = self.qa.question_for_strategy(question)
                kept = (name, self.qa.encode(video_of(visuals), question=own, **self._sampling))
            found.append(self._loss(kept[1], question, continuation))
        self._kept.forget()
        return found

    @torch.inference_mode()
    def _loss(self, tokens: VisualTokens, question: str, continuation: str) -> tuple[float, bool]:
        model = self.qa.model
        before, after = self._prompt.fill(question)
        model.check_words(question)
        asked = model.tokenize(before, after)
        glue = "" if continuation[:1].isspace() or not continuation else " "
        ids = model.tokenize(before, after + glue + continuation).after
        shared = min(len(asked.after), len(ids) - 1)
        while shared > 1 and not torch.equal(asked.after[:shared], ids[:shared]):
            shared -= 1  # the first letters may have merged with the prompt's last token
        scaled = model.check_fit(asked, tokens, len(ids) - len(asked.after) + 1)
        logits = model.logits(self._kept.prefix(tokens, asked.before, scaled), ids)[shared - 1 : -1].float()  # (n, V)
        target = ids[shared:].to(logits.device)
        loss = torch.nn.functional.cross_entropy(logits, target)
        return float(loss), bool((logits.argmax(-1) == target).all())

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Raise an error: conversations are not supported.

        Raises:
            ConfigError: Always.
        """
        raise ConfigError("tasks of several rounds are not supported by --model dyto, expected single questions")

    def _remember(self, request: Any, text: str) -> None:
        """Record answers in lmms-eval's cache, if there is one."""
        hook = getattr(self, "cache_hook", None)
        if hook is not None:
            hook.add_partial("generate_until", request.args[:2], text)


def _json(text: Any) -> dict[str, Any]:
    try:
        fields = json.loads(text) if isinstance(text, str) else text
    except json.JSONDecodeError as err:
        raise ConfigError(f"strategy_options is {text!r}, expected JSON of fields of the strategy: {err}") from err
    if not isinstance(fields, dict):
        raise ConfigError(f'strategy_options is {text!r}, expected JSON of fields, such as {{"partition": "finest"}}')
    return fields


def _local(device: str | None) -> str | None:
    """Return the device of this process; several processes use one CUDA device each."""
    rank = os.environ.get("LOCAL_RANK")
    if device in (None, "auto", "cuda") and rank is not None and torch.cuda.is_available():
        return f"cuda:{int(rank) % torch.cuda.device_count()}"
    return device or None
