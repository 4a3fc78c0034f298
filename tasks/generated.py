"""Suites that are made on first use: child processes that generate, and a cache beside the user.

The cache is one `.npz` file without pickles: rows as JSONL by split, features of their prompts, the
fingerprint of what was ordered and a hash of it all. What does not fit is made again.
"""

import hashlib
import importlib.metadata
import io
import json
import logging
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from conductor_gym.data_files import (
    CACHE_FOLDER_VARIABLE,
    cache_folder,
    make_folder,
    write_beside_and_rename,
)
from conductor_gym.errors import DataFileError, MissingExtraError
from conductor_gym.tasks.generate import normalized
from conductor_gym.tasks.generation import generate
from conductor_gym.tasks.task import Documents, Task
from conductor_gym.tasks.text_card import GeneratorCard
from conductor_gym.tasks.text_tables import TextTables, text_tables

FORMAT = 2
"""Raised whenever rows, features or their layout change."""
DEFAULT_ENCODER = "hashed-32"

_LOG = logging.getLogger(__name__)

Rows = list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Generated:
    """Tasks of one split.

    Attributes:
        tasks: The tasks.
        tables: Numbers of their texts.
    """

    tasks: tuple[Task, ...]
    tables: TextTables


def generated_tasks(
    suite: str, card: GeneratorCard, split: str, encoder: str = DEFAULT_ENCODER
) -> Generated:
    """Tasks of one split from the cache, which is made where it is missing, broken or outdated.

    Args:
        suite: Name of the suite.
        card: What to make.
        split: Name of the split.
        encoder: What turns a prompt into 32 numbers.

    Raises:
        DataFileError: A dataset that fails, or a cache folder that cannot be written.
        MissingExtraError: The generator's or the encoder's package is not installed.
    """
    path = cache_path(suite, card, encoder)
    held = _read(path, card, encoder)
    if held is None:
        _require(suite, card)
        try:
            make_folder(path.parent)
        except DataFileError as error:
            raise DataFileError(f"{error} Name another in {CACHE_FOLDER_VARIABLE}.") from None
        rows = generate(suite, card)
        _check(suite, card, rows)
        content = _pack(card, encoder, rows)
        write_beside_and_rename(path, content)
        held = _unpack(content, card, encoder)
    rows = [json.loads(line) for line in held[f"rows_{split}"].tobytes().splitlines()]
    tables = TextTables(
        *(held[f"{name}_{split}"].astype(np.float64) for name in TextTables._fields)
    )
    return Generated(tuple(map(task_of_row, rows)), tables)


def task_of_row(row: dict[str, Any]) -> Task:
    """A task from a generator's row."""
    fields = {name: value for name, value in row.items() if name != "split"}
    fields["parts"] = tuple(
        task_of_row({**part, "uid": f"{row['uid']}/{p}"})
        for p, part in enumerate(row.get("parts", ()))
    )
    documents = row.get("documents")
    if documents is not None:
        evidence = tuple(documents["evidence"])
        fields["documents"] = Documents(documents["tokens"], evidence, recipe=documents["recipe"])
    return Task(**fields)


def fingerprint(card: GeneratorCard, encoder: str) -> str:
    """BLAKE2b of everything that decides the tasks and their numbers, 16 hex digits."""
    ordered = card.model_dump_json(exclude={"seconds", "content"})
    return hashlib.blake2b(f"{FORMAT}/{encoder}/{ordered}".encode(), digest_size=8).hexdigest()


def cache_path(suite: str, card: GeneratorCard, encoder: str = DEFAULT_ENCODER) -> Path:
    """Where a suite's tasks are kept."""
    return cache_folder() / "suites" / f"{suite}-{fingerprint(card, encoder)}.npz"


def is_cached(suite: str, card: GeneratorCard, encoder: str = DEFAULT_ENCODER) -> bool:
    """Whether the tasks are at hand, whole and up to date."""
    return _read(cache_path(suite, card, encoder), card, encoder) is not None


def content_of(rows: Rows) -> str:
    """BLAKE2b of rows, 16 hex digits."""
    return hashlib.blake2b(_jsonl(rows), digest_size=8).hexdigest()


def _jsonl(rows: Rows) -> bytes:
    return b"".join(
        json.dumps(row, sort_keys=True, ensure_ascii=False).encode() + b"\n" for row in rows
    )


def _require(suite: str, card: GeneratorCard) -> None:
    try:
        found = importlib.metadata.version(card.package)
    except importlib.metadata.PackageNotFoundError:
        raise MissingExtraError(f"making suite {suite!r} for the first time", "tasks") from None
    if found != card.version:
        raise DataFileError(
            f"suite {suite!r} is defined by {card.package} {card.version}, {found} is installed: "
            f"pip install {card.package}=={card.version}"
        )


def _check(suite: str, card: GeneratorCard, rows: Rows) -> None:
    split_of: dict[str, str] = {}
    for row in rows:
        content = normalized(row["prompt"])
        if split_of.setdefault(content, row["split"]) != row["split"]:
            raise DataFileError(
                f"suite {suite!r}: the prompt of {row['uid']!r} is in two splits. Choose another "
                "`split_by` for its dataset, or leave one of the two datasets out."
            )
    content = content_of(rows)
    if card.content and content != card.content:
        raise DataFileError(
            f"suite {suite!r}: what {card.package} {card.version} made here is not what the suite "
            f"is defined by ({content}, expected {card.content}). A package that it draws on "
            "differs: install the versions of constraints.txt."
        )


def _digest(held: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.uint8]:
    digest = hashlib.blake2b()
    for name in sorted(held):
        if name != "digest":
            digest.update(f"{name}{held[name].shape}{held[name].dtype}".encode())
            digest.update(np.ascontiguousarray(held[name]).tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


def _pack(card: GeneratorCard, encoder: str, rows: Rows) -> bytes:
    held: dict[str, npt.NDArray[Any]] = {
        "fingerprint": np.frombuffer(fingerprint(card, encoder).encode(), np.uint8)
    }
    rows_of = {split: [row for row in rows if row["split"] == split] for split in card.splits}
    tasks_of = {split: tuple(map(task_of_row, of)) for split, of in rows_of.items()}
    for split, tables in text_tables(tasks_of, card.domains, encoder).items():
        held[f"rows_{split}"] = np.frombuffer(_jsonl(rows_of[split]), np.uint8)
        for name, table in tables._asdict().items():
            held[f"{name}_{split}"] = table.astype(np.float32)
    held["digest"] = _digest(held)
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **held)
    return file.getvalue()


def _unpack(content: bytes, card: GeneratorCard, encoder: str) -> dict[str, npt.NDArray[Any]]:
    """Arrays of a cache file.

    Raises:
        ValueError: Broken or outdated. Others come from zip and NumPy.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        held: dict[str, npt.NDArray[Any]] = {name: file[name] for name in file.files}
    if held["fingerprint"].tobytes() != fingerprint(card, encoder).encode():
        raise ValueError("made for another order")
    if not np.array_equal(held["digest"], _digest(held)):
        raise ValueError("its hash is not that of its content")
    return held


def _read(path: Path, card: GeneratorCard, encoder: str) -> dict[str, npt.NDArray[Any]] | None:
    """The cache, or None where it must be made."""
    try:
        return _unpack(path.read_bytes(), card, encoder)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        _LOG.warning("%s is broken (%s): made again", path, error)
        return None
