"""Roles: thinker, worker and verifier, the roles of TRINITY, as a static pipeline.

Where a task has parts the thinker plans, the worker for each part's domain solves it, and the
thinker joins, as `divide` does. On every other task the worker for the domain answers and the
verifier looks. What it rejects is either revised by the same worker or answered anew by the next
best one of the domain, and looked at again; the episode ends when the verifier accepts or with the
last turn. An answer that could not be read is replaced without asking the verifier.

Who thinks, who verifies, what follows a rejection and how many turns there are is chosen by playing
the train split, and so is in which domains anybody looks at all: where a second opinion
costs more than it gains, the first answer is submitted.
"""

from dataclasses import dataclass
from itertools import product

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations, Setting
from conductor_gym.agents.divide import Divide
from conductor_gym.agents.experience import collect_single_calls
from conductor_gym.agents.reading import (
    askable,
    count,
    domain,
    last,
    last_status,
    last_subtask,
    wide_enough,
)
from conductor_gym.agents.rehearse import rehearse
from conductor_gym.agents.single import best_levels, train_utility
from conductor_gym.types import Subtask

SPLIT = "train"
THINKERS = 3
"""Workers tried as thinker: those with the best single calls."""
TURNS = (1, 2)
"""Answers after the first at most, tried."""


@dataclass(frozen=True)
class Team:
    """Who verifies, and what follows a rejection.

    Attributes:
        verifier: Slot.
        revises: Whether the same worker revises; otherwise the next best one answers.
        turns: Answers after the first, at most.
    """

    verifier: int
    revises: bool
    turns: int


class Roles(Divide):
    """Plans and divides where a task has parts, else answers until the verifier accepts.

    Attributes:
        team: Who verifies, and what follows a rejection.
        looked_at: bool [domains], where the verifier looks.
    """

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        self.levels = best_levels(setting)
        gains = train_utility(setting)
        domains = collect_single_calls(setting.train).domain
        self.team = Team(0, True, 0)
        self.looked_at = np.ones(len(setting.domains), bool)
        self._deputies = _deputies(gains, domains, len(setting.domains))
        best = np.argsort(-gains.mean(axis=0).max(axis=1), kind="stable")
        self.worker = self._best_thinker(setting, best[:THINKERS])
        self.team, self.looked_at = self._best_team(setting, domains)

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        table = super().act(observation)
        writer, where = table[:, 0].copy(), domain(observation)
        newest, ok = last_subtask(observation), last_status(observation) == 0
        answers = count(observation, Subtask.SOLVE) + count(observation, Subtask.REVISE)
        unsettled = self.looked_at[where] & (count(observation, Subtask.PLAN) == 0)
        unsettled &= (answers > 0) & (answers <= self.team.turns)
        answered = (newest == Subtask.SOLVE) | (newest == Subtask.REVISE)
        rejected = (newest == Subtask.VERIFY) & (last(observation, "verdict") == 0)

        def ask(rows: npt.NDArray[np.bool_], subtask: Subtask, worker: npt.ArrayLike) -> None:
            slots = np.broadcast_to(worker, len(rows))
            rows = rows & askable(observation, slots)
            level = self.levels[slots, where]
            if subtask != Subtask.SOLVE:  # these must see what was written, too
                for slot in np.unique(slots[rows]):
                    wide = wide_enough(observation, int(slot), level)
                    level = np.where(slots == slot, wide, level)
            table[rows] = np.stack([slots, np.full(len(rows), subtask), level], axis=1)[rows]

        ask(unsettled & answered & ok, Subtask.VERIFY, self.team.verifier)
        revise = unsettled & rejected & self.team.revises
        ask(revise, Subtask.REVISE, writer)
        anew = unsettled & (rejected | (answered & ~ok)) & ~revise
        turn = np.clip(answers - 1, 0, max(TURNS) - 1)
        ask(anew, Subtask.SOLVE, self._deputies[where, writer, turn])
        return table

    def _best_thinker(self, setting: Setting, candidates: npt.NDArray[np.int64]) -> int:
        if Subtask.PLAN not in setting.subtasks:
            return int(candidates[0])
        reached: dict[int, float] = {}
        for self.worker in candidates.tolist():
            reached[self.worker] = float(rehearse(self, setting, SPLIT).mean())
        return max(reached, key=reached.__getitem__)

    def _best_team(
        self, setting: Setting, domains: npt.NDArray[np.int64]
    ) -> tuple[Team, npt.NDArray[np.bool_]]:
        """The team that gains most in the domains in which it gains, and these domains."""
        alone = rehearse(self, setting, SPLIT)  # a team of no turns
        members = np.bincount(domains, minlength=len(setting.domains))
        found = (0.0, self.team, np.zeros(len(members), bool))
        for choice in product(range(len(setting.workers)), (True, False), TURNS):
            self.team = team = Team(*choice)
            gain = rehearse(self, setting, SPLIT) - alone
            total = np.bincount(domains, gain, len(members))
            square = np.bincount(domains, gain**2, len(members))
            # Beyond one standard error: the best of many candidates looks better than it is.
            pays = total > np.sqrt(square)
            value = float(total[pays].sum())
            if value > found[0]:
                found = (value, team, pays)
        return found[1:]


def _deputies(
    gains: npt.NDArray[np.float64], domains: npt.NDArray[np.int64], number: int
) -> npt.NDArray[np.int64]:
    """Who answers after whom: the best others of the domain, int64 [domains, workers, turns]."""
    workers = gains.shape[1]
    deputies = np.empty((number, workers, max(TURNS)), np.int64)
    for d in range(number):
        here = gains[domains == d] if (domains == d).any() else gains
        ranked = np.argsort(-here.mean(axis=0).max(axis=1), kind="stable")
        for writer in range(workers):
            others = ranked[ranked != writer] if workers > 1 else ranked
            deputies[d, writer] = np.resize(others, max(TURNS))
    return deputies
