"""Suites with text: real prompts, each with a reference and a verifier."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from conductor_gym.data_files import FileStamp, file_stamps
from conductor_gym.errors import DataFileError
from conductor_gym.tasks.generate import place, split_at
from conductor_gym.tasks.generated import generated_tasks
from conductor_gym.tasks.rows import read_tasks
from conductor_gym.tasks.suite import Split, make_split
from conductor_gym.tasks.task import Task, count_tokens
from conductor_gym.tasks.text_card import TextCard
from conductor_gym.tasks.text_tables import TextTables, text_tables, with_parts


def text_split(suite: str, card: TextCard, split: str) -> Split:
    """Read or make one split.

    Args:
        suite: Name of the suite, the first part of every uid.
        card: Where the tasks come from.
        split: Name of the split.

    Raises:
        DataFileError: A broken file, no task in the split, or a generator that failed.
        MissingExtraError: The generator's or the encoder's package is not installed.
    """
    if card.generator is not None:
        made = generated_tasks(suite, card.generator, split, card.encoder)
        return _lay_out(suite, split, card.generator.domains, made.tasks, made.tables)
    path = Path(card.file or "")
    shares = tuple(card.shares.items())
    tasks_of, domains, tables_of = _read(path, shares, card.encoder, file_stamps(path))
    if split not in tasks_of:
        held = ", ".join(f"{len(tasks)} in {name!r}" for name, tasks in tasks_of.items())
        raise DataFileError(
            f"{path}: no task is in split {split!r} ({held}). Add tasks, or name the `split` of "
            "every row."
        )
    return _lay_out(suite, split, domains, tasks_of[split], tables_of[split])


@lru_cache(maxsize=4)
def _read(
    path: Path, shares: tuple[tuple[str, float], ...], encoder: str, stamp: tuple[FileStamp, ...]
) -> tuple[dict[str, tuple[Task, ...]], tuple[str, ...], dict[str, TextTables]]:
    """Tasks by split, all domains of a file, and tables by split."""
    del stamp  # part of the key: the file is read again when it changes
    chosen: dict[str, list[Task]] = {}
    read = read_tasks(path)
    for task, named in read:
        # Of the uid alone: a task stays in its split whatever stands beside it.
        split = named or split_at(place(f"split of {task.uid}"), dict(shares))
        chosen.setdefault(split, []).append(task)
    every = with_parts(tuple(task for task, _ in read))
    domains = tuple(sorted({task.domain for task in every}))
    tasks_of = {name: tuple(tasks) for name, tasks in chosen.items()}
    return tasks_of, domains, text_tables(tasks_of, domains, encoder)


def _lay_out(
    suite: str, split: str, domains: tuple[str, ...], tasks: tuple[Task, ...], tables: TextTables
) -> Split:
    rows = with_parts(tasks)
    return make_split(
        suite,
        split,
        domains,
        tuple(f"{suite}/{task.uid}" for task in tasks),
        (),
        np.array([domains.index(row.domain) for row in rows], np.int64),
        np.array([count_tokens(row.prompt) for row in rows], np.int64),
        tables.normals,
        tables.embedding,
        tables.surface.copy(),
        tuple(task.prompt for task in tasks),
        tasks,
    )
