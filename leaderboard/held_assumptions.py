"""Assumed parameters held against recorded live calls.

Nobody has published them. So the same scripts are played out of a journal of live calls and by
simulated workers under the low, mid and high end of what is assumed, and the same estimators read
both. Parameters themselves are never compared.
"""

from collections.abc import Container, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

import numpy as np

from conductor_gym.errors import ConfigError
from conductor_gym.leaderboard.held_measures import (
    coinciding,
    confidence,
    kappa,
    persistence,
    second_attempts,
    seen_answers,
    verdicts,
)
from conductor_gym.leaderboard.held_revisions import aggregates, lengths, revisions
from conductor_gym.leaderboard.query_sums import Array, Measure, around
from conductor_gym.leaderboard.scripted_calls import SIMULATED_QUERIES, Played, play_simulated
from conductor_gym.tasks.suite import Split
from conductor_gym.types import Assumptions
from conductor_gym.workers.pool import Pool

ENDS: tuple[Assumptions, ...] = ("low", "mid", "high")
MEAN = "mean"
"""Who a mean over workers, pairs or domains is about."""
Verdict = Literal["inside", "near", "above", "below", "unknown"]


@dataclass(frozen=True)
class Held:
    """One number, recorded and simulated.

    Attributes:
        topic: Heading it belongs under.
        name: What it is.
        parameters: Assumed parameters that it depends on.
        who: Of whom; `MEAN` for the mean over all of whom enough is recorded.
        recorded: From live calls, NaN where too few tell.
        low: Lower end of its 95 % interval, by a bootstrap over queries.
        high: Upper end.
        simulated: The same number of simulated workers, by end of the assumed parameters.
    """

    topic: str
    name: str
    parameters: tuple[str, ...]
    who: str
    recorded: float
    low: float
    high: float
    simulated: dict[Assumptions, float]

    @property
    def verdict(self) -> Verdict:
        """Where the recorded number lies.

        ``inside`` the range of the simulated ones; ``near`` where only its interval reaches the
        range; ``above`` or ``below`` where not even that does; ``unknown`` without enough calls.
        """
        ends = list(self.simulated.values())
        if not np.isfinite([self.recorded, self.low, self.high, *ends]).all():
            return "unknown"
        if min(ends) <= self.recorded <= max(ends):
            return "inside"
        if self.low > max(ends):
            return "above"
        return "below" if self.high < min(ends) else "near"

    @property
    def holds(self) -> bool | None:
        """Whether recorded and simulated agree; None where too little is known."""
        verdict = self.verdict
        return None if verdict == "unknown" else verdict in ("inside", "near")

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; None for what is not known."""
        values = asdict(self) | {"verdict": self.verdict}
        values["simulated"] = {end: _plain(value) for end, value in self.simulated.items()}
        values["parameters"] = list(self.parameters)
        return values | {n: _plain(getattr(self, n)) for n in ("recorded", "low", "high")}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """What `as_dict` gave."""
        rest = {name: value for name, value in values.items() if name != "verdict"}
        for name in ("recorded", "low", "high"):
            rest[name] = _number(rest[name])
        rest["parameters"] = tuple(rest["parameters"])
        rest["simulated"] = {end: _number(value) for end, value in rest["simulated"].items()}
        return cls(**rest)


def _number(value: float | None) -> float:
    return float("nan") if value is None else value


def _plain(value: float) -> float | None:
    return round(value, 5) if np.isfinite(value) else None


def measures(played: Played) -> list[Measure]:
    """Everything that played scripts tell, by topic."""
    return [
        kappa(played),
        second_attempts(played),
        *verdicts(played),
        persistence(played),
        *revisions(played),
        *aggregates(played),
        *coinciding(played),
        *seen_answers(played),
        *confidence(played),
        *lengths(played),
    ]


def held(
    recorded: Played,
    pool: Pool,
    splits: Sequence[Split],
    least: int = SIMULATED_QUERIES,
    uids: Container[str] | None = None,
) -> list[Held]:
    """Hold a pool's assumed parameters against recorded calls.

    Args:
        recorded: Scripts played out of a journal, see `play_recorded`.
        pool: A simulated pool of the same workers, fitted to that recording or shaped like it.
        splits: Whose queries are simulated.
        least: Simulated queries under each end.
        uids: Queries that are recorded, None for all.

    Returns:
        For each measure its mean, then each worker, pair or domain.

    Raises:
        ConfigError: The pool has other workers.
    """
    if pool.worker_names != recorded.workers:
        raise ConfigError(
            f"pool {pool.name!r} has workers {', '.join(pool.worker_names)}, the recording has "
            f"{', '.join(recorded.workers)}: they must be the same, in the same order."
        )
    simulated: dict[Assumptions, Played] = {
        end: play_simulated(pool, splits, recorded.steps, end, least, uids) for end in ENDS
    }
    return compared(recorded, simulated)


def compared(recorded: Played, simulated: dict[Assumptions, Played]) -> list[Held]:
    """Hold played scripts of simulated workers against recorded ones.

    Args:
        recorded: Out of a journal.
        simulated: The same scripts by end of the assumed parameters, on the recorded queries under
            one key after the other.

    Raises:
        ConfigError: The simulated queries are not the recorded ones several times.
    """
    size = len(recorded.domain)
    for played in simulated.values():
        if size == 0 or len(played.domain) % size:
            raise ConfigError(
                f"{len(played.domain):,} simulated queries are not {size:,} recorded ones a whole "
                "number of times."
            )
    made = {
        end: [m.mean_over_blocks(size) for m in measures(played)]
        for end, played in simulated.items()
    }
    found: list[Held] = []
    ends: dict[Assumptions, float]
    for k, measure in enumerate(measures(recorded)):
        values, resampled, rare = measure.values(), measure.resampled(), measure.rare()
        by_end = {end: numbers[k] for end, numbers in made.items()}
        known = np.isfinite(values) & np.isfinite(list(by_end.values())).all(axis=0)
        if len(measure.who) > 1:
            ends = {end: _mean(by_end[end][known]) for end in simulated}
            means = resampled[:, known].mean(axis=1) if known.any() else resampled[:, 0] * np.nan
            least = _together(rare[known])
            found.append(_held(measure, MEAN, _mean(values[known]), means, least, ends))
        for w, who in enumerate(measure.who):
            ends = {end: float(by_end[end][w]) for end in simulated}
            one = (float(values[w]), resampled[:, w], float(rare[w]))
            found.append(_held(measure, who or MEAN, *one, ends))
    return found


def _mean(values: Array) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _together(rare: Array) -> float:
    """Least half width of a mean from those of its parts."""
    return 1.0 / float((1.0 / rare).sum()) if len(rare) and rare.all() else 0.0


def _held(
    measure: Measure,
    who: str,
    value: float,
    resampled: Array,
    rare: float,
    ends: dict[Assumptions, float],
) -> Held:
    low, high = around(value, resampled, rare)
    return Held(measure.topic, measure.name, measure.parameters, who, value, low, high, ends)
