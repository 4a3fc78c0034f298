"""Reading long tables: one row a call."""

from typing import Any

import numpy as np

from conductor_gym.errors import DataFileError
from conductor_gym.recordings.card import RecordingCard
from conductor_gym.recordings.cells import identity, measure
from conductor_gym.recordings.outcomes import Array, Outcomes
from conductor_gym.recordings.queries import Queries, QueryReader
from conductor_gym.recordings.table_file import (
    Row,
    TableFile,
    as_number,
    is_missing,
    open_table,
    table_path,
)
from conductor_gym.types import Status

MEASURES = ("tokens_in", "tokens_out", "usd", "seconds")
STATUSES = tuple(status.name.lower() for status in Status)
MAX_ATTEMPTS = 64
SOLVE = "solve"

Call = tuple[int, int, str]
"""Query, worker and the text of the attempt."""


class _Columns:
    """Positions of the long format's columns in one file."""

    def __init__(self, card: RecordingCard, table: TableFile) -> None:
        outcomes = card.outcomes
        self.query = QueryReader(card, table) if not card.queries.files else None
        uid = outcomes.uid or card.queries.uid
        if self.query is None and uid is None:
            raise DataFileError(
                f"{table.path}, line 1: no column names the query of each row. "
                f"Columns: {', '.join(table.columns)}."
            )
        self.uid = None if self.query is not None or uid is None else table.at(uid)
        self.worker = table.at(outcomes.worker)
        self.score = table.at(outcomes.score)
        self.optional = {
            name: table.at(column)
            for name in (*MEASURES, "answer", "attempt", "subtask", "status")
            if (column := getattr(outcomes, name)) is not None
        }

    def cell(self, row: Row, name: str) -> str:
        at = self.optional.get(name)
        return "" if at is None else row.cells[at].strip()


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
    workers: dict[str, int] = {}
    calls: dict[Call, tuple[int, list[float]]] = {}
    identities: dict[Call, int] = {}
    malformed: dict[Call, bool] = {}
    others = 0
    for file in card.outcomes.files:
        table = open_table(table_path(file))
        columns = _Columns(card, table)
        spare = _spare_columns(card, table)
        for row in table.rows:
            if columns.cell(row, "subtask").lower() not in ("", SOLVE):
                others += 1
                continue
            at = _query(columns, table, row, keys)
            if at is None:
                continue
            name = row.cells[columns.worker].strip()
            if not name:
                raise DataFileError(f"{table.path}, line {row.line}: the worker is blank.")
            if name in spare:
                raise DataFileError(
                    f"{table.path}, line {row.line}: worker {name!r} also has a column of its "
                    "own: wide and long are mixed. Keep one of the two."
                )
            call = (at, workers.setdefault(name, len(workers)), columns.cell(row, "attempt"))
            if call in calls:
                raise DataFileError(
                    f"{table.path}, line {row.line}: query {queries.uids[at]!r} and worker "
                    f"{name!r} appear again (first on line {calls[call][0]}). Remove one, or tell "
                    "repeated calls apart in a column `attempt`."
                )
            status = columns.cell(row, "status").lower()
            if status not in ("", *STATUSES):
                raise DataFileError(
                    f"{table.path}, line {row.line}: status {status!r} is unknown. "
                    f"Known: {', '.join(STATUSES)}."
                )
            score_cell = row.cells[columns.score]
            score = measure(table.path, row.line, card.outcomes.score, score_cell, "score")
            if is_missing(score_cell) and status not in ("", "ok"):
                score = 0.0  # a failed call is worth nothing
            values = [
                measure(table.path, row.line, kind, columns.cell(row, kind), kind)
                for kind in MEASURES
            ]
            calls[call] = (row.line, [score, *values])
            if "answer" in columns.optional:
                what = card.outcomes.answers_are
                identities[call] = identity(columns.cell(row, "answer"), what)
            if "status" in columns.optional or "answer" in columns.optional:
                bare = "answer" in columns.optional and identities[call] < 0 and score == 0.0
                malformed[call] = status == "malformed" or (bare and status in ("", "ok"))
    if not calls:
        raise DataFileError(f"{card.outcomes.files[0]}: no row holds a `{SOLVE}` of a known query.")
    return _arrays(card, len(queries.uids), workers, calls, identities, malformed, others)


def _query(columns: _Columns, table: TableFile, row: Row, keys: dict[str, int]) -> int | None:
    if columns.query is not None:
        if columns.query.is_left_out(row.cells):
            return None
        return keys[columns.query.uid(row)]
    uid = row.cells[columns.uid or 0].strip()
    if not uid:
        raise DataFileError(f"{table.path}, line {row.line}: the query's id is blank.")
    if uid not in keys:
        raise DataFileError(
            f"{table.path}, line {row.line}: query {uid!r} does not stand in the table of queries."
        )
    return keys[uid]


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
    card: RecordingCard,
    queries: int,
    workers: dict[str, int],
    calls: dict[Call, tuple[int, list[float]]],
    identities: dict[Call, int],
    malformed: dict[Call, bool],
    others: int,
) -> Outcomes:
    attempts: dict[tuple[int, int], list[str]] = {}
    for query, worker, attempt in calls:
        attempts.setdefault((query, worker), []).append(attempt)
    most = max(len(names) for names in attempts.values())
    if most > MAX_ATTEMPTS:
        raise DataFileError(
            f"{card.outcomes.files[0]}: {most} attempts of one call, at most {MAX_ATTEMPTS} are "
            "read. Is column `attempt` what it seems?"
        )
    shape = (queries, len(workers), most)
    table = np.full((1 + len(MEASURES), *shape), np.nan)
    answer = np.full(shape, -1, np.int64)
    bad = np.zeros(shape, np.bool_)
    for (query, worker), names in attempts.items():
        for k, name in enumerate(sorted(names, key=_order)):
            call = (query, worker, name)
            table[:, query, worker, k] = calls[call][1]
            answer[query, worker, k] = identities.get(call, -1)
            bad[query, worker, k] = malformed.get(call, False)
    measures: list[Array | None] = [m if np.isfinite(m).any() else None for m in table[1:]]
    optional: dict[str, Any] = dict(zip(MEASURES, measures, strict=True))
    return Outcomes(
        tuple(workers),
        table[0],
        **optional,
        answer=answer if identities and bool((answer >= 0).any()) else None,
        malformed=bad if malformed else None,
        other_subtasks=others,
    )
