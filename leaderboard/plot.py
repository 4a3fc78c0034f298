"""The cost-quality plot of a board."""

from pathlib import Path
from typing import Any

import numpy as np

from conductor_gym.errors import MissingExtraError
from conductor_gym.leaderboard.report import preview_line
from conductor_gym.leaderboard.table import Board

try:
    from matplotlib.figure import Figure
except ImportError:
    raise MissingExtraError("the cost-quality plot", "report") from None

FREE = 1e-6
"""USD at which an agent that spends nothing is drawn on the logarithmic axis."""


def _pareto(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    best: list[tuple[float, float]] = []
    for cost, quality in sorted(points):
        if not best or quality > best[-1][1]:
            best.append((cost, quality))
    return best


def plot_board(board: Board, path: Path) -> None:
    """Draw quality over cost: one curve an agent, one point a cost weight.

    Args:
        board: The board.
        path: Where the picture (PNG) is written.
    """
    figure = Figure(figsize=(9, 6), layout="constrained")
    axes: Any = figure.subplots()
    agents = [row for row in board.rows if row.at is not None]
    colours = [f"C{i % 10}" for i in range(len(agents))]
    styles = ["-", "--", ":"]
    reachable: list[tuple[float, float]] = []
    for i, (row, colour) in enumerate(zip(agents, colours, strict=True)):
        points = [(max(FREE, at.cost_usd.mean), at.quality.mean) for at in row.result.at]
        if max(cost for cost, _ in points) <= FREE:
            continue
        if not row.result.privileged:
            reachable += points
        is_single = row.result.agent.startswith("single:")
        unique = sorted(set(points))
        axes.plot(
            *np.array(unique).T,
            color="grey" if is_single else colour,
            linestyle=styles[i // 10 % 3] if len(unique) > 1 else "none",
            marker="x" if is_single else "*" if row.result.privileged else "o",
            markersize=5,
            label=row.result.agent + (" (privileged)" if row.result.privileged else ""),
        )
    frontier = _pareto(reachable)
    axes.step(
        *np.array(frontier).T,
        where="post",
        color="black",
        linewidth=0.8,
        alpha=0.5,
        label="frontier of all agents",
    )
    axes.set_xscale("log")
    axes.set_xlabel("mean cost of an episode, USD (log scale)")
    axes.set_ylabel("mean quality")
    axes.set_title(f"{board.card.title}\n{preview_line(board)}", fontsize=9)
    axes.grid(alpha=0.25)
    axes.legend(fontsize=7, loc="center left", bbox_to_anchor=(1.0, 0.5))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)  # pyright: ignore[reportUnknownMemberType]
