"""Judging of many cases: concurrent and resumable, paying once for each verdict."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from itertools import islice

from dyto.evaluation.journal import Journal
from dyto.evaluation.judge import Judge
from dyto.evaluation.judge_prompts import JudgePrompt
from dyto.evaluation.verdicts import Case, Verdict, request_key

logger = logging.getLogger(__name__)

Verdicts = dict[tuple[str, str], Verdict]


def judge_cases(
    cases: Sequence[Case],
    judge: Judge,
    prompts: Mapping[str, JudgePrompt],
    cache: Journal,
    *,
    concurrency: int = 16,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Verdicts:
    """Return verdicts for all cases; cached verdicts are reused, and new ones are cached immediately.

    Args:
        cases: The cases to judge.
        judge: The judge.
        prompts: Prompts by aspect.
        cache: Verdicts by content, from this and earlier runs.
        concurrency: Number of simultaneous requests.
        progress: Called with the number of new replies and of all new replies to come.

    Returns:
        A verdict for every (sample, aspect). Unscored ones carry the reason and are not cached, so that the next
        run asks again.

    Raises:
        JudgeError: The endpoint rejects our requests or fails repeatedly; all verdicts so far are in the cache.
    """
    verdicts = kept_verdicts(cache)
    keys, fresh = [], {}
    for case in cases:
        messages = prompts[case.aspect].messages(case.values)
        keys.append(request_key(judge.name, messages))
        if keys[-1] not in verdicts:
            fresh[keys[-1]] = (messages, case.aspect)

    work, running, done = iter(fresh.items()), dict[Future[Verdict], str](), 0
    with ThreadPoolExecutor(concurrency) as pool:
        try:
            while True:
                for key, request in islice(work, 2 * concurrency - len(running)):
                    running[pool.submit(judge, *request)] = key
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    key = running.pop(future)
                    verdicts[key] = _keep(cache, key, future.result())
                    done += 1
                    progress(done, len(fresh))
        except BaseException:  # also on Ctrl-C: send nothing more, but keep paid verdicts
            judge.stop()
            for future in wait(running).done:
                if future.exception() is None:
                    _keep(cache, running[future], future.result())
            raise
        finally:
            cache.sync()
    return {(case.sample, case.aspect): verdicts[key] for case, key in zip(cases, keys, strict=True)}


def kept_verdicts(cache: Journal) -> dict[str, Verdict]:
    """Return the verdicts in a cache; invalid rows are skipped, so that they are judged again."""
    cache.refresh()
    read = {key: Verdict.from_row(row) for key, row in cache.rows().items()}
    verdicts = {key: verdict for key, verdict in read.items() if verdict is not None}
    if len(verdicts) < len(read):
        logger.warning("%s: %d rows hold no verdict and are judged again", cache.folder, len(read) - len(verdicts))
    return verdicts


def _keep(cache: Journal, key: str, verdict: Verdict) -> Verdict:
    if verdict.scored:
        cache.append([verdict.to_row(key)])
    return verdict
