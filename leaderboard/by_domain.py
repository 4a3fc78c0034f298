"""Utility by domain, and by level where tasks have parts or documents: where agents differ."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.errors import ConductorError
from conductor_gym.leaderboard.evaluate import STREAM
from conductor_gym.leaderboard.results import utilities
from conductor_gym.leaderboard.table import Board
from conductor_gym.reward import HEADLINE_COST_WEIGHT
from conductor_gym.tasks.suite import Split
from conductor_gym.world import make_world

_SLOTS = 8192

Group = tuple[str, npt.NDArray[np.bool_]]
"""A name, and which episodes belong to it."""


@dataclass(frozen=True)
class Breakdown:
    """Utility of each agent in groups of queries.

    Attributes:
        title: What the groups are.
        groups: Their names.
        sizes: Queries of each group.
        utility: Mean utility by agent, one entry a group.
        rank: Rank by agent among those that are no references, one entry a group; ties share it.
    """

    title: str
    groups: list[str]
    sizes: list[int]
    utility: dict[str, list[float]]
    rank: dict[str, list[int]]


def breakdowns(board: Board) -> list[Breakdown]:
    """Tables by domain, and by level of multi-part and document tasks where the suite has any.

    Empty where the track's tasks are not at hand or differ from those that were played.

    Args:
        board: The board of a track.
    """
    ran = [row for row in board.rows if row.at is not None]
    if not ran:
        return []
    config = board.card.evaluation(HEADLINE_COST_WEIGHT)
    try:
        world = make_world(config)
    except ConductorError:
        return []
    if world.content_hashes() != ran[0].result.content:
        return []
    query = _queries_played(config, ran[0].result.episodes)
    return [
        Breakdown(
            title,
            [name for name, _ in groups],
            [int(of.sum()) for _, of in groups],
            *_means(board, [of for _, of in groups]),
        )
        for title, groups in (
            ("by domain", list(_by_domain(world.data, query))),
            ("by level", list(_by_level(world.data, query))),
        )
        if groups
    ]


def _queries_played(config: EnvConfig, episodes: int) -> npt.NDArray[np.int64]:
    """Row of the split that each episode of a run played, int64 [episodes]."""
    engine = Engine(config, min(_SLOTS, episodes))
    observation = engine.new_observation()
    slots = np.arange(engine.n, dtype=np.int64)
    rows: list[npt.NDArray[np.int64]] = []
    for first in range(0, episodes, engine.n):
        engine.start(slots, np.full(engine.n, STREAM), first + slots, observation)
        rows.append(engine.episodes["query"].copy())
    return np.concatenate(rows)[:episodes]


def _by_domain(data: Split, query: npt.NDArray[np.int64]) -> Iterator[Group]:
    domain = data.domain[query]
    for d, name in enumerate(data.domains):
        if (domain == d).any():
            yield name, domain == d


def _by_level(data: Split, query: npt.NDArray[np.int64]) -> Iterator[Group]:
    if not data.tasks:
        return
    level = np.array([task.level for task in data.tasks])[query]
    queries = data.queries[query]
    for kind in ("parts", "documents"):
        for value in np.unique(level[queries[kind] > 0]):
            these = (queries[kind] > 0) & (level == value)
            domains: list[int] = np.unique(data.domain[query][these]).tolist()
            names = [data.domains[d] for d in domains]
            sizes = queries[kind][these]
            smallest, largest = int(sizes.min()), int(sizes.max())
            span = f"{smallest:,}" if smallest == largest else f"{smallest:,} to {largest:,}"
            unit = kind if kind == "parts" else "tokens"
            yield f"{', '.join(names)}, level {value} ({span} {unit})", these


def _means(
    board: Board, groups: list[npt.NDArray[np.bool_]]
) -> tuple[dict[str, list[float]], dict[str, list[int]]]:
    """Mean utility and rank by agent, in the order of the board."""
    utility: dict[str, list[float]] = {}
    competing: list[str] = []
    for row in board.rows:
        if row.at is not None:
            values = utilities(row.at)
            utility[row.result.agent] = [float(values[of].mean()) for of in groups]
            if not row.result.privileged:
                competing.append(row.result.agent)
    table = np.round([utility[agent] for agent in competing], 9)
    ranks = 1 + (table[:, None, :] < table[None, :, :]).sum(axis=1)
    return utility, {agent: row.tolist() for agent, row in zip(competing, ranks, strict=True)}
