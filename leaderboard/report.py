"""The board as a terminal table, a Markdown file and JSON."""

from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from conductor_gym.leaderboard.metrics import Estimate
from conductor_gym.leaderboard.table import ZERO, Board, Row, entry
from conductor_gym.reward import COST_WEIGHTS, HEADLINE_COST_WEIGHT

COLUMNS = (
    "agent",
    "utility [95 %]",
    "vs best single [95 %]",
    "scale 0-1",
    "quality",
    "cents",
    "steps",
    "p50/p95 s",
    "invalid",
)
LEGEND = (
    f"Utility = quality - {HEADLINE_COST_WEIGHT:g} per US cent. Scale: 0 = best single worker "
    "(chosen on train), 1 = clairvoyant single call. Intervals: paired bootstrap over queries. "
    "+ / - : the paired difference to best single excludes 0. (ref): sees what no agent may see."
)
PREVIEW = "PREVIEW: the statistical model has not yet been held against data it never saw."
PREVIEW_RECORDED = "PREVIEW: list-like prices, tokens are characters / 4."


def preview_line(board: Board) -> str:
    """What every table must say above its rows."""
    if board.card.kind == "simulated":
        return f"{PREVIEW} All outcomes are simulated."
    return f"{PREVIEW_RECORDED} All outcomes are recorded from real LLMs."


def _interval(value: Estimate, digits: int = 3) -> str:
    return f"{value.mean:+.{digits}f} [{value.low:+.{digits}f}, {value.high:+.{digits}f}]"


def _mark(gain: Estimate | None) -> str:
    if gain is None:
        return ""
    return " +" if gain.low > 0 else " -" if gain.high < 0 else ""


def cells(row: Row) -> tuple[str, ...]:
    """One row as text, in the order of `COLUMNS`."""
    name = row.result.agent + (" (ref)" if row.result.privileged else "")
    at = row.at
    if at is None:
        return (name, "n/a", *([""] * (len(COLUMNS) - 2)))
    gain = "" if row.gain is None else _interval(row.gain, 4) + _mark(row.gain)
    latency = at.latency_s
    return (
        name,
        _interval(at.utility),
        "0 (reference)" if row.result.agent == ZERO else gain,
        "" if row.scaled is None else f"{row.scaled:.2f}",
        f"{at.quality.mean:.3f}",
        f"{100 * at.cost_usd.mean:.3f}",
        f"{at.steps:.1f}",
        "n/a" if latency is None else f"{latency['p50']:.0f}/{latency['p95']:.0f}",
        f"{at.invalid_actions}",
    )


def weight_cells(row: Row) -> tuple[str, ...]:
    """Utility at every cost weight as text."""
    found = [entry(row.result, weight) for weight in COST_WEIGHTS]
    return (row.result.agent, *("" if at is None else f"{at.utility.mean:.3f}" for at in found))


def not_applicable(board: Board) -> list[str]:
    """One line for each reason why agents show n/a, with the agents."""
    reasons: dict[str, list[str]] = {}
    for row in board.rows:
        if row.at is None:
            why = row.result.not_applicable or f"not run at {HEADLINE_COST_WEIGHT:g} per cent"
            reasons.setdefault(why, []).append(row.result.agent)
    return [f"n/a: {', '.join(agents)}: {why}" for why, agents in reasons.items()]


def _weight_columns() -> tuple[str, ...]:
    return ("utility at cost weight", *(f"{weight:g}" for weight in COST_WEIGHTS))


def _fitting(columns: tuple[str, ...], texts: list[tuple[str, ...]], width: int) -> list[int]:
    """Columns that fit a terminal, the leftmost first."""
    fitting: list[int] = []
    used = 0
    for i, column in enumerate(columns):
        needed = max([len(column), *(len(text[i]) for text in texts)]) + 3
        if used + needed <= width + 3:
            fitting.append(i)
            used += needed
    return fitting


def print_boards(boards: list[Board], console: Console) -> None:
    """Print every board."""
    for board in boards:
        console.rule(f"{board.track}: {board.card.title}")
        console.print(preview_line(board), style="bold yellow")
        console.print("; ".join(board.notes), style="dim")
        for columns, make in ((COLUMNS, cells), (_weight_columns(), weight_cells)):
            shown = [row for row in board.rows if make is cells or row.at is not None]
            texts = [make(row) for row in shown]
            fitting = _fitting(columns, texts, console.width)
            table = Table(show_edge=False, pad_edge=False)
            for i in fitting:
                table.add_column(columns[i], justify="left" if i == 0 else "right", no_wrap=True)
            for text in texts:
                table.add_row(*(escape(text[i]) for i in fitting))
            console.print(table)
            if len(fitting) < len(columns):
                left = ", ".join(c for i, c in enumerate(columns) if i not in fitting)
                console.print(f"too narrow for: {left}; leaderboard.md has them", style="dim")
            console.print()
        for line in not_applicable(board):
            console.print(line, style="dim")
    console.print(LEGEND, style="dim")


def _markdown_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    rule = "|" + "|".join([" :-- "] + [" --: "] * (len(columns) - 1)) + "|"
    return [
        "| " + " | ".join(columns) + " |",
        rule,
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def markdown(boards: list[Board], plots: dict[str, str]) -> str:
    """Every board as Markdown.

    Args:
        boards: The boards.
        plots: Picture of each track, relative to where the text will stand.
    """
    lines = ["# Leaderboard", "", LEGEND, ""]
    for board in boards:
        ran = [row for row in board.rows if row.at is not None]
        lines += [f"## {board.track}: {board.card.title}", "", f"**{preview_line(board)}**", ""]
        lines += ["; ".join(board.notes) + ".", ""]
        lines += _markdown_table(COLUMNS, [cells(row) for row in board.rows])
        lines += ["", *_markdown_table(_weight_columns(), [weight_cells(row) for row in ran]), ""]
        lines += [f"- {line}" for line in not_applicable(board)] + [""]
        if board.track in plots:
            lines += [f"![cost and quality]({plots[board.track]})", ""]
        lines += ["| agent | command | commit | seed |", "| :-- | :-- | :-- | --: |"]
        lines += [
            f"| {r.agent} | `{r.command}` | {r.commit or 'unknown'} | {r.seed} |"
            for r in (row.result for row in board.rows)
        ]
        lines.append("")
    return "\n".join(lines)


def as_json(boards: list[Board]) -> list[dict[str, Any]]:
    """Every board as plain values."""
    return [
        {
            "track": board.track,
            "kind": board.card.kind,
            "preview": preview_line(board),
            "notes": board.notes,
            "rows": [
                row.result.summary()
                | {
                    "vs_best_single": row.gain.model_dump() if row.gain else None,
                    "scaled": row.scaled,
                }
                for row in board.rows
            ],
        }
        for board in boards
    ]
