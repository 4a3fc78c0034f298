"""Suites that are made on first use: child processes that generate, and a cache beside the user.

The cache is one `.npz` file without pickles: rows as JSONL by split, features of their prompts, the
fingerprint of what was ordered and a hash of it all. What does not fit is made again.
"""

import hashlib
import importlib.metadata
import io
import json
import logging
import os
import subprocess
import sys
import threading
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
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
from conductor_gym.tasks.generate import Order, normalized
from conductor_gym.tasks.task import Task
from conductor_gym.tasks.text_card import GeneratorCard

FORMAT = 1
"""Raised whenever rows, features or their layout change."""
PROCESSES = 2

_LOG = logging.getLogger(__name__)

Rows = list[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Generated:
    """Tasks of one split with the features of their prompts.

    Attributes:
        tasks: The tasks.
        embedding: float64 [tasks, 32].
        surface: float64 [tasks, 8].
    """

    tasks: tuple[Task, ...]
    embedding: npt.NDArray[np.float64]
    surface: npt.NDArray[np.float64]


def generated_tasks(suite: str, card: GeneratorCard, split: str) -> Generated:
    """Tasks of one split from the cache, which is made where it is missing, broken or outdated.

    Args:
        suite: Name of the suite.
        card: What to make.
        split: Name of the split.

    Raises:
        DataFileError: A dataset that fails, or a cache folder that cannot be written.
        MissingExtraError: The generator's package is not installed.
    """
    path = cache_path(suite, card)
    held = _read(path, card)
    if held is None:
        _require(suite, card)
        try:
            make_folder(path.parent)
        except DataFileError as error:
            raise DataFileError(f"{error} Name another in {CACHE_FOLDER_VARIABLE}.") from None
        content = _pack(card, _generate(suite, card))
        write_beside_and_rename(path, content)
        held = _unpack(content, card)
    rows = [json.loads(line) for line in held[f"rows_{split}"].tobytes().splitlines()]
    return Generated(
        tuple(Task(**{k: v for k, v in row.items() if k != "split"}) for row in rows),
        held[f"embedding_{split}"].astype(np.float64),
        held[f"surface_{split}"].astype(np.float64),
    )


def fingerprint(card: GeneratorCard) -> str:
    """BLAKE2b of everything that decides the tasks, 16 hex digits."""
    ordered = card.model_dump_json(exclude={"seconds", "content"})
    return hashlib.blake2b(f"{FORMAT}/{ordered}".encode(), digest_size=8).hexdigest()


def cache_path(suite: str, card: GeneratorCard) -> Path:
    """Where a suite's tasks are kept."""
    return cache_folder() / "suites" / f"{suite}-{fingerprint(card)}.npz"


def is_cached(suite: str, card: GeneratorCard) -> bool:
    """Whether the tasks are at hand, whole and up to date."""
    return _read(cache_path(suite, card), card) is not None


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


def _generate(suite: str, card: GeneratorCard) -> Rows:
    """All rows, in the order of the datasets."""
    from rich.console import Console
    from rich.progress import Progress

    orders = card.orders()
    idle: SimpleQueue[_Child] = SimpleQueue()
    children = [_Child() for _ in range(min(PROCESSES, os.cpu_count() or 1))]
    for child in children:
        idle.put(child)

    def make(order: Order) -> Rows:
        child = idle.get()
        try:
            return child.ask(order, card.seconds)
        finally:
            idle.put(child)

    console = Console(stderr=True)
    pool = ThreadPoolExecutor(len(children))
    try:
        with Progress(console=console, transient=True, disable=not console.is_terminal) as bar:
            shown = bar.add_task(f"making {suite}", total=len(orders))
            futures = [pool.submit(make, order) for order in orders]
            for future in as_completed(futures):
                future.result()
                bar.advance(shown)
        rows = [row for future in futures for row in future.result()]
    finally:
        for child in children:
            child.stop()
        pool.shutdown(cancel_futures=True)
    _check(suite, card, rows)
    return rows


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


class _Child:
    """A process that makes one dataset after another."""

    def __init__(self) -> None:
        paths = os.pathsep.join(path for path in sys.path if path)
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", "conductor_gym.tasks.generate"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, "PYTHONPATH": paths, "PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1"},
            encoding="utf-8",
        )

    def ask(self, order: Order, seconds: float) -> Rows:
        """Rows of one dataset."""
        late = threading.Event()

        def stop() -> None:
            late.set()
            self._process.kill()

        timer = threading.Timer(seconds, stop)
        timer.start()
        try:
            if self._process.stdin is None or self._process.stdout is None:
                line = ""
            else:
                print(json.dumps(order), file=self._process.stdin, flush=True)
                line = self._process.stdout.readline()
        except OSError:
            line = ""
        finally:
            timer.cancel()
        name = order["name"]
        if late.is_set():
            raise DataFileError(
                f"dataset {name!r} took longer than {seconds:g} s. Raise `seconds` in the suite's "
                "file, make it easier or leave it out."
            )
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the process ended"}
        if "error" in answer:
            raise DataFileError(
                f"dataset {name!r} failed: {answer['error']}. Repair its settings in the suite's "
                "file, or leave it out."
            )
        return answer["rows"]

    def stop(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


def _digest(held: dict[str, npt.NDArray[Any]]) -> npt.NDArray[np.uint8]:
    digest = hashlib.blake2b()
    for name in sorted(held):
        if name != "digest":
            digest.update(f"{name}{held[name].shape}{held[name].dtype}".encode())
            digest.update(np.ascontiguousarray(held[name]).tobytes())
    return np.frombuffer(digest.digest(), np.uint8)


def _pack(card: GeneratorCard, rows: Rows) -> bytes:
    from conductor_gym.tasks.text_features import hashed_embedding, surface_features

    held: dict[str, npt.NDArray[Any]] = {
        "fingerprint": np.frombuffer(fingerprint(card).encode(), np.uint8)
    }
    for split in card.tasks:
        of_split = [row for row in rows if row["split"] == split]
        prompts = tuple(row["prompt"] for row in of_split)
        held[f"rows_{split}"] = np.frombuffer(_jsonl(of_split), np.uint8)
        held[f"embedding_{split}"] = hashed_embedding(prompts).astype(np.float32)
        held[f"surface_{split}"] = surface_features(prompts, None).astype(np.float32)
    held["digest"] = _digest(held)
    file = io.BytesIO()
    np.savez_compressed(file, allow_pickle=False, **held)
    return file.getvalue()


def _unpack(content: bytes, card: GeneratorCard) -> dict[str, npt.NDArray[Any]]:
    """Arrays of a cache file.

    Raises:
        ValueError: Broken or outdated. Others come from zip and NumPy.
    """
    with np.load(io.BytesIO(content), allow_pickle=False) as file:
        held: dict[str, npt.NDArray[Any]] = {name: file[name] for name in file.files}
    if held["fingerprint"].tobytes() != fingerprint(card).encode():
        raise ValueError("made for another order")
    if not np.array_equal(held["digest"], _digest(held)):
        raise ValueError("its hash is not that of its content")
    return held


def _read(path: Path, card: GeneratorCard) -> dict[str, npt.NDArray[Any]] | None:
    """The cache, or None where it must be made."""
    try:
        return _unpack(path.read_bytes(), card)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        _LOG.warning("%s is broken (%s): made again", path, error)
        return None
