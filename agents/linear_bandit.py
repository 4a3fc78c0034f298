"""What the online learners share: one linear model a worker, learned from the scored episodes.

Each query gets one call (another one only where it could not be read), and what the episode came to
updates the model of the worker that was asked. Quality and cost are modelled apart and weighed at
the cost weight. A worker reads documents at the level that looks best: how much is shown is part of
the context, and what reading costs is known from the price on its card.

Three ideas of ParetoBandit (Taberner-Miller 2026, arXiv 2604.00136):

- *Forgetting.* What was learned fades by half every `half_life` episodes, so that prices and
  workers may change. The prior does not fade.
- *Pacing.* A dual variable on top of the cost weight rises while mean spending is above a target
  and falls back towards 0 below it.
- *Hot swap.* A worker is known by its public card, not by its slot: a new one is taken to
  be right until it is known, an absent one is never asked, one that returns finds what was learned.
"""

import zlib
from abc import ABC, abstractmethod
from typing import ClassVar, NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.agents.base import Actions, Observations, Outcome, Setting, actions
from conductor_gym.agents.experience import collect_single_calls
from conductor_gym.agents.reading import (
    document_level,
    document_tokens,
    last_status,
    steps_taken,
    widest_level,
)
from conductor_gym.agents.single import best_choice, train_utility
from conductor_gym.reward import COST_UNIT_USD
from conductor_gym.spaces import N_STATIC_WORKER_COLUMNS, QUERY_WIDTH, WORKER_COLUMNS
from conductor_gym.tasks.suite import DOCUMENT_SCALE
from conductor_gym.types import CONTEXT_LEVELS, Subtask

Floats = npt.NDArray[np.float64]

PRIOR = 1.0
"""Observations that the prior counts for, in each direction."""
PRIOR_QUALITY = 1.0
"""A worker that is not known is taken to be right, so newcomers are tried wherever others stand."""
MAX_CALLS = 3
"""Calls at most where answers cannot be read."""
_CALLS = WORKER_COLUMNS.index("calls")
_PRICE_IN = WORKER_COLUMNS.index("price_in")


class Pacer:
    """Keeps mean spending at or below a target by a price on top of the cost weight.

    Args:
        target: US cents an episode.

    Attributes:
        dual: Quality points per US cent, at least 0.
        spending: Mean of the newest episodes, US cents.
    """

    STEP, RATE, MOST = 0.001, 0.02, 10.0

    def __init__(self, target: float) -> None:
        self.target = target
        self.dual = 0.0
        self.spending = target

    def pay(self, cents: float) -> None:
        """Count the cost of an episode.

        Args:
            cents: US cents.
        """
        self.spending += self.RATE * (cents - self.spending)
        excess = self.spending / self.target - 1.0
        self.dual = min(self.MOST, max(0.0, self.dual + self.STEP * excess))


class LinearModels:
    """Ridge regressions of quality and cost, one pair a worker, that fade.

    Args:
        width: Numbers in a context.
        keep: What is left of an observation after one episode, in (0, 1].

    Attributes:
        inverse: float64 [workers met, width, width], inverse of the weighted second moments.
        moments: float64 [workers met, 2, width], of quality beyond the prior's and of cents.
    """

    def __init__(self, width: int, keep: float) -> None:
        self.keep = keep
        self.inverse: Floats = np.zeros((0, width, width))
        self.moments: Floats = np.zeros((0, 2, width))
        self._faded = 0

    def add(self) -> int:
        """A model that knows nothing; its position."""
        width = self.inverse.shape[1]
        self.inverse = np.concatenate([self.inverse, np.eye(width)[None] / PRIOR])
        self.moments = np.concatenate([self.moments, np.zeros((1, 2, width))])
        return len(self.inverse) - 1

    def predict(
        self, rows: npt.NDArray[np.int64], contexts: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Quality, cost in cents and spread, float64 [rows, contexts] each.

        Args:
            rows: int64 [rows], models.
            contexts: float64 [contexts, width].
        """
        turned = self.inverse[rows] @ contexts.T
        beyond, cost = (self.moments[rows] @ turned).transpose(1, 0, 2)
        spread = np.sqrt(np.maximum((turned * contexts.T).sum(axis=1), 0.0))
        return PRIOR_QUALITY + beyond, cost, spread

    def fade(self, rows: npt.NDArray[np.int64]) -> None:
        """One episode has passed for these models.

        Args:
            rows: int64 [rows].
        """
        if self.keep == 1.0:
            return
        inverse = self.inverse[rows] / self.keep
        # The prior must not fade: what it lost is paid back in one direction at a time.
        width = inverse.shape[1]
        at = self._faded % width
        self._faded += 1
        column = inverse[:, :, at]
        lost = PRIOR * (1.0 - self.keep) * width
        share = 1.0 / (1.0 / lost + column[:, at])
        self.inverse[rows] = inverse - (column * share[:, None])[:, :, None] * column[:, None, :]
        self.moments[rows] *= self.keep

    def start_from(self, row: int, contexts: Floats, outcomes: Floats) -> None:
        """Begin with observations from elsewhere.

        Args:
            row: Model, which has learned nothing yet.
            contexts: float64 [n, width].
            outcomes: float64 [n, 2], quality and US cents.
        """
        second = PRIOR * np.eye(contexts.shape[1]) + contexts.T @ contexts
        self.inverse[row] = np.linalg.inv(second)
        self.moments[row] = (outcomes - (PRIOR_QUALITY, 0.0)).T @ contexts

    def learn(self, row: int, context: Floats, quality: float, cents: float) -> None:
        """Add an observation, by a rank-one update of the inverse (Sherman and Morrison).

        Args:
            row: Model.
            context: float64 [width].
            quality: In [0, 1].
            cents: US cents.
        """
        turned = self.inverse[row] @ context
        self.inverse[row] -= np.outer(turned, turned / (1.0 + context @ turned))
        self.moments[row] += np.array([[quality - PRIOR_QUALITY], [cents]]) * context


class LinearBandit(ABC):
    """Asks the worker, and at the level, that looks best; submits nothing where none looks good.

    Args:
        setting: What the agent is built for.
        target_usd: Mean USD an episode that the pacer holds; where None, what the best single
            worker spends on the train split.

    Attributes:
        models: One a worker that was met.
        pacer: Holds the mean spending.
    """

    online: ClassVar[bool] = True
    half_life: ClassVar[float] = 1000.0
    """Episodes after which an observation counts for half."""
    width: ClassVar[int] = QUERY_WIDTH + 3

    def __init__(self, setting: Setting, target_usd: float | None = None) -> None:
        if target_usd is None:
            worker, level = best_choice(train_utility(setting))
            calls = collect_single_calls(setting.train)
            target_usd = float(calls.cost_usd[:, worker, level].mean())
        self.setting = setting
        self.pacer = Pacer(target_usd / COST_UNIT_USD)
        self.models = LinearModels(self.width, 0.5 ** (1.0 / self.half_life))
        self.episodes = 0
        self._known: dict[tuple[bytes, int], int] = {}
        self._shown, self._rows = b"", np.zeros(0, np.int64)
        self._call: _Call | None = None
        self._cents = 0.0

    @abstractmethod
    def judge(self, quality: Floats, spread: Floats, words: tuple[int, ...]) -> Floats:
        """Quality that a call is taken to have, float64 [workers, levels].

        Args:
            quality: float64 [workers, levels], expected.
            spread: float64 [workers, levels], how little is known; 1 / sqrt(n + 1) after n
                observations of one same context of length 1.
            words: Seed of what is drawn: the agent's, the episodes learned from, the query.
        """

    def contexts(self, query: npt.NDArray[np.float32], tokens: Floats) -> Floats:
        """What the models see of one query at each level, float64 [levels, width].

        Its features, 1, the share of its documents that is shown, and how much that is.

        Args:
            query: float32 [56], observed.
            tokens: float64 [levels], tokens of documents that each level shows.
        """
        features = self.features(query)
        seen = np.ones((len(tokens), self.width))
        seen[:, : len(features)] = features
        seen[:, -2] = tokens / max(float(tokens[-1]), 1.0)
        seen[:, -1] = tokens / (tokens + DOCUMENT_SCALE)
        return seen

    def features(self, query: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """What the models see of a query itself, float32 [width - 3].

        Args:
            query: float32 [56], observed.
        """
        return query

    def act(self, observation: Observations) -> Actions:
        """See `Agent.act`."""
        table = actions(len(observation["budget"]), Subtask.SUBMIT)
        taken, failed = steps_taken(observation), last_status(observation) > 0
        alone = len(table) == 1  # else there is no telling which row an outcome is of
        if alone and taken[0] == 0:
            self._call, self._cents = None, 0.0
        elif alone and failed[0]:
            self._learn(0.0)
        for i in np.flatnonzero((taken == 0) | (failed & (taken < MAX_CALLS))).tolist():
            call = self._choose({name: array[i : i + 1] for name, array in observation.items()})
            if call is not None:
                table[i] = call.slot, Subtask.SOLVE, call.level
                self._call = call if alone else None
        return table

    def observe(self, outcome: Outcome) -> None:
        """See `Online.observe`."""
        self._cents = outcome.cost_usd / COST_UNIT_USD
        if outcome.over:
            self._learn(outcome.quality or 0.0)
            self.pacer.pay(self._cents)
            self.models.fade(np.unique(self._rows[self._rows >= 0]))
            self.episodes += 1

    def _learn(self, quality: float) -> None:
        """What came of the newest call."""
        if self._call is not None:
            beyond = self._cents - self._call.cents_before - self._call.reading
            self.models.learn(self._call.model, self._call.context, quality, beyond)
            self._call = None

    def _choose(self, observation: Observations) -> "_Call | None":
        """The call that looks best to one episode, of workers it has not asked yet."""
        workers, query = observation["workers"][0], observation["query"][0]
        models = self.models_of(workers)
        valid = observation["action_mask"][0, : len(workers)] == 1
        slots = np.flatnonzero(valid & (models >= 0) & (workers[:, _CALLS] <= 0.0))
        if not len(slots):
            return None
        tokens, fits = _readings(observation, slots)
        contexts = self.contexts(query, tokens)
        quality, beyond, spread = self.models.predict(models[slots], contexts)
        reading = reading_cents(workers[slots], tokens)
        words = (self.setting.seed, self.episodes, zlib.crc32(query.tobytes()))
        cents = np.maximum(beyond + reading, 0.0)
        weight = self.setting.cost_weight + self.pacer.dual
        worth = self.judge(quality, spread, words) - weight * cents
        # Rounded: the last bits depend on the machine.
        worth = np.round(np.where(fits, worth, -np.inf), 9)
        at, level = divmod(int(worth.argmax()), worth.shape[1])
        if worth[at, level] <= 0.0:
            return None
        slot, paid = int(slots[at]), float(reading[at, level])
        return _Call(slot, level, int(models[slot]), contexts[level], paid, self._cents)

    def models_of(self, workers: npt.NDArray[np.float32]) -> npt.NDArray[np.int64]:
        """Model of the worker in each slot by its public card, int64 [slots]; -1 where empty.

        Args:
            workers: float32 [slots, 12], observed.
        """
        cards = workers[:, :N_STATIC_WORKER_COLUMNS]
        shown = cards.tobytes()
        if shown != self._shown:
            self._shown = shown
            self._rows = np.full(len(cards), -1, np.int64)
            met: dict[bytes, int] = {}
            for slot in np.flatnonzero(cards[:, _PRICE_IN] >= 0.0).tolist():
                card = cards[slot].tobytes()
                met[card] = met.get(card, 0) + 1  # two with one card keep their order
                key = (card, met[card])
                if key not in self._known:
                    self._known[key] = self.models.add()
                self._rows[slot] = self._known[key]
        return self._rows


class _Call(NamedTuple):
    """A call that was made: of which model, in which context, and what reading costs, in cents."""

    slot: int
    level: int
    model: int
    context: Floats
    reading: float
    cents_before: float


def reading_cents(workers: npt.NDArray[np.float32], tokens: Floats) -> Floats:
    """What reading costs at the price on the card, US cents, float64 [workers, levels].

    Args:
        workers: float32 [workers, 12], observed.
        tokens: float64 [levels].
    """
    # The observed price is logarithmic: 0 is 0.01 USD a million or less, 1 is 100 USD.
    usd_per_million = 10.0 ** (4.0 * workers[:, _PRICE_IN].astype(np.float64) - 2.0)
    return usd_per_million[:, None] * 1e-6 * tokens / COST_UNIT_USD


def shown_tokens(documents: float, level: int) -> Floats:
    """Tokens of documents that each level up to the one that shows all shows, float64 [levels].

    Args:
        documents: Tokens there are.
        level: The level that shows all.
    """
    return np.minimum(np.array(CONTEXT_LEVELS[: level + 1], np.float64), documents)


def _readings(
    observation: Observations, slots: npt.NDArray[np.int64]
) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """What each level shows, float64 [levels], and whether that fits, bool [slots, levels]."""
    documents = float(document_tokens(observation)[0])
    if documents == 0.0:
        return np.zeros(1), np.ones((len(slots), 1), bool)
    tokens = shown_tokens(documents, int(document_level(observation)[0]))
    widest = [int(widest_level(observation, slot)[0]) for slot in slots.tolist()]
    return tokens, np.arange(len(tokens)) <= np.array(widest)[:, None]
