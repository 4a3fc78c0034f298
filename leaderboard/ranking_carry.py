"""Does the order of agents on a simulated track carry over to recorded live calls?

Two agents are *reversed beyond chance* where the 95 % intervals of their paired differences exclude
0 on both tracks, with opposite signs. What the recording itself can tell of an order is the
agreement of two random halves of its queries.
"""

from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import kendalltau, spearmanr

from conductor_gym.agents.registry import agents
from conductor_gym.errors import ConfigError
from conductor_gym.leaderboard.metrics import deviations, interval, seed_deviations
from conductor_gym.leaderboard.results import Result, read_result, utilities
from conductor_gym.leaderboard.sensitivity import ROUNDING
from conductor_gym.leaderboard.table import make_board
from conductor_gym.leaderboard.tracks import folder_of
from conductor_gym.reward import HEADLINE_COST_WEIGHT

Array = npt.NDArray[np.float64]
LEAST_AGENTS = 3
RESAMPLES, HALVES = 400, 100


@dataclass(frozen=True)
class Carried:
    """An order of agents on two tracks, at the headline cost weight.

    Attributes:
        simulated: Name of the simulated track.
        recorded: Name of the recorded or live one.
        agents: Names, best in simulation first; privileged references are left out.
        utilities: Mean utility of each on the simulated and on the recorded track.
        tau: Kendall's tau-b of the two orders.
        tau_interval: 95 % interval, by a bootstrap over the queries of both tracks.
        rho: Spearman's rank correlation.
        rho_interval: Likewise.
        halves: Mean tau of two random halves of the recorded queries.
        pairs: Pairs of agents.
        swapped: Pairs in another order, by whatever margin.
        reversed_pairs: Pairs reversed beyond chance, the one ahead in simulation first.
        regret: Utility lost on the recorded track by choosing the simulation's best agent.
        left_out: Agents that were not played on both, with the reason.
    """

    simulated: str
    recorded: str
    agents: tuple[str, ...]
    utilities: tuple[tuple[float, float], ...]
    tau: float
    tau_interval: tuple[float, float]
    rho: float
    rho_interval: tuple[float, float]
    halves: float
    pairs: int
    swapped: int
    reversed_pairs: tuple[tuple[str, str], ...]
    regret: float
    left_out: dict[str, str]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON."""
        return asdict(self)


class _Side(NamedTuple):
    """One track: utilities float64 [episodes, agents], their means, and means of resamples."""

    values: Array
    means: Array
    resampled: Array
    spread: Array


def carried(simulated: list[Result], recorded: list[Result]) -> Carried:
    """Compare the order of the same agents on two tracks.

    Args:
        simulated: Results of one track, under mid.
        recorded: Results of another track.

    Raises:
        ConfigError: Fewer than three agents were played on both.
    """
    boards = [make_board(r[0].track, r) if r else None for r in (simulated, recorded)]
    played = [
        {row.result.agent: row for row in board.rows if row.at is not None} if board else {}
        for board in boards
    ]
    sides = dict(zip(("simulated", "recorded"), played, strict=True))
    every = list(dict.fromkeys(result.agent for result in (*simulated, *recorded)))
    both = [agent for agent in every if all(agent in rows for rows in played)]
    learners = {agent for agent in both if _learns_longer(*(rows[agent].result for rows in played))}
    shared = [agent for agent in both if agent not in learners]
    ranked = [a for a in shared if not played[0][a].result.privileged]
    left_out = {
        agent: " and ".join(
            f"not on the {name} track" for name, r in sides.items() if agent not in r
        )
        for agent in every
        if agent not in both
    }
    left_out |= dict.fromkeys(
        sorted(learners), "it learns while it is scored, on more episodes of one track"
    )
    if len(ranked) < LEAST_AGENTS:
        raise ConfigError(
            f"{len(ranked)} agents have results on both tracks, an order needs {LEAST_AGENTS}. "
            "Play the same agents on both: conductor-gym run --agent all --track TRACK."
        )
    one, other = (_side(rows, ranked) for rows in played)
    order: list[int] = np.argsort(-one.means, kind="stable").tolist()
    taus, rhos = _resampled(one, other)
    pairs = list(combinations(order, 2))
    away = [(i, j) for i, j in pairs if (one.means[i] - one.means[j]) * _gap(other, i, j) < 0]
    return Carried(
        simulated[0].track,
        recorded[0].track,
        tuple(ranked[i] for i in order),
        tuple((float(one.means[i]), float(other.means[i])) for i in order),
        _tau(one.means, other.means),
        _ends(taus),
        _rho(one.means, other.means),
        _ends(rhos),
        _halves(other.values),
        len(pairs),
        len(away),
        tuple((ranked[i], ranked[j]) for i, j in away if _ahead(one, i, j) and _ahead(other, j, i)),
        float(other.means.max() - other.means[order[0]]),
        left_out,
    )


def _learns_longer(one: Result, other: Result) -> bool:
    """Whether an online learner played more episodes on one track: two different agents then."""
    card = agents().get(one.agent)  # none of an agent of one's own
    return card is not None and card.online and one.episodes != other.episodes


def carried_tracks(simulated: str, recorded: str, folder: Path) -> Carried:
    """Compare two tracks' results as they lie in a folder.

    Args:
        simulated: Track.
        recorded: Track.
        folder: Where `conductor-gym run` keeps results.

    Raises:
        ConfigError: See `carried`.
        DataFileError: A broken result file.
    """
    sides = [
        [read_result(path) for path in sorted((folder / folder_of(track)).glob("*.json"))]
        for track in (simulated, recorded)
    ]
    return carried(*sides)


def _side(rows: dict[str, Any], agents: list[str]) -> _Side:
    entries = [rows[agent].at for agent in agents]
    values = np.stack([utilities(at) for at in entries], axis=1)
    of_seeds = np.stack([seed_deviations(at.seed_utilities) for at in entries], axis=1)
    means, spread = values.mean(axis=0), deviations(values) + of_seeds
    return _Side(values, means, means + spread, spread)


def _gap(side: _Side, i: int, j: int) -> float:
    return float(side.means[i] - side.means[j])


def _ahead(side: _Side, i: int, j: int) -> bool:
    """Whether i is ahead of j beyond chance."""
    return interval(_gap(side, i, j), side.spread[:, i] - side.spread[:, j]).low > ROUNDING


def _tau(one: Array, other: Array) -> float:
    value = float(kendalltau(one, other).statistic)
    return 0.0 if np.isnan(value) else value


def _rho(one: Array, other: Array) -> float:
    if min(float(np.ptp(one)), float(np.ptp(other))) == 0.0:
        return 0.0
    return float(spearmanr(one, other).statistic)  # pyright: ignore[reportAttributeAccessIssue]


def _resampled(one: _Side, other: _Side) -> tuple[Array, Array]:
    """Tau and rho of resampled tracks, with other draws for one than for the other."""
    again = zip(one.resampled[:RESAMPLES], other.resampled[-RESAMPLES:], strict=True)
    both = [(_tau(a, b), _rho(a, b)) for a, b in again]
    return np.array([tau for tau, _ in both]), np.array([rho for _, rho in both])


def _halves(values: Array) -> float:
    generator = np.random.Generator(np.random.Philox(key=list(values.shape)))
    found: list[float] = []
    for _ in range(HALVES):
        order = generator.permutation(len(values))
        half = len(values) // 2
        found.append(_tau(values[order[:half]].mean(axis=0), values[order[half:]].mean(axis=0)))
    return float(np.mean(found))


def _ends(resampled: Array) -> tuple[float, float]:
    low, high = np.quantile(resampled, [0.025, 0.975])
    return float(low), float(high)


def section(found: dict[str, Any], figure: str) -> list[str]:
    """Lines of the fidelity page's section.

    Args:
        found: What `Carried.as_dict` gives.
        figure: File name of the picture.
    """
    places = [_place([u[side] for u in found["utilities"]]) for side in (0, 1)]
    lines = [
        "## Does the order of agents carry over to live calls?",
        "",
        f"{len(found['agents'])} agents, built alike, on the simulated track "
        f"`{found['simulated']}` and on `{found['recorded']}`, real calls of live workers, at "
        f"{HEADLINE_COST_WEIGHT:g} per US cent. Intervals resample the queries of both.",
        "",
        f"- Kendall's tau {_shown(found['tau'], found['tau_interval'])}, Spearman's rho "
        f"{_shown(found['rho'], found['rho_interval'])}; two random halves of the recorded queries "
        f"agree by a tau of {found['halves']:.2f};",
        f"- {found['swapped']} of {found['pairs']} pairs lie in another order, "
        f"{len(found['reversed_pairs'])} of them beyond chance"
        + "".join(f"; {a} and {b}" for a, b in found["reversed_pairs"])
        + ";",
        f"- choosing the simulation's best agent, {found['agents'][0]}, costs "
        f"{found['regret']:.4f} utility on the recorded track.",
        "",
        f"![utilities on both tracks]({figure})",
        "",
        "| agent | simulated utility | rank | recorded utility | rank |",
        "| :-- | --: | --: | --: | --: |",
    ]
    for i, (agent, (one, other)) in enumerate(
        zip(found["agents"], found["utilities"], strict=True)
    ):
        lines.append(f"| {agent} | {one:.4f} | {places[0][i]} | {other:.4f} | {places[1][i]} |")
    if found["left_out"]:
        left = "; ".join(f"{agent}: {why}" for agent, why in found["left_out"].items())
        lines += ["", f"Left out: {left}."]
    return [*lines, ""]


def _place(values: list[float]) -> list[int]:
    return [1 + sum(other > value for other in values) for value in values]


def _shown(value: float, ends: tuple[float, float]) -> str:
    return f"{value:.2f} [{ends[0]:.2f}, {ends[1]:.2f}]"
