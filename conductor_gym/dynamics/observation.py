"""What an agent sees, written from state and tables. Every number lies in [-1, 1], -1 is missing.

What is seen of steps and workers is kept in the state and grows by a row a step, so that to observe
is to copy.

Counts and amounts are squashed by ``x / (x + scale)``; scales below. Scores and luck are never
read here.
"""

from typing import Any

import numpy as np

from conductor_gym.dynamics.call import (
    answer_in_focus,
    is_answer,
    open_part,
    row_of,
)
from conductor_gym.dynamics.jit import inner_njit
from conductor_gym.dynamics.state import Observation
from conductor_gym.reward import WEIGHT_SCALE
from conductor_gym.spaces import (
    HISTORY_COLUMNS,
    QUERY_WIDTH,
    WORKER_COLUMNS,
)
from conductor_gym.types import N_LEVELS, N_SUBTASKS, Status, Subtask

TOKEN_SCALE = 1024.0
"""Output tokens at which the observed value is 0.5."""
COST_SCALE = 10_000_000.0
"""nano-USD (0.01 USD) at which the observed value is 0.5."""
LATENCY_SCALE = 10_000_000.0
"""Microseconds (10 s) at which the observed value is 0.5."""
PARTS_SCALE = 4.0

_N_LEVELS, _N_SUBTASKS = N_LEVELS, N_SUBTASKS
_N_HISTORY, _N_WORKER = len(HISTORY_COLUMNS), len(WORKER_COLUMNS)
_BITS = np.array([[(byte >> j) & 1 for j in range(8)] for byte in range(256)], np.int8)
_VALID = WORKER_COLUMNS.index("valid")
_OK, _UNAFFORDABLE = int(Status.OK), int(Status.UNAFFORDABLE)
_VOTE, _VERIFY, _CONDENSE = int(Subtask.VOTE), int(Subtask.VERIFY), int(Subtask.CONDENSE)


@inner_njit
def _squash(value: float, scale: float) -> float:
    return value / (value + scale)


@inner_njit
def _shown_weight(weight: int) -> float:
    """Square root of the weight, so that the small ones of the grid differ; 1 and above are 1."""
    return min(1.0, np.sqrt(weight / WEIGHT_SCALE))


@inner_njit
def _show_valid(tables: Any, episode: Any, workers: Any) -> None:
    bits = episode.workers
    if bits == episode.shown:
        return
    episode.shown = bits
    for w in range(tables.workers.shape[0]):
        workers[w * _N_WORKER + _VALID] = float((bits >> w) & 1)


@inner_njit
def forget_steps(state: Any, slot: int) -> None:
    """Empty what is observed of the steps of an episode that is over."""
    history = state.history[slot]
    for j in range(state.episodes[slot].steps * _N_HISTORY):
        history[j] = -1.0


@inner_njit
def show_start(tables: Any, state: Any, slot: int) -> None:
    """Write what is observed of workers and weights before the first step."""
    workers = state.workers[slot]
    for j in range(workers.shape[0]):
        workers[j] = tables.shown[j]
    episode = state.episodes[slot]
    episode.shown = tables.rules[0].present
    _show_valid(tables, episode, workers)
    episode.shown_weights[0] = _shown_weight(episode.cost_weight)
    episode.shown_weights[1] = _shown_weight(episode.latency_weight)


@inner_njit
def _show_call(tables: Any, steps: Any, t: int, out: Any) -> None:
    """Write the row of step t, which was no invalid action; the row holds -1 before."""
    rules = tables.rules[0]
    step = steps[t]
    out[3] = step.status / 7.0
    out[4] = step.confidence
    if (is_answer(step) or step.subtask == _VOTE) and rules.identity == 1:
        earlier = 0
        same = 0
        for u in range(t):
            rival = int(is_answer(steps[u]) & (steps[u].part == step.part))
            earlier += rival
            same += rival & int(steps[u].answer == step.answer)
        if earlier > 0:
            out[5] = same / earlier
    out[6] = step.verdict
    out[7] = _squash(step.tokens_out, TOKEN_SCALE)
    out[8] = _squash(step.cost, COST_SCALE)
    if rules.latency_known == 1:
        out[9] = _squash(step.latency, LATENCY_SCALE)
    if step.part >= 0:
        out[10] = (step.part + 1) / PARTS_SCALE


@inner_njit
def _show_focus(tables: Any, episode: Any, steps: Any, workers: Any) -> None:
    """Write who wrote the current answer, and whose own newest answer to the same part agrees."""
    focus = answer_in_focus(episode)
    present = tables.workers.shape[0]
    for w in range(present):
        workers[w * _N_WORKER + 9] = int(steps[focus].worker == w) if focus >= 0 else -1.0
        workers[w * _N_WORKER + 10] = -1.0
    if focus >= 0 and tables.rules[0].identity == 1:
        current = steps[focus]
        for t in range(episode.steps):
            if is_answer(steps[t]) and steps[t].part == current.part:
                agrees = int(steps[t].answer == current.answer)
                workers[steps[t].worker * _N_WORKER + 10] = agrees


@inner_njit
def show_step(tables: Any, state: Any, slot: int) -> None:
    """Write what is observed of the newest step and of its worker, after `apply_outcome`."""
    rules = tables.rules[0]
    episode, steps, workers = state.episodes[slot], state.steps[slot], state.workers[slot]
    _show_valid(tables, episode, workers)
    t = episode.steps - 1
    step = steps[t]
    out = state.history[slot, t * _N_HISTORY : (t + 1) * _N_HISTORY]
    if step.worker >= 0:
        out[0] = (step.worker + 1) / rules.max_workers
        out[2] = (step.level + 1) / _N_LEVELS
    out[1] = (step.subtask + 1) / _N_SUBTASKS
    if step.status < 0:
        return
    _show_call(tables, steps, t, out)
    if step.worker >= 0 and step.status != _UNAFFORDABLE:
        calls = 0
        errors = 0
        for u in range(t + 1):
            past = steps[u]
            made = int((past.status >= 0) & (past.status != _UNAFFORDABLE))
            made &= int(past.worker == step.worker)
            calls += made
            errors += made & int(past.status != _OK)
        first = step.worker * _N_WORKER
        workers[first + 6] = calls / rules.max_steps
        workers[first + 7] = errors / rules.max_steps
        if step.confidence >= 0:
            workers[first + 8] = step.confidence
    if step.status == _OK and step.subtask != _VERIFY and step.subtask != _CONDENSE:
        _show_focus(tables, episode, steps, workers)


@inner_njit
def flat(observation: Any) -> Observation:
    """The same arrays with one row a slot: a row of constant width is copied at once."""
    query, history, workers, budget, mask = observation
    n = query.shape[0]
    return Observation(
        query,
        history.reshape((n, history.shape[1] * history.shape[2])),
        workers.reshape((n, workers.shape[1] * workers.shape[2])),
        budget,
        mask,
    )


@inner_njit
def observe(tables: Any, state: Any, slot: int, observation: Any) -> None:
    """Write one slot's observation into row `slot` of the arrays that `flat` gave."""
    rules = tables.rules[0]
    episode = state.episodes[slot]
    part = open_part(tables, episode)
    row = row_of(tables, episode.query, part)
    for j in range(QUERY_WIDTH):
        observation.query[slot, j] = tables.features[row, j]
    for j in range(state.history.shape[1]):
        observation.history[slot, j] = state.history[slot, j]
    for j in range(state.workers.shape[1]):
        observation.workers[slot, j] = state.workers[slot, j]
    # Eight entries at a time; what is too much of the workers is overwritten by the subtasks.
    mask = observation.action_mask[slot]
    for w in range(0, rules.max_workers, 8):
        bits = (episode.workers >> w) & 255
        for j in range(8):
            mask[w + j] = _BITS[bits, j]
    for j in range(_N_SUBTASKS):
        mask[rules.max_workers + j] = _BITS[episode.subtasks, j]
    for j in range(_N_LEVELS):
        mask[rules.max_workers + _N_SUBTASKS + j] = _BITS[(1 << rules.levels) - 1, j]
    budget = observation.budget[slot]
    budget[0] = (rules.max_steps - episode.steps) / rules.max_steps
    budget[1] = max(0.0, (rules.budget - episode.cost) / rules.budget)
    budget[2] = -1.0  # no outer time limit
    budget[3] = episode.shown_weights[0]
    budget[4] = episode.shown_weights[1]
    budget[5] = 0.0
    if part >= 0:
        budget[5] = (tables.queries[episode.query].parts - episode.done) / PARTS_SCALE
    budget[6] = episode.done / PARTS_SCALE
    budget[7] = int(episode.current >= 0)
