"""From an action to a call: validity, context, worst price. Reads the state, changes nothing."""

from enum import IntEnum
from typing import Any, NamedTuple

import numpy as np

from conductor_gym.dynamics.jit import njit
from conductor_gym.types import CONTEXT_LEVELS, MISSING, Rule, Status, Subtask

ANSWER_TOKENS = 32
"""Tokens of a bare answer, which `verify` and `revise` always see (assumed)."""


class Fate(IntEnum):
    """What becomes of an action."""

    CALL = 0
    VOTE = 1
    SUBMIT = 2
    UNAFFORDABLE = 3
    INVALID = 4


class Call(NamedTuple):
    """An action, worked out against the episode so far.

    Attributes:
        fate: A `Fate`; only `Fate.CALL` reaches a worker.
        rule: A `Rule`, not `NONE` where the action is invalid.
        worker: Worker slot.
        subtask: A `Subtask`.
        level: Context level.
        part: Part of the task that is worked on, `MISSING` for the whole.
        target: Step whose answer `verify` or `revise` is about, `MISSING` for others.
        target_answer: That answer's identity.
        attempt: How often this worker already did this to this target, from 0.
        context: Tokens of context that the call sees besides the query.
        tokens_in: Input tokens: instructions, query, target answer, context.
    """

    fate: int
    rule: int
    worker: int
    subtask: int
    level: int
    part: int
    target: int
    target_answer: int
    attempt: int
    context: int
    tokens_in: int


_LEVEL_TOKENS = np.array(CONTEXT_LEVELS, np.int64)
_N_LEVELS = len(CONTEXT_LEVELS)
_SOLVE, _VERIFY, _REVISE = int(Subtask.SOLVE), int(Subtask.VERIFY), int(Subtask.REVISE)
_AGGREGATE, _VOTE, _SUBMIT = int(Subtask.AGGREGATE), int(Subtask.VOTE), int(Subtask.SUBMIT)
_OK, _UNAFFORDABLE = int(Status.OK), int(Status.UNAFFORDABLE)
_NONE = int(Rule.NONE)
_WORKER_ABSENT = int(Rule.WORKER_ABSENT)
_WORKER_UNAFFORDABLE = int(Rule.WORKER_UNAFFORDABLE)
_NO_CURRENT_ANSWER = int(Rule.NO_CURRENT_ANSWER)
_NO_ANSWERS = int(Rule.NO_ANSWERS)
_WITHOUT_IDENTITY = int(Rule.ANSWERS_WITHOUT_IDENTITY)
_SUBTASK_UNSUPPORTED = int(Rule.SUBTASK_UNSUPPORTED)
_LEVEL_UNSUPPORTED = int(Rule.LEVEL_UNSUPPORTED)
_FATE_CALL, _FATE_VOTE, _FATE_SUBMIT = int(Fate.CALL), int(Fate.VOTE), int(Fate.SUBMIT)
_FATE_UNAFFORDABLE, _FATE_INVALID = int(Fate.UNAFFORDABLE), int(Fate.INVALID)


@njit
def price(worker: Any, tokens_in: int, tokens_out: int) -> int:
    """nano-USD of a call, rounded half up."""
    return (tokens_in * worker.price_in + tokens_out * worker.price_out + 500) // 1000


@njit
def gives_answer(subtask: int) -> bool:
    """Whether an ok call of this subtask becomes the current answer."""
    return subtask in (_SOLVE, _REVISE, _AGGREGATE)


@njit
def is_answer(step: Any) -> bool:
    """Whether this past step holds an ok answer that a worker gave."""
    return step.status == _OK and gives_answer(step.subtask)


@njit
def worker_rule(tables: Any, episode: Any, worker: int) -> int:
    """`NONE` if the slot is filled and some call to it is affordable, else the broken rule."""
    if worker >= tables.workers.shape[0]:
        return _WORKER_ABSENT
    rules = tables.rules[0]
    tokens_in = rules.overhead + tables.queries[episode.query].tokens
    worst = price(tables.workers[worker], tokens_in, rules.output_cap)
    return _NONE if worst <= rules.budget - episode.cost else _WORKER_UNAFFORDABLE


@njit
def subtask_rule(tables: Any, episode: Any, steps: Any, subtask: int) -> int:
    """`NONE` if the subtask is valid now, else the broken rule."""
    rules = tables.rules[0]
    if subtask == _VOTE and rules.identity == 0:
        return _WITHOUT_IDENTITY
    if rules.subtasks[subtask] == 0:
        return _SUBTASK_UNSUPPORTED
    if (subtask in (_VERIFY, _REVISE)) and episode.current < 0:
        return _NO_CURRENT_ANSWER
    if subtask in (_VOTE, _AGGREGATE):
        for t in range(episode.steps):
            if is_answer(steps[t]):
                return _NONE
        return _NO_ANSWERS
    return _NONE


@njit
def level_rule(tables: Any, level: int) -> int:
    """`NONE` if the context level exists here, else the broken rule."""
    return _NONE if level < tables.rules[0].levels else _LEVEL_UNSUPPORTED


@njit
def context_share(steps: Any, n: int, level: int, step: int) -> float:
    """Share of a past step's output that fits a context level, newest outputs first.

    Args:
        steps: The episode's past steps.
        n: How many there are.
        level: Context level.
        step: The step asked about.
    """
    left = _LEVEL_TOKENS[level]
    for t in range(n - 1, step, -1):
        if steps[t].status == _OK:
            left -= steps[t].tokens_out
    size = steps[step].tokens_out
    if left <= 0 or size == 0:
        return 0.0
    return 1.0 if size <= left else left / size


@njit
def plan_call(tables: Any, episode: Any, steps: Any, worker: int, subtask: int, level: int) -> Call:
    """Work out what an action asks for, without making it happen."""
    rule = subtask_rule(tables, episode, steps, subtask)
    free = subtask in (_VOTE, _SUBMIT)
    if rule == _NONE and not free:
        rule = worker_rule(tables, episode, worker)
        if rule == _NONE:
            rule = level_rule(tables, level)
    if rule != _NONE:
        return Call(_FATE_INVALID, rule, worker, subtask, level, MISSING, MISSING, MISSING, 0, 0, 0)
    if free:
        fate = _FATE_VOTE if subtask == _VOTE else _FATE_SUBMIT
        return Call(fate, _NONE, MISSING, subtask, MISSING, MISSING, MISSING, MISSING, 0, 0, 0)

    n = episode.steps
    target = episode.current if subtask in (_VERIFY, _REVISE) else MISSING
    target_answer = steps[target].answer if target >= 0 else MISSING
    attempt = 0
    available = 0
    for t in range(n):
        past = steps[t]
        if past.status == _OK:
            available += past.tokens_out
        made = past.status >= 0 and past.status != _UNAFFORDABLE
        same = past.worker == worker and past.subtask == subtask
        if made and same and past.target == target_answer:
            attempt += 1
    context = min(_LEVEL_TOKENS[level], available)
    rules = tables.rules[0]
    tokens_in = rules.overhead + tables.queries[episode.query].tokens + context
    if target >= 0:
        tokens_in += ANSWER_TOKENS
    worst = price(tables.workers[worker], tokens_in, rules.output_cap)
    fate = _FATE_CALL if worst <= rules.budget - episode.cost else _FATE_UNAFFORDABLE
    return Call(
        fate,
        _NONE,
        worker,
        subtask,
        level,
        MISSING,
        target,
        target_answer,
        attempt,
        context,
        tokens_in,
    )
