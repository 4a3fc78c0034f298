"""Reading TOML and tables of recorded outcomes, with errors that name file, line and repair."""

import csv
import gzip
import io
import math
import os
import tempfile
import tomllib
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, ValidationError

from conductor_gym.errors import DataFileError, unknown_name

RECORDED_FOLDER_VARIABLE = "CONDUCTOR_GYM_RECORDED"
DEFAULT_RECORDED_FOLDER = Path("~/.cache/conductor-gym/recorded")
MAX_CELL_CHARACTERS = 10_000_000

M = TypeVar("M", bound=BaseModel)


class StrictModel(BaseModel):
    """A section of a TOML file: no unknown fields, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def load_toml(path: Path, model: type[M]) -> M:
    """Read and validate a TOML file.

    Raises:
        DataFileError: Not readable, not UTF-8, not TOML, or fields that are wrong or missing.
    """
    try:
        with path.open("rb") as file:
            raw = tomllib.load(file)
    except OSError as error:
        raise DataFileError(f"{path}: cannot be read ({error.strerror}).") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise DataFileError(f"{path}: not valid TOML: {error}.") from None
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = [
            f"  {'.'.join(str(p) for p in problem['loc']) or '(top level)'}: {problem['msg']}"
            for problem in error.errors()[:10]
        ]
        more = error.error_count() - len(lines)
        if more > 0:
            lines.append(f"  ... and {more} more")
        raise DataFileError("\n".join([f"{path}: these fields need repair:", *lines])) from None


def find_named_toml(kind: str, name: str, folder: Path) -> Path:
    """The TOML file of a shipped name, or of a path that ends in `.toml`.

    Raises:
        UnknownNameError: Neither shipped nor a path.
        DataFileError: A path that does not exist.
    """
    if name.endswith(".toml"):
        path = Path(name)
        if not path.is_file():
            raise DataFileError(f"{kind} file {name!r} does not exist (looked in {Path.cwd()}).")
        return path
    shipped = {file.stem: file for file in folder.glob("*.toml")}
    if name not in shipped:
        raise unknown_name(kind, name, shipped, "A path to your own .toml file works too.")
    return shipped[name]


def make_folder(path: Path) -> None:
    """Make a folder and its parents.

    Raises:
        DataFileError: It cannot be made or written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataFileError(f"folder {path} cannot be made ({error.strerror}).") from None
    if not os.access(path, os.W_OK):
        raise DataFileError(f"folder {path} cannot be written.")


def write_beside_and_rename(path: Path, content: bytes) -> None:
    """Write a file so that readers see the old one or the new one, never half.

    Raises:
        DataFileError: The folder cannot be written.
    """
    make_folder(path.parent)
    try:
        with tempfile.NamedTemporaryFile(
            dir=path.parent, prefix=f".{path.name}.", delete=False
        ) as f:
            beside = Path(f.name)
            f.write(content)
            f.flush()
            os.fsync(f.fileno())
        beside.chmod(0o644)
        beside.replace(path)
    except OSError as error:
        raise DataFileError(f"{path}: cannot be written ({error.strerror}).") from None


FileStamp = tuple[str, int, int]
"""Path, time of change in nanoseconds and size: enough to notice that a file is another one."""


def recorded_stamp(*names: str) -> tuple[FileStamp, ...]:
    """Stamps of files in the folder of recorded tables; zeros for a missing one."""
    stamps: list[FileStamp] = []
    for name in names:
        path = (recorded_folder() / name).absolute()
        try:
            seen = path.stat()
            stamps.append((str(path), seen.st_mtime_ns, seen.st_size))
        except OSError:
            stamps.append((str(path), 0, 0))
    return tuple(stamps)


def recorded_folder() -> Path:
    """Folder of recorded tables: `CONDUCTOR_GYM_RECORDED`, or one in the user's cache."""
    return Path(os.environ.get(RECORDED_FOLDER_VARIABLE) or DEFAULT_RECORDED_FOLDER).expanduser()


class WideTable(NamedTuple):
    """A table with one row a query.

    Attributes:
        path: Where it was read.
        columns: Header without the id column.
        rows: Query id to its line number and cells, in the order of the file.
    """

    path: Path
    columns: tuple[str, ...]
    rows: dict[str, tuple[int, list[str]]]


def _open_text(path: Path) -> io.TextIOBase:
    if not path.is_file():
        raise DataFileError(
            f"recorded table {path} does not exist. Set {RECORDED_FOLDER_VARIABLE} to the folder "
            "that holds your recorded tables."
        )
    try:
        if path.suffix == ".gz":
            return io.TextIOWrapper(gzip.open(path, "rb"), encoding="utf-8", newline="")
        return path.open(encoding="utf-8", newline="")
    except OSError as error:
        raise DataFileError(f"{path}: cannot be read ({error.strerror}).") from None


def _records(path: Path) -> Iterator[tuple[int, list[str]]]:
    csv.field_size_limit(MAX_CELL_CHARACTERS)
    with _open_text(path) as file:
        reader = csv.reader(file, strict=True)
        try:
            for cells in reader:
                yield reader.line_num, cells
        except UnicodeDecodeError as error:
            near = f"after line {reader.line_num}"
            raise DataFileError(f"{path}: not UTF-8 {near} ({error.reason}).") from None
        except (csv.Error, EOFError, OSError, zlib.error) as error:
            raise DataFileError(f"{path}: broken near line {reader.line_num}: {error}.") from None


def read_wide_table(path: Path, id_column: str, needed: tuple[str, ...]) -> WideTable:
    """Read a wide CSV, optionally gzipped.

    Args:
        path: The file.
        id_column: Name of the column with the query id.
        needed: Columns that must be there.

    Raises:
        DataFileError: Missing, empty or broken file, missing columns, duplicate ids or columns.
    """
    records = _records(path)
    first = next(records, None)
    header = first[1] if first else None
    if not header:
        raise DataFileError(f"{path}: empty; a header line and one row a query are needed.")
    doubles = sorted({name for name in header if header.count(name) > 1})
    if doubles:
        raise DataFileError(f"{path}: columns appear twice: {', '.join(doubles)}.")
    for name in (id_column, *needed):
        if name not in header:
            missing = unknown_name("column", name, header)
            raise DataFileError(f"{path}, line 1: {missing}")
    at = header.index(id_column)
    rows: dict[str, tuple[int, list[str]]] = {}
    for line, cells in records:
        if len(cells) != len(header):
            raise DataFileError(
                f"{path}, line {line}: {len(cells)} cells, the header has {len(header)}."
            )
        uid = cells.pop(at)
        if not uid:
            raise DataFileError(f"{path}, line {line}: empty {id_column!r}.")
        if uid in rows:
            raise DataFileError(
                f"{path}, line {line}: {id_column} {uid!r} appears again "
                f"(first on line {rows[uid][0]})."
            )
        rows[uid] = (line, cells)
    if not rows:
        raise DataFileError(f"{path}: no rows below the header.")
    return WideTable(path, tuple(n for n in header if n != id_column), rows)


def numbers(
    table: WideTable, column: str, uids: tuple[str, ...], low: float, high: float
) -> npt.NDArray[np.float64]:
    """One column as numbers, NaN where the cell is blank or the query has no row.

    Args:
        table: A wide table.
        column: Its column.
        uids: Query ids, in the order wanted.
        low: Smallest number allowed.
        high: Largest number allowed.

    Returns:
        float64 [len(uids)].

    Raises:
        DataFileError: A cell that is no number, not finite or out of range; names the line.
    """
    at = table.columns.index(column)
    values = np.full(len(uids), np.nan)
    for i, uid in enumerate(uids):
        line, cells = table.rows.get(uid, (0, None))
        if cells is None or cells[at] == "":
            continue
        try:
            value = float(cells[at])
        except ValueError:
            value = math.nan
        if not (math.isfinite(value) and low <= value <= high):
            raise DataFileError(
                f"{table.path}, line {line}, column {column!r}: {cells[at]!r} is not a number "
                f"in [{low:g}, {high:g}]. Leave a cell blank where there is no record."
            )
        values[i] = value
    return values
