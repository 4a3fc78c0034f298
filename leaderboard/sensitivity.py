"""Does the order of agents survive the low and the high end of the assumed parameters?

Every agent is trained and built under mid and played under low, mid and high, on the same queries
and luck. Two agents *reverse* where the 95 % interval of their paired difference excludes 0 with
opposite signs under two of the settings: then which of them is better depends on an assumption.
Intervals are not corrected for the number of pairs.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.leaderboard.metrics import Estimate, deviations, interval, seed_deviations
from conductor_gym.leaderboard.results import AtCostWeight, Result, entry, utilities
from conductor_gym.reward import HEADLINE_COST_WEIGHT
from conductor_gym.types import Assumptions

SETTINGS: tuple[Assumptions, ...] = ("low", "mid", "high")
ROUNDING = 1e-6
"""Intervals must exclude 0 by more than the rounding of the bootstrap's single precision."""


@dataclass(frozen=True)
class SensitivityRow:
    """One agent under each setting.

    Attributes:
        agent: Its name.
        privileged: A reference: shown, not ranked.
        utility: By setting, at the headline cost weight.
        rank: By setting, 1 is best, ties share the better rank; empty for references.
    """

    agent: str
    privileged: bool
    utility: dict[Assumptions, float]
    rank: dict[Assumptions, int]


@dataclass(frozen=True)
class Reversal:
    """Two agents that reverse.

    Attributes:
        agent: The one that is ahead under the later of the settings.
        other: The other one.
        gain: Utility of `agent` minus that of `other` by setting, paired over queries.
    """

    agent: str
    other: str
    gain: dict[Assumptions, Estimate]


@dataclass(frozen=True)
class Sensitivity:
    """How a track's ranks change with the assumptions.

    Attributes:
        settings: Those that were played, from low to high.
        rows: Agents with results under all of them, best under mid first.
        tau: Kendall's tau-b of the ranks under low and high with those under mid; None where it
            does not exist.
        pairs: Pairs of ranked agents.
        swapped: Pairs whose order differs between two settings, by whatever margin.
        reversals: Pairs that reverse beyond sampling error.
        left_out: Agents that are not shown, with the reason.
    """

    settings: tuple[Assumptions, ...]
    rows: list[SensitivityRow]
    tau: dict[Assumptions, float | None]
    pairs: int
    swapped: int
    reversals: list[Reversal]
    left_out: dict[str, str]

    def reverses_with(self, agent: str) -> tuple[str, ...]:
        """Agents that this one reverses with."""
        return tuple(
            r.other if r.agent == agent else r.agent
            for r in self.reversals
            if agent in (r.agent, r.other)
        )

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return {
            "cost_weight": HEADLINE_COST_WEIGHT,
            "settings": list(self.settings),
            "kendall_tau_with_mid": dict(self.tau),
            "pairs": self.pairs,
            "pairs_swapped": self.swapped,
            "rows": [
                {
                    "agent": row.agent,
                    "privileged": row.privileged,
                    "utility": dict(row.utility),
                    "rank": dict(row.rank),
                    "reverses_with": list(self.reverses_with(row.agent)),
                }
                for row in self.rows
            ],
            "reversals": [
                {
                    "agent": reversal.agent,
                    "other": reversal.other,
                    "gain": {s: gain.model_dump() for s, gain in reversal.gain.items()},
                }
                for reversal in self.reversals
            ],
            "left_out": dict(self.left_out),
        }


_Played = tuple[Result, dict[Assumptions, AtCostWeight]]
"""A result under mid, and its agent's entries by setting."""


def _why_not(end: Result | None, mid: Result) -> str | None:
    """Why a result is not that agent under another setting on the same queries, None if it is."""
    if end is None:
        return "not played"
    if end.not_applicable or entry(end, HEADLINE_COST_WEIGHT) is None:
        return f"not played at {HEADLINE_COST_WEIGHT:g} per cent"
    but_assumptions = [
        {name: value for name, value in result.environment.items() if name != "assumptions"}
        for result in (end, mid)
    ]
    if but_assumptions[0] != but_assumptions[1] or end.content != mid.content:
        return "played on other queries or settings"
    if (end.episodes, end.stream, end.seed) != (mid.episodes, mid.stream, mid.seed):
        here, there = (f"{r.episodes:,} episodes, seed {r.seed}" for r in (end, mid))
        return f"{here}, but mid has {there}"
    return None if end.model == mid.model else "another model was played"


def sensitivity(mids: list[Result], ends: list[Result]) -> Sensitivity | None:
    """Compare a track's results under mid with those under low and high.

    Args:
        mids: Results under mid, comparable with each other.
        ends: Results under low and high.

    Returns:
        None where neither end was played.
    """
    played = {result.assumptions for result in ends} | {"mid"}
    settings: list[Assumptions] = [setting for setting in SETTINGS if setting in played]
    if len(settings) == 1:
        return None
    found = {(result.agent, result.assumptions): result for result in ends}
    shown: list[_Played] = []
    left_out = {
        agent: "mid: not played" for agent, _ in found if agent not in {mid.agent for mid in mids}
    }
    for mid in mids:
        at_mid = entry(mid, HEADLINE_COST_WEIGHT)
        if at_mid is None:
            continue
        at: dict[Assumptions, AtCostWeight] = {}
        for setting in settings:
            end = mid if setting == "mid" else found.get((mid.agent, setting))
            why = _why_not(end, mid)
            here = entry(end, HEADLINE_COST_WEIGHT) if end is not None else None
            if why is not None or here is None:
                left_out.setdefault(mid.agent, f"{setting}: {why}")
            else:
                at[setting] = here
        if len(at) == len(settings):
            shown.append((mid, at))
    shown.sort(key=lambda pair: -pair[1]["mid"].utility.mean)
    ranked = [pair for pair in shown if not pair[0].privileged]
    values = {s: np.array([at[s].utility.mean for _, at in ranked]) for s in settings}
    utility: dict[Assumptions, float]
    rank: dict[Assumptions, int]
    rows: list[SensitivityRow] = []
    for mid, at in shown:
        utility = {s: at[s].utility.mean for s in settings}
        rank = {}
        if not mid.privileged:
            rank = {s: 1 + int((values[s] > utility[s]).sum()) for s in settings}
        rows.append(SensitivityRow(mid.agent, mid.privileged, utility, rank))
    tau: dict[Assumptions, float | None] = {
        s: _kendall_tau(values[s], values["mid"]) for s in settings if s != "mid"
    }
    pairs = list(combinations(range(len(ranked)), 2))
    swapped = sum(
        {-1, 1} <= {int(np.sign(values[s][i] - values[s][j])) for s in settings} for i, j in pairs
    )
    reversals = _reversals(settings, ranked)
    return Sensitivity(tuple(settings), rows, tau, len(pairs), swapped, reversals, left_out)


def _kendall_tau(one: npt.NDArray[np.float64], other: npt.NDArray[np.float64]) -> float | None:
    from scipy.stats import kendalltau

    if min(len(np.unique(one)), len(np.unique(other))) < 2:
        return None
    return float(kendalltau(one, other).statistic)


def _reversals(settings: list[Assumptions], ranked: list[_Played]) -> list[Reversal]:
    """Pairs whose paired difference excludes 0 with opposite signs under two settings."""
    if len(ranked) < 2:
        return []
    means: dict[Assumptions, npt.NDArray[np.float64]] = {}
    spreads: dict[Assumptions, npt.NDArray[np.float64]] = {}
    for setting in settings:
        values = np.stack([utilities(at[setting]) for _, at in ranked], axis=1)
        means[setting] = values.mean(axis=0)
        of_seeds = [seed_deviations(at[setting].seed_utilities) for _, at in ranked]
        spreads[setting] = deviations(values) + np.stack(of_seeds, axis=1)

    def gain(i: int, j: int) -> dict[Assumptions, Estimate]:
        return {
            s: interval(float(means[s][i] - means[s][j]), spreads[s][:, i] - spreads[s][:, j])
            for s in settings
        }

    found: list[Reversal] = []
    for i, j in combinations(range(len(ranked)), 2):
        here = gain(i, j)
        ahead = [k for k, s in enumerate(settings) if here[s].low > ROUNDING]
        behind = [k for k, s in enumerate(settings) if here[s].high < -ROUNDING]
        if not ahead or not behind:
            continue
        first, second = (i, j) if ahead[-1] > behind[-1] else (j, i)
        found.append(Reversal(ranked[first][0].agent, ranked[second][0].agent, gain(first, second)))
    return found
