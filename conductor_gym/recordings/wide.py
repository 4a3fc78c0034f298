"""Reading wide tables: one row a query, one column a worker."""

from pathlib import Path

import numpy as np

from conductor_gym.errors import DataFileError, unknown_name
from conductor_gym.recordings.card import OutcomeColumns, RecordingCard
from conductor_gym.recordings.cells import (
    LIMITS,
    MEASURES,
    identity,
    measure,
    out_of_range,
    show_failures,
)
from conductor_gym.recordings.detect import (
    KNOWN_COLUMNS,
    QUERY_LEVEL,
    SEPARATOR,
    find_columns,
)
from conductor_gym.recordings.outcomes import Array, Outcomes
from conductor_gym.recordings.queries import Queries, QueryFinder
from conductor_gym.recordings.table_file import (
    TableFile,
    as_number,
    is_missing,
    open_table,
    table_path,
)
from conductor_gym.types import Status

MARKS = frozenset(name for kind in (*MEASURES, "answer") for name in KNOWN_COLUMNS[kind])
"""What may stand after the separator in a column's name."""


class _Column:
    """What a column of a wide table turns out to hold."""

    def __init__(self, queries: int) -> None:
        self.values: Array = np.full(queries, np.nan)
        self.numbers = 0
        self.no_number: tuple[Path, int, str] | None = None
        self.too_far: tuple[Path, int, str] | None = None

    def take(self, path: Path, line: int, at: int, cell: str) -> None:
        if is_missing(cell):
            return
        value = as_number(cell)
        low, high = LIMITS["score"]
        if value is None:
            self.no_number = self.no_number or (path, line, cell)
            return
        self.numbers += 1
        if not low <= value <= high:
            self.too_far = self.too_far or (path, line, cell)
            return
        self.values[at] = value


def read_wide(card: RecordingCard, queries: Queries, keys: dict[str, int]) -> Outcomes:
    """Read the outcomes of a wide recording.

    Args:
        card: The recording's card.
        queries: Its queries.
        keys: Position of each query's uid.

    Raises:
        DataFileError: Broken files, columns that hold both scores and text, scores outside
            [0, 1], a query that appears twice; names file, line and column.
    """
    names: tuple[str, ...] = ()
    columns: dict[str, _Column] = {}
    measures: dict[str, Array] = {}
    answers: dict[str, list[int]] = {}
    seen: dict[int, int] = {}
    for number, file in enumerate(card.outcomes.files):
        table = open_table(table_path(file))
        if number == 0:
            names = card.outcomes.workers or _candidates(card, table)
            columns = {name: _Column(len(keys)) for name in names}
        places = {name: table.at(name) for name in names}
        extra = _measured(card.outcomes, table, names)
        asked = _answers(card.outcomes, table, names)
        find = QueryFinder(card, queries, table)
        for row in table.rows:
            at = find.position(row, keys)
            if at is None:
                continue
            if at in seen:
                if card.queries.repeated == "first":
                    continue
                raise DataFileError(
                    f"{table.path}, line {row.line}: query {queries.uids[at]!r} appears again "
                    f"(first on line {seen[at]}). Remove one of the two rows."
                )
            seen[at] = row.line
            for name, place in places.items():
                columns[name].take(table.path, row.line, at, row.cells[place])
            for (kind, name), place in extra.items():
                values = measures.setdefault(f"{kind} {name}", np.full(len(keys), np.nan))
                column = table.columns[place]
                values[at] = measure(table.path, row.line, column, row.cells[place], kind)
            for name, place in asked.items():
                rows = answers.setdefault(name, [-1] * len(keys))
                rows[at] = identity(row.cells[place], card.outcomes.answers_are)
    workers, ignored = _decide(card, columns, str(card.outcomes.files[0]))
    score = np.stack([columns[name].values for name in workers], axis=1)
    found: dict[str, Array | None] = {}
    for kind in MEASURES:
        kept = [measures.get(f"{kind} {name}") for name in workers]
        blank = np.full(len(keys), np.nan)
        stacked = np.stack([blank if column is None else column for column in kept], axis=1)
        found[kind] = stacked[:, :, None] if np.isfinite(stacked).any() else None
    if card.outcomes.output_characters is not None:
        found["tokens_out"] = _output_tokens(card, workers, keys)[:, :, None]
    answer = malformed = None
    if answers:
        answer = np.stack([answers.get(n, [-1] * len(keys)) for n in workers], axis=1)
        blank = (answer < 0) & np.isfinite(score)
        worker = np.broadcast_to(np.arange(len(workers)), score.shape)
        failures = show_failures(
            answer.ravel() >= 0, blank.ravel(), score.ravel(), worker.ravel(), len(workers)
        )
        malformed = blank & failures
    return Outcomes(
        workers,
        score[:, :, None],
        found["tokens_in"],
        found["tokens_out"],
        found["usd"],
        found["seconds"],
        None if answer is None else answer.astype(np.int64)[:, :, None],
        None if malformed is None else malformed[:, :, None],
        ignored,
        status=None if malformed is None else malformed[:, :, None] * int(Status.MALFORMED),
    )


def _candidates(card: RecordingCard, table: TableFile) -> tuple[str, ...]:
    """Columns that may hold a worker's scores."""
    queries = card.queries
    taken = {queries.uid, queries.domain, queries.choices, queries.documents, *queries.text}
    taken |= {card.outcomes.uid, *queries.left_out, ""}
    found = find_columns(table.columns)
    if not card.queries.files:
        taken |= {found.get(meaning) for meaning in QUERY_LEVEL}
    pattern = card.outcomes.answers
    suffix = pattern.partition("{worker}")[2] if pattern else None
    measured = {name: name.rpartition(SEPARATOR) for name in table.columns if SEPARATOR in name}
    measured = {name: parts for name, parts in measured.items() if parts[2] in MARKS}
    for name, (worker, _, _) in measured.items():
        if worker not in table.columns:
            raise DataFileError(
                f"{table.path}, line 1: column {name!r} is about "
                f"{unknown_name('worker', worker, set(table.columns) - taken - set(measured))}"
            )
    taken |= set(measured)
    return tuple(
        name
        for name in table.columns
        if name not in taken and not (suffix and name.endswith(suffix))
    )


def _decide(
    card: RecordingCard, columns: dict[str, _Column], file: str
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Which columns are workers and which hold something else."""
    workers: list[str] = []
    ignored: list[str] = []
    for name, column in columns.items():
        if column.numbers == 0 and name not in card.outcomes.workers:
            if column.no_number is None:
                raise DataFileError(
                    f"{file}, line 1: column {name!r} is blank in every row. Remove it, or name "
                    "the columns to keep under outcomes.workers of a card."
                )
            ignored.append(name)
            continue
        wrong = column.no_number or column.too_far
        if wrong is not None:
            path, line, cell = wrong
            found = out_of_range(path, line, name, cell, "score")
            raise DataFileError(
                f"{found} If {name!r} is no worker, remove the column or name the workers under "
                "outcomes.workers of a card."
            )
        workers.append(name)
    if not workers:
        raise DataFileError(
            f"{file}, line 1: no column holds scores in [0, 1]. Columns: {', '.join(columns)}."
        )
    return tuple(workers), tuple(ignored)


def _measured(
    card: OutcomeColumns, table: TableFile, workers: tuple[str, ...]
) -> dict[tuple[str, str], int]:
    """Columns ``WORKER|MEASURE``, by (measure, worker)."""
    found: dict[tuple[str, str], int] = {}
    for kind in MEASURES:
        suffix = getattr(card, kind)
        for worker in workers if suffix else ():
            name = f"{worker}{SEPARATOR}{suffix}"
            if name in table.columns:
                found[kind, worker] = table.columns.index(name)
    return found


def _answers(card: OutcomeColumns, table: TableFile, workers: tuple[str, ...]) -> dict[str, int]:
    if card.answers is None:
        return {}
    names = {worker: card.answers.replace("{worker}", worker) for worker in workers}
    return {w: table.columns.index(name) for w, name in names.items() if name in table.columns}


def _output_tokens(card: RecordingCard, workers: tuple[str, ...], keys: dict[str, int]) -> Array:
    """Output tokens from a second wide file that counts characters; rounded up."""
    table = open_table(table_path(card.outcomes.output_characters or ""))
    at_uid = table.at(card.outcomes.uid or card.queries.uid or "")
    places = [(w, name, table.at(name)) for w, name in enumerate(workers)]
    tokens = np.full((len(keys), len(workers)), np.nan)
    for row in table.rows:
        at = keys.get(row.cells[at_uid].strip())
        if at is None:
            continue
        for w, name, place in places:
            cell = row.cells[place]
            count = measure(table.path, row.line, name, cell, "output_characters")
            tokens[at, w] = np.ceil(count / card.characters_per_token)
    return tokens
