"""What is found in a board's rows as text: columns, rows and what must be said about them."""

from conductor_gym.leaderboard.behaviour import Behaviour
from conductor_gym.leaderboard.by_weight import GainAt
from conductor_gym.leaderboard.findings import Findings
from conductor_gym.leaderboard.metrics import Estimate
from conductor_gym.leaderboard.savings import Saving, Savings
from conductor_gym.leaderboard.ties import ALPHA
from conductor_gym.reward import COST_WEIGHTS, HEADLINE_COST_WEIGHT
from conductor_gym.types import Subtask

TextTable = tuple[tuple[str, ...], list[tuple[str, ...]]]
"""Columns, and rows of as many cells."""

TIES_LEGEND = (
    f"tie: agents of one number cannot be told apart from the best of them (paired t tests over "
    f"all pairs of agents without references, Holm-corrected at {100 * ALPHA:g} %); numbers need "
    "not follow the rows, for a noisier difference is harder to tell."
)
GAINS_LEGEND = (
    "Differences are paired over queries; + / - : the 95 % interval, not corrected for the number "
    "of cells, excludes 0; = : the same answers. The best single worker is chosen on train for "
    "each cost weight anew. Intervals: leaderboard.json."
)
BEHAVIOUR_LEGEND = (
    f"At cost weight {HEADLINE_COST_WEIGHT:g}. Bits: entropy of the worker over all calls, 0 for "
    "one worker alone, log2 of their number for equal shares of all. Subtasks: "
    "mean steps of an episode."
)
NOT_REACHED = "not reached"


def mark(gain: Estimate | None) -> str:
    """``" +"`` or ``" -"`` where the interval excludes 0."""
    if gain is None:
        return ""
    return " +" if gain.low > 0 else " -" if gain.high < 0 else ""


def tables(found: Findings) -> list[TextTable]:
    """Every table that has rows."""
    made: list[TextTable] = []
    if found.gains:
        made.append(gains_table(found.gains))
    if found.savings is not None:
        made.append(savings_table(found.savings))
    if found.behaviours:
        made += [behaviour_table(found.behaviours), shares_table(found.behaviours)]
    return made


def notes(found: Findings) -> list[str]:
    """What a reader of these tables must know, one line a table."""
    said = [GAINS_LEGEND] if found.gains else []
    if found.savings is not None:
        said.append(savings_legend(found.savings))
    return [*said, BEHAVIOUR_LEGEND] if found.behaviours else said


def gains_table(gains: dict[str, list[GainAt]]) -> TextTable:
    """Gain over the best single worker, agent by cost weight."""
    rows: list[tuple[str, ...]] = []
    for agent, of in gains.items():
        at = {gain.cost_weight: gain for gain in of}
        rows.append((agent, *(_gain(at.get(weight)) for weight in COST_WEIGHTS)))
    return ("vs best single at cost weight", *(f"{weight:g}" for weight in COST_WEIGHTS)), rows


def _gain(gain: GainAt | None) -> str:
    if gain is None:
        return ""
    return "=" if gain.identical else f"{gain.gain.mean:+.4f}{mark(gain.gain)}"


def savings_table(found: Savings) -> TextTable:
    """Saving of each agent in percent."""
    columns = ("at best-single quality", "saving", "95 %", "cents", "reached in resamples")
    return columns, [_saving(row, found) for row in found.rows]


def _saving(row: Saving, found: Savings) -> tuple[str, ...]:
    name = row.agent + (" (ref)" if row.privileged else "")
    low, high = ("not" if end is None else f"{end:+.0%}" for end in (row.low, row.high))
    if row.saving is None:
        short = f"{NOT_REACHED}, {row.missing_quality:.3f} short"
        return name, short, f"[{low}, {high}]" if row.reached else "", "", f"{row.reached:.1%}"
    cents = 100 * found.cost_usd * (1.0 - row.saving)
    return name, f"{row.saving:+.1%}", f"[{low}, {high}]", f"{cents:.3f}", f"{row.reached:.1%}"


def savings_legend(found: Savings) -> str:
    """What the savings are held against."""
    return (
        f"Saving: 1 - cost / {100 * found.cost_usd:.3f} cents, the cost of the single worker with "
        f"the highest quality on train, at its quality of {found.quality:.3f} here; an agent may "
        "mix its settings (one a cost weight). `not`: that end of the interval does not reach the "
        "quality. A cheaper single worker that is nearly as good makes savings easy: see the rows "
        "single:WORKER. The RL Conductor is announced with savings of up to 40 %: that is an "
        "announcement about other workers, tasks and prices, not a measurement of ours."
    )


def behaviour_table(found: dict[str, Behaviour]) -> TextTable:
    """Entropy of the choice of a worker, the top worker, steps by subtask."""
    taken = {name for of in found.values() for name in of.steps}
    used = [subtask.name.lower() for subtask in Subtask if subtask.name.lower() in taken]
    rows = [
        (
            agent,
            "" if of.entropy is None else f"{of.entropy:.2f}",
            "" if of.top_worker is None else f"{of.top_worker} {of.shares[of.top_worker]:.0%}",
            *(f"{of.steps[name]:.2f}" if name in of.steps else "" for name in used),
        )
        for agent, of in found.items()
    ]
    return ("behaviour", "worker choice, bits", "top worker", *used), rows


def shares_table(found: dict[str, Behaviour]) -> TextTable:
    """Share of an agent's calls by worker."""
    workers = sorted({worker for of in found.values() for worker in of.shares})
    rows = [
        (agent, *(f"{of.shares[w]:.0%}" if w in of.shares else "" for w in workers))
        for agent, of in found.items()
        if of.calls
    ]
    return ("share of calls", *workers), rows
