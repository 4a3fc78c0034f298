"""Single workers: one isolated solve, then submit.

`single:NAME` always asks the same worker; `best-single` the one with the highest utility on the
train split at the cost weight it will be scored at; `best-by-domain` likewise, one per domain.
Single-part tasks have nothing to put into a context, so all context levels of the first call are
the same call and level 0 stands for them.
"""

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations, Setting, actions
from conductor_gym.agents.experience import collect_single_calls
from conductor_gym.agents.reading import domain, steps_taken
from conductor_gym.errors import unknown_name
from conductor_gym.reward import utility
from conductor_gym.types import Subtask


def train_utility(setting: Setting) -> npt.NDArray[np.float64]:
    """Utility of each worker's single call on the train split, float64 [queries, workers]."""
    calls = collect_single_calls(setting.train)
    return utility(calls.quality, calls.cost_usd, 0.0, setting.cost_weight)


def best_single(setting: Setting) -> int:
    """Slot of the worker with the highest mean utility on the train split."""
    return int(train_utility(setting).mean(axis=0).argmax())


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
    """Asks one worker once.

    Args:
        setting: What the agent is built for.
        worker: Its name.

    Raises:
        UnknownNameError: The pool has no such worker.
    """

    def __init__(self, setting: Setting, worker: str) -> None:
        self.worker = slot_of(setting, worker)

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        asked = steps_taken(observation) > 0
        subtask = np.where(asked, int(Subtask.SUBMIT), int(Subtask.SOLVE))
        table = actions(len(asked), Subtask.SOLVE, self.worker)
        table[:, 1] = subtask
        return table


class BestSingle(SingleWorker):
    """Asks the worker that was best on the train split, once."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting, setting.workers[best_single(setting)])


class BestByDomain(SingleWorker):
    """Asks the worker that was best on the train split's queries of the same domain, once."""

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting, setting.workers[best_single(setting)])
        gains = train_utility(setting)
        domains = collect_single_calls(setting.train).domain
        self.by_domain = np.full(len(setting.domains), self.worker)
        for d in np.unique(domains):
            self.by_domain[d] = gains[domains == d].mean(axis=0).argmax()

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        table = super().act(observation)
        table[:, 0] = self.by_domain[domain(observation)]
        return table
