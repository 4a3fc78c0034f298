"""Playing the paper's multi-call methods in every case, and estimating accuracies from the plays.

The method's agent, built at mid and cost weight 0, plays the train split's queries under several
keys; every case and every method meet the same luck. Published accuracies are known exactly, so
each worker's first call, realized and expected over attempt luck, serves as a control variate: an
accuracy is the intercept of a regression on their deviations from what is published. A case that
moves one group is estimated as its difference to mid on the first of the keys. Standard errors are
clustered by query, since keys share the queries' public part.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Agent
from conductor_gym.agents.registry import make_agent
from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.leaderboard.assumed_cases import (
    CLAIRVOYANT,
    CONSENSUS,
    GROWING,
    INFORMED,
    MID,
    MIXTURE,
    ONE_AT_A_TIME,
    REFLECTION,
    TOGETHER,
    VOTING,
    Case,
    pool_in,
)
from conductor_gym.leaderboard.tracks import Track
from conductor_gym.workers.tables import simulated_tables
from conductor_gym.world import World, make_world, suite_tables

AGENT_OF = {
    VOTING: "plurality",
    MIXTURE: "moa",
    CONSENSUS: "self-consistency",
    REFLECTION: "self-reflection",
    GROWING: "growing-context",
}
ONE_WORKER = {
    VOTING: False,
    MIXTURE: False,
    CONSENSUS: True,
    REFLECTION: True,
    GROWING: True,
}
"""Predicted methods, and whether each is of one worker."""
BUDGET_USD = 10.0
"""The paper states no budget: the most an episode may have."""
SHARE_MOVED = 4
"""Cases that move one group are played under this fraction of the keys."""
BATCH = 2000

Floats = npt.NDArray[np.float64]
Method = tuple[str, str | None]
"""Name, and the worker where it is of one."""


class Accuracy(NamedTuple):
    """An estimate and its standard error, both as shares."""

    value: float
    error: float


@dataclass(frozen=True)
class Plays:
    """What one case came to; row i of every array is the same query, key and luck in each case.

    Attributes:
        first: Scores of each worker's first call, [rows, workers].
        expected: The same, expected over the attempt's luck.
        domain: int64 [rows].
        query: int64 [rows], row of the split.
        scores: Score of each method that was played, [rows].
    """

    first: Floats
    expected: Floats
    domain: npt.NDArray[np.int64]
    query: npt.NDArray[np.int64]
    scores: dict[Method, Floats]


@dataclass(frozen=True)
class Runs:
    """All estimates of one regime.

    Attributes:
        world: At mid.
        accuracy: By method, benchmark and name of the case; a case that cannot touch a method is
            left out. `informed` and `clairvoyant` are there too.
        first: Accuracy of each worker's first call as simulated, by worker and benchmark, without
            control variates: a check of the inputs.
    """

    world: World
    accuracy: dict[Method, dict[str, dict[str, Accuracy]]]
    first: dict[str, dict[str, Accuracy]]


def intercept(y: Floats, features: Floats, query: npt.NDArray[np.int64]) -> Accuracy:
    """Mean of `y` where all features are 0, with its standard error clustered by query.

    Args:
        y: float64 [rows].
        features: float64 [rows, k], deviations from known means.
        query: int64 [rows].
    """
    design = np.column_stack([np.ones(len(y)), features])
    weights = np.linalg.pinv(design)
    coefficients = weights @ y
    clusters = np.bincount(query, weights[0] * (y - design @ coefficients))
    spare = max(1, len(y) - np.linalg.matrix_rank(design))
    error = np.sqrt(np.sum(clusters**2) * len(y) / spare)
    return Accuracy(float(coefficients[0]), float(error))


class Player:
    """Plays the methods of one regime, case after case.

    Args:
        track: The regime's track.
        queries: Episodes under each key.
        advance: Called with the number of episodes played.
    """

    def __init__(self, track: Track, queries: int, advance: Callable[[int], None]) -> None:
        self._queries, self._advance = queries, advance
        setting = track.setting(0.0)
        self._config = replace(track.training(), cost_weight=0.0, budget_usd=BUDGET_USD)
        self.world = make_world(self._config)
        self._agents: dict[Method, Agent] = {}
        for method, agent in AGENT_OF.items():
            if ONE_WORKER[method]:
                for worker in setting.workers:
                    self._agents[method, worker] = make_agent(f"{agent}:{worker}", setting)
            else:
                self._agents[method, None] = make_agent(agent, setting)

    def methods(self, case: Case) -> list[Method]:
        """Methods that are played in a case."""
        return [method for method in self._agents if case.touches(method[0])]

    def play(self, case: Case, keys: int, methods: list[Method] | None = None) -> Plays:
        """Play a case under keys 0..keys - 1.

        Args:
            case: The case.
            keys: How many.
            methods: Those to play; the ones that the case touches where None.
        """
        chosen = self.methods(case) if methods is None else methods
        pool = pool_in(self.world.pool, case)
        simulated = simulated_tables(pool, suite_tables(self.world.data), "mid")
        parts: list[Plays] = []
        for key in range(keys):
            config = replace(self._config, key=f"paper-predictions-{key}")
            world = replace(make_world(config), pool=pool, simulated=simulated)
            for first in range(0, self._queries, BATCH):
                indices = np.arange(first, min(first + BATCH, self._queries), dtype=np.int64)
                parts.append(self._play_batch(world, config, indices, chosen))
        scores = {m: np.concatenate([part.scores[m] for part in parts]) for m in parts[0].scores}
        return Plays(
            np.concatenate([part.first for part in parts]),
            np.concatenate([part.expected for part in parts]),
            np.concatenate([part.domain for part in parts]),
            np.concatenate([part.query for part in parts]),
            scores,
        )

    def _play_batch(
        self, world: World, config: EnvConfig, indices: npt.NDArray[np.int64], methods: list[Method]
    ) -> Plays:
        engine = Engine(config, len(indices), world)
        observation = engine.new_observation()
        slots = np.arange(engine.n, dtype=np.int64)
        engine.start(slots, np.zeros_like(slots), indices, observation)
        first = engine.first_solves(slots).quality
        expected = engine.expected_solves(slots).quality
        query = engine.episodes["query"].copy()
        # With no cost the two references are these maxima; nothing need be played.
        scores: dict[Method, Floats] = {
            (INFORMED, None): expected.max(axis=1),
            (CLAIRVOYANT, None): first.max(axis=1),
        }
        for method in methods:
            engine.start(slots, np.zeros_like(slots), indices, observation)
            while (engine.episodes["over"] == 0).any():
                engine.step(self._agents[method].act(observation._asdict()), observation)
            scores[method] = engine.episodes["quality"].copy()
            self._advance(len(indices))
        return Plays(first, expected, world.tables.queries["domain"][query], query, scores)


def run_regime(track: Track, keys: int, queries: int, advance: Callable[[int], None]) -> Runs:
    """Play every case of a regime and estimate every accuracy.

    Args:
        track: The regime's track.
        keys: Keys at mid and where everything is moved at once.
        queries: Episodes under each key.
        advance: Called with the number of episodes played.
    """
    player = Player(track, queries, advance)
    world = player.world
    workers, domains = world.pool.worker_names, world.data.domains
    table = world.pool.accuracy.values if world.pool.accuracy else {}
    published = np.array([[table[worker][domain] for worker in workers] for domain in domains])

    mid = player.play(MID, keys)
    accuracy: dict[Method, dict[str, dict[str, Accuracy]]] = {
        method: {domain: {} for domain in domains} for method in mid.scores
    }

    def features(plays: Plays, rows: npt.NDArray[np.int64], d: int, worker: str | None) -> Floats:
        columns = slice(None) if worker is None else [workers.index(worker)]
        known = published[d, columns]
        return np.hstack([plays.first[rows][:, columns], plays.expected[rows][:, columns]]) - (
            np.tile(known, 2)
        )

    for case in (MID, *TOGETHER, *ONE_AT_A_TIME):
        alone = case in ONE_AT_A_TIME
        used = max(1, keys // SHARE_MOVED) if alone else keys
        plays = mid if case is MID else player.play(case, used)
        for method, by_domain in accuracy.items():
            if not case.touches(method[0]):
                continue
            for d, domain in enumerate(domains):
                rows = np.flatnonzero(plays.domain == d)
                y, x = plays.scores[method][rows], features(plays, rows, d, method[1])
                if alone:
                    y = y - mid.scores[method][rows]
                    x = np.hstack([x, features(mid, rows, d, method[1])])
                found = intercept(y, x, plays.query[rows])
                if alone:
                    base = by_domain[domain][MID.name]
                    error = float(np.hypot(base.error, found.error))
                    found = Accuracy(base.value + found.value, error)
                value = min(1.0, max(0.0, found.value))
                by_domain[domain][case.name] = Accuracy(value, found.error)

    first: dict[str, dict[str, Accuracy]] = {}
    for w, worker in enumerate(workers):
        first[worker] = {}
        for d, domain in enumerate(domains):
            rows = np.flatnonzero(mid.domain == d)
            nothing = np.empty((len(rows), 0))
            first[worker][domain] = intercept(mid.first[rows, w], nothing, mid.query[rows])
    return Runs(world, accuracy, first)


def episodes_needed(workers: int, keys: int, queries: int) -> int:
    """Episodes that `run_regime` plays."""
    total = 0
    for case in (MID, *TOGETHER, *ONE_AT_A_TIME):
        used = max(1, keys // SHARE_MOVED) if case in ONE_AT_A_TIME else keys
        plays = sum(workers if ONE_WORKER[m] else 1 for m in AGENT_OF if case.touches(m))
        total += plays * used * queries
    return total
