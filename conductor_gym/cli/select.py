"""`conductor-gym select`: from a journal of solves to a suite of tasks that tell workers apart."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from conductor_gym.cli.terminal import messages, tables


def select(
    journal: Annotated[
        Path, typer.Argument(help="Journal of `conductor-gym record` on the train split.")
    ],
    out: Annotated[Path, typer.Option(help="Suite file to write (.toml).")],
    suite: Annotated[str, typer.Option(help="Suite whose tasks the journal holds.")] = "core-v1",
    train: Annotated[int, typer.Option(min=1, help="Tasks of each kind in split train.")] = 12,
    test: Annotated[int, typer.Option(min=1, help="Tasks of each kind in split test.")] = 8,
) -> None:
    """Write a suite of the kinds of task that the best worker solves in 30 to 80 % of cases."""
    from conductor_gym.live.choose import cells_of, write_selection

    cells = cells_of(journal, suite)
    chosen = write_selection(cells, suite, out, train, test)
    view = Table("tasks", "best worker", "right", "of", show_edge=False, pad_edge=False)
    for cell in chosen:
        view.add_row(cell.name, cell.worker, f"{cell.share:.2f}", str(cell.tasks))
    tables().print(view)
    messages().print(
        f"{len(chosen)} of {len(cells)} kinds of task -> {out}\n"
        f"record them: conductor-gym record --suite {out} --split train --split test --acts",
        markup=False,
    )
