"""Numbers of a suite's texts: what an observation shows, and what text tells the simulator."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from conductor_gym.tasks.task import Task

Floats = npt.NDArray[np.float64]


class TextTables(NamedTuple):
    """One split's tasks, then all their parts.

    Attributes:
        embedding: float64 [rows, 32].
        surface: float64 [rows, 8].
        normals: float64 [rows, 16], public normals.
    """

    embedding: Floats
    surface: Floats
    normals: Floats


def with_parts(tasks: tuple[Task, ...]) -> tuple[Task, ...]:
    """Tasks, then all their parts in order."""
    return (*tasks, *(part for task in tasks for part in task.parts))


def text_tables(
    tasks_of: Mapping[str, tuple[Task, ...]], domains: tuple[str, ...], encoder: str
) -> dict[str, TextTables]:
    """Tables of every split.

    What is fitted is fitted on `train`, or on the first split where there is none.

    Args:
        tasks_of: Tasks by split.
        domains: Names of the domains.
        encoder: Name of the encoder.
    """
    # scikit-learn takes a second to import, and a cached suite does without
    from conductor_gym.tasks.encoders import encode
    from conductor_gym.tasks.public_normals import public_normals
    from conductor_gym.tasks.text_features import surface_features

    rows_of = {split: with_parts(tasks) for split, tasks in tasks_of.items()}
    rows = tuple(row for of_split in rows_of.values() for row in of_split)
    fitted_on = "train" if "train" in rows_of else next(iter(rows_of))
    train = np.array([split == fitted_on for split, of in rows_of.items() for _ in of])
    prompts = tuple(row.prompt for row in rows)
    options = np.array([float(len(row.choices)) or np.nan for row in rows])
    embedding = encode(encoder, prompts)
    surface = surface_features(prompts, options)
    normals = public_normals(
        np.concatenate([embedding, surface], axis=1),
        np.array([row.level for row in rows], np.int64),
        np.array([domains.index(row.domain) for row in rows], np.int64),
        train,
    )
    tables: dict[str, TextTables] = {}
    first = 0
    for split, of_split in rows_of.items():
        span = slice(first, first + len(of_split))
        tables[split] = TextTables(embedding[span], surface[span], normals[span])
        first += len(of_split)
    return tables
