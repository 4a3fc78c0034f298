"""Tasks into the JSONL form that `conductor_gym.tasks.rows` reads."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from conductor_gym.data_files import write_beside_and_rename
from conductor_gym.errors import DataFileError
from conductor_gym.tasks.task import Task


def write_tasks(tasks: Iterable[Task], path: Path) -> None:
    """Write one JSON object a line; an old file is replaced when the new one is whole.

    Raises:
        DataFileError: No task, one that the form cannot hold, or a folder that cannot be written.
    """
    lines = [_line(task) for task in tasks]
    if not lines:
        raise DataFileError(f"{path}: there is no task to write.")
    write_beside_and_rename(path, b"".join(lines))


def _line(task: Task) -> bytes:
    if task.parts or task.documents is not None:
        raise DataFileError(f"task {task.uid!r}: parts and documents cannot be written to a file.")
    row: dict[str, Any] = {
        "uid": task.uid,
        "domain": task.domain,
        "level": task.level,
        "prompt": task.prompt,
        "reference": task.reference,
        "verifier": task.verifier,
    }
    if task.choices:
        row["choices"] = list(task.choices)
    if task.metadata:
        row["metadata"] = dict(task.metadata)
    try:
        return (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n").encode()
    except (TypeError, ValueError) as error:
        raise DataFileError(f"task {task.uid!r}: cannot be written as JSON ({error}).") from None
