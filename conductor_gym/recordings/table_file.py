"""Rows of a CSV (plain or gzipped) or Parquet file or a journal, with the line of each."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from conductor_gym.data_files import RECORDED_FOLDER_VARIABLE, recorded_folder
from conductor_gym.errors import DataFileError, MissingExtraError, unknown_name
from conductor_gym.recordings.journal_lines import is_journal
from conductor_gym.recordings.journal_table import solve_table

MAX_CELL_CHARACTERS = 10_000_000
SUFFIXES = (".csv", ".csv.gz", ".parquet")
MISSING_WORDS = frozenset({"", "na", "nan", "none", "null"})
TRUTH = {"true": 1.0, "false": 0.0}


class Row(NamedTuple):
    """One row: its line in the file (the row's number plus 1 in Parquet), and its cells."""

    line: int
    cells: list[str]


class TableFile(NamedTuple):
    """An open table.

    Attributes:
        path: The file.
        columns: Its header.
        rows: Its rows, read as they are asked for.
    """

    path: Path
    columns: tuple[str, ...]
    rows: Iterator[Row]

    def at(self, column: str) -> int:
        """Position of a column.

        Raises:
            DataFileError: There is none of this name.
        """
        if column not in self.columns:
            missing = unknown_name("column", column, self.columns)
            raise DataFileError(f"{self.path}, line 1: {missing}")
        return self.columns.index(column)


def table_path(name: str) -> Path:
    """A file by path, or relative to the folder of recorded tables."""
    path = Path(name).expanduser()
    return path if path.is_absolute() else recorded_folder() / path


def open_table(path: Path) -> TableFile:
    """Open a table and read its header.

    Raises:
        DataFileError: Missing, empty or broken file, columns that appear twice.
        MissingExtraError: A Parquet file without pyarrow.
    """
    if not path.is_file():
        raise DataFileError(
            f"table {path} does not exist. Tables are looked up in {recorded_folder()}; set "
            f"{RECORDED_FOLDER_VARIABLE} to the folder that holds yours, or give a full path."
        )
    if is_journal(path):
        rows = (Row(line, cells) for line, cells in solve_table(path))
    else:
        rows = _parquet_rows(path) if path.suffix == ".parquet" else _csv_rows(path)
    first = next(rows, None)
    header = tuple(name.strip() for name in first.cells) if first else ()
    if not header or header == ("",):
        raise DataFileError(f"{path}: empty; a header line and one row below it are needed.")
    other = next((mark for mark in "\t;" if len(header) == 1 and mark in header[0]), None)
    if other is not None:
        raise DataFileError(
            f"{path}, line 1: the columns are parted by {other!r}. Save the file with commas."
        )
    doubles = sorted({repr(name) for name in header if header.count(name) > 1})
    if doubles:
        raise DataFileError(
            f"{path}, line 1: columns appear twice: {', '.join(doubles)}. Rename or remove one."
        )
    return TableFile(path, header, _checked(path, rows, len(header)))


def _checked(path: Path, rows: Iterator[Row], width: int) -> Iterator[Row]:
    empty = True
    for row in rows:
        if len(row.cells) != width:
            if not row.cells:
                continue
            raise DataFileError(
                f"{path}, line {row.line}: {len(row.cells)} cells, the header has {width}. "
                "Put cells that hold commas or line breaks in double quotes."
            )
        empty = False
        yield row
    if empty:
        raise DataFileError(f"{path}: no rows below the header.")


def _csv_rows(path: Path) -> Iterator[Row]:
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    reader = None
    try:
        # A byte order mark, as spreadsheets write it, is not part of the first column's name.
        opened: Any = gzip.open if path.suffix == ".gz" else open
        with opened(path, "rt", encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            line = 1
            for cells in reader:
                yield Row(line, cells)
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise DataFileError(
            f"{path}, line {_first_line_not_utf8(path)}: not UTF-8 ({error.reason}). Save the "
            "file as UTF-8."
        ) from None
    except (csv.Error, EOFError, OSError, zlib.error) as error:
        line = reader.line_num if reader else 0
        raise DataFileError(
            f"{path}: broken near line {line}: {error}. Is the file whole? A cell may hold "
            f"{MAX_CELL_CHARACTERS:,} characters."
        ) from None


def _first_line_not_utf8(path: Path) -> int:
    opened: Any = gzip.open if path.suffix == ".gz" else open
    with opened(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError:
                return number
    return 0


def _parquet_rows(path: Path) -> Iterator[Row]:
    try:
        import pyarrow.parquet as parquet  # pyright: ignore[reportMissingTypeStubs]
    except ImportError:
        raise MissingExtraError(f"reading {path.name}", "parquet") from None
    module: Any = parquet
    try:
        file: Any = module.ParquetFile(path)
        names = list(file.schema_arrow.names)
        yield Row(1, names)
        line = 2
        for batch in file.iter_batches(batch_size=4096):
            columns = [[_text(value) for value in column.to_pylist()] for column in batch.columns]
            for cells in zip(*columns, strict=True):
                yield Row(line, list(cells))
                line += 1
    except (OSError, ValueError) as error:
        raise DataFileError(f"{path}: not a readable Parquet file: {error}.") from None


def _text(value: object) -> str:
    return "" if value is None else str(value)


def is_missing(cell: str) -> bool:
    """Whether a cell says that there is no record."""
    return cell.strip().lower() in MISSING_WORDS


def as_number(cell: str) -> float | None:
    """A cell as a number, `true` and `false` as 1 and 0; None where it is neither."""
    text = cell.strip().lower()
    if text in TRUTH:
        return TRUTH[text]
    try:
        return None if "_" in text else float(text)
    except ValueError:
        return None
