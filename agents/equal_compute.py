"""Equal compute: what the best trained agent spends, spent without looking.

It plays the best mixture of query-blind ways to spend that much: nothing at all, or k samples of
one worker and a vote. Each way has a mean cost and a mean quality on the dev split; of all mixtures
whose expected cost is the trained agent's, the one with the highest expected quality lies on the
upper concave hull of these points and mixes two neighbours. A hash of the query says which.
"""

from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.reading import domain, last_subtask, may, steps_taken
from conductor_gym.agents.shadow import best_trained, hashed, nearest_weight, play_dev
from conductor_gym.agents.single import best_levels, slot_of
from conductor_gym.agents.training import TrainingRun, read_card
from conductor_gym.reward import COST_WEIGHTS
from conductor_gym.types import Subtask

MOST_SAMPLES = 5

Integers = npt.NDArray[np.int64]


class Way(NamedTuple):
    """A query-blind way to spend.

    Attributes:
        worker: Slot.
        samples: How many calls of it; 0 submits nothing.
    """

    worker: int
    samples: int


class Measured(NamedTuple):
    """What a way came to on the dev split.

    Attributes:
        way: It.
        cost_usd: Mean of an episode.
        quality: Mean, in [0, 1].
    """

    way: Way
    cost_usd: float
    quality: float


class Mixture(NamedTuple):
    """Two ways, the second of which is played with probability `share`."""

    low: Measured
    high: Measured
    share: float

    @property
    def cost_usd(self) -> float:
        """Expected, of an episode."""
        return self.low.cost_usd + self.share * (self.high.cost_usd - self.low.cost_usd)

    @property
    def quality(self) -> float:
        """Expected, in [0, 1]."""
        return self.low.quality + self.share * (self.high.quality - self.low.quality)


def best_mixture(ways: list[Measured], cost_usd: float) -> Mixture:
    """The mixture with the highest expected quality at an expected cost.

    Beyond the dearest way of all, that one.

    Args:
        ways: What there is to mix, the free one among them.
        cost_usd: Expected cost of the mixture.
    """
    hull: list[Measured] = []
    for way in sorted(ways, key=lambda way: (way.cost_usd, way.quality)):
        while hull and (hull[-1].cost_usd == way.cost_usd or _below(hull, way)):
            hull.pop()
        hull.append(way)
    above = next((i for i, way in enumerate(hull) if way.cost_usd >= cost_usd), len(hull) - 1)
    low, high = hull[max(above - 1, 0)], hull[above]
    width = high.cost_usd - low.cost_usd
    share = min(1.0, (cost_usd - low.cost_usd) / width) if width > 0.0 else 1.0
    return Mixture(low, high, share)


class Sampling:
    """Some samples of one worker for each row, then a vote where there is one to hold.

    Args:
        setting: What the agent is built for.
    """

    def __init__(self, setting: Setting) -> None:
        self._levels = best_levels(setting)

    def choose(self, observation: Observations, worker: Integers, samples: Integers) -> Actions:
        """The next action of each row.

        Args:
            observation: Batched observations.
            worker: int64 [n], slots.
            samples: int64 [n].
        """
        taken = steps_taken(observation)
        table = actions(len(taken), Subtask.SUBMIT)
        affordable = observation["action_mask"][np.arange(len(taken)), worker] == 1
        asks = (taken < samples) & affordable & (last_subtask(observation) != Subtask.VOTE)
        votes = ~asks & (samples > 1) & may(observation, Subtask.VOTE)
        votes &= last_subtask(observation) != Subtask.VOTE
        rows = np.flatnonzero(asks)
        levels = self._levels[worker[rows], domain(observation)[rows]]
        table[rows] = actions(len(rows), Subtask.SOLVE, worker[rows], levels)
        table[votes, 1] = Subtask.VOTE
        return table


class OneWay(Sampling):
    """The same way for every query.

    Args:
        setting: What the agent is built for.
        way: It.
    """

    def __init__(self, setting: Setting, way: Way) -> None:
        super().__init__(setting)
        self._way = way

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        n = len(observation["budget"])
        return self.choose(observation, *(np.full(n, number, np.int64) for number in self._way))


class EqualCompute(Sampling):
    """The best query-blind mixture at the mean cost of the best trained agent.

    Args:
        setting: What the agent is built for.
        model: Folder with `card.json`.

    Raises:
        DataFileError: Files that are missing or broken.
        ConfigError: A mixture for another pool, suite or observation size.
    """

    def __init__(self, setting: Setting, model: Path) -> None:
        super().__init__(setting)
        self.card = read_card("equal-compute", setting, model)
        mixed = self.card["mixtures"][nearest_weight(setting)]
        names = [mixed[end]["worker"] for end in ("low", "high")]
        self._worker = np.array([slot_of(setting, name) for name in names])
        self._samples = np.array([mixed[end]["samples"] for end in ("low", "high")])
        self._share = float(mixed["share"])
        self._seed = setting.seed

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        high = (hashed(observation, ("query",), self._seed) < self._share).astype(np.int64)
        return self.choose(observation, self._worker[high], self._samples[high])


def train_equal_compute(run: TrainingRun) -> dict[str, Any]:
    """Measure what the best trained agents spend and what blind spending buys.

    Returns:
        The card.

    Raises:
        ConfigError: No trained agent is found.
    """
    best = best_trained(run)
    mixtures: list[dict[str, Any]] = []
    measured: dict[bytes, list[Measured]] = {}
    for weight, played in zip(COST_WEIGHTS, best, strict=True):
        setting = replace(run.setting, cost_weight=weight)
        levels = best_levels(setting).tobytes()
        if levels not in measured:
            measured[levels] = _measure(setting)
        mixture = best_mixture(measured[levels], played.cost_usd)
        mixtures.append(
            {
                "cost_weight": weight,
                "agent": played.agent,
                "agent_utility": round(played.utility, 6),
                "agent_cost_usd": played.cost_usd,
                "cost_usd": mixture.cost_usd,
                "quality": mixture.quality,
                "share": mixture.share,
                "low": _told(mixture.low, setting),
                "high": _told(mixture.high, setting),
            }
        )
    return run.finish({}, sum(played.steps for played in best), {}, mixtures=mixtures)


def _measure(setting: Setting) -> list[Measured]:
    """Every way on the dev split."""
    most = MOST_SAMPLES if Subtask.VOTE in setting.subtasks else 1
    ways = [Way(0, 0)]
    ways += [Way(w, k) for w in range(len(setting.workers)) for k in range(1, most + 1)]
    found: list[Measured] = []
    for way in ways:
        played = play_dev(f"{way}", OneWay(setting, way), setting)
        found.append(Measured(way, played.cost_usd, played.quality))
    return found


def _below(hull: list[Measured], way: Measured) -> bool:
    """Whether the last point of a hull lies on or below the line from the last but one to `way`."""
    if len(hull) < 2:
        return False
    a, b = hull[-2:]
    rise = (b.quality - a.quality) * (way.cost_usd - a.cost_usd)
    return rise <= (way.quality - a.quality) * (b.cost_usd - a.cost_usd)


def _told(measured: Measured, setting: Setting) -> dict[str, Any]:
    way = measured.way
    return {
        "worker": setting.workers[way.worker],
        "samples": way.samples,
        "cost_usd": measured.cost_usd,
        "quality": measured.quality,
    }
