"""What a language model may choose from in one episode, and which numbers its workers have."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from conductor_gym.dynamics.keyed import key_from_text
from conductor_gym.dynamics.state import Records
from conductor_gym.engine import Engine
from conductor_gym.language.options import LanguageOptions
from conductor_gym.types import Subtask

MAX_WORKFLOW_STEPS = 5
"""Steps of one workflow, as in the paper (arXiv 2512.04388)."""
_ORDER = 0x6F72646572
"""Tells the draw of a worker order from other draws."""


@dataclass(frozen=True)
class Offer:
    """What can be chosen now.

    Attributes:
        slots: Worker slot by the number that is told.
        names: By that number, as told.
        affordable: Numbers of the workers of which some call is affordable.
        subtasks: Subtasks that are valid now.
        levels: Context levels that exist, from the lowest.
        steps: Steps that a workflow may have; 1 in the text interface.
        recursive: Whether a workflow may end by calling the conductor itself.
        before: Steps of earlier workflows of the episode; the next one counts on from there.
    """

    slots: tuple[int, ...]
    names: tuple[str, ...]
    affordable: tuple[int, ...]
    subtasks: frozenset[Subtask]
    levels: int
    steps: int = 1
    recursive: bool = False
    before: int = 0


def worker_order(
    key: str, stream: int, index: int, present: int, options: LanguageOptions
) -> tuple[int, ...]:
    """Worker slots in the order in which they are told: a function of key, stream and index.

    Args:
        key: Text of the environment's key.
        stream: Of the episode.
        index: Of the episode.
        present: Workers of the pool.
        options: Whether they are shuffled, and how many are offered.
    """
    slots = np.arange(present)
    if options.shuffled or options.offered is not None:
        key0, key1 = key_from_text(key)
        draw = np.random.Generator(np.random.Philox([int(key0), int(key1), stream, index, _ORDER]))
        slots = draw.permutation(slots)[: options.offered]
        if not options.shuffled:
            slots = np.sort(slots)
    return tuple(int(slot) for slot in slots)


@lru_cache(maxsize=256)
def _told_names(names: tuple[str, ...], order: tuple[int, ...], anonymous: bool) -> tuple[str, ...]:
    return tuple(f"Model {i}" if anonymous else names[slot] for i, slot in enumerate(order))


def offer_of(engine: Engine, slot: int, options: LanguageOptions, rounds: int = 0) -> Offer:
    """What can be chosen now in one slot.

    Args:
        engine: The slots.
        slot: Which of them.
        options: How it is told.
        rounds: Workflows that the episode has had, where one is a workflow.
    """
    world = engine.world
    episode: Records = engine.episodes[slot]
    names = world.pool.worker_names
    order = worker_order(
        world.config.key, int(episode["stream"]), int(episode["index"]), len(names), options
    )
    bits, valid = int(episode["subtasks"]), int(episode["workers"])
    workflow = options.interface == "workflow"
    if workflow:  # what is not valid yet may be by the time of its step
        bits = _existing(engine, int(episode["query"]))
    return Offer(
        slots=order,
        names=_told_names(names, order, options.workers == "anonymous"),
        affordable=tuple(i for i, w in enumerate(order) if (valid >> w) & 1),
        subtasks=frozenset(subtask for subtask in Subtask if (bits >> subtask) & 1),
        levels=int(world.tables.rules[0]["levels"]),
        steps=MAX_WORKFLOW_STEPS if workflow else 1,
        recursive=rounds + 1 < options.rounds,
        before=int(episode["steps"]) if workflow else 0,
    )


def _existing(engine: Engine, query: int) -> int:
    """Bits of the subtasks that exist for a query."""
    tables = engine.world.tables
    bits, row = int(tables.rules[0]["subtasks"]), tables.queries[query]
    if row["parts"] == 0:
        bits &= ~(1 << Subtask.PLAN)
    if row["documents"] == 0:
        bits &= ~(1 << Subtask.CONDENSE)
    return bits
