"""`conductor-gym benchmark`: a published benchmark as a tasks file."""

import os
from pathlib import Path
from typing import Annotated

import typer

from conductor_gym.cli.terminal import messages

BARS = ("HF_DATASETS_DISABLE_PROGRESS_BARS", "HF_HUB_DISABLE_PROGRESS_BARS")
"""Variables that silence the bars of a download, which belong on a terminal only."""


def benchmark(
    name: Annotated[str, typer.Argument(help="MATH500, MMLU, RLPR, LiveCodeBench, AIME25, ...")],
    out: Annotated[Path, typer.Option(help="Tasks file to write (.jsonl).")],
    source: Annotated[
        Path | None,
        typer.Option(
            help="A copy on this machine: .json, .jsonl, .parquet, .csv, or a saved folder."
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only the first N tasks.")] = None,
) -> None:
    """Write a published benchmark to a tasks file, which is a suite of your own."""
    from conductor_gym.errors import ConfigError
    from conductor_gym.tasks.benchmark_card import find_benchmark
    from conductor_gym.tasks.benchmarks import load_benchmark
    from conductor_gym.tasks.verifiers import VERIFIERS
    from conductor_gym.tasks.write_rows import write_tasks

    card = find_benchmark(name)
    if out.suffix != ".jsonl":
        raise ConfigError(f"--out {out}: a tasks file ends in .jsonl.")
    console = messages()
    console.print(
        f"{card.name}\nlicence: {card.licence}\norigin:  {card.page}\nnote:    {card.note}",
        markup=False,
    )
    if source is not None or not console.is_terminal:
        for variable in BARS:
            os.environ.setdefault(variable, "1")
    with console.status(f"loading {card.name}"):
        tasks = load_benchmark(card.name, source)
    if source is None and card.rows is not None and len(tasks) != card.rows:
        console.print(f"{len(tasks)} rows; the card knows of {card.rows}.", markup=False)
    write_tasks(tasks[:limit], out)
    console.print(f"written: {out}, {len(tasks[:limit])} tasks", markup=False)
    ungraded = sorted({task.verifier for task in tasks[:limit]} - set(VERIFIERS))
    if ungraded:
        console.print(
            f"not playable yet: no verifier {' or '.join(ungraded)} grades these tasks",
            markup=False,
        )
