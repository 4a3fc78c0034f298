"""Published accuracies of the paper's methods, and rows that a user adds to them.

One CSV, one accuracy a row: ``regime,method,worker,benchmark,accuracy,note``. `worker` is blank for
methods of the whole pool; `accuracy` is in percent. Facts transcribed from the papers that `note`
names, read from two transcriptions that agree, not from the PDFs.
"""

import csv
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

from conductor_gym.errors import DataFileError, unknown_name

PUBLISHED_FILE = Path(__file__).with_name("published_paper.csv")
COLUMNS = ("regime", "method", "worker", "benchmark", "accuracy", "note")
Cell = tuple[str, str, str | None, str]
"""Regime, method, worker (None: the whole pool), benchmark."""


@dataclass(frozen=True)
class Published:
    """One published accuracy.

    Attributes:
        accuracy: Percent.
        note: Where it was read.
        own: Whether it comes from a user's file.
    """

    accuracy: float
    note: str
    own: bool = False


@dataclass(frozen=True)
class Names:
    """What a row may name.

    Attributes:
        regimes: Regimes of the paper.
        benchmarks: Domains of the suite.
        workers: Workers of the pool.
        one_worker: Whether a predicted method belongs to one worker, by its name; methods that are
            not here are not predicted, and any name will do.
    """

    regimes: Collection[str]
    benchmarks: Collection[str]
    workers: Collection[str]
    one_worker: dict[str, bool]


def _row(cells: dict[str, str], known: Names) -> tuple[Cell, float]:
    """Check one row; raises `DataFileError` or `UnknownNameError` without file and line."""
    for column, names in (("regime", known.regimes), ("benchmark", known.benchmarks)):
        if cells[column] not in names:
            raise unknown_name(column, cells[column], names)
    method, worker = cells["method"], cells["worker"] or None
    if not method:
        raise DataFileError("empty 'method'.")
    if worker is not None and worker not in known.workers:
        raise unknown_name("worker", worker, known.workers, "Blank stands for the whole pool.")
    wanted = known.one_worker.get(method)
    if wanted is None and worker is not None:
        raise unknown_name(
            "method of one worker", method, [n for n, w in known.one_worker.items() if w]
        )
    if wanted is not None and wanted != (worker is not None):
        which = "one worker: name it in" if wanted else "the whole pool: leave blank"
        raise DataFileError(f"method {method!r} is of {which} column 'worker'.")
    try:
        accuracy = float(cells["accuracy"])
    except ValueError:
        accuracy = math.nan
    if not 0.0 <= accuracy <= 100.0:
        raise DataFileError(f"accuracy {cells['accuracy']!r} is not a percentage in [0, 100].")
    if 0.0 < accuracy < 1.0:
        raise DataFileError(f"accuracy {cells['accuracy']!r} looks like a share: give percent.")
    return (cells["regime"], method, worker, cells["benchmark"]), accuracy


def read_published(path: Path, known: Names, own: bool = False) -> dict[Cell, Published]:
    """Read a file of published accuracies.

    Args:
        path: The CSV.
        known: What its rows may name.
        own: Whether it is a user's.

    Raises:
        DataFileError: A file that cannot be read, missing columns, or a wrong or repeated row;
            names file and line.
    """
    found: dict[Cell, Published] = {}
    lines: dict[Cell, int] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True, restkey="", restval="")
            header = list(reader.fieldnames or [])
            if sorted(header) != sorted(COLUMNS):
                raise DataFileError(
                    f"{path}, line 1: the columns must be {','.join(COLUMNS)}, "
                    f"got {','.join(header) or 'nothing'}."
                )
            for cells in reader:
                line = reader.line_num
                if cells.pop("", None):
                    raise DataFileError(f"{path}, line {line}: more than {len(COLUMNS)} cells.")
                stripped = {name: cell.strip() for name, cell in cells.items()}
                try:
                    cell, accuracy = _row(stripped, known)
                except (DataFileError, LookupError) as error:
                    raise DataFileError(f"{path}, line {line}: {error}") from None
                if cell in found:
                    raise DataFileError(
                        f"{path}, line {line}: the same cell as line {lines[cell]}."
                    )
                lines[cell] = line
                found[cell] = Published(accuracy, stripped["note"], own)
    except OSError as error:
        raise DataFileError(f"{path}: cannot be read ({error.strerror}).") from None
    except UnicodeDecodeError as error:
        raise DataFileError(f"{path}: not UTF-8 ({error.reason}).") from None
    except csv.Error as error:
        raise DataFileError(f"{path}: not a CSV file: {error}.") from None
    return found


def published_values(known: Names, own: Path | None = None) -> dict[Cell, Published]:
    """The shipped rows and a user's; where both have a cell the user's stands, and says so.

    Args:
        known: What rows may name.
        own: A user's file.

    Raises:
        DataFileError: As `read_published`.
    """
    shipped = read_published(PUBLISHED_FILE, known)
    if own is None:
        return shipped
    for cell, row in read_published(own, known, own=True).items():
        note = row.note
        if cell in shipped:
            note = f"{note}; in place of {shipped[cell].accuracy:g}".removeprefix("; ")
        shipped[cell] = Published(row.accuracy, note, own=True)
    return shipped
