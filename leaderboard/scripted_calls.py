"""The same scripts of actions played on every query, by simulated workers or out of a journal.

What both sides are asked is equal to the call, so that one set of estimators reads both.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.dynamics.state import STEP_DTYPE, Records
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError, NotRecordedError
from conductor_gym.leaderboard.free_world import free_world
from conductor_gym.live.engine import LiveEngine
from conductor_gym.live.scripts import Script
from conductor_gym.tasks.suite import Split
from conductor_gym.types import Assumptions, Subtask
from conductor_gym.workers.pool import Pool

SOLVE, VERIFY = int(Subtask.SOLVE), int(Subtask.VERIFY)
REVISE, AGGREGATE = int(Subtask.REVISE), int(Subtask.AGGREGATE)

CANDIDATES = 3
"""Answers that an aggregate is given."""
NOT_PLAYED = -1
"""Status of a step that was invalid, never reached, or is not in the journal."""
SIMULATED_QUERIES = 4000
"""Simulated under as many keys as reach this, so that nearly only the recorded side is noisy."""


class Played(NamedTuple):
    """What came back on every query.

    Attributes:
        domains: Names.
        domain: int64 [queries], index into `domains`.
        workers: Names in slot order.
        steps: `STEP_DTYPE` [queries, length] by script, status `NOT_PLAYED` where nothing came.
    """

    domains: tuple[str, ...]
    domain: npt.NDArray[np.int64]
    workers: tuple[str, ...]
    steps: dict[Script, Records]


def play_simulated(
    pool: Pool,
    splits: Sequence[Split],
    scripts: Iterable[Script],
    assumptions: Assumptions = "mid",
    least: int = SIMULATED_QUERIES,
    uids: Container[str] | None = None,
) -> Played:
    """Play scripts with simulated workers, under as many keys as give `least` queries.

    Args:
        pool: A pool that can be simulated.
        splits: Of one suite.
        scripts: What is played.
        assumptions: End of the assumed parameters.
        least: Queries.
        uids: Queries that are played, None for all. Those with parts or documents never are.

    Raises:
        ConfigError: The pool cannot be simulated on these queries, or there are none.
    """
    scripts = tuple(scripts)
    size = sum(int(_kept(data, uids).sum()) for data in splits)
    if size == 0:
        raise ConfigError(
            "no query is left to play: those with parts or documents are left out, and others are "
            "not among the ones asked for."
        )
    parts: list[Played] = []
    for key in range(-(-least // size)):
        for data in splits:
            world = free_world(pool, data, "simulated", f"held-{key}", assumptions)
            engine = Engine(world.config, len(data.uids), world)
            parts.append(_play(engine, scripts, _kept(data, uids), _step_all))
    return merged(parts)


def play_recorded(
    engine: LiveEngine, scripts: Iterable[Script], uids: Container[str] | None = None
) -> Played:
    """Play scripts out of a journal; calls that it does not hold end a script on that query.

    Args:
        engine: Over the journal, with one slot for each query of its split.
        scripts: What is played.
        uids: Queries that are played, None for all. Those with parts or documents never are.
    """
    return _play(engine, tuple(scripts), _kept(engine.world.data, uids), _step_told)


def _kept(data: Split, uids: Container[str] | None) -> npt.NDArray[np.bool_]:
    rows = data.queries[: len(data.uids)]
    whole = (rows["parts"] == 0) & (rows["documents"] == 0)
    return whole & np.array([uids is None or uid in uids for uid in data.uids], np.bool_)


def merged(parts: Sequence[Played]) -> Played:
    """Plays of the same scripts by the same workers on several splits, one after the other.

    Raises:
        ConfigError: They differ in workers, domains or scripts.
    """
    first = parts[0]
    for part in parts[1:]:
        if (part.domains, part.workers) != (first.domains, first.workers):
            raise ConfigError(
                "splits of different suites, or different workers, cannot be put together: "
                f"{', '.join(first.workers)} on {', '.join(first.domains)}, and "
                f"{', '.join(part.workers)} on {', '.join(part.domains)}."
            )
    domain = np.concatenate([part.domain for part in parts])
    steps = {s: np.concatenate([part.steps[s] for part in parts]) for s in first.steps}
    return first._replace(domain=domain, steps=steps)


def _play(
    engine: Engine,
    scripts: tuple[Script, ...],
    kept: npt.NDArray[np.bool_],
    step: Callable[[Engine, npt.NDArray[np.int64], npt.NDArray[np.bool_]], None],
) -> Played:
    data, n = engine.world.data, engine.n
    slots = np.arange(n, dtype=np.int64)
    played: dict[Script, Records] = {}
    for script in scripts:
        engine.start(slots, np.zeros_like(slots), slots, engine.new_observation())
        queries = engine.episodes["query"]  # stream 0 passes every query once
        going = kept[queries]
        for action in script:
            step(engine, np.tile(np.array(action, np.int64), (n, 1)), going)
        rows = np.zeros((n, len(script)), STEP_DTYPE)
        rows[:] = engine.state.steps[:, : len(script)]
        rows["status"][np.arange(len(script)) >= engine.episodes["steps"][:, None]] = NOT_PLAYED
        rows["status"][rows["rule"] != 0] = NOT_PLAYED
        played[script] = rows[np.argsort(queries)][kept]
    return Played(data.domains, data.domain[kept], engine.world.pool.worker_names, played)


def _step_all(engine: Engine, actions: npt.NDArray[np.int64], going: npt.NDArray[np.bool_]) -> None:
    del going  # simulating the others too costs nothing
    engine.step(actions, engine.new_observation())


def _step_told(
    engine: Engine, actions: npt.NDArray[np.int64], going: npt.NDArray[np.bool_]
) -> None:
    if not isinstance(engine, LiveEngine):
        raise ConfigError("outcomes are told to a LiveEngine only.")
    observation = engine.new_observation()
    going &= engine.episodes["over"] == 0
    left = set(np.flatnonzero(going).tolist())
    engine.begin(np.flatnonzero(going), actions)
    while left:
        for slot in engine.ready().tolist():
            left.discard(slot)
            try:
                engine.finish(np.array([slot], np.int64), observation)
            except NotRecordedError:
                engine.drop([slot])
                going[slot] = False
