"""The benchmarks of the RL Conductor paper as tasks, loaded on the user's machine."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from conductor_gym.errors import DataFileError
from conductor_gym.tasks.benchmark_card import find_benchmark
from conductor_gym.tasks.benchmark_rows import READERS, RowError
from conductor_gym.tasks.benchmark_source import rows_of
from conductor_gym.tasks.task import Task


def load_benchmark(name: str, source: str | Path | None = None) -> list[Task]:
    """Load a benchmark through `datasets`.

    Args:
        name: Name of a card in ``benchmarks.toml``, in any case.
        source: A copy on this machine with the published columns: a ``.json``, ``.jsonl``,
            ``.parquet`` or ``.csv`` file, or a folder saved with `save_to_disk`. None: from the
            hub, into the cache of `datasets`.

    Returns:
        Tasks in the order of the set. A uid is the domain and the row's own id, or a hash of what
        the row says where it has none; a repeated row gets ``-2`` and so on behind it.

    Raises:
        UnknownNameError: No such benchmark.
        DataFileError: Not reachable, gated, not readable, or not as published.
        MissingExtraError: `datasets` is not installed.
    """
    card = find_benchmark(name)
    rows = rows_of(card, None if source is None else Path(source).expanduser())
    where = f"{card.name} ({card.hub if source is None else source})"
    seen: Counter[str] = Counter()
    tasks: list[Task] = []
    for number, row in enumerate(rows, 1):
        try:
            task = READERS[card.name](row, card.domain)
        except RowError as error:
            raise DataFileError(
                f"{where}, row {number}: {error}. Is it a copy of {card.page}?"
            ) from None
        seen[task.uid] += 1
        again = f"-{seen[task.uid]}" if seen[task.uid] > 1 else ""
        tasks.append(replace(task, uid=f"{card.domain}/{task.uid}{again}"))
    return tasks
