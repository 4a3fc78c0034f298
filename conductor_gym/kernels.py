"""The compiled loops over slots. Every environment and evaluation runs them, through `Engine`.

They are the only callers of `simulate_call`, `recorded_call` and `apply_outcome`.
"""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np

from conductor_gym.dynamics.call import Fate, plan_call, plan_first_solve
from conductor_gym.dynamics.jit import cached_njit, source_fingerprint
from conductor_gym.dynamics.observation import flat, forget_steps, observe, show_start, show_step
from conductor_gym.dynamics.results import tell_result
from conductor_gym.dynamics.transition import apply_outcome, start_episodes
from conductor_gym.types import (
    MISSING,
    N_LEVELS,
    N_SUBTASKS,
    CallOutcome,
    Status,
    Subtask,
)
from conductor_gym.workers.draws import make_draws, name_call
from conductor_gym.workers.margin import document_loss, standard_margin
from conductor_gym.workers.recorded import recorded_call
from conductor_gym.workers.simulated import mean_below_cap, mean_length, simulate_call

_CALL, _OK = int(Fate.CALL), int(Status.OK)
_NO_OUTCOME = CallOutcome(int(Status.OK), MISSING, MISSING, -1.0, MISSING, 0, 0, 0, 0, 0.0, 0.0)
_SOLVE = int(Subtask.SOLVE)
_N_LEVELS, _N_SUBTASKS = N_LEVELS, N_SUBTASKS


SOLVES_DTYPE = np.dtype(
    [
        ("quality", np.float64),  # of expected solves: luck below which it is right
        ("tokens", np.float64),
        ("cost", np.float64),  # nano-USD
        ("latency", np.float64),  # microseconds
        ("affordable", np.int64),
    ],
    align=True,
)


OUTCOME_DTYPE = np.dtype(
    [
        (name, np.float64 if name in ("confidence", "score", "luck") else np.int64)
        for name in CallOutcome._fields
    ],
    align=True,
)
"""One `CallOutcome` as a record."""


class Kernels(NamedTuple):
    """The compiled loops.

    Attributes:
        start: ``(tables, state, slots, streams, indices, observation, scratch)`` starts episodes.
        look: ``(tables, state, observation)`` writes the observations of all slots.
        step: ``(tables, simulated, recorded, state, actions, restart, results, observation,
            scratch)`` steps every slot whose episode is not over. Returns -1, or a slot whose
            action is outside the action space, and then nothing has moved.
        plan: ``(tables, state, slots, actions, calls)`` works out what actions in range ask for in
            these slots, none of which is over; nothing moves.
        step_told: ``(tables, state, slots, actions, outcomes, results, observation, scratch)``
            steps those of these slots whose episode is not over; what calls come back with is
            given, and actions are in range.
        first_solves: ``(tables, simulated, recorded, state, slots, level, solves, scratch)`` looks
            at what each worker's first solve of the whole would give, without making it.
        expected_solves: ``(tables, simulated, state, slots, level, solves, scratch)`` looks at
            what that solve would give on average over the attempt's luck.
    """

    start: Callable[..., None]
    look: Callable[..., None]
    step: Callable[..., int]
    plan: Callable[..., None]
    step_told: Callable[..., None]
    first_solves: Callable[..., None]
    expected_solves: Callable[..., None]


@cache
def kernels() -> Kernels:
    """Compile the loops, or load them from numba's cache on disk."""
    fingerprint = source_fingerprint()

    @cached_njit
    def start(
        tables: Any,
        state: Any,
        slots: Any,
        streams: Any,
        indices: Any,
        observation: Any,
        scratch: Any,
    ) -> None:
        _ = fingerprint
        rows = flat(observation)
        starts = scratch.starts
        lanes = starts.shape[1]
        for first in range(0, slots.shape[0], lanes):
            count = min(lanes, slots.shape[0] - first)
            for i in range(count):
                starts[0, i] = slots[first + i]
                starts[1, i] = streams[first + i]
                starts[2, i] = indices[first + i]
                forget_steps(state, slots[first + i])
            start_episodes(tables, state.episodes, scratch, count)
            for i in range(count):
                show_start(tables, state, starts[0, i])
                observe(tables, state, starts[0, i], rows)

    @cached_njit
    def look(tables: Any, state: Any, observation: Any) -> None:
        _ = fingerprint
        rows = flat(observation)
        for slot in range(state.episodes.shape[0]):
            observe(tables, state, slot, rows)

    @cached_njit
    def step(
        tables: Any,
        simulated: Any,
        recorded: Any,
        state: Any,
        actions: Any,
        restart: Any,
        results: Any,
        observation: Any,
        scratch: Any,
    ) -> int:
        _ = fingerprint
        episodes = state.episodes
        slots = tables.rules[0].max_workers
        for slot in range(episodes.shape[0]):
            worker, subtask, level = actions[slot]
            inside = (worker >= 0) & (worker < slots) & (subtask >= 0) & (subtask < _N_SUBTASKS)
            inside &= (level >= 0) & (level < _N_LEVELS)
            inside |= (worker == MISSING) & (subtask == MISSING) & (level == MISSING)
            if not inside and episodes[slot].over == 0:
                return slot
        rows = flat(observation)
        from_table = tables.rules[0].recorded == 1
        lanes = scratch.calls.shape[0]
        for first in range(0, episodes.shape[0], lanes):
            count = min(lanes, episodes.shape[0] - first)
            starting = 0
            for i in range(count):
                slot = first + i
                episode, call = episodes[slot], scratch.calls[i]
                if episode.over == 0:
                    worker, subtask, level = actions[slot]
                    plan_call(tables, episode, state.steps[slot], worker, subtask, level, call)
                    if call.fate == _CALL and not from_table:
                        name_call(scratch, i, episode, simulated.traits[call.worker].uid, call)
                elif restart:
                    scratch.starts[0, starting] = slot
                    scratch.starts[1, starting] = episode.stream
                    scratch.starts[2, starting] = episode.index + 1
                    forget_steps(state, slot)
                    starting += 1
            if not from_table:
                make_draws(scratch, count)
            for i in range(count):
                slot = first + i
                episode, call, result = episodes[slot], scratch.calls[i], results[slot]
                result.reward = 0.0
                if episode.over == 0:
                    steps = state.steps[slot]
                    outcome = _NO_OUTCOME
                    if call.fate == _CALL:
                        if from_table:
                            outcome = recorded_call(recorded, tables, episode, call)
                        else:
                            outcome = simulate_call(
                                simulated, tables, episode, steps, call, scratch, i
                            )
                    result.reward = apply_outcome(tables, episode, steps, call, outcome)
                    show_step(tables, state, slot)
            start_episodes(tables, episodes, scratch, starting)
            for i in range(starting):
                show_start(tables, state, scratch.starts[0, i])
            for i in range(count):
                observe(tables, state, first + i, rows)
                tell_result(episodes[first + i], state.steps[first + i], results[first + i])
        return -1

    @cached_njit
    def plan(tables: Any, state: Any, slots: Any, actions: Any, calls: Any) -> None:
        _ = fingerprint
        for i in range(slots.shape[0]):
            slot = slots[i]
            worker, subtask, level = actions[slot]
            episode, steps = state.episodes[slot], state.steps[slot]
            plan_call(tables, episode, steps, worker, subtask, level, calls[slot])

    @cached_njit
    def step_told(
        tables: Any,
        state: Any,
        slots: Any,
        actions: Any,
        outcomes: Any,
        results: Any,
        observation: Any,
        scratch: Any,
    ) -> None:
        _ = fingerprint
        rows, call = flat(observation), scratch.calls[0]
        for i in range(slots.shape[0]):
            slot = slots[i]
            episode, steps, result = state.episodes[slot], state.steps[slot], results[slot]
            result.reward = 0.0
            if episode.over == 0:
                worker, subtask, level = actions[slot]
                plan_call(tables, episode, steps, worker, subtask, level, call)
                outcome = _NO_OUTCOME
                if call.fate == _CALL:
                    told = outcomes[slot]
                    outcome = CallOutcome(
                        told.status,
                        call.part if told.status == _OK else MISSING,
                        told.answer,
                        told.confidence,
                        told.verdict,
                        told.tokens_in,
                        told.tokens_out,
                        told.cost,
                        told.latency,
                        told.score,
                        told.luck,
                    )
                result.reward = apply_outcome(tables, episode, steps, call, outcome)
                show_step(tables, state, slot)
            observe(tables, state, slot, rows)
            tell_result(episode, steps, result)

    @cached_njit
    def first_solves(
        tables: Any,
        simulated: Any,
        recorded: Any,
        state: Any,
        slots: Any,
        level: int,
        solves: Any,
        scratch: Any,
    ) -> None:
        _ = fingerprint
        from_table = tables.rules[0].recorded == 1
        workers = tables.workers.shape[0]
        for i in range(slots.shape[0]):
            episode = state.episodes[slots[i]]
            steps = state.steps[slots[i]]
            for w in range(workers):
                call = scratch.calls[w]
                plan_first_solve(tables, episode, w, level, call)
                if not from_table:
                    name_call(scratch, w, episode, simulated.traits[w].uid, call)
            make_draws(scratch, workers)
            for w in range(workers):
                call = scratch.calls[w]
                if from_table:
                    outcome = recorded_call(recorded, tables, episode, call)
                else:
                    outcome = simulate_call(simulated, tables, episode, steps, call, scratch, w)
                row = solves[i, w]
                row.quality = outcome.score
                row.tokens = outcome.tokens_out
                row.cost = outcome.cost
                row.latency = outcome.latency
                row.affordable = int(call.fate == _CALL)

    @cached_njit
    def expected_solves(
        tables: Any,
        simulated: Any,
        state: Any,
        slots: Any,
        level: int,
        solves: Any,
        scratch: Any,
    ) -> None:
        _ = fingerprint
        call = scratch.calls[0]
        for i in range(slots.shape[0]):
            episode = state.episodes[slots[i]]
            for w in range(tables.workers.shape[0]):
                worker, traits = tables.workers[w], simulated.traits[w]
                plan_first_solve(tables, episode, w, level, call)
                row = solves[i, w]
                row.affordable = int(call.fate == _CALL)
                row.quality = -np.inf
                row.tokens = 0.0
                row.cost = 0.0
                row.latency = traits.first_token
                if call.tokens_in > worker.window:
                    continue
                mean = mean_length(simulated, tables, episode.query, MISSING, w, _SOLVE)
                length = mean_below_cap(simulated, tables, mean)
                lost = document_loss(simulated, call.shown, call.evidence)
                row.quality = standard_margin(simulated, tables, episode, w, -lost)
                row.tokens = length
                row.cost = (call.tokens_in * worker.price_in + length * worker.price_out) / 1000
                row.latency += traits.per_token * length

    return Kernels(start, look, step, plan, step_told, first_solves, expected_solves)
