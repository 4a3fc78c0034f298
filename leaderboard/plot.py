"""The cost-quality plot of a board."""

from pathlib import Path
from typing import Any

import numpy as np

from conductor_gym.errors import MissingExtraError
from conductor_gym.leaderboard.report import outcomes_line
from conductor_gym.leaderboard.table import ZERO, Board

try:
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter
except ModuleNotFoundError:
    raise MissingExtraError("the cost-quality plot", "report") from None


NAMED = 12
"""Agents that are told apart by colour; the others are grey."""


def _pareto(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    best: list[tuple[float, float]] = []
    for cost, quality in sorted(points):
        if not best or quality > best[-1][1]:
            best.append((cost, quality))
    return best


def _named(board: Board) -> set[str]:
    """Agents with a colour of their own: the best ones and the best single worker."""
    competing = [
        row.result.agent
        for row in board.rows
        if row.at is not None
        and not row.result.privileged
        and not row.result.agent.startswith("single:")
    ]
    return {*competing[:NAMED], ZERO}


def plot_board(board: Board, path: Path) -> None:
    """Draw quality over cost: one curve an agent, one point a cost weight.

    Args:
        board: The board.
        path: Where the picture (PNG) is written.
    """
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes: Any = figure.subplots()
    reachable: list[tuple[float, float]] = []
    shown = singles = 0
    others = False
    named = _named(board)
    for row in board.rows:
        name = row.result.agent
        points = sorted({(at.cost_usd.mean, at.quality.mean) for at in row.result.at})
        if not points or points[-1][0] == 0.0:
            continue  # n/a, or nothing spent: no place on a logarithmic axis
        if not row.result.privileged:
            reachable += points
        if name.startswith("single:"):
            # The same answers at every cost weight: one labelled point.
            singles += 1
            axes.plot(*points[0], color="grey", marker="x", linestyle="none")
            axes.annotate(
                name.partition(":")[2],
                points[0],
                xytext=(5, -9 if singles % 2 else 5),
                textcoords="offset points",
                fontsize=6.5,
                color="grey",
            )
            continue
        if not row.result.privileged and name not in named:
            axes.plot(
                *np.array(points).T,
                color="silver",
                linewidth=0.8,
                marker=".",
                markersize=3,
                zorder=1,
                label=None if others else "other agents",
            )
            others = True
            continue
        axes.plot(
            *np.array(points).T,
            color=colormaps["tab20"](shown * 2 % 20 + shown // 10),
            linestyle="--" if row.result.privileged else "-",
            marker="*" if row.result.privileged else "o",
            markersize=5,
            label=name + (" (ref)" if row.result.privileged else ""),
        )
        shown += 1
    frontier = _pareto(reachable)
    if frontier:
        axes.step(
            *np.array(frontier).T,
            where="post",
            color="black",
            linewidth=0.8,
            alpha=0.5,
            label="frontier of all agents",
        )
    axes.set_xscale("log")
    costs = [cost for cost, _ in reachable]
    if costs and max(costs) > 30 * min(costs):  # else the decades alone leave an axis bare
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.margins(x=0.12)
    axes.set_xlabel("mean cost of an episode, USD (log scale)")
    axes.set_ylabel("mean quality")
    axes.set_title(f"{board.card.title}\n{outcomes_line(board)}", fontsize=9)
    axes.grid(alpha=0.25)
    if frontier:
        axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)  # pyright: ignore[reportUnknownMemberType]
