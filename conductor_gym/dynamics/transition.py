"""`start_episodes` and `apply_outcome`: the only two places that move an episode on."""

from typing import Any

import numpy as np

from conductor_gym.dynamics.call import Fate, gives_answer, is_answer, note_valid
from conductor_gym.dynamics.jit import inner_njit
from conductor_gym.dynamics.keyed import Domain, absorb, threefry
from conductor_gym.dynamics.order import find_queries
from conductor_gym.reward import COST_WEIGHTS, WEIGHT_SCALE, nano_charge
from conductor_gym.types import INVALID_PENALTY, MISSING, Status, Subtask

_charge = inner_njit(nano_charge)
_WEIGHTS = np.array([round(w * WEIGHT_SCALE) for w in COST_WEIGHTS], np.int64)
_U = np.uint64
_STREAM, _COST_WEIGHT = int(Domain.STREAM), int(Domain.COST_WEIGHT)
_QUERY, _LUCK = int(Domain.QUERY), int(Domain.LUCK)
_CALL, _VOTE, _SUBMIT = int(Fate.CALL), int(Fate.VOTE), int(Fate.SUBMIT)
_FATE_UNAFFORDABLE, _INVALID = int(Fate.UNAFFORDABLE), int(Fate.INVALID)
_OK, _UNAFFORDABLE = int(Status.OK), int(Status.UNAFFORDABLE)
_PLAN, _CONDENSE = int(Subtask.PLAN), int(Subtask.CONDENSE)


@inner_njit
def start_episodes(tables: Any, episodes: Any, scratch: Any, count: int) -> None:
    """Write the first states of a block of episodes into their slots.

    Args:
        tables: Shared `Tables`.
        episodes: `EPISODE_DTYPE` [n], the named ones are written.
        scratch: `Scratch` with slot, stream and index of each in `starts`.
        count: Lanes in use.
    """
    rules = tables.rules[0]
    slots, streams, indices, queries = scratch.starts
    for i in range(count):
        s0, s1 = absorb(rules.key0, rules.key1, _STREAM, streams[i])
        scratch.first[0, i], scratch.second[0, i] = s0, s1
        scratch.walk[0, i], scratch.walk[1, i] = s0, s1
    find_queries(scratch.walk, queries, indices, count, rules.queries)
    names = scratch.names
    for i in range(count):
        names[0, i] = tables.queries[queries[i]].uid
    for i in range(count):
        cycle = indices[i] // rules.queries
        p0, p1 = absorb(scratch.first[0, i], scratch.second[0, i], cycle, _LUCK)
        names[1, i], names[2, i] = absorb(p0, p1, names[0, i], 0)
    for i in range(count):
        names[3, i], names[4, i] = absorb(rules.key0, rules.key1, _QUERY, names[0, i])
    for i in range(count):
        s0, s1 = scratch.first[0, i], scratch.second[0, i]
        names[5, i], _ = threefry(s0, s1, _U(indices[i]), _U(_COST_WEIGHT))
    for i in range(count):
        _start_episode(tables, episodes[slots[i]], scratch, i)


@inner_njit
def _start_episode(tables: Any, episode: Any, scratch: Any, lane: int) -> None:
    rules = tables.rules[0]
    _, stream, index, query = scratch.starts[:, lane]
    _, l0, l1, q0, q1, word = scratch.names[:, lane]
    weight = rules.cost_weight
    if weight < 0:
        weight = _WEIGHTS[int(((word >> _U(32)) * _U(_WEIGHTS.shape[0])) >> _U(32))]
    episode.stream = stream
    episode.index = index
    episode.query = query
    episode.luck0 = l0
    episode.luck1 = l1
    episode.query0 = q0
    episode.query1 = q1
    episode.cost = 0
    episode.latency = 0
    episode.begins = MISSING
    episode.charge = 0
    episode.cost_weight = weight
    episode.latency_weight = rules.latency_weight
    episode.quality = 0.0
    episode.steps = 0
    episode.current = -1
    episode.condensed = -1
    episode.opened = 0
    episode.done = 0
    episode.part_answers[:] = -1
    episode.answers = 0
    episode.invalid = 0
    episode.over = 0
    note_valid(tables, episode)


@inner_njit
def plurality(steps: Any, n: int, part: int) -> int:
    """Newest step that holds the most frequent ok answer to a part; ties go to the newest.

    Args:
        steps: The episode's past steps.
        n: How many there are.
        part: Part, or `MISSING` for the whole.
    """
    best = -1
    most = 0
    for t in range(n - 1, -1, -1):
        if not is_answer(steps[t]) or steps[t].part != part:
            continue
        count = 0
        for u in range(n):
            same = steps[u].part == part and steps[u].answer == steps[t].answer
            count += int(is_answer(steps[u]) and same)
        if count > most:
            best = t
            most = count
    return best


@inner_njit
def _answered(episode: Any, part: int, step: int) -> None:
    """Make a step's answer the current one of a part, or of the whole for `MISSING`."""
    if part < 0:
        episode.current = step
        return
    episode.part_answers[part] = step
    episode.done = max(episode.done, part + 1)


@inner_njit
def end_episode(episode: Any, steps: Any) -> None:
    """Submit the current answer."""
    episode.over = 1
    if episode.current >= 0:
        episode.quality = steps[episode.current].score


@inner_njit
def apply_outcome(tables: Any, episode: Any, steps: Any, call: Any, outcome: Any) -> float:
    """Advance one episode by one step and return its reward.

    Args:
        tables: Shared `Tables`.
        episode: `EPISODE_DTYPE` record, written.
        steps: `STEP_DTYPE` [max_steps] of the episode, one row written.
        call: `CALL_DTYPE` record that the action led to.
        outcome: The `CallOutcome`; read only where `call.fate` is `Fate.CALL`.

    Returns:
        The step's reward: minus the new charge, minus the penalty, plus the quality at the end.
    """
    n = episode.steps
    step = steps[n]
    step.worker = call.worker
    step.subtask = call.subtask
    step.level = call.level
    step.rule = call.rule
    step.target = call.target_answer
    step.status = _OK
    step.part = call.part
    step.answer = MISSING
    step.confidence = MISSING
    step.verdict = MISSING
    step.tokens_in = 0
    step.tokens_out = 0
    step.cost = 0
    step.latency = 0
    step.score = 0.0
    step.luck = 0.0
    reward = 0.0
    if call.fate == _CALL:
        step.status = outcome.status
        step.answer = outcome.answer
        step.confidence = outcome.confidence
        step.verdict = outcome.verdict
        step.tokens_in = outcome.tokens_in
        step.tokens_out = outcome.tokens_out
        step.cost = outcome.cost
        step.latency = outcome.latency
        step.score = outcome.score
        step.luck = outcome.luck
        episode.cost += outcome.cost
        begins = episode.latency if episode.begins < 0 else episode.begins
        episode.latency = max(episode.latency, begins + outcome.latency)
        if outcome.status == _OK:
            if gives_answer(call.subtask):
                episode.answers += 1
                _answered(episode, call.part, n)
            elif call.subtask == _PLAN:
                episode.opened = 1
            elif call.subtask == _CONDENSE:
                episode.condensed = n
    elif call.fate == _VOTE:
        chosen = plurality(steps, n, call.part)
        step.answer = steps[chosen].answer
        _answered(episode, call.part, chosen)
    elif call.fate == _FATE_UNAFFORDABLE:
        step.status = _UNAFFORDABLE
    elif call.fate == _INVALID:
        step.status = MISSING
        episode.invalid += 1
        reward -= INVALID_PENALTY

    episode.steps = n + 1
    charge = _charge(episode.cost, episode.latency, episode.cost_weight, episode.latency_weight)
    reward -= (charge - episode.charge) * 1e-9
    episode.charge = charge

    note_valid(tables, episode)
    over = (call.fate == _SUBMIT) | (n + 1 == tables.rules[0].max_steps) | (episode.workers == 0)
    if over:
        end_episode(episode, steps)
        reward += episode.quality
    return reward
