"""Which episodes are rolled out next: tasks on which rollouts differ come more often.

A group whose rollouts all earn the same teaches nothing. Each task of the train split has a score,
how far apart outcomes on it were: at first those of the workers' first calls (single calls on train
are everybody's to learn from), later those of its groups. A share of the groups is drawn by it.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.world import make_world

_DRAW = 0x64726177
"""Tells this draw from other draws."""
_LEAST = 0.02
"""Score of a task below which no task falls, so that none is forgotten."""


class Place(NamedTuple):
    """Where an episode is: its stream and index, and its task's row of the split."""

    stream: int
    episode: int
    query: int


class EpisodeDraw:
    """Draws one episode a group; what is drawn depends on seed, group and scores alone.

    Args:
        config: The environment.
        first_stream: Of the training seed; group g is played in stream `first_stream + 1 + g`, so
            that its luck is its own.
        seed: Of the draws.
        contested: Share of the groups that are drawn by score.

    Attributes:
        scores: float64 [queries], in the order of the split.
    """

    def __init__(self, config: EnvConfig, first_stream: int, seed: int, contested: float) -> None:
        world = make_world(config)
        self._engine = Engine(config, len(world.data.uids), world)
        self._observation = self._engine.new_observation()
        self._first, self._seed, self._share = first_stream, seed, contested
        queries = self._play(first_stream)
        self.scores = np.full(self._engine.n, _LEAST)
        if contested and not world.told:
            solves = self._engine.first_solves(np.arange(self._engine.n, dtype=np.int64))
            self.scores[queries] += solves.quality.std(axis=1)

    def place(self, group: int) -> Place:
        """The episode of a group.

        Args:
            group: Its number since the beginning of training.
        """
        draws = np.random.default_rng([_DRAW, self._seed, group])
        by_score = draws.random() < self._share
        chances = self.scores / self.scores.sum() if by_score else None
        query = int(draws.choice(len(self.scores), p=chances))
        stream = self._first + 1 + group
        index = int(np.flatnonzero(self._play(stream) == query)[0])
        return Place(stream, index, query)

    def learn(self, earned: Iterable[tuple[int, Sequence[float]]]) -> None:
        """Take in what groups earned: pairs of a query and its rollouts' rewards."""
        for query, rewards in earned:
            spread = float(np.std(np.asarray(rewards, np.float64)))
            self.scores[query] = 0.5 * self.scores[query] + 0.5 * (spread + _LEAST)

    def _play(self, stream: int) -> npt.NDArray[np.int64]:
        """Queries of the first pass of a stream, by index."""
        every = np.arange(self._engine.n, dtype=np.int64)
        self._engine.start(every, np.full(len(every), stream), every, self._observation)
        return self._engine.episodes["query"].copy()
