"""Reading long tables: one row a call."""

from array import array
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt

from conductor_gym.errors import DataFileError
from conductor_gym.recordings.card import RecordingCard
from conductor_gym.recordings.cells import MEASURES, identity, measure, show_failures
from conductor_gym.recordings.outcomes import Array, Outcomes
from conductor_gym.recordings.queries import Queries, QueryFinder
from conductor_gym.recordings.table_file import (
    Row,
    TableFile,
    as_number,
    is_missing,
    open_table,
    table_path,
)
from conductor_gym.types import Status

STATUSES = {status.name.lower(): int(status) for status in Status}
MAX_ATTEMPTS = 64
SOLVE = "solve"
MAX_REMEMBERED = 100_000
"""Cells whose value is kept, so that a repeated one is not worked out again."""


class _Cells:
    """Reads the optional columns of one file."""

    def __init__(self, card: RecordingCard, table: TableFile) -> None:
        self._path = table.path
        self._columns = {
            name: table.at(column)
            for name in (*MEASURES, "answer", "attempt", "subtask", "status")
            if (column := getattr(card.outcomes, name)) is not None
        }
        self.measures = [(name, self._columns[name]) for name in MEASURES if name in self]
        self._known: dict[tuple[str, str], float] = {}

    def __contains__(self, name: str) -> bool:
        return name in self._columns

    def text(self, row: Row, name: str) -> str:
        at = self._columns.get(name)
        return "" if at is None else row.cells[at].strip()

    def number(self, row: Row, at: int, kind: str, column: str) -> float:
        cell = row.cells[at]
        known = self._known.get((kind, cell))
        if known is None:
            known = measure(self._path, row.line, column, cell, kind)
            if len(self._known) < MAX_REMEMBERED:
                self._known[kind, cell] = known
        return known

    def status(self, row: Row) -> int:
        """The status, -1 where it is blank."""
        name = self.text(row, "status").lower()
        if name and name not in STATUSES:
            raise DataFileError(
                f"{self._path}, line {row.line}: status {name!r} is unknown. "
                f"Known: {', '.join(STATUSES)}."
            )
        return STATUSES.get(name, -1)


class _Calls:
    """One entry a call, column by column."""

    def __init__(self) -> None:
        self.query, self.worker, self.attempt = array("q"), array("q"), array("q")
        self.file, self.line = array("q"), array("q")
        self.score, self.answer, self.status = array("d"), array("q"), array("q")
        self.measures = {name: array("d") for name in MEASURES}
        self.workers: dict[str, int] = {}
        self.attempts: dict[str, int] = {}
        self.paths: list[Path] = []
        self.others = 0


def read_long(card: RecordingCard, queries: Queries, keys: dict[str, int]) -> Outcomes:
    """Read the outcomes of a long recording. Attempts are numbered in the order of their names.

    Args:
        card: The recording's card.
        queries: Its queries.
        keys: Position of each query's uid.

    Raises:
        DataFileError: Broken files, scores outside [0, 1], the same call twice, unknown statuses,
            a column of scores beside the long ones; names file, line and column.
    """
    calls = _Calls()
    has = {"answer": False, "status": False}
    for file in card.outcomes.files:
        table = open_table(table_path(file))
        calls.paths.append(table.path)
        cells = _Cells(card, table)
        _read_file(card, queries, keys, table, cells, calls)
        has = {name: seen or name in cells for name, seen in has.items()}
    if not len(calls.query):
        raise DataFileError(
            f"{calls.paths[0]}: no row holds a score of a `{SOLVE}` of a known query."
        )
    return _arrays(card, queries, calls, has["answer"], has["status"])


def _read_file(
    card: RecordingCard,
    queries: Queries,
    keys: dict[str, int],
    table: TableFile,
    cells: _Cells,
    calls: _Calls,
) -> None:
    path, outcomes = table.path, card.outcomes
    find = QueryFinder(card, queries, table)
    spare = _spare_columns(card, table)
    at_worker, at_score = table.at(outcomes.worker), table.at(outcomes.score)
    answer_of = _remembered_identity(card)
    file = len(calls.paths) - 1
    for row in table.rows:
        subtask = cells.text(row, "subtask").lower()
        if subtask not in ("", SOLVE):
            calls.others += 1
            continue
        at = find.position(row, keys)
        if at is None:
            continue
        name = row.cells[at_worker].strip()
        worker = calls.workers.get(name)
        if worker is None:
            _check_worker(path, row, name, spare)
            worker = calls.workers.setdefault(name, len(calls.workers))
        status = cells.status(row)
        if status == Status.UNAFFORDABLE:  # this call was never made
            calls.others += 1
            continue
        failed = status > 0
        score = cells.number(row, at_score, "score", outcomes.score)
        if np.isnan(score):
            if not failed:
                continue  # no record
            score = 0.0
        calls.query.append(at)
        calls.worker.append(worker)
        attempt = cells.text(row, "attempt")
        calls.attempt.append(calls.attempts.setdefault(attempt, len(calls.attempts)))
        calls.file.append(file)
        calls.line.append(row.line)
        answer = -1 if failed else answer_of(cells.text(row, "answer"))
        calls.score.append(0.0 if failed else score)
        calls.answer.append(answer)
        calls.status.append(status)
        for kind, column in cells.measures:
            calls.measures[kind].append(cells.number(row, column, kind, table.columns[column]))
    for values in calls.measures.values():
        missing = len(calls.query) - len(values)
        values.extend([float("nan")] * missing)


def _remembered_identity(card: RecordingCard) -> Callable[[str], int]:
    known: dict[str, int] = {"": -1}
    what = card.outcomes.answers_are

    def of(cell: str) -> int:
        found = known.get(cell)
        if found is None:
            found = identity(cell, what)
            if len(known) < MAX_REMEMBERED:
                known[cell] = found
        return found

    return of


def _check_worker(path: Path, row: Row, name: str, spare: frozenset[str]) -> None:
    if is_missing(name):
        raise DataFileError(f"{path}, line {row.line}: the worker is blank.")
    if name in spare:
        raise DataFileError(
            f"{path}, line {row.line}: worker {name!r} also has a column of its own: wide and "
            "long are mixed. Keep one of the two."
        )


def _spare_columns(card: RecordingCard, table: TableFile) -> frozenset[str]:
    """Columns that the card gives no meaning."""
    queries, outcomes = card.queries, card.outcomes
    named = {queries.uid, queries.domain, queries.choices, queries.documents, *queries.text}
    named |= {outcomes.uid, outcomes.worker, outcomes.score}
    named |= {getattr(outcomes, name) for name in (*MEASURES, "answer", "attempt", "subtask")}
    return frozenset(set(table.columns) - named - {outcomes.status})


def _order(attempt: str) -> tuple[float, str]:
    number = as_number(attempt)
    return (np.inf if number is None else number, attempt)


def _arrays(
    card: RecordingCard, queries: Queries, calls: _Calls, has_answers: bool, has_statuses: bool
) -> Outcomes:
    query, worker = np.array(calls.query), np.array(calls.worker)
    rank = np.zeros(len(calls.attempts), np.int64)
    for k, name in enumerate(sorted(calls.attempts, key=_order)):
        rank[calls.attempts[name]] = k
    attempt = rank[np.array(calls.attempt)]
    order = np.lexsort((attempt, worker, query))
    pair = (query * len(calls.workers) + worker)[order]
    new = np.diff(pair, prepend=-1) != 0
    again = np.flatnonzero(~new & (np.diff(attempt[order], prepend=-1) == 0))
    if len(again):
        raise _twice(queries, calls, int(order[again[0] - 1]), int(order[again[0]]))
    # The place of each call among the calls of its query and worker.
    start = np.maximum.accumulate(np.where(new, np.arange(len(pair)), 0))
    k = np.arange(len(pair)) - start
    most = int(k.max()) + 1
    if most > MAX_ATTEMPTS:
        raise DataFileError(
            f"{calls.paths[0]}: {most} attempts of one call, at most {MAX_ATTEMPTS} are read. "
            f"Is column {card.outcomes.attempt!r} what it seems?"
        )
    unscored = sorted(set(calls.workers.values()) - set(np.unique(worker).tolist()))
    if unscored:
        name = list(calls.workers)[unscored[0]]
        raise DataFileError(
            f"{calls.paths[0]}: worker {name!r} has no score in any row. Remove its rows."
        )
    shape = (len(queries.uids), len(calls.workers), most)
    where = (query[order], worker[order], k)

    def placed(values: "array[float]") -> Array:
        table = np.full(shape, np.nan)
        table[where] = np.array(values)[order]
        return table

    found = {name: placed(values) for name, values in calls.measures.items()}
    kept = {name: values if np.isfinite(values).any() else None for name, values in found.items()}
    answer: npt.NDArray[np.int64] = np.full(shape, -1, np.int64)
    answer[where] = np.array(calls.answer)[order]
    told, given = np.array(calls.status), np.array(calls.answer) >= 0
    blank = (told < 0) & ~given
    failures = show_failures(given, blank, np.array(calls.score), worker, len(calls.workers))
    bare = blank & failures[worker]
    status: npt.NDArray[np.int64] = np.zeros(shape, np.int64)
    status[where] = np.where(bare, int(Status.MALFORMED), np.maximum(told, 0))[order]
    visible = has_statuses or has_answers
    return Outcomes(
        tuple(calls.workers),
        placed(calls.score),
        kept["tokens_in"],
        kept["tokens_out"],
        kept["usd"],
        kept["seconds"],
        answer if has_answers and bool((answer >= 0).any()) else None,
        status == int(Status.MALFORMED) if visible else None,
        other_subtasks=calls.others,
        status=status if visible else None,
    )


def _twice(queries: Queries, calls: _Calls, first: int, again: int) -> DataFileError:
    if (calls.file[again], calls.line[again]) < (calls.file[first], calls.line[first]):
        first, again = again, first
    name = list(calls.workers)[calls.worker[again]]
    there = (
        "" if calls.file[first] == calls.file[again] else f" of {calls.paths[calls.file[first]]}"
    )
    return DataFileError(
        f"{calls.paths[calls.file[again]]}, line {calls.line[again]}: query "
        f"{queries.uids[calls.query[again]]!r} and worker {name!r} appear again (first on line "
        f"{calls.line[first]}{there}). Remove one, or tell repeated calls apart in a column "
        "`attempt`."
    )
