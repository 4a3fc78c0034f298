"""Choosing the cells of a suite that tell workers apart, from what a journal holds of them.

A cell is a suite's tasks of one kind and level: the uids that differ in their last component.
Where no worker gets anything right, or one gets everything right, nothing that workers do with each
other's answers can help or harm.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import tomli_w

from conductor_gym.data_files import write_beside_and_rename
from conductor_gym.errors import ConfigError, DataFileError
from conductor_gym.recordings.journal_table import calls
from conductor_gym.tasks.selection_card import own_part
from conductor_gym.tasks.suite import load_suite_card
from conductor_gym.types import MISSING

LOW, HIGH = 0.30, 0.80
"""Share of right answers of a cell's best worker."""
TASKS = 6
"""Tasks of a cell that the best worker must have been asked."""
SPLIT = "train"
"""Cells are chosen by what happened on this split alone."""
NOT_ANSWERED = ("throttled", "unavailable", "timeout", "unaffordable")
"""Statuses that say nothing of a worker's ability."""


class Cell(NamedTuple):
    """How a cell's best worker did on it.

    Attributes:
        name: Beginning of its uids, without the suite's name.
        worker: The best worker.
        share: Share of right answers in [0, 1]: of each task over its attempts, then over tasks.
        tasks: That this worker answered.
    """

    name: str
    worker: str
    share: float
    tasks: int

    @property
    def is_chosen(self) -> bool:
        """Whether its best worker is often right and often wrong."""
        return self.tasks >= TASKS and LOW <= self.share <= HIGH


def cells_of(journal: Path, suite: str) -> list[Cell]:
    """The cells of a suite that a journal holds solves of, in the journal's order.

    Solves of whole tasks that saw nothing but the task count; a reply that nobody could read is
    wrong. Of workers that are equally good, the first one is named.

    Args:
        journal: Of live calls.
        suite: Suite of the tasks.

    Raises:
        UnknownNameError: No such suite.
        DataFileError: No journal, or one without such solves.
    """
    name = load_suite_card(suite).name
    scores: dict[str, dict[str, dict[str, list[float]]]] = {}
    for call in calls(journal):
        whole = call.is_single and call.part == MISSING and call.about.get("split") == SPLIT
        if not whole or not call.uid.startswith(f"{name}/") or call.status in NOT_ANSWERED:
            continue
        cell = own_part(call.uid).rpartition("/")[0]
        workers = scores.setdefault(cell, {})
        workers.setdefault(call.worker, {}).setdefault(call.uid, []).append(call.score or 0.0)
    scores.pop("", None)  # uids of one component have no cell
    if not scores:
        raise DataFileError(
            f"{journal} holds no solve of a whole task of {name!r} on split {SPLIT!r}. Record "
            f"some: conductor-gym record --suite {suite} --split {SPLIT}."
        )
    return [_best(cell, workers) for cell, workers in scores.items()]


def write_selection(
    cells: Sequence[Cell], suite: str, path: Path, train: int, test: int
) -> list[Cell]:
    """Write a suite of the cells that are chosen.

    Args:
        cells: All that are known.
        suite: Suite of their tasks.
        path: File to write (.toml); the suite's name is that of the file.
        train: Tasks of each cell in split train.
        test: Likewise in test.

    Returns:
        The chosen cells.

    Raises:
        ConfigError: No cell can be chosen, or a path that does not end in .toml.
    """
    if path.suffix != ".toml":
        raise ConfigError(f"--out must end in .toml, got {str(path)!r}.")
    chosen = [cell for cell in cells if cell.is_chosen]
    if not chosen:
        asked = sum(cell.tasks >= TASKS for cell in cells)
        low, high = (sum(c.share < LOW for c in cells), sum(c.share > HIGH for c in cells))
        raise ConfigError(
            f"no cell of {suite!r} has a best worker that is right in {LOW:.0%} to {HIGH:.0%} of "
            f"at least {TASKS} tasks: {len(cells)} cells, {asked} with so many tasks, {low} too "
            f"hard, {high} too easy. Record more tasks of each, or other levels."
        )
    named = suite if not suite.endswith((".toml", ".jsonl")) else str(Path(suite).absolute())
    card = {
        "name": path.stem,
        "version": 1,
        "title": f"Tasks of {load_suite_card(suite).name} that the best of some workers solves in "
        f"{LOW:.0%} to {HIGH:.0%} of cases",
        "selection": {
            "suite": named,
            "tasks": [cell.name for cell in chosen],
            "most": {"train": train, "test": test},
        },
    }
    write_beside_and_rename(path, tomli_w.dumps(card).encode())
    return chosen


def _best(cell: str, workers: dict[str, dict[str, list[float]]]) -> Cell:
    shares = {
        worker: sum(sum(got) / len(got) for got in tasks.values()) / len(tasks)
        for worker, tasks in workers.items()
    }
    worker = max(shares, key=lambda name: shares[name])
    return Cell(cell, worker, shares[worker], len(workers[worker]))
