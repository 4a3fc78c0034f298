"""What all routers share: predict the utility of every single call, make the best one, submit.

A router is fitted on the train split's single calls at the cost weight it will be scored at. Where
it has a setting of its own (how many neighbours, how many clusters), the one with the highest
utility on the dev split is taken. Where no call seems to be worth anything, it submits nothing.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.experience import SingleCalls, collect_single_calls
from conductor_gym.agents.reading import steps_taken
from conductor_gym.errors import MissingExtraError
from conductor_gym.reward import utility
from conductor_gym.types import Subtask

Floats = npt.NDArray[np.float64]


def scikit_learn(module: str) -> Any:
    """A module of scikit-learn, which has no types.

    Args:
        module: Its name below `sklearn`.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """
    try:
        return import_module(f"sklearn.{module}")
    except ModuleNotFoundError:
        raise MissingExtraError("this router", "routers") from None


class Router(ABC):
    """Chooses worker and context level of one call from the query's observed features.

    Args:
        setting: What the agent is built for.

    Attributes:
        chosen: The setting that was best on the dev split, None where there is none to choose.

    Raises:
        MissingExtraError: scikit-learn is not installed.
    """

    candidates: Sequence[Any] = (None,)

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        train = collect_single_calls(setting.train)
        self.chosen: Any = self.candidates[0]
        if len(self.candidates) > 1:
            self.chosen = max(self.candidates, key=self._on_dev(train).__getitem__)
        self.fit(train, self.chosen)

    @abstractmethod
    def fit(self, calls: SingleCalls, candidate: Any) -> None:
        """Learn from single calls.

        Args:
            calls: Of the train split.
            candidate: The router's own setting.
        """

    @abstractmethod
    def predict(self, features: npt.NDArray[np.float32]) -> Floats:
        """Predicted utility, float64 [n, workers, levels].

        Args:
            features: float32 [n, 56], observed queries.
        """

    def gains(self, calls: SingleCalls) -> Floats:
        """Utility of each call at the cost weight, float64 [queries, workers, levels]."""
        return utility(calls.quality, calls.cost_usd, 0.0, self.setting.cost_weight)

    def choose(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """Worker and level of each query, int64 [n, 2]; -1 where no call seems worth it."""
        # Rounded: the last bits depend on how many queries are asked about at once.
        predicted = np.round(self.predict(features), 9)
        flat = predicted.reshape(len(features), -1)
        worker, level = np.divmod(flat.argmax(axis=1), predicted.shape[2])
        worth = flat.max(axis=1) > 0.0
        return np.stack([np.where(worth, worker, -1), np.where(worth, level, -1)], axis=1)

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        table = actions(len(observation["budget"]), Subtask.SUBMIT)
        first = np.flatnonzero(steps_taken(observation) == 0)
        if len(first):
            pair = self.choose(observation["query"][first])
            asked = pair[:, 0] >= 0
            rows = first[asked]
            table[rows] = actions(len(rows), Subtask.SOLVE, pair[asked, 0], pair[asked, 1])
        return table

    def _on_dev(self, train: SingleCalls) -> dict[Any, float]:
        """Mean utility on the dev split by candidate."""
        dev = collect_single_calls(replace(self.setting.train, split="dev"))
        gains, rows = self.gains(dev), np.arange(len(dev.features))
        found: dict[Any, float] = {}
        for candidate in self.candidates:
            self.fit(train, candidate)
            worker, level = self.choose(dev.features).T
            got = np.where(worker >= 0, gains[rows, worker, level], 0.0)
            found[candidate] = float(got.mean())
        return found
