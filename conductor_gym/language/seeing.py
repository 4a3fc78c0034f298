"""A step that sees only some of its episode's past steps, made by the engine as any other step."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.dynamics.jit import cached_njit, source_fingerprint
from conductor_gym.dynamics.observation import show_step
from conductor_gym.dynamics.results import tell_result
from conductor_gym.dynamics.state import Observation, Records
from conductor_gym.dynamics.transition import end_episode
from conductor_gym.dynamics.visibility import hide_steps, recount
from conductor_gym.engine import Engine
from conductor_gym.types import MISSING, Subtask

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_ALL = -1
"""Bits of all steps."""


class _Loops(NamedTuple):
    hide: Callable[..., None]
    reveal: Callable[..., None]


@cache
def _loops() -> _Loops:
    fingerprint = source_fingerprint()

    @cached_njit
    def hide(tables: Any, state: Any, slots: Any, seen: Any, chosen: Any, solves: Any) -> None:
        _ = fingerprint
        for i in range(slots.shape[0]):
            slot = slots[i]
            episode, steps = state.episodes[slot], state.steps[slot]
            hide_steps(tables, episode, steps, seen[slot], chosen[slot], solves[slot])

    @cached_njit
    def reveal(tables: Any, state: Any, slots: Any, chosen: Any, results: Any) -> None:
        _ = fingerprint
        for i in range(slots.shape[0]):
            slot = slots[i]
            episode, steps, result = state.episodes[slot], state.steps[slot], results[slot]
            recount(tables, episode, steps, _ALL, chosen[slot])
            # Whether money has run out, and on which answer, is a matter of the whole episode.
            result.reward -= episode.quality
            episode.over = 0
            episode.quality = 0.0
            if episode.workers == 0:
                end_episode(episode, steps)
                result.reward += episode.quality
            show_step(tables, state, slot)
            tell_result(episode, steps, result)

    return _Loops(hide, reveal)


def step_seeing(
    engine: Engine,
    slots: Ints,
    actions: Ints,
    fitted: Flags,
    seen: Ints,
    begins: Ints,
    chosen: Ints,
    observation: Observation,
) -> Records:
    """Step some slots, each of which sees some of its past steps; all others stay as they are.

    Args:
        engine: The slots.
        slots: int64 [k], none of them over.
        actions: int64 [n, 3], calls and votes; levels are written where they are fitted.
        fitted: bool [n], where the context level is the largest with which the call fits the
            worker's window.
        seen: int64 [n], bits of the past steps that are seen.
        begins: int64 [n], microsecond at which the call begins.
        chosen: int64 [n, max_steps], the step whose answer a vote chose, written for a vote.
        observation: Arrays of all n slots, written.

    Returns:
        `RESULT_DTYPE` [n]; what is not stepped means nothing.

    Raises:
        ConductorError: As `Engine.step`. Nothing has changed.
    """
    loops, state = _loops(), engine.state
    episodes, steps = state.episodes, state.steps
    before, kept = episodes[slots].copy(), steps[slots].copy()
    solves = actions[:, 1] == Subtask.SOLVE
    loops.hide(engine.world.tables, state, slots, seen, chosen, solves)
    try:
        _fit_levels(engine, slots[fitted[slots]], actions)
        episodes["begins"][slots] = begins[slots]
        results = step_alone(engine, slots, actions, observation)
    except BaseException:
        episodes[slots], steps[slots] = before, kept
        raise
    newest = before["steps"]
    made: Records = steps[slots, newest]
    steps[slots] = kept
    steps[slots, newest] = made
    votes = np.flatnonzero((made["subtask"] == Subtask.VOTE) & (made["rule"] == 0))
    for i in votes.tolist():
        slot, part = slots[i], int(made[i]["part"])
        row: Any = episodes[slot]
        chosen[slot, newest[i]] = row["current"] if part < 0 else row["part_answers"][part]
    episodes["begins"][slots] = MISSING
    loops.reveal(engine.world.tables, state, slots, chosen, results)
    return results


def step_alone(engine: Engine, slots: Ints, actions: Ints, observation: Observation) -> Records:
    """`Engine.step` of some slots; all others stay as they are."""
    over = engine.episodes["over"]
    others = np.ones(engine.n, bool)
    others[slots] = False
    were = over[others].copy()
    over[others] = 1
    try:
        return engine.step(actions, observation)
    finally:
        over[others] = were


def _fit_levels(engine: Engine, slots: Ints, actions: Ints) -> None:
    """Give some slots the largest context level with which call and reply fit the window."""
    tables = engine.world.tables
    windows, cap = tables.workers["window"], int(tables.rules[0]["output_cap"])
    actions[slots, 2] = int(tables.rules[0]["levels"]) - 1
    while len(slots):
        calls = engine.plan(slots, actions)[slots]
        long = calls["tokens_in"] + cap > windows[actions[slots, 0]]
        slots = slots[long & (actions[slots, 2] > 0)]
        actions[slots, 2] -= 1
