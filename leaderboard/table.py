"""From result files to the rows that people read."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from conductor_gym.errors import DataFileError
from conductor_gym.leaderboard.metrics import Estimate, estimate
from conductor_gym.leaderboard.results import AtCostWeight, Result, read_result
from conductor_gym.leaderboard.tracks import Track, tracks
from conductor_gym.reward import HEADLINE_COST_WEIGHT, utility
from conductor_gym.types import NANO_USD

ZERO = "best-single"
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
    """

    result: Result
    at: AtCostWeight | None
    gain: Estimate | None
    scaled: float | None


@dataclass(frozen=True)
class Board:
    """One track's rows, best first; n/a rows last.

    Attributes:
        track: Name of the track.
        card: Its definition.
        rows: The rows.
        notes: What a reader must know about how the rows were made.
    """

    track: str
    card: Track
    rows: list[Row]
    notes: list[str]


def entry(result: Result, cost_weight: float) -> AtCostWeight | None:
    """The entry of one cost weight, None where the result has none."""
    return next((at for at in result.at if abs(at.cost_weight - cost_weight) < 1e-9), None)


def _utilities(at: AtCostWeight) -> np.ndarray:
    return utility(at.qualities, np.array(at.costs) / NANO_USD, 0.0, at.cost_weight)


def paired_gain(at: AtCostWeight, reference: AtCostWeight) -> Estimate | None:
    """Mean difference in utility over the same queries, None where the queries differ."""
    if len(at.qualities) != len(reference.qualities):
        return None
    return estimate(_utilities(at) - _utilities(reference))


def _row(result: Result, zero: AtCostWeight | None, one: AtCostWeight | None) -> Row:
    at = entry(result, HEADLINE_COST_WEIGHT)
    if at is None or zero is None:
        return Row(result, at, None, None)
    scaled = None
    if one is not None and one.utility.mean - zero.utility.mean >= SMALLEST_SCALE:
        scaled = (at.utility.mean - zero.utility.mean) / (one.utility.mean - zero.utility.mean)
    return Row(result, at, paired_gain(at, zero), scaled)


def _played_on(result: Result) -> str:
    """What must be equal for two rows to be comparable."""
    return repr((result.environment, result.content, result.episodes, result.stream))


def make_board(track: str, results: list[Result]) -> Board:
    """Put a track's results in order.

    Rows are compared only on the same queries and luck: the largest such group is shown, the
    others are named in the notes.
    """
    groups: dict[str, list[Result]] = {}
    for result in results:
        groups.setdefault(_played_on(result), []).append(result)
    results = max(groups.values(), key=lambda group: (len(group), group[0].episodes))
    first = results[0]
    others = [r for group in groups.values() if group is not results for r in group]
    references = {result.agent: entry(result, HEADLINE_COST_WEIGHT) for result in results}
    zero, one = references.get(ZERO), references.get(ONE)
    rows = [_row(result, zero, one) for result in results]
    rows.sort(key=lambda row: (row.at is None, -(row.at.utility.mean if row.at else 0.0)))
    commits = {str(result.commit) for result in results}
    notes = [f"{first.episodes:,} episodes a cost weight, stream {first.stream}"]
    if len(commits) > 1:
        notes.append(f"rows come from different commits: {', '.join(sorted(commits))}")
    if others:
        named = ", ".join(f"{r.agent} ({r.episodes:,} episodes)" for r in others)
        notes.append(f"left out, played on other queries or settings: {named}; run them again")
    return Board(track, tracks()[track], rows, notes)


def read_boards(folder: Path) -> list[Board]:
    """Every track that has results under a folder, in the order of the tracks.

    Raises:
        DataFileError: No results, or files that are broken.
    """
    boards: list[Board] = []
    for name in tracks():
        results = [read_result(path) for path in sorted((folder / name).glob("*.json"))]
        if results:
            boards.append(make_board(name, results))
    if not boards:
        raise DataFileError(
            f"no results under {folder}. Make some with `conductor-gym run --agent all "
            "--track paper`."
        )
    return boards
