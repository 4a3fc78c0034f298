"""Rows of a trace as JSONL or Parquet, written piece by piece, whole or not at all."""

import json
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

from conductor_gym.data_files import written_beside
from conductor_gym.errors import ConfigError, MissingExtraError
from conductor_gym.traces.rows import COLUMNS, Row

PIECE = 50_000
"""Rows of a Parquet row group, all that is held in memory."""
ENDINGS = (".jsonl", ".parquet")


def check_ending(path: Path) -> None:
    """Refuse a path of another kind, before any work.

    Raises:
        ConfigError: It ends otherwise.
        MissingExtraError: Parquet without pyarrow.
    """
    if path.suffix not in ENDINGS:
        raise ConfigError(f"{path}: a trace ends in {' or '.join(ENDINGS)}.")
    if path.suffix == ".parquet":
        _pyarrow()


def write_rows(rows: Iterable[Row], path: Path) -> int:
    """Write rows and return how many there were.

    Args:
        rows: With the columns of a trace; consumed piece by piece.
        path: Ends in ``.jsonl`` or ``.parquet``.

    Raises:
        ConfigError: It ends otherwise.
        MissingExtraError: Parquet without pyarrow.
        DataFileError: The file cannot be written.
    """
    check_ending(path)
    with written_beside(path) as beside:
        write = _write_jsonl if path.suffix == ".jsonl" else _write_parquet
        return write(iter(rows), beside)


def _write_jsonl(rows: Iterator[Row], path: Path) -> int:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
            count += 1
    return count


def _write_parquet(rows: Iterator[Row], path: Path) -> int:
    arrow, parquet = _pyarrow()
    kinds = {
        str: arrow.string(),
        int: arrow.int64(),
        float: arrow.float64(),
        bool: arrow.bool_(),
    }
    schema = arrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])
    count = 0
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        while piece := list(islice(rows, PIECE)):
            writer.write_table(arrow.Table.from_pylist(piece, schema))
            count += len(piece)
    return count


def _pyarrow() -> tuple[Any, Any]:
    try:
        return import_module("pyarrow"), import_module("pyarrow.parquet")
    except ModuleNotFoundError:
        raise MissingExtraError("writing Parquet", "parquet") from None
