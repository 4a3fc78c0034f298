"""Single workers: one isolated solve, then submit.

`single:NAME` always asks the same worker; `best-single` the one with the highest utility on the
train split at the cost weight it will be scored at; `best-by-domain` likewise, one per domain;
`best-by-size` one per domain and context level that shows all documents. Each chooses its context
level with the worker, so how much of the documents is read is fitted too. Without documents all
context levels of the first call are the same call and level 0 stands for them.
"""

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.experience import collect_single_calls
from conductor_gym.agents.reading import document_level, domain, steps_taken
from conductor_gym.errors import unknown_name
from conductor_gym.reward import utility
from conductor_gym.types import N_LEVELS, Subtask

Choice = tuple[int, int]
"""Worker slot and context level of a single call."""


def train_utility(setting: Setting) -> npt.NDArray[np.float64]:
    """Utility of each single call on the train split, float64 [queries, workers, levels]."""
    calls = collect_single_calls(setting.train)
    return utility(calls.quality, calls.cost_usd, 0.0, setting.cost_weight)


def best_choice(gains: npt.NDArray[np.float64], worker: int | None = None) -> Choice:
    """Worker and level with the highest mean utility.

    Args:
        gains: float64 [queries, workers, levels].
        worker: Its slot, where only the level is to be chosen.
    """
    means = gains.mean(axis=0)
    if worker is None:
        worker = int(means.max(axis=1).argmax())
    return worker, int(means[worker].argmax())


def best_single(setting: Setting) -> int:
    """Slot of the worker with the highest mean utility on the train split, at its best level."""
    return best_choice(train_utility(setting))[0]


def best_levels(setting: Setting) -> npt.NDArray[np.int64]:
    """Context level of each worker's best single call by domain, int64 [workers, domains].

    Domains that the train split lacks have level 0.
    """
    gains = train_utility(setting)
    domains = collect_single_calls(setting.train).domain
    levels = np.zeros((gains.shape[1], len(setting.domains)), np.int64)
    for d in np.unique(domains):
        levels[:, d] = gains[domains == d].mean(axis=0).argmax(axis=1)
    return levels


def slot_of(setting: Setting, worker: str | None) -> int:
    """Slot of a named worker, or of the best single one where none is named.

    Raises:
        UnknownNameError: The pool has no such worker.
    """
    if worker is None:
        return best_single(setting)
    if worker not in setting.workers:
        raise unknown_name("worker", worker, setting.workers)
    return setting.workers.index(worker)


class SingleWorker:
    """Asks one worker once, at the context level that was best on the train split.

    Args:
        setting: What the agent is built for.
        worker: Its name; the best one on the train split where None.

    Raises:
        UnknownNameError: The pool has no such worker.
    """

    def __init__(self, setting: Setting, worker: str | None = None) -> None:
        slot = None if worker is None else slot_of(setting, worker)
        self.worker, self.level = best_choice(train_utility(setting), slot)

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        asked = steps_taken(observation) > 0
        table = actions(len(asked), Subtask.SOLVE, self.worker, self.level)
        table[asked, 1] = Subtask.SUBMIT
        return table


class BestSingle(SingleWorker):
    """Asks the worker that was best on the train split, once."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)


class BestByDomain(SingleWorker):
    """Asks the worker that was best on the train split's queries of the same domain, once."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        gains = train_utility(setting)
        domains = collect_single_calls(setting.train).domain
        self.by_domain = np.tile(np.array([self.worker, self.level]), (len(setting.domains), 1))
        for d in np.unique(domains):
            self.by_domain[d] = best_choice(gains[domains == d])

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        table = super().act(observation)
        table[:, (0, 2)] = self.by_domain[domain(observation)]
        return table


class BestBySize(BestByDomain):
    """Likewise, by domain and by the context level that shows all of a query's documents."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        gains = train_utility(setting)
        calls = collect_single_calls(setting.train)
        self.by_size = np.tile(self.by_domain[:, None, :], (1, N_LEVELS, 1))
        for d, size in np.unique(np.stack([calls.domain, calls.documents], axis=1), axis=0):
            these = (calls.domain == d) & (calls.documents == size)
            self.by_size[d, size] = best_choice(gains[these])

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        table = super().act(observation)
        table[:, (0, 2)] = self.by_size[domain(observation), document_level(observation)]
        return table
