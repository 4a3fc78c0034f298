"""Cells of outcomes: scores and measures as numbers, answers as identities."""

import hashlib
import math
import re
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from conductor_gym.errors import DataFileError
from conductor_gym.recordings.table_file import as_number, is_missing

MEASURES = ("tokens_in", "tokens_out", "usd", "seconds")
"""What a call may have been measured by besides its score."""
LIMITS: dict[str, tuple[float, float]] = {
    "score": (0.0, 1.0),
    "tokens_in": (0.0, 1e9),
    "tokens_out": (0.0, 1e9),
    "usd": (0.0, 1e4),
    "seconds": (0.0, 1e6),
    "output_characters": (0.0, 1e9),
}
"""Smallest and largest value of each measure."""
_NUMBER = re.compile(r"-?\d[\d,]*\.?\d*")


def measure(path: Path, line: int, column: str, cell: str, kind: str) -> float:
    """A cell as a number, NaN where it is blank.

    Raises:
        DataFileError: No number, or out of the range of its kind; names file, line and column.
    """
    if is_missing(cell):
        return math.nan
    low, high = LIMITS[kind]
    value = as_number(cell)
    if value is None or not low <= value <= high:
        raise out_of_range(path, line, column, cell, kind)
    return value


def out_of_range(path: Path, line: int, column: str, cell: str, kind: str) -> DataFileError:
    """The error for a cell that is not what its column should hold."""
    low, high = LIMITS[kind]
    what = "score" if kind == "score" else f"number of {kind.replace('_', ' ')}"
    return DataFileError(
        f"{path}, line {line}, column {column!r}: {cell[:60]!r} is not a {what} in "
        f"[{low:g}, {high:g}]. Leave a cell blank where there is no record."
    )


def show_failures(
    given: npt.NDArray[np.bool_],
    blank: npt.NDArray[np.bool_],
    score: npt.NDArray[np.float64],
    worker: npt.NDArray[np.int64],
    workers: int,
) -> npt.NDArray[np.bool_]:
    """Workers whose blank answers are visible format failures.

    They have answers, and none of their blank ones scored: where one did, answers were lost on
    the way, and a status that followed the score would tell who is right.

    Args:
        given: bool [calls], an answer is recorded.
        blank: bool [calls], none is, and no status says why.
        score: float64 [calls].
        worker: int64 [calls], position of the worker.
        workers: How many there are.

    Returns:
        bool [workers].
    """
    answered = np.bincount(worker, given, workers) > 0
    return answered & (np.bincount(worker, blank & (score > 0.0), workers) == 0)


def identity(cell: str, what: Literal["text", "last number"]) -> int:
    """Identity of an answer: equal numbers are equal answers; -1 for a blank or missing one.

    Args:
        cell: The answer.
        what: What is compared: the text without regard to case and spaces, or the last number
            in it.
    """
    text = " ".join(cell.split()).casefold()
    if what == "last number":
        found = _NUMBER.findall(text)
        text = found[-1].replace(",", "").rstrip(".") if found else ""
        if "." in text:
            text = text.rstrip("0").rstrip(".")
    if not text:
        return -1
    word = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(word, "big") >> 2
