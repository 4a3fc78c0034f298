"""Pictures of utility in several places: one line an agent, those that reverse in colour."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

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


class Line(NamedTuple):
    """One agent: utility at each place, and whether its order against some other one turns."""

    agent: str
    values: list[float]
    turns: bool


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
    lines = [
        Line(row.agent, list(row.utility.values()), bool(found.reverses_with(row.agent)))
        for row in drawn
    ]
    below = f"\nfurther below: {', '.join(named)}" if named else ""
    title = (
        f"{board.card.title}: simulated, agents built under mid\n"
        f"Colour and {MARK}: the order against some other agent reverses, beyond sampling error"
    )
    _draw(found.settings, lines, title, f"assumed parameters{below}", path)


def plot_carried(found: dict[str, Any], path: Path) -> None:
    """Draw each agent's utility on a simulated and on a recorded track.

    Args:
        found: What `Carried.as_dict` gives.
        path: Where the picture (PNG) is written.
    """
    turned = {agent for pair in found["reversed_pairs"] for agent in pair}
    lines = [
        Line(agent, list(both), agent in turned)
        for agent, both in zip(found["agents"], found["utilities"], strict=True)
    ]
    lines.sort(key=lambda line: line.values[-1])
    title = f"Colour and {MARK}: reversed against some other agent, beyond sampling error"
    places = (f"simulated: {found['simulated']}", f"recorded: {found['recorded']}")
    _draw(places, lines, title, f"tau {found['tau']:.2f}", path)


def _draw(places: Sequence[str], lines: list[Line], title: str, below: str, path: Path) -> None:
    """Draw one line an agent, lowest label first."""
    figure = Figure(figsize=(8, 6), layout="constrained")
    axes: Any = figure.subplots()
    at = list(range(len(places)))
    values = [value for line in lines for value in line.values]
    height = max(max(values) - min(values), 1e-3)
    labels = _spread([line.values[-1] for line in lines], LABEL_GAP * height)
    coloured = 0
    for line, label in zip(lines, labels, strict=True):
        color = colormaps["tab10"](coloured % 10) if line.turns else "0.6"
        coloured += line.turns
        axes.plot(
            at,
            line.values,
            color=color,
            linewidth=1.8 if line.turns else 0.9,
            marker="o",
            markersize=4 if line.turns else 2.5,
            zorder=3 if line.turns else 2,
        )
        axes.annotate(
            line.agent + (f" {MARK}" if line.turns else ""),
            (at[-1], line.values[-1]),
            xytext=(at[-1] + 0.05 * len(at), label),
            textcoords="data",
            fontsize=7.5,
            color=color if line.turns else "0.35",
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
    axes.set_xticks(at, places)
    axes.set_xlim(-0.1, at[-1] + 0.27 * len(at))
    axes.set_ylim(min(*values, *labels) - 0.03 * height, max(*values, *labels) + 0.03 * height)
    axes.grid(axis="y", alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel(below, fontsize=9)
    axes.set_ylabel(f"utility at {HEADLINE_COST_WEIGHT:g} per US cent")
    axes.set_title(title, fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=130)  # pyright: ignore[reportUnknownMemberType]
