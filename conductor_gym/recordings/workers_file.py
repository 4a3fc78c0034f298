"""Reading the table of workers: prices and context windows."""

from pathlib import Path

from pydantic import ValidationError

from conductor_gym.errors import DataFileError
from conductor_gym.recordings.card import RecordedWorker
from conductor_gym.recordings.detect import find_columns
from conductor_gym.recordings.table_file import is_missing, open_table

COLUMNS = ("usd_per_m_input", "usd_per_m_output", "window")


def read_workers(path: Path) -> tuple[RecordedWorker, ...]:
    """Read workers: columns ``worker``, ``usd_per_m_input``, ``usd_per_m_output``, ``window``.

    Args:
        path: CSV or Parquet; prices in USD per million tokens, the window in tokens.

    Raises:
        DataFileError: A broken file, a worker twice, or a number out of range; names the line.
    """
    table = open_table(path)
    at_name = table.at(find_columns(table.columns).get("worker") or "worker")
    known = [(name, table.at(name)) for name in COLUMNS if name in table.columns]
    if not known:
        raise DataFileError(
            f"{path}, line 1: none of {', '.join(COLUMNS)} is a column. "
            f"Columns: {', '.join(table.columns)}."
        )
    found: dict[str, RecordedWorker] = {}
    for row in table.rows:
        values = {name: row.cells[at] for name, at in known if not is_missing(row.cells[at])}
        name = row.cells[at_name].strip()
        if name in found:
            raise DataFileError(
                f"{path}, line {row.line}: worker {name!r} appears again. Remove one of the rows."
            )
        try:
            found[name] = RecordedWorker.model_validate({"name": name, **values})
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise DataFileError(f"{path}, line {row.line}: {where}: {first['msg']}.") from None
    return tuple(found.values())
