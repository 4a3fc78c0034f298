"""From result files to the rows that people read."""

from dataclasses import dataclass, field
from pathlib import Path

from conductor_gym.errors import DataFileError
from conductor_gym.leaderboard.metrics import Estimate, estimate
from conductor_gym.leaderboard.results import (
    AtCostWeight,
    Result,
    entry,
    read_result,
    utilities,
)
from conductor_gym.leaderboard.seeds import Seeds, merge_seeds, seed_table
from conductor_gym.leaderboard.sensitivity import Sensitivity, sensitivity
from conductor_gym.leaderboard.tracks import Track, tracks
from conductor_gym.reward import HEADLINE_COST_WEIGHT

ZERO = "best-single"
BY_DOMAIN = "best-by-domain"
ONE = "clairvoyant"
SMALLEST_SCALE = 0.01
"""Where the two references differ by less, only raw utility is shown."""


@dataclass(frozen=True)
class Row:
    """One agent of a track at the headline cost weight.

    Attributes:
        result: Its result file.
        at: The entry of the headline cost weight, None where the agent shows n/a.
        gain: Utility minus that of the best single worker, paired over queries.
        scaled: 0 at the best single worker, 1 at the clairvoyant single call.
        reverses_with: Agents against which its place depends on an assumption.
    """

    result: Result
    at: AtCostWeight | None
    gain: Estimate | None
    scaled: float | None
    reverses_with: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Board:
    """One track's rows, best first; n/a rows last; simulated ones under mid.

    Boards are told apart by identity, so that what is computed from one can be kept.

    Attributes:
        track: Name of the track.
        card: Its definition.
        rows: The rows.
        notes: What a reader must know about how the rows were made.
        sensitivity: The same agents under low and high, None where neither was played.
        seeds: How training seeds differ, of agents that have several.
    """

    track: str
    card: Track
    rows: list[Row]
    notes: list[str]
    sensitivity: Sensitivity | None = None
    seeds: list[Seeds] = field(default_factory=lambda: [])


def paired_gain(at: AtCostWeight, reference: AtCostWeight) -> Estimate | None:
    """Mean difference in utility over the same queries, None where the queries differ."""
    if len(at.qualities) != len(reference.qualities):
        return None
    return estimate(utilities(at) - utilities(reference), at.seed_utilities)


def _row(
    result: Result,
    zero: AtCostWeight | None,
    one: AtCostWeight | None,
    reverses_with: tuple[str, ...],
) -> Row:
    at = entry(result, HEADLINE_COST_WEIGHT)
    if at is None or zero is None:
        return Row(result, at, None, None, reverses_with)
    scaled = None
    if one is not None and one.utility.mean - zero.utility.mean >= SMALLEST_SCALE:
        scaled = (at.utility.mean - zero.utility.mean) / (one.utility.mean - zero.utility.mean)
    return Row(result, at, paired_gain(at, zero), scaled, reverses_with)


def _played_on(result: Result) -> str:
    """What must be equal for two rows to be comparable."""
    return repr((result.environment, result.content, result.episodes, result.stream))


def make_board(track: str, results: list[Result], ends: list[Result] | None = None) -> Board:
    """Put a track's results in order.

    Rows are compared only on the same queries and luck: the largest such group is shown, the
    others are named in the notes.

    Args:
        track: Name of the track.
        results: Recorded ones, or simulated ones under mid.
        ends: Results under low and high.
    """
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(_played_on(result), []).append(result)
    shown = max(groups.values(), key=lambda group: (len(group), group[0].episodes))
    first = shown[0]
    others = [r for group in groups.values() if group is not shown for r in group]
    commits = {str(result.commit) for result in (*shown, *(ends or []))}
    results, ends = merge_seeds(shown), merge_seeds(ends or [])
    references = {result.agent: entry(result, HEADLINE_COST_WEIGHT) for result in results}
    zero, one = references.get(ZERO), references.get(ONE)
    compared = sensitivity(results, ends)
    rows = [
        _row(result, zero, one, compared.reverses_with(result.agent) if compared else ())
        for result in results
    ]
    rows.sort(key=lambda row: (row.at is None, -(row.at.utility.mean if row.at else 0.0)))
    notes = [f"{first.episodes:,} episodes a cost weight, stream {first.stream}"]
    if len(commits) > 1:
        notes.append(f"rows come from different commits: {', '.join(sorted(commits))}")
    if others:
        named = ", ".join(f"{r.agent} ({r.episodes:,} episodes)" for r in others)
        notes.append(f"left out, played on other queries or settings: {named}; run them again")
    notes += _lost(rows)
    notes += _read_by_language_models(rows)
    seeds = seed_table(results, (ZERO, BY_DOMAIN))
    return Board(track, _card(track, first), rows, notes, compared, seeds)


def _card(track: str, result: Result) -> Track:
    """The definition of a track; of one's own as far as its results tell."""
    if track in tracks():
        return tracks()[track]
    told = ("pool", "suite", "split", "key", "budget_usd")
    settings = {name: result.environment[name] for name in told}
    return Track(title="a track of one's own", kind=result.kind, **settings)


def _lost(rows: list[Row]) -> list[str]:
    """One note for each agent that lost episodes by a fault of its own."""
    return [
        f"{row.result.agent} lost {len(row.at.failures):,} episodes, the first because "
        f"{next(iter(row.at.failures.values()))}"
        for row in rows
        if row.at is not None and row.at.failures
    ]


def _read_by_language_models(rows: list[Row]) -> list[str]:
    """One note for each language model that conducts: its interface and its own tokens."""
    notes: list[str] = []
    for row in rows:
        own = None if row.at is None else row.at.own_tokens
        if own is not None:
            n = row.result.episodes
            notes.append(
                f"{row.result.agent} ({row.result.interface} interface) itself read "
                f"{own.tokens_in / n:,.0f} and wrote {own.tokens_out / n:,.1f} tokens an episode, "
                "which are no part of cost and utility"
            )
    if notes and any(row.result.kind == "simulated" for row in rows):
        notes.append("simulated workers ignore the free text that a language model writes to them")
    return notes


def _read_folder(folder: Path, assumptions: tuple[str | None, ...]) -> list[Result]:
    """Every result of a folder, which must have been played under one of the assumptions."""
    results: list[Result] = []
    for path in sorted(folder.glob("*.json")):
        result = read_result(path)
        if result.assumptions not in assumptions:
            raise DataFileError(
                f"{path} was played under {result.assumptions or 'recorded outcomes'}: it does not "
                "belong into this folder. Remove it or run the agent again."
            )
        results.append(result)
    return results


def read_boards(folder: Path) -> list[Board]:
    """Every track that has results under a folder: shipped ones in their order, then others.

    Raises:
        DataFileError: No results, or files that are broken.
    """
    boards: list[Board] = []
    own = sorted({path.parent.name for path in folder.glob("*/*.json")} - set(tracks()))
    for name in (*tracks(), *own):
        results = _read_folder(folder / name, (None, "mid"))
        ends = [r for end in ("low", "high") for r in _read_folder(folder / name / end, (end,))]
        if results:
            boards.append(make_board(name, results, ends))
        elif ends:
            raise DataFileError(
                f"{folder / name}: results under low or high alone, the board is made of those "
                f"under mid. Run `conductor-gym run --agent all --track {name}`."
            )
    if not boards:
        raise DataFileError(
            f"no results under {folder}. Make some with `conductor-gym run --agent all "
            "--track standard`."
        )
    return boards
