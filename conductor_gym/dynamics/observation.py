"""What an agent sees, written from state and tables. Every number lies in [-1, 1], -1 is missing.

Counts and amounts are squashed by ``x / (x + scale)``; scales below. Scores and luck are never
read here.
"""

from typing import Any

import numpy as np

from conductor_gym.dynamics.call import (
    answer_in_focus,
    is_answer,
    level_rule,
    open_part,
    row_of,
    subtask_rule,
    worker_rule,
)
from conductor_gym.dynamics.jit import njit
from conductor_gym.reward import WEIGHT_SCALE
from conductor_gym.spaces import N_STATIC_WORKER_COLUMNS
from conductor_gym.types import N_LEVELS, N_SUBTASKS, Rule, Status, Subtask

TOKEN_SCALE = 1024.0
"""Output tokens at which the observed value is 0.5."""
COST_SCALE = 10_000_000.0
"""nano-USD (0.01 USD) at which the observed value is 0.5."""
LATENCY_SCALE = 10_000_000.0
"""Microseconds (10 s) at which the observed value is 0.5."""
PARTS_SCALE = 4.0

_STATIC = N_STATIC_WORKER_COLUMNS
_N_LEVELS, _N_SUBTASKS = N_LEVELS, N_SUBTASKS
_NONE = int(Rule.NONE)
_OK, _UNAFFORDABLE = int(Status.OK), int(Status.UNAFFORDABLE)
_VOTE = int(Subtask.VOTE)


@njit
def _squash(value: float, scale: float) -> float:
    return value / (value + scale)


@njit
def _shown_weight(weight: int) -> float:
    """Square root of the weight, so that the small ones of the grid differ; 1 and above are 1."""
    return min(1.0, np.sqrt(weight / WEIGHT_SCALE))


@njit
def _observe_history(tables: Any, steps: Any, n: int, row: Any) -> None:
    rules = tables.rules[0]
    row[:] = -1.0
    for t in range(n):
        step = steps[t]
        out = row[t]
        if step.worker >= 0:
            out[0] = (step.worker + 1) / rules.max_workers
            out[2] = (step.level + 1) / _N_LEVELS
        out[1] = (step.subtask + 1) / _N_SUBTASKS
        if step.status < 0:
            continue
        out[3] = step.status / 7.0
        out[4] = step.confidence
        if (is_answer(step) or step.subtask == _VOTE) and rules.identity == 1:
            earlier = 0
            same = 0
            for u in range(t):
                if is_answer(steps[u]) and steps[u].part == step.part:
                    earlier += 1
                    same += int(steps[u].answer == step.answer)
            if earlier > 0:
                out[5] = same / earlier
        out[6] = step.verdict
        out[7] = _squash(step.tokens_out, TOKEN_SCALE)
        out[8] = _squash(step.cost, COST_SCALE)
        if rules.latency_known == 1:
            out[9] = _squash(step.latency, LATENCY_SCALE)
        if step.part >= 0:
            out[10] = (step.part + 1) / PARTS_SCALE


@njit
def _observe_workers(tables: Any, episode: Any, steps: Any, row: Any, mask: Any) -> None:
    rules = tables.rules[0]
    n = episode.steps
    present = tables.workers.shape[0]
    row[:] = -1.0
    for w in range(rules.max_workers):
        valid = int(worker_rule(tables, episode, w) == _NONE)
        mask[w] = valid
        if w >= present:
            continue
        out = row[w]
        for j in range(_STATIC):
            out[j] = tables.workers[w].static[j]
        calls = 0
        errors = 0
        for t in range(n):
            step = steps[t]
            if step.worker != w or step.status < 0 or step.status == _UNAFFORDABLE:
                continue
            calls += 1
            errors += int(step.status != _OK)
            if step.confidence >= 0:
                out[8] = step.confidence
        out[6] = calls / rules.max_steps
        out[7] = errors / rules.max_steps
        focus = answer_in_focus(episode)
        if focus >= 0:
            current = steps[focus]
            out[9] = int(current.worker == w)
            if rules.identity == 1:
                # The worker's own newest answer to the same part decides.
                for t in range(n - 1, -1, -1):
                    same = steps[t].worker == w and steps[t].part == current.part
                    if same and is_answer(steps[t]):
                        out[10] = int(steps[t].answer == current.answer)
                        break
        out[11] = valid


@njit
def observe(tables: Any, state: Any, slot: int, observation: Any) -> None:
    """Write one slot's observation into row `slot` of the observation arrays."""
    rules = tables.rules[0]
    episode = state.episodes[slot]
    steps = state.steps[slot]
    mask = observation.action_mask[slot]
    part = open_part(tables, episode)
    features = tables.features[row_of(tables, episode.query, part)]
    query = observation.query[slot]
    for j in range(features.shape[0]):
        query[j] = features[j]
    _observe_history(tables, steps, episode.steps, observation.history[slot])
    _observe_workers(tables, episode, steps, observation.workers[slot], mask)
    for s in range(_N_SUBTASKS):
        rule = subtask_rule(tables, episode, steps, s)
        mask[rules.max_workers + s] = int(rule == _NONE)
    for level in range(_N_LEVELS):
        mask[rules.max_workers + _N_SUBTASKS + level] = int(level_rule(tables, level) == _NONE)
    budget = observation.budget[slot]
    budget[0] = (rules.max_steps - episode.steps) / rules.max_steps
    budget[1] = max(0.0, (rules.budget - episode.cost) / rules.budget)
    budget[2] = -1.0  # no outer time limit
    budget[3] = _shown_weight(episode.cost_weight)
    budget[4] = _shown_weight(episode.latency_weight)
    budget[5] = 0.0
    if part >= 0:
        budget[5] = (tables.queries[episode.query].parts - episode.done) / PARTS_SCALE
    budget[6] = episode.done / PARTS_SCALE
    budget[7] = int(episode.current >= 0)
