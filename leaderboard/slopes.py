"""The picture of low, mid and high: one line an agent, those that reverse in colour."""

from pathlib import Path
from typing import Any

from conductor_gym.errors import MissingExtraError
from conductor_gym.leaderboard.report import MARK
from conductor_gym.leaderboard.sensitivity import Sensitivity, SensitivityRow
from conductor_gym.leaderboard.table import Board
from conductor_gym.reward import HEADLINE_COST_WEIGHT

try:
    from matplotlib import colormaps
    from matplotlib.figure import Figure
except ModuleNotFoundError:
    raise MissingExtraError("the picture of assumptions", "report") from None

SHOWN_BELOW_BEST = 0.25
"""Agents that never come closer to the best one are named, not drawn: they would flatten it."""
LABEL_GAP = 0.032
"""Least distance of two labels, as a share of the axis."""


def _spread(wanted: list[float], gap: float) -> list[float]:
    """Positions from low to high, at least `gap` apart, near the wanted ones."""
    blocks: list[list[float]] = []  # each: sum of wanted starts, number
    for i, value in enumerate(wanted):
        blocks.append([value - i * gap, 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, number = blocks.pop()
            blocks[-1] = [blocks[-1][0] + total, blocks[-1][1] + number]
    starts = [total / number for total, number in blocks for _ in range(int(number))]
    return [start + i * gap for i, start in enumerate(starts)]


def _near(found: Sensitivity) -> tuple[list[SensitivityRow], list[str]]:
    """Rows that are drawn, lowest label first, and names of agents that are only named."""
    rows = [row for row in found.rows if not row.privileged]
    best = {s: max(row.utility[s] for row in rows) for s in found.settings}
    drawn: list[SensitivityRow] = []
    named: list[str] = []
    for row in rows:
        far = all(best[s] - row.utility[s] > SHOWN_BELOW_BEST for s in found.settings)
        if far and not found.reverses_with(row.agent):
            named.append(row.agent)
        else:
            drawn.append(row)
    drawn.sort(key=lambda row: row.utility[found.settings[-1]])
    return drawn, named


def plot_slopes(board: Board, found: Sensitivity, path: Path) -> None:
    """Draw utility under low, mid and high.

    Args:
        board: The board.
        found: Its comparison, with at least one pair of agents.
        path: Where the picture (PNG) is written.
    """
    drawn, named = _near(found)
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes: Any = figure.subplots()
    places = list(range(len(found.settings)))
    values = [value for row in drawn for value in row.utility.values()]
    height = max(max(values) - min(values), 1e-3)
    labels = _spread([row.utility[found.settings[-1]] for row in drawn], LABEL_GAP * height)
    coloured = 0
    for row, label in zip(drawn, labels, strict=True):
        turns = bool(found.reverses_with(row.agent))
        color = colormaps["tab10"](coloured % 10) if turns else "0.6"
        coloured += turns
        axes.plot(
            places,
            [row.utility[setting] for setting in found.settings],
            color=color,
            linewidth=1.8 if turns else 0.9,
            marker="o",
            markersize=4 if turns else 2.5,
            zorder=3 if turns else 2,
        )
        axes.annotate(
            row.agent + (f" {MARK}" if turns else ""),
            (places[-1], row.utility[found.settings[-1]]),
            xytext=(places[-1] + 0.1, label),
            textcoords="data",
            fontsize=7.5,
            color=color if turns else "0.35",
            va="center",
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": color,
                "linewidth": 0.5,
                "shrinkA": 0,
                "shrinkB": 2,
                "relpos": (0, 0.5),
            },
        )
    axes.set_xticks(places, found.settings)
    axes.set_xlim(-0.1, places[-1] + 0.8)
    axes.set_ylim(min(*values, *labels) - 0.03 * height, max(*values, *labels) + 0.03 * height)
    axes.grid(axis="y", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    below = f"\nfurther below: {', '.join(named)}" if named else ""
    axes.set_xlabel(f"assumed parameters{below}", fontsize=9)
    axes.set_ylabel(f"utility at {HEADLINE_COST_WEIGHT:g} per US cent")
    axes.set_title(
        f"{board.card.title}: simulated, agents built under mid\n"
        f"Colour and {MARK}: the order against some other agent reverses, beyond sampling error",
        fontsize=9,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)  # pyright: ignore[reportUnknownMemberType]
