"""Recording live workers: scripts of actions played on queries, every call in the journal.

A script is an episode of stream 0, in the pass in which its query comes first. So every call is the
one that an agent would make which is in that state: same prompt, same attempt, same key. What
scripts have in common is asked once.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np

from conductor_gym.config import MAX_BUDGET_USD, EnvConfig
from conductor_gym.live.engine import LiveEngine, Slots
from conductor_gym.live.scripts import ALONE, CallName, Script, distinct_calls, in_rounds
from conductor_gym.tasks.suite import Split
from conductor_gym.tasks.task import Task
from conductor_gym.traces.first_pass import first_pass
from conductor_gym.types import CONTEXT_LEVELS, MAX_STEPS, MAX_WORKERS, Rule, Subtask
from conductor_gym.workers.pool import load_pool
from conductor_gym.world import World

STREAM = 0


class Job(NamedTuple):
    """A script to play on a query.

    Attributes:
        query: Row of the split.
        script: What is done.
    """

    query: int
    script: Script


class Estimate(NamedTuple):
    """What jobs may come to.

    Attributes:
        calls: At most, those that the journal holds already included.
        cost: nano-USD if each of them is as dear as it can be: every output as long as the pool's
            cap, contexts full, tokens of a prompt counted as the suite counts them.
    """

    calls: int
    cost: int


def recording_config(pool: str, suite: str, split: str, scripts: Sequence[Script]) -> EnvConfig:
    """An environment in which neither money nor steps end a script early.

    Args:
        pool: Live pool.
        suite: Suite with text.
        split: Its split.
        scripts: What is played.
    """
    return EnvConfig(
        pool=pool,
        suite=suite,
        split=split,
        cost_weight=0.0,
        budget_usd=MAX_BUDGET_USD,
        max_steps=max(MAX_STEPS, *map(len, scripts)),
        max_workers=max(MAX_WORKERS, len(load_pool(pool).workers)),
        backend="live",
    )


def jobs_of(data: Split, queries: Sequence[int], scripts: Sequence[Script]) -> list[Job]:
    """Scripts on queries, in an order in which few wait for each other's calls.

    On a task of parts or with documents, only scripts of solves that see nothing else are played.

    Args:
        data: The split.
        queries: Rows of it.
        scripts: To play on each.
    """
    return [
        Job(query, script)
        for together in in_rounds(scripts)
        for query in queries
        for script in together
        if _fits(data.tasks[query], script)
    ]


def estimate(world: World, jobs: Sequence[Job]) -> Estimate:
    """Calls and cost of jobs, before they are played."""
    scripts: dict[int, list[Script]] = {}
    for query, script in jobs:
        scripts.setdefault(query, []).append(script)
    names: dict[tuple[Script, ...], set[CallName]] = {}
    calls = cost = 0
    for query, given in scripts.items():
        same = tuple(given)
        if same not in names:
            names[same] = distinct_calls(given)
        calls += len(names[same])
        cost += sum(_dearest(world, query, call) for call in names[same])
    return Estimate(calls, cost)


def record(
    engine: LiveEngine, jobs: Sequence[Job], advance: Callable[[int], None] | None = None
) -> None:
    """Play jobs, as many at a time as the engine has slots. Again with the same journal: go on.

    A script ends early at an action that is not valid, such as a check where no answer came.

    Args:
        engine: Of a `recording_config`.
        jobs: To play.
        advance: Called with the number of jobs that were finished.

    Raises:
        ConductorError: A call that no attempt can make. Calls under way were waited for and stand
            in the journal.
    """
    indices = first_pass(engine)
    observation = engine.new_observation()
    actions = np.zeros((engine.n, 3), np.int64)
    left: dict[int, Iterator[tuple[int, int, int]]] = {}
    todo = iter(jobs)

    def started(slots: Sequence[int]) -> list[int]:
        """Those of some slots that have a next job, which is started."""
        given = list(zip(slots, todo, strict=False))
        filled = np.array([slot for slot, _ in given], np.int64)
        first = np.array([indices[job.query] for _, job in given], np.int64)
        engine.start(filled, np.full(len(given), STREAM), first, observation)
        left.update((slot, iter(job.script)) for slot, job in given)
        return filled.tolist()

    def begun(slots: Sequence[int]) -> list[int]:
        """Those of some slots whose script is over; the others' next calls are begun."""
        over: list[int] = []
        moving: list[int] = []
        for slot in slots:
            action = next(left[slot], None)
            if action is None:
                del left[slot]
                over.append(slot)
            else:
                actions[slot] = action
                moving.append(slot)
        engine.begin(np.array(moving, np.int64), actions)
        return over

    begun(started(range(engine.n)))
    try:
        while left:
            back: Slots = engine.ready()
            results = engine.finish(back, observation)[back]
            stopped = (results["rule"] != Rule.NONE) | results["over"]
            for slot in back[stopped].tolist():
                left[slot] = iter(())
            over = begun(back.tolist())
            if advance is not None and over:
                advance(len(over))
            begun(started(over))
    except BaseException:
        engine.settle()
        raise


def _fits(task: Task, script: Script) -> bool:
    if not task.parts and task.documents is None:
        return True
    return all((subtask, level) == (Subtask.SOLVE, ALONE) for _, subtask, level in script)


def _dearest(world: World, query: int, call: CallName) -> int:
    """nano-USD of a call that is as long as it can be."""
    rules, worker = world.tables.rules[0], world.tables.workers[call.worker]
    cap = int(rules["output_cap"])
    tokens = int(rules["overhead"]) + int(world.data.queries["tokens"][query])
    tokens += min(CONTEXT_LEVELS[call.level], cap * len(call.seen))
    tokens += cap if call.target is not None else 0
    return (tokens * int(worker["price_in"]) + cap * int(worker["price_out"]) + 500) // 1000
