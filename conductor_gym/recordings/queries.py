"""Reading the queries of a recording."""

import ast
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from conductor_gym.errors import DataFileError
from conductor_gym.recordings.card import RecordingCard
from conductor_gym.recordings.outcomes import Array
from conductor_gym.recordings.table_file import Row, TableFile, as_number, open_table, table_path

MAX_CHOICES = 1000


@dataclass(frozen=True, eq=False)
class Queries:
    """The queries of a recording.

    Attributes:
        uids: Ids, unique.
        lines: Line of each in its file, for errors.
        domains: Domain of each.
        prompts: Text of each, or None where the table has none.
        choices: float64 [queries], options of a multiple-choice question, or None.
        repeated: Rows that were left out because their query stood there before.
        left_out: Ids that the card leaves out.
    """

    uids: tuple[str, ...]
    lines: tuple[int, ...]
    domains: tuple[str, ...]
    prompts: tuple[str, ...] | None
    choices: Array | None
    repeated: int = 0
    left_out: frozenset[str] = frozenset()


class QueryReader:
    """Takes a query out of a row: its uid, and what else the card names.

    Args:
        card: The recording's card.
        table: The open file.
    """

    def __init__(self, card: RecordingCard, table: TableFile) -> None:
        columns = card.queries
        self.path = table.path
        self._domain_name = columns.domain_name
        self._uid = None if columns.uid is None else table.at(columns.uid)
        self._text = [table.at(name) for name in columns.text]
        self._domain = None if columns.domain is None else table.at(columns.domain)
        self._choices = None if columns.choices is None else table.at(columns.choices)
        self._documents = None if columns.documents is None else table.at(columns.documents)
        self._left_out = [(table.at(name), set(v)) for name, v in columns.left_out.items()]

    def is_left_out(self, cells: Sequence[str]) -> bool:
        """Whether the card leaves this row out."""
        return bool(self._left_out) and any(cells[at] in values for at, values in self._left_out)

    def domain(self, row: Row) -> str:
        """Domain of the query.

        Raises:
            DataFileError: A blank cell.
        """
        if self._domain is None:
            return self._domain_name
        name = row.cells[self._domain].strip()
        if not name:
            raise DataFileError(f"{self.path}, line {row.line}: the domain is blank.")
        return name

    def prompt(self, row: Row) -> str | None:
        """Text of the query, its documents after it; None where the card names no text.

        Raises:
            DataFileError: Blank text.
        """
        if not self._text:
            return None
        parts = [row.cells[at] for at in self._text]
        if self._documents is not None and row.cells[self._documents]:
            parts.append(row.cells[self._documents])
        text = "\n\n".join(parts)
        if not text.strip():
            raise DataFileError(f"{self.path}, line {row.line}: the text is blank.")
        return text

    def uid(self, row: Row) -> str:
        """Id of the query: its column, else a hash of domain and text, else the line.

        Raises:
            DataFileError: A blank cell.
        """
        if self._uid is not None:
            uid = row.cells[self._uid].strip()
            if not uid:
                raise DataFileError(f"{self.path}, line {row.line}: the query's id is blank.")
            return uid
        text = self.prompt(row)
        if text is None:
            return str(row.line)
        return hashlib.blake2b(f"{self.domain(row)}\n{text}".encode(), digest_size=8).hexdigest()

    def choices(self, row: Row) -> float:
        """Options of a multiple-choice question, from a number or a JSON list; NaN if blank.

        Raises:
            DataFileError: Neither of them.
        """
        if self._choices is None or not row.cells[self._choices].strip():
            return np.nan
        cell = row.cells[self._choices]
        number = as_number(cell)
        if number is None:
            number = _count(cell)
        if number is None or not 0 <= number <= MAX_CHOICES:
            raise DataFileError(
                f"{self.path}, line {row.line}: {cell[:60]!r} is neither a number of choices nor "
                "a JSON list of them."
            )
        return number


class QueryFinder:
    """Finds the query that a row of outcomes belongs to.

    Args:
        card: The recording's card.
        queries: Its queries.
        table: The open file of outcomes.

    Raises:
        DataFileError: The queries stand in another file and no column names them.
    """

    def __init__(self, card: RecordingCard, queries: Queries, table: TableFile) -> None:
        self._reader = None if card.queries.files else QueryReader(card, table)
        self._path, self._files = table.path, card.queries.files
        self._left_out = queries.left_out
        uid = card.outcomes.uid or card.queries.uid
        if self._reader is None and uid is None:
            raise DataFileError(
                f"{table.path}, line 1: queries stand in another file, so a column must name "
                f"the query of each row. Columns: {', '.join(table.columns)}."
            )
        self._at = 0 if self._reader is not None or uid is None else table.at(uid)

    def position(self, row: Row, keys: dict[str, int]) -> int | None:
        """Position of the row's query; None where the card leaves it out.

        Raises:
            DataFileError: A blank id, or one that the table of queries does not hold.
        """
        if self._reader is not None:
            if self._reader.is_left_out(row.cells):
                return None
            return keys[self._reader.uid(row)]
        uid = row.cells[self._at].strip()
        if not uid:
            raise DataFileError(f"{self._path}, line {row.line}: the query's id is blank.")
        at = keys.get(uid)
        if at is None and uid not in self._left_out:
            raise DataFileError(
                f"{self._path}, line {row.line}: query {uid!r} does not stand in "
                f"{', '.join(self._files)}. Add it there or remove the row."
            )
        return at


def _count(cell: str) -> float | None:
    """Entries of a list written as JSON or as Python writes it."""
    for read in (json.loads, ast.literal_eval):
        try:
            options: Any = read(cell)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        return float(len(cast(Any, options))) if isinstance(options, list | tuple) else None
    return None


def read_queries(card: RecordingCard) -> tuple[Queries, dict[str, int]]:
    """Read every query once.

    Returns:
        The queries, and each uid's position.

    Raises:
        DataFileError: Broken files, blank cells, or queries that appear twice.
    """
    keys: dict[str, int] = {}
    lines: list[int] = []
    domains: list[str] = []
    prompts: list[str] = []
    choices: list[float] = []
    long_rows = card.outcomes.layout == "long" and not card.queries.files
    repeated = 0
    left_out: set[str] = set()
    for name in card.query_files:
        table = open_table(table_path(name))
        reader = QueryReader(card, table)
        if long_rows and card.queries.uid is None and not card.queries.text:
            raise DataFileError(
                f"{table.path}, line 1: no column names the query of each row. "
                f"Columns: {', '.join(table.columns)}."
            )
        for row in table.rows:
            uid = reader.uid(row)
            if reader.is_left_out(row.cells):
                left_out.add(uid)
                continue
            if uid in keys:
                if long_rows:
                    at = keys[uid]
                    if reader.domain(row) != domains[at]:
                        raise _differs(table, row, uid, "domain", lines[at])
                    if reader.prompt(row) != (prompts[at] if prompts else None):
                        raise _differs(table, row, uid, "text", lines[at])
                    continue
                repeated += 1
                if card.queries.repeated == "error":
                    raise DataFileError(
                        f"{table.path}, line {row.line}: query {uid!r} appears again (first on "
                        f"line {lines[keys[uid]]}). Remove one of the two rows."
                    )
                continue
            keys[uid] = len(keys)
            lines.append(row.line)
            domains.append(reader.domain(row))
            prompt = reader.prompt(row)
            if prompt is not None:
                prompts.append(prompt)
            choices.append(reader.choices(row))
    if not keys:
        raise DataFileError(f"{card.query_files[0]}: no queries are left.")
    options = np.array(choices)
    return Queries(
        tuple(keys),
        tuple(lines),
        tuple(domains),
        tuple(prompts) if prompts else None,
        options if np.isfinite(options).any() else None,
        repeated,
        frozenset(left_out),
    ), keys


def _differs(table: TableFile, row: Row, uid: str, what: str, line: int) -> DataFileError:
    return DataFileError(
        f"{table.path}, line {row.line}: query {uid!r} has another {what} than on line {line}. "
        "Give each query an id of its own, such as the data set's name before the number."
    )
