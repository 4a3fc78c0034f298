"""`conductor-gym fit`: from recorded outcomes to a simulated pool."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import numpy.typing as npt
import typer
from rich.table import Table

from conductor_gym.cli.terminal import messages, tables

if TYPE_CHECKING:
    from conductor_gym.fit import Source

Workers = Annotated[
    str | None, typer.Option(help="Workers to keep, separated by commas; all where not given.")
]
Prices = Annotated[
    Path | None,
    typer.Option(help="Table of workers: worker, usd_per_m_input, usd_per_m_output, window."),
]


def named(workers: str | None) -> tuple[str, ...] | None:
    """Workers named on the command line."""
    if workers is None:
        return None
    return tuple(name.strip() for name in workers.split(",") if name.strip())


def fit(
    table: Annotated[
        str,
        typer.Argument(
            help="Recorded outcomes: a CSV or Parquet table, a folder of tables, a card (.toml), "
            "a journal of live calls (.jsonl), or a name of `conductor-gym list recordings` or a "
            "recorded pool."
        ),
    ],
    out: Annotated[Path, typer.Option(help="Pool file to write (.toml).")],
    workers: Workers = None,
    prices: Prices = None,
    split: Annotated[str, typer.Option(help="Split that is fitted.")] = "train",
    sparse: Annotated[
        bool,
        typer.Option(
            "--sparse",
            help="Use queries that only some workers have a record of, too: a log of one worker a "
            "query. What workers share is then assumed.",
        ),
    ] = False,
) -> None:
    """Fit a simulated pool to recorded single calls."""
    from conductor_gym.errors import ConfigError
    from conductor_gym.fit import find_source, fit_source, write_pool

    if out.suffix != ".toml":
        raise ConfigError(f"--out must end in .toml, got {str(out)!r}.")
    console = messages()
    with console.status(f"reading {table}"):
        source = find_source(table, named(workers), prices, sparse)
    with console.status(f"fitting {table}, split {split}"):
        pool, fitted = fit_source(source, split, out.stem)
    write_pool(pool, out)
    if sparse:
        _tell_sparse(source.scores(source.split(split)), pool.worker_names)
        console.print(
            "what workers share and what text tells is assumed: see what hangs on it with "
            f"--assumptions all (docs/traces.md)\n-> {out}"
        )
        return

    view = Table("worker", "accuracy", "loading [±]", show_edge=False, pad_edge=False)
    shared = (fitted.shared.loadings**2).sum(axis=2).mean(axis=0)
    for w, name in enumerate(pool.worker_names):
        view.add_row(
            name,
            f"{source.scores(source.split(split))[:, w].mean():.3f}",
            f"{shared[w] ** 0.5:.2f} ± {fitted.loading_error[w]:.2f}",
        )
    tables().print(view)
    tables().print()
    view = Table("domain", "shared variance [±]", "graded", show_edge=False, pad_edge=False)
    for d, name in enumerate(pool.domains):
        view.add_row(
            name,
            f"{fitted.rho[d]:.2f} ± {fitted.rho_error[d]:.2f}",
            "between 0 and 1" if name in fitted.graded else "",
        )
    tables().print(view)
    found = source.recording
    if source.left_out:
        console.print(
            f"left out: {source.left_out:,} of {len(found.queries.uids):,} queries have no record "
            "of every worker"
        )
    if found.outcomes.ignored:
        console.print(f"columns without scores, ignored: {', '.join(found.outcomes.ignored)}")
    unpriced = [card.name for card in pool.workers if "1 USD" in card.note]
    if unpriced:
        console.print(
            f"[yellow]no prices for {', '.join(unpriced)}: 1 USD per million tokens is assumed. "
            "State them with --prices.[/]"
        )
    text = fitted.text
    factors = fitted.shared.loadings.shape[2]
    console.print(
        f"{pool.fitted_on.queries if pool.fitted_on else 0:,} queries; {factors} shared "
        f"factor{'s' if factors > 1 else ''}, pair correlations met within "
        f"{fitted.shared.residual:.3f}; text tells {text.r2_delta:.3f} ± {text.r2_delta_error:.3f} "
        f"of difficulty and {text.r2_own:.3f} ± {text.r2_own_error:.3f} of workers' own trouble\n"
        f"-> {out} (what no single call tells is borrowed and marked `assumed` in it)\n"
        f"hold it against unseen queries: conductor-gym fidelity {out}\n"
        f'play on it: gym.make("Conductor-v0", pool="{out}", suite="{_suite(source)}"'
        f"{f', max_workers={len(pool.workers)}' if len(pool.workers) > 8 else ''})"
    )


def _suite(source: "Source") -> str:
    """A suite that the fitted pool can be played on: that of a journal's tasks, else the table."""
    from conductor_gym.tasks.suite import list_suites

    if source.pool.journal is None:
        return source.table
    named = source.recording.queries.uids[0].partition("/")[0]
    return named if named in list_suites() else source.pool.journal


def _tell_sparse(scores: npt.NDArray[np.float64], workers: tuple[str, ...]) -> None:
    view = Table("worker", "calls", "mean score", show_edge=False, pad_edge=False)
    for name, column in zip(workers, scores.T, strict=True):
        view.add_row(name, f"{np.isfinite(column).sum():,}", f"{np.nanmean(column):.3f}")
    tables().print(view)
