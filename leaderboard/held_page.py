"""The section on assumed parameters of the fidelity page: tables, a picture, and what holds."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from conductor_gym.errors import MissingExtraError
from conductor_gym.leaderboard.held_assumptions import ENDS, MEAN, Held
from conductor_gym.workers.pool import ModelCard

SIMULATED, AGREES, DIFFERS, UNKNOWN = "#3b6fb6", "#4c9a5f", "#c23b3b", "#999999"
WORDS = {
    "inside": "inside",
    "near": "not told apart",
    "above": "**above all**",
    "below": "**below all**",
    "unknown": "too few calls",
}
ROW_HEIGHT = 0.26


def table(found: Sequence[Held]) -> str:
    """Means as a Markdown table: recorded beside simulated.

    Args:
        found: What `held` gives.
    """
    lines = [
        "| | assumed parameter | recorded [95 %] | low | mid | high | recorded lies |",
        "| :-- | :-- | --: | --: | --: | --: | :-- |",
    ]
    topic = ""
    for row in _means(found):
        if row.topic != topic:
            topic = row.topic
            lines.append(f"| **{topic}** | | | | | | |")
        ends = " | ".join(_number(row.simulated[end]) for end in ENDS)
        named = ", ".join(f"`{name}`" for name in row.parameters)
        lines.append(f"| {row.name} | {named} | {_interval(row)} | {ends} | {WORDS[row.verdict]} |")
    return "\n".join(lines)


def by_worker(found: Sequence[Held], workers: Sequence[str]) -> str:
    """Each worker's numbers as a Markdown table: recorded with its interval, simulated at mid.

    Args:
        found: What `held` gives.
        workers: Names.
    """
    rows: dict[str, dict[str, Held]] = {}
    for row in found:
        if row.who in workers:
            rows.setdefault(row.name, {})[row.who] = row
    lines = [f"| recorded [95 %] / simulated at mid | {' | '.join(workers)} |"]
    lines.append("| :-- |" + " --: |" * len(workers))
    for name, cells in rows.items():
        shown = (
            f"{_interval(cells[w])} / {_number(cells[w].simulated['mid'])}" if w in cells else ""
            for w in workers
        )
        lines.append(f"| {name} | {' | '.join(shown)} |")
    return "\n".join(lines)


def by_parameter(found: Sequence[Held]) -> str:
    """Each assumed parameter as a Markdown table: how many of its numbers agree, and which not."""
    rows: dict[str, list[Held]] = {}
    for row in _means(found):
        for name in row.parameters:
            rows.setdefault(name, []).append(row)
    lines = ["| assumed parameter | agree | do not |", "| :-- | --: | :-- |"]
    for name, held in sorted(rows.items()):
        known = [row for row in held if row.holds is not None]
        off = [f"{row.name} ({row.verdict})" for row in known if not row.holds]
        agree = f"{len(known) - len(off)} of {len(known)}" if known else "too few calls"
        lines.append(f"| `{name}` | {agree} | {'; '.join(off) or '-'} |")
    return "\n".join(lines)


def section(found: dict[str, Any], figure: str) -> list[str]:
    """Lines of the page's section.

    Args:
        found: What `hold_track` gives.
        figure: File name of the picture.
    """
    rows = [Held.from_dict(row) for row in found["rows"]]
    known = [row for row in _means(rows) if row.holds is not None]
    agree = [row for row in known if row.holds]
    workers = found["workers"]
    return [
        "## Assumed parameters, held against live calls",
        "",
        f"{found['queries']:,} tasks of `{found['suite']}`, recorded with {len(workers)} live "
        f"workers ({', '.join(workers)}): each solved every task up to {found['attempts']} times, "
        "verified and revised its own and the others' first answers, aggregated them, and solved "
        "again after seeing one. The same scripts were then played by simulated workers, whose "
        "abilities and shared difficulty are fitted to the first solves of this recording, under "
        "the low, mid and high end of everything that is `assumed`, on at least "
        f"{found['simulated_queries']:,} simulated queries. The same estimators read both. "
        "Intervals are bootstrapped over queries.",
        "",
        "These are small models, far below those that the shipped pools describe. Where an "
        "assumption fails here it fails for small models; where it holds, nothing is said about "
        "large ones. *Inside*: between low and high. *Not told apart*: only the interval reaches "
        "the range.",
        "",
        f"**{len(agree)} of {len(known)} numbers agree with the assumed range.**",
        "",
        f"![recorded beside simulated]({figure})",
        "",
        table(rows),
        "",
        "By parameter (a number may depend on several):",
        "",
        by_parameter(rows),
        "",
        f"No call of this recording tells about {', '.join(_untouched(rows))}.",
        "",
        "<details><summary>By worker</summary>",
        "",
        by_worker(rows, workers),
        "",
        "</details>",
        "",
    ]


def picture(found: Sequence[Held], path: Path) -> None:
    """Draw recorded means with their intervals beside the simulated range, a panel a topic.

    Args:
        found: What `held` gives.
        path: PNG file.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("drawing figures", "report") from None
    means = [row for row in _means(found) if row.verdict != "unknown"]
    topics = list(dict.fromkeys(row.topic for row in means))
    rows = {topic: [row for row in means if row.topic == topic][::-1] for topic in topics}
    sizes = [len(rows[topic]) + 1.6 for topic in topics]
    figure: Any = Figure(figsize=(10, 0.6 + ROW_HEIGHT * sum(sizes)), layout="constrained")
    panels: Any = figure.subplots(len(topics), 1, squeeze=False, height_ratios=sizes)
    for axes, topic in zip(panels[:, 0], topics, strict=True):
        _draw_topic(axes, rows[topic])
        axes.set_title(topic, fontsize=9, loc="left", fontweight="bold")
    figure.suptitle(
        "Recorded live calls (dot, 95 % interval) beside simulated low to high (bar, mid: stroke)\n"
        "green: agree, red: do not",
        fontsize=9,
    )
    figure.savefig(path, dpi=110)


def _draw_topic(axes: Any, rows: list[Held]) -> None:
    for y, row in enumerate(rows):
        ends = [row.simulated[end] for end in ENDS]
        axes.plot(
            [min(ends), max(ends)], [y, y], color=SIMULATED, linewidth=7, alpha=0.35,
            solid_capstyle="butt",
        )  # fmt: skip
        axes.plot([row.simulated["mid"]] * 2, [y - 0.3, y + 0.3], color=SIMULATED, linewidth=1.5)
        colour = AGREES if row.holds else DIFFERS
        axes.plot([row.low, row.high], [y, y], color=colour, linewidth=1.2)
        axes.plot([row.recorded], [y], "o", color=colour, markersize=4.5)
    axes.axvline(0.0, color="black", linewidth=0.5, alpha=0.4)
    axes.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=7)
    axes.set_ylim(-0.7, len(rows) - 0.3)
    axes.tick_params(axis="x", labelsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _untouched(found: Sequence[Held]) -> list[str]:
    """Assumed parameters of acting on answers that no number depends on."""
    touched = {name for row in found for name in row.parameters}
    fitted = {"difficulty_skew", "r2_delta", "r2_eta", "token_sigma"}
    return [f"`{name}`" for name in ModelCard.model_fields if name not in touched | fitted]


def _means(found: Sequence[Held]) -> list[Held]:
    return [row for row in found if row.who == MEAN]


def _number(value: float) -> str:
    return f"{value:.3f}" if np.isfinite(value) else "n/a"


def _interval(row: Held) -> str:
    if not np.isfinite(row.recorded):
        return "n/a"
    return f"{row.recorded:.3f} [{_number(row.low)}, {_number(row.high)}]"
