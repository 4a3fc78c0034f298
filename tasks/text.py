"""Suites with text: real prompts, each with a reference and a verifier."""

from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from conductor_gym.data_files import FileStamp, file_stamps
from conductor_gym.errors import DataFileError
from conductor_gym.tasks.generate import place, split_at
from conductor_gym.tasks.generated import generated_tasks
from conductor_gym.tasks.rows import read_tasks
from conductor_gym.tasks.suite import Split, make_split
from conductor_gym.tasks.task import Task
from conductor_gym.tasks.text_card import TextCard

CHARACTERS_PER_TOKEN = 4.0
"""Prompt tokens are counted as characters divided by this, rounded up: `assumed`."""

Floats = npt.NDArray[np.float64]


def text_split(suite: str, card: TextCard, split: str) -> Split:
    """Read or make one split.

    Args:
        suite: Name of the suite, the first part of every uid.
        card: Where the tasks come from.
        split: Name of the split.

    Raises:
        DataFileError: A broken file, no task in the split, or a generator that failed.
        MissingExtraError: The generator's package is not installed.
    """
    if card.generator is not None:
        made = generated_tasks(suite, card.generator, split)
        return _lay_out(
            suite, split, card.generator.domains, made.tasks, made.embedding, made.surface
        )
    path = Path(card.file or "")
    tasks_of, domains = _tasks_of(path, tuple(card.shares.items()), file_stamps(path))
    tasks = tasks_of.get(split, ())
    if not tasks:
        held = ", ".join(f"{len(tasks)} in {name!r}" for name, tasks in tasks_of.items())
        raise DataFileError(
            f"{path}: no task is in split {split!r} ({held}). Add tasks, or name the `split` of "
            "every row."
        )
    embedding, surface = text_features(tasks)
    return _lay_out(suite, split, domains, tasks, embedding, surface)


@lru_cache(maxsize=4)
def _tasks_of(
    path: Path, shares: tuple[tuple[str, float], ...], stamp: tuple[FileStamp, ...]
) -> tuple[dict[str, tuple[Task, ...]], tuple[str, ...]]:
    """Tasks by split, and all domains of a file."""
    del stamp  # part of the key: the file is read again when it changes
    chosen: dict[str, list[Task]] = {}
    read = read_tasks(path)
    for task, named in read:
        # Of the uid alone: a task stays in its split whatever stands beside it.
        split = named or split_at(place(f"split of {task.uid}"), dict(shares))
        chosen.setdefault(split, []).append(task)
    domains = tuple(sorted({task.domain for task, _ in read}))
    return {name: tuple(tasks) for name, tasks in chosen.items()}, domains


def text_features(tasks: tuple[Task, ...]) -> tuple[Floats, Floats]:
    """Embedding and surface features of the prompts, float64 [tasks, 32] and [tasks, 8]."""
    # scikit-learn takes a second to import, and a cached suite does without
    from conductor_gym.tasks.text_features import hashed_embedding, surface_features

    prompts = tuple(task.prompt for task in tasks)
    options = np.array([float(len(task.choices)) or np.nan for task in tasks])
    return hashed_embedding(prompts), surface_features(prompts, options)


def _lay_out(
    suite: str,
    split: str,
    domains: tuple[str, ...],
    tasks: tuple[Task, ...],
    embedding: Floats,
    surface: Floats,
) -> Split:
    lengths = np.array([len(task.prompt) for task in tasks])
    return make_split(
        suite,
        split,
        domains,
        tuple(f"{suite}/{task.uid}" for task in tasks),
        (),
        np.array([domains.index(task.domain) for task in tasks], np.int64),
        np.ceil(lengths / CHARACTERS_PER_TOKEN).astype(np.int64),
        None,
        embedding,
        surface,
        tuple(task.prompt for task in tasks),
        tasks,
    )
