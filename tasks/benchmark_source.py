"""Rows of a published set through `datasets`: from the hub, or from a copy on this machine."""

import tempfile
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any

from conductor_gym.errors import DataFileError, MissingExtraError
from conductor_gym.tasks.benchmark_card import BenchmarkCard
from conductor_gym.tasks.random_state import random_state_kept

FORMATS: dict[str, str] = {
    ".json": "json",
    ".jsonl": "json",
    ".parquet": "parquet",
    ".csv": "csv",
}
"""Endings of files that are read, and the reader of `datasets`."""


def rows_of(card: BenchmarkCard, source: Path | None) -> list[Mapping[str, Any]]:
    """The rows of a benchmark, with the columns that its card names.

    Args:
        card: The benchmark.
        source: A file, a folder saved with `save_to_disk`, or None for the hub.

    Raises:
        DataFileError: Not reachable or readable, another schema, or no rows.
        MissingExtraError: `datasets` is not installed.
    """
    with random_state_kept():
        try:
            datasets: Any = import_module("datasets")
        except ModuleNotFoundError as error:
            raise MissingExtraError(f"loading {card.name}", "benchmarks") from error
        if source is None:
            return _from_hub(datasets, card)
        if source.is_dir():
            return _from_folder(datasets, card, source)
        return _from_file(datasets, card, source)


def _from_hub(datasets: Any, card: BenchmarkCard) -> list[Mapping[str, Any]]:
    rows: list[Mapping[str, Any]] = []
    for arguments in card.hub_arguments():
        where = f"{card.name} ({card.hub})"
        terms = (
            f"The set is gated: log in with `hf auth login` and accept its terms at {card.page}. "
            if card.gated
            else ""
        )
        repair = (
            f"{terms}Check the network (and HF_HUB_OFFLINE), or download the set from {card.page} "
            "on another machine and give the copy as source."
        )
        table = _guarded(where, repair, lambda a=arguments: datasets.load_dataset(**a))
        rows += _checked(where, card, table)
    return rows


def _from_file(datasets: Any, card: BenchmarkCard, path: Path) -> list[Mapping[str, Any]]:
    if not path.is_file():
        raise DataFileError(
            f"{path}: does not exist (looked in {Path.cwd()}). Give a file ({_endings()}) or a "
            "folder saved with `save_to_disk`."
        )
    if path.suffix.lower() not in FORMATS:
        raise DataFileError(f"{path}: the ending is not known. Known: {_endings()}.")
    reader = FORMATS[path.suffix.lower()]
    options: dict[str, Any] = {}
    if reader == "csv":
        # an answer "007" or "None" stays what it is
        options = {"keep_default_na": False, "converters": dict.fromkeys(card.columns, str)}

    def load(cache: str) -> Any:
        return datasets.load_dataset(
            reader,
            data_files=str(path),
            split="train",
            cache_dir=cache,
            keep_in_memory=True,
            **options,
        )

    repair = f"Is it a whole {path.suffix} file with the rows of {card.hub}?"
    with tempfile.TemporaryDirectory() as cache:
        table = _guarded(str(path), repair, lambda: load(cache))
        return _checked(str(path), card, table)


def _from_folder(datasets: Any, card: BenchmarkCard, path: Path) -> list[Mapping[str, Any]]:
    repair = "Give a folder that `save_to_disk` of `datasets` wrote, or a file."
    table = _guarded(str(path), repair, lambda: datasets.load_from_disk(str(path)))
    if isinstance(table, datasets.DatasetDict):
        splits = sorted(map(str, table))
        if card.split not in splits and len(splits) != 1:
            raise DataFileError(
                f"{path}: holds the splits {', '.join(splits)}, and {card.name} is read from "
                f"{card.split!r}. Save that split alone."
            )
        table = table[card.split if card.split in splits else splits[0]]
    return _checked(str(path), card, table)


def _guarded(where: str, repair: str, load: Callable[[], Any]) -> Any:
    try:
        return load()
    except Exception as error:  # `datasets` and what it reads with raise anything
        reason = error.__cause__ or error
        told = (str(reason).strip() or type(reason).__name__).splitlines()[0]
        raise DataFileError(
            f"{where}: cannot be loaded ({type(reason).__name__}: {told[:300]}). {repair}"
        ) from error


def _checked(where: str, card: BenchmarkCard, table: Any) -> list[Mapping[str, Any]]:
    """Rows of a table that has the card's columns; others are not even decoded."""
    found = [str(name) for name in table.column_names]
    missing = [name for name in card.columns if name not in found]
    if missing:
        raise DataFileError(
            f"{where}: columns {', '.join(map(repr, missing))} of {card.name} are missing; found: "
            f"{', '.join(map(repr, found)) or 'none'}. Name the columns as {card.page} does."
        )
    if not len(table):
        raise DataFileError(f"{where}: holds no rows.")
    return table.select_columns(list(card.columns)).to_list()


def _endings() -> str:
    return ", ".join(FORMATS)
