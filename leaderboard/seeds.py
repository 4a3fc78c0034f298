"""Several training seeds of one agent as one row of a board.

The row is the mean over training seeds. How much they differ stands beside it: the interquartile
mean and the probability that one more training run would beat a reference (Agarwal et al. 2021,
arXiv 2108.13264).
"""

from dataclasses import dataclass

import numpy as np

from conductor_gym.leaderboard.metrics import estimate
from conductor_gym.leaderboard.results import AtCostWeight, OwnTokens, Result, entry, utilities
from conductor_gym.reward import HEADLINE_COST_WEIGHT
from conductor_gym.types import NANO_USD


@dataclass(frozen=True)
class Seeds:
    """How an agent's training seeds differ, at the headline cost weight.

    Attributes:
        agent: Its name.
        utilities: Mean utility of each training seed, ascending.
        interquartile: Mean of the middle half of them.
        improvement: Share of the seeds that are better, by name of the reference; one that is
            equal counts half.
    """

    agent: str
    utilities: list[float]
    interquartile: float
    improvement: dict[str, float]


def merge_seeds(results: list[Result]) -> list[Result]:
    """One result an agent and end of the assumptions: training seeds become their mean.

    Args:
        results: Of one track.
    """
    groups: dict[tuple[str, str | None], list[Result]] = {}
    for result in results:
        groups.setdefault((result.agent, result.assumptions), []).append(result)
    return [group[0] if len(group) == 1 else _merged(group) for group in groups.values()]


def seed_table(results: list[Result], references: tuple[str, ...]) -> list[Seeds]:
    """How training seeds differ, for every agent that has several, best first.

    Args:
        results: Merged ones.
        references: Agents whose mean utility the seeds are held against.
    """
    found: list[Seeds] = []
    by_name = {result.agent: entry(result, HEADLINE_COST_WEIGHT) for result in results}
    for agent, at in by_name.items():
        if at is None or len(at.seed_utilities) < 2:
            continue
        values = np.sort(at.seed_utilities)
        against: dict[str, float] = {}
        for name in references:
            reference = by_name.get(name)
            if reference is not None and name != agent:
                rank = np.sign(values - reference.utility.mean)
                against[name] = float(0.5 + 0.5 * rank.mean())
        cut = len(values) // 4  # below four values nothing is cut off
        middle = float(values[cut : len(values) - cut].mean())
        found.append(Seeds(agent, values.tolist(), middle, against))
    return sorted(found, key=lambda seeds: -seeds.interquartile)


def _merged(group: list[Result]) -> Result:
    """The mean of results that differ in the training seed; what all of them played is kept."""
    group = sorted(group, key=lambda result: result.training_seed or 0)
    first = group[0]
    at: list[AtCostWeight] = []
    for mine in first.at:
        others = [entry(result, mine.cost_weight) for result in group]
        entries = [one for one in others if one is not None]
        if len(entries) == len(group):
            at.append(_mean(entries))
    seeds = " ".join(str(result.training_seed) for result in group)
    return first.model_copy(
        update={
            "at": at,
            "command": f"{first.command} (and training seeds {seeds})",
            "wall_s": sum(result.wall_s for result in group),
            "model": (first.model or {}) | {"seeds": [r.training_seed for r in group]},
        }
    )


def _mean(entries: list[AtCostWeight]) -> AtCostWeight:
    first = entries[0]
    quality = np.mean([at.qualities for at in entries], axis=0)
    cost = np.mean([at.costs for at in entries], axis=0)
    gains = [utilities(at) for at in entries]
    by_seed = [float(gain.mean()) for gain in gains]
    latencies = [at.latency_s for at in entries if at.latency_s is not None]
    return AtCostWeight(
        cost_weight=first.cost_weight,
        quality=estimate(quality, [at.quality.mean for at in entries]),
        cost_usd=estimate(cost / NANO_USD, [at.cost_usd.mean for at in entries]),
        utility=estimate(np.mean(gains, axis=0), by_seed),
        latency_s={key: float(np.mean([one[key] for one in latencies])) for key in latencies[0]}
        if latencies
        else None,
        steps=float(np.mean([at.steps for at in entries])),
        invalid_actions=round(float(np.mean([at.invalid_actions for at in entries]))),
        qualities=quality.tolist(),
        costs=[round(value) for value in cost.tolist()],
        decisions=[row for at in entries for row in at.decisions],
        failures={index: why for at in entries for index, why in at.failures.items()},
        seed_utilities=by_seed,
        own_tokens=_mean_tokens(entries),
    )


def _mean_tokens(entries: list[AtCostWeight]) -> OwnTokens | None:
    own = [at.own_tokens for at in entries if at.own_tokens is not None]
    if not own:
        return None
    return OwnTokens(
        tokens_in=float(np.mean([one.tokens_in for one in own])),
        tokens_out=float(np.mean([one.tokens_out for one in own])),
    )
