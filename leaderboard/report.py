"""The board as a terminal table, a Markdown file and JSON."""

from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from conductor_gym.errors import ConductorError
from conductor_gym.leaderboard import findings_tables
from conductor_gym.leaderboard.by_domain import Breakdown
from conductor_gym.leaderboard.findings import findings
from conductor_gym.leaderboard.findings_tables import TIES_LEGEND, TextTable, mark
from conductor_gym.leaderboard.metrics import Estimate
from conductor_gym.leaderboard.seeds import Seeds
from conductor_gym.leaderboard.sensitivity import Sensitivity
from conductor_gym.leaderboard.table import ZERO, Board, Row, entry
from conductor_gym.reward import COST_WEIGHTS, HEADLINE_COST_WEIGHT
from conductor_gym.workers.pool import load_pool

COLUMNS = (
    "agent",
    "utility [95 %]",
    "vs best single [95 %]",
    "tie",
    "scale 0-1",
    "quality",
    "cents",
    "steps",
    "p50/p95 s",
    "invalid",
)
LEGEND = (
    f"Utility = quality - {HEADLINE_COST_WEIGHT:g} per US cent. Scale: 0 = best single worker "
    "(chosen on train), 1 = clairvoyant single call. Intervals: paired bootstrap over queries and, "
    "where an agent was trained with several seeds, over these; its row is their mean. "
    "+ / - : the paired difference to best single excludes 0. "
    f"{TIES_LEGEND} (ref): sees what no agent may see."
)
MARK = "†"
MARK_LEGEND = (
    f"{MARK}: which of this agent and some other one is better depends on an assumption: the "
    "paired 95 % interval excludes 0 with opposite signs under two of low, mid and high. "
    "No correction for the number of pairs."
)
BUILT_UNDER_MID = (
    "Agents are trained and built under mid and played under all three. Ranks are among the "
    "agents of this table without references."
)
FIDELITY = "docs/fidelity.md"


def _replays_calls(board: Board) -> bool:
    """Whether outcomes come from a journal of live calls; a pool that is gone is no journal."""
    try:
        return load_pool(board.card.pool).journal is not None
    except ConductorError:
        return False


def outcomes_line(board: Board) -> str:
    """Where the outcomes come from: what every table must say above its rows."""
    if board.card.kind == "simulated":
        return (
            "All outcomes are simulated, under mid assumptions. How far the simulation agrees "
            f"with real LLMs: {FIDELITY}."
        )
    if board.card.kind == "live":
        return (
            "All outcomes are what real LLMs gave while these agents played. Latencies are those "
            "of the machine that served them."
        )
    if _replays_calls(board):
        return "All outcomes are replayed from a journal of calls to real LLMs, call by call."
    return (
        "All outcomes are recorded from real LLMs. Prices are list-like, tokens are characters / 4."
    )


def _interval(value: Estimate, digits: int = 3) -> str:
    return f"{value.mean:+.{digits}f} [{value.low:+.{digits}f}, {value.high:+.{digits}f}]"


def cells(row: Row, tie: int | None) -> tuple[str, ...]:
    """One row as text, in the order of `COLUMNS`, with the number of its tie group."""
    name = row.result.agent + (" (ref)" if row.result.privileged else "")
    name += f" {MARK}" if row.reverses_with else ""
    at = row.at
    if at is None:
        return (name, "n/a", *([""] * (len(COLUMNS) - 2)))
    gain = "" if row.gain is None else _interval(row.gain, 4) + mark(row.gain)
    latency = at.latency_s
    return (
        name,
        _interval(at.utility),
        "0 (reference)" if row.result.agent == ZERO else gain,
        "" if tie is None else str(tie),
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


def sensitivity_columns(found: Sensitivity) -> tuple[str, ...]:
    """Columns of the table of assumptions."""
    return (
        "under assumptions",
        *(f"utility {setting}" for setting in found.settings),
        *(f"rank {setting}" for setting in found.settings),
    )


def sensitivity_cells(found: Sensitivity) -> list[tuple[str, ...]]:
    """Rows of the table of assumptions as text."""
    return [
        (
            row.agent + (" (ref)" if row.privileged else "") + _dagger(found, row.agent),
            *(f"{row.utility[setting]:+.3f}" for setting in found.settings),
            *(str(row.rank.get(setting, "")) for setting in found.settings),
        )
        for row in found.rows
    ]


def _dagger(found: Sensitivity, agent: str) -> str:
    return f" {MARK}" if found.reverses_with(agent) else ""


def sensitivity_lines(found: Sensitivity) -> list[str]:
    """What the table of assumptions comes to: rank correlations, and which pairs reverse."""
    taus = ", ".join(
        f"{setting}-mid {'n/a' if tau is None else f'{tau:.3f}'}"
        for setting, tau in found.tau.items()
    )
    lines = [
        f"Kendall tau of the ranks: {taus}. Of {found.pairs} pairs of agents, {found.swapped} "
        f"change order by some margin, {len(found.reversals)} reverse beyond sampling error"
        + (":" if found.reversals else ".")
    ]
    others: dict[tuple[str, str], list[str]] = {}  # one line for others that acted alike
    for pair in found.reversals:
        gains = ", ".join(
            f"{setting} {_interval(gain)}{mark(gain)}" for setting, gain in pair.gain.items()
        )
        others.setdefault((pair.agent, gains), []).append(pair.other)
    for (agent, gains), names in others.items():
        lines.append(f"{MARK} {agent} against {' and '.join(names)}: {gains}")
    lines += [f"left out: {agent}: {why}; run it again" for agent, why in found.left_out.items()]
    return lines


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
        console.print(outcomes_line(board), style="bold")
        for note in board.notes:
            console.print(note, style="dim", markup=False, emoji=False)
        for columns, texts in board_tables(board):
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
        for line in findings_tables.notes(findings(board)):
            console.print(escape(line), soft_wrap=True, highlight=False, style="dim")
        if board.sensitivity is not None:
            for line in sensitivity_lines(board.sensitivity):
                console.print(escape(line), soft_wrap=True, highlight=False)
            console.print(BUILT_UNDER_MID, style="dim")
            console.print()
        for line in not_applicable(board):
            console.print(line, style="dim")
    console.print(legend(boards), style="dim")


def legend(boards: list[Board]) -> str:
    """What the columns of the boards mean."""
    marked = any(board.sensitivity is not None for board in boards)
    return f"{LEGEND} {MARK_LEGEND}" if marked else LEGEND


def board_tables(board: Board) -> list[TextTable]:
    """Columns and rows of each table of a board, the headline first."""
    found = findings(board)
    ran = [row for row in board.rows if row.at is not None]
    by_weight = [
        (_weight_columns(), [weight_cells(row) for row in ran]),
        *findings_tables.tables(found),
    ]
    tables = [
        (COLUMNS, [cells(row, found.ties.group_of(row.result.agent)) for row in board.rows]),
        *(table for columns, rows in by_weight if (table := _filled(columns, rows)) is not None),
        *([_seeds_table(board.seeds)] if board.seeds else []),
        *(_breakdown_table(breakdown) for breakdown in found.breakdowns),
    ]
    if board.sensitivity is not None:
        tables.append(
            (sensitivity_columns(board.sensitivity), sensitivity_cells(board.sensitivity))
        )
    return tables


def _filled(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> TextTable | None:
    """A table without empty columns; None where one cost weight is left, which the headline has."""
    kept = [i for i in range(len(columns)) if i == 0 or any(row[i] for row in rows)]
    if "at cost weight" in columns[0] and len(kept) <= 2:
        return None
    return tuple(columns[i] for i in kept), [tuple(row[i] for i in kept) for row in rows]


def _seeds_table(found: list[Seeds]) -> TextTable:
    """Utility over training seeds, and the share of them that beats a reference."""
    against = list(dict.fromkeys(name for seeds in found for name in seeds.improvement))
    rows = [
        (
            seeds.agent,
            f"{len(seeds.utilities)}",
            f"{seeds.interquartile:+.3f}",
            f"{seeds.utilities[0]:+.3f}",
            f"{seeds.utilities[-1]:+.3f}",
            *(
                f"{seeds.improvement[name]:.2f}" if name in seeds.improvement else ""
                for name in against
            ),
        )
        for seeds in found
    ]
    columns = ("utility by training seed", "seeds", "interquartile mean", "worst", "best")
    return (*columns, *(f"P(better than {name})" for name in against)), rows


def _breakdown_table(found: Breakdown) -> TextTable:
    """Utility, and the rank among agents that are no references, in groups of queries."""
    rows = [
        (
            agent,
            *(
                f"{value:+.3f}" + (f" ({found.rank[agent][g]})" if agent in found.rank else "")
                for g, value in enumerate(values)
            ),
        )
        for agent, values in found.utility.items()
    ]
    return (f"utility (rank) {found.title}", *found.groups), rows


def markdown_table(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """A table as lines of Markdown."""
    rule = "|" + "|".join([" :-- "] + [" --: "] * (len(columns) - 1)) + "|"
    return [
        "| " + " | ".join(columns) + " |",
        rule,
        *("| " + " | ".join(row) + " |" for row in rows),
    ]


def markdown(
    boards: list[Board], plots: dict[str, str], slopes: dict[str, str] | None = None
) -> str:
    """Every board as Markdown.

    Args:
        boards: The boards.
        plots: Cost-quality picture of each track, relative to where the text will stand.
        slopes: Picture of low, mid and high of each track that has them.
    """
    slopes = slopes or {}
    lines = ["# Leaderboard", "", legend(boards), ""]
    for board in boards:
        lines += [f"## {board.track}: {board.card.title}", "", f"**{outcomes_line(board)}**", ""]
        lines += [*(f"- {note}" for note in board.notes), ""]
        for columns, texts in board_tables(board):
            lines += [*markdown_table(columns, texts), ""]
        lines += [*(f"- {line}" for line in findings_tables.notes(findings(board))), ""]
        if board.sensitivity is not None:
            first, *others = sensitivity_lines(board.sensitivity)
            lines += [first, "", *(f"- {line}" for line in others), "", BUILT_UNDER_MID, ""]
        lines += [f"- {line}" for line in not_applicable(board)] + [""]
        if board.track in plots:
            lines += [f"![cost and quality]({plots[board.track]})", ""]
        if board.track in slopes:
            lines += [f"![low, mid and high assumptions]({slopes[board.track]})", ""]
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
            "outcomes": outcomes_line(board),
            "notes": board.notes,
            "breakdowns": [asdict(found) for found in findings(board).breakdowns],
            **findings(board).as_dict(),
            "sensitivity": board.sensitivity.as_dict() if board.sensitivity else None,
            "training_seeds": [asdict(found) for found in board.seeds],
            "rows": [
                row.result.summary()
                | {
                    "vs_best_single": row.gain.model_dump() if row.gain else None,
                    "scaled": row.scaled,
                    "tie": findings(board).ties.group_of(row.result.agent),
                    "reverses_with": list(row.reverses_with),
                }
                for row in board.rows
            ],
        }
        for board in boards
    ]
