"""Workflows for tests: settings, runners, and workflows of any shape."""

from functools import cache
from typing import Any

import numpy as np
from hypothesis import strategies as st

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.language.lines import FREE, Line
from conductor_gym.language.offer import MAX_WORKFLOW_STEPS, Offer
from conductor_gym.language.options import LanguageOptions
from conductor_gym.language.workflow import Workflow
from conductor_gym.language.workflow_run import WorkflowRunner, workflow_config
from conductor_gym.types import Subtask
from conductor_gym.world import World, make_world

OFFER = Offer(
    slots=tuple(range(8)),
    names=tuple(f"Model {i}" for i in range(8)),
    affordable=tuple(range(8)),
    subtasks=frozenset(Subtask),
    levels=7,
    steps=MAX_WORKFLOW_STEPS,
)


@cache
def world_of(**settings: Any) -> World:
    return make_world(EnvConfig(**settings))


def runner_of(n: int = 1, rounds: int = 1, **settings: Any) -> WorkflowRunner:
    """A runner whose engine is fresh and whose world is shared."""
    options = LanguageOptions(interface="workflow", rounds=rounds)
    config = workflow_config(EnvConfig(**settings), options)
    world = world_of(**config.as_dict())
    return WorkflowRunner(Engine(config, n, world), options)


def started(runner: WorkflowRunner, stream: int = 0, first: int = 0) -> np.ndarray[Any, Any]:
    """All slots, with their episodes started at this index and those after it."""
    slots = np.arange(runner.engine.n, dtype=np.int64)
    runner.start(slots, np.full(len(slots), stream), first + slots)
    return slots


@st.composite
def workflows(
    draw: Any,
    workers: int = 8,
    levels: int = 7,
    before: int = 0,
    seen: str = "any",
    explicit: bool = False,
) -> Workflow:
    """Any workflow that `checked` takes; `seen` is "any" or "all"."""
    steps: list[Line] = []
    for i in range(draw(st.integers(1, MAX_WORKFLOW_STEPS))):
        subtask = draw(st.sampled_from([s for s in Subtask if s != Subtask.SUBMIT]))
        earlier = range(1, before + i + 1)
        sees = tuple(earlier)
        if seen == "any" and earlier:
            sees = tuple(sorted(draw(st.sets(st.sampled_from(earlier)))))
        if subtask in FREE:
            steps.append(Line(subtask, sees=sees))
            continue
        level = draw(
            st.integers(0, levels - 1) if explicit else st.none() | st.integers(0, levels - 1)
        )
        words = draw(st.sampled_from(["", "Be brief.", "Think: twice."]))
        steps.append(Line(subtask, draw(st.integers(0, workers - 1)), level, sees, words))
    return Workflow(tuple(steps))
