"""The board as one HTML file: no scripts but for sorting, nothing loaded from anywhere.

Names, texts and commands come from result files and cards, so the template escapes all of them.
Modules that a result file names are not imported for their docstrings: a page must be safe to make
from the results of others.
"""

import re
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from conductor_gym.agents.card import AgentCard
from conductor_gym.agents.registry import agents
from conductor_gym.errors import MissingExtraError
from conductor_gym.leaderboard import findings_tables, report
from conductor_gym.leaderboard.findings import findings
from conductor_gym.leaderboard.metrics import Estimate
from conductor_gym.leaderboard.results import AtCostWeight, Result
from conductor_gym.leaderboard.table import ZERO, Board
from conductor_gym.version import __version__

try:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
except ModuleNotFoundError:
    raise MissingExtraError("the board as a page", "report") from None

TEMPLATE = "page.html"
_ARXIV = re.compile(r"arXiv (\d{4}\.\d{4,5})")


@dataclass(frozen=True)
class Bar:
    """An interval drawn as a bar, in percent of the width of its column.

    Attributes:
        left: Where the interval begins.
        width: How wide it is.
        mean: Where the mean is.
    """

    left: float
    width: float
    mean: float


@dataclass(frozen=True)
class HeadlineRow:
    """One row of the first table.

    Attributes:
        anchor: Of the agent's card on the page.
        cells: As in `report.COLUMNS`.
        bar: Of the utility, None where the agent shows n/a.
        reference: Whether it sees what no agent may see.
    """

    anchor: str
    cells: tuple[str, ...]
    bar: Bar | None
    reference: bool


@dataclass(frozen=True)
class Section:
    """One track on the page.

    Attributes:
        board: Its rows.
        simulated: Whether outcomes were simulated.
        outcomes: Where the outcomes come from.
        columns: Of the first table.
        headline: Rows of the first table.
        zero: Where the best single worker is on the scale of the bars, in percent.
        tables: The other tables.
        notes: What must be said about them.
        sensitivity: What the assumptions change, one line each.
        not_applicable: Reasons for n/a.
        pictures: Description and data URI of each.
    """

    board: Board
    simulated: bool
    outcomes: str
    columns: tuple[str, ...]
    headline: list[HeadlineRow]
    zero: float | None
    tables: list[findings_tables.TextTable]
    notes: list[str]
    sensitivity: list[str]
    not_applicable: list[str]
    pictures: list[tuple[str, str]]


@dataclass(frozen=True)
class Run:
    """What one result file says about how its row came about; empty where it does not say.

    Attributes:
        track: Name of the track.
        agent: Name of the agent.
        command: How the row was made.
        commit: Of the code that made it.
        seed: Of the agent, or of its training.
        samples: Training samples.
        training_s: Seconds of training.
        calls_usd: USD of the simulated calls that training made.
        entropy: Of the choice of a worker, in bits.
    """

    track: str
    agent: str
    command: str
    commit: str
    seed: str
    samples: str
    training_s: str
    calls_usd: str
    entropy: str


@dataclass(frozen=True)
class ShownAgent:
    """One agent card on the page.

    Attributes:
        anchor: Where links to it lead.
        name: With what may follow it.
        card: None for agents of one's own.
        arxiv: Number of its paper there, empty where it has none.
        runs: Its rows on the boards.
    """

    anchor: str
    name: str
    card: AgentCard | None
    arxiv: str
    runs: list[Run]


def page(boards: list[Board], pictures: dict[str, list[tuple[str, Path]]]) -> str:
    """The page.

    Args:
        boards: The boards.
        pictures: By track, description and file (PNG) of each picture.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = _shown_agents(boards)
    anchors = {run.agent: agent.anchor for agent in shown for run in agent.runs}
    return environment.get_template(TEMPLATE).render(
        sections=[_section(board, pictures.get(board.track, []), anchors) for board in boards],
        agents=shown,
        legend=report.legend(boards),
        built_under_mid=report.BUILT_UNDER_MID,
        version=__version__,
    )


def _section(board: Board, pictures: list[tuple[str, Path]], anchors: dict[str, str]) -> Section:
    found = findings(board)
    (columns, texts), *tables = report.board_tables(board)
    zero = next((row.at for row in board.rows if row.result.agent == ZERO), None)
    ends = _ends([row.at.utility for row in board.rows if row.at is not None], zero)
    rows = [
        HeadlineRow(
            anchors[row.result.agent],
            text,
            None if row.at is None else _bar(row.at.utility, ends),
            row.result.privileged,
        )
        for row, text in zip(board.rows, texts, strict=True)
    ]
    return Section(
        board=board,
        simulated=board.card.kind == "simulated",
        outcomes=report.outcomes_line(board),
        columns=columns,
        headline=rows,
        zero=None if zero is None else _percent(zero.utility.mean, ends),
        tables=tables,
        notes=findings_tables.notes(found),
        sensitivity=report.sensitivity_lines(board.sensitivity) if board.sensitivity else [],
        not_applicable=report.not_applicable(board),
        pictures=[(alt, _data_uri(path)) for alt, path in pictures],
    )


def _ends(shown: list[Estimate], zero: AtCostWeight | None) -> tuple[float, float]:
    """Utility at the left and right end of the bars, the best single worker in the middle."""
    highest = max((value.high for value in shown), default=0.0)
    if zero is not None:
        return 2.0 * zero.utility.mean - highest, highest
    return min((value.low for value in shown), default=0.0), highest


def _percent(value: float, ends: tuple[float, float]) -> float:
    """Place between the ends; what lies to the left of them stands at the left end."""
    left, right = ends
    return round(100.0 * max((value - left) / (right - left), 0.0), 2) if right > left else 0.0


def _bar(value: Estimate, ends: tuple[float, float]) -> Bar:
    left, mean, right = (_percent(v, ends) for v in (value.low, value.mean, value.high))
    return Bar(left, round(right - left, 2), mean)


def _data_uri(path: Path) -> str:
    return f"data:image/png;base64,{b64encode(path.read_bytes()).decode()}"


def _shown_agents(boards: list[Board]) -> list[ShownAgent]:
    """Shipped agents in the order of their file, then agents of one's own."""
    runs: dict[str, list[Run]] = {name: [] for name in agents()}
    for board in boards:
        for row in board.rows:
            name = row.result.agent
            base = name.partition(":")[0]
            runs.setdefault(base if base in agents() else name, []).append(_run(board, row.result))
    shown: list[ShownAgent] = []
    for i, (name, of) in enumerate(runs.items()):
        card = agents().get(name)
        number = _ARXIV.search(card.paper) if card else None
        title = name if card is None else card.shown_as(name)
        shown.append(ShownAgent(f"agent-{i}", title, card, number[1] if number else "", of))
    return shown


def _run(board: Board, result: Result) -> Run:
    model = result.model or {}
    behaviour = findings(board).behaviours.get(result.agent)
    entropy = None if behaviour is None else behaviour.entropy
    return Run(
        track=board.track,
        agent=result.agent,
        command=result.command,
        commit=result.commit or "unknown",
        seed=_number(model.get("seed", result.seed)),
        samples=_number(model.get("timesteps")),
        training_s=_number(model.get("wall_s")),
        calls_usd=_number(model.get("calls_usd")),
        entropy="" if entropy is None else f"{entropy:.2f}",
    )


def _number(value: Any) -> str:
    """A number of a model card, empty where there is none."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return ""
    return f"{value:,}" if isinstance(value, int) else f"{value:,.2f}"
