"""`conductor-gym fit` and `conductor-gym fidelity`: from recorded outcomes to a checked pool."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from conductor_gym.cli.terminal import AsJson, messages, print_json, tables

Suite = Annotated[
    str | None, typer.Option(help="Suite of the same recording; by default named like the pool.")
]


def fit(
    table: Annotated[str, typer.Argument(help="Recorded pool: shipped name or TOML file.")],
    out: Annotated[Path, typer.Option(help="Pool file to write (.toml).")],
    suite: Suite = None,
    split: Annotated[str, typer.Option(help="Split that is fitted.")] = "train",
) -> None:
    """Fit a simulated pool to recorded single calls."""
    from conductor_gym.errors import ConfigError
    from conductor_gym.fit import fit_recorded, write_pool

    if out.suffix != ".toml":
        raise ConfigError(f"--out must end in .toml, got {str(out)!r}.")
    console = messages()
    with console.status(f"fitting {table}, split {split}"):
        pool, fitted = fit_recorded(table, suite or table, split, out.stem)
    write_pool(pool, out)
    view = Table("worker", "loading", "accuracy", show_edge=False, pad_edge=False)
    for w, name in enumerate(pool.worker_names):
        view.add_row(name, f"{fitted.loadings[w]:.2f}", f"{fitted.accuracy[w].mean():.3f}")
    tables().print(view)
    view = Table("domain", "rho [95 %]", show_edge=False, pad_edge=False)
    for d, name in enumerate(pool.domains):
        view.add_row(
            name, f"{fitted.rho[d]:.2f} [{fitted.rho_low[d]:.2f}, {fitted.rho_high[d]:.2f}]"
        )
    tables().print(view)
    console.print(
        f"pair correlations are met within {fitted.residual:.3f} (root mean square) -> {out}\n"
        f"hold it against unseen queries: conductor-gym fidelity {out} --table {table}\n"
        f'play on it: gym.make("Conductor-v0", pool="{out}", suite="{suite or table}")'
    )


def fidelity(
    pool: Annotated[str, typer.Argument(help="Fitted pool (.toml).")],
    table: Annotated[str, typer.Option(help="Recorded pool that it was fitted to.")],
    suite: Suite = None,
    fitted_on: Annotated[str, typer.Option(help="Split that was fitted.")] = "train",
    held_out: Annotated[str, typer.Option(help="Split that it is held against.")] = "test",
    as_json: AsJson = False,
) -> None:
    """Show simulated beside real on queries that the fit did not see, with the noise floor."""
    from conductor_gym.leaderboard import fidelity as compare

    with messages().status(f"simulating {pool} and splitting {table}"):
        found: dict[str, Any] = compare.fidelity(pool, table, suite or table, fitted_on, held_out)
    if as_json:
        print_json(found)
        return
    console = tables()
    console.print(
        f"{pool} (simulated, {found['simulated_queries']:,} queries) beside {table} (recorded): "
        "fitted on "
        f"{found['fitted_on']['queries']:,} queries, "
        f"held against {found['held_out']['queries']:,}"
    )
    view = Table("", "simulated", "real", show_edge=False, pad_edge=False)
    for name in ("best_by_domain", "oracle", "majority", "phi"):
        view.add_row(
            name.replace("_", " "),
            f"{found['simulated'][name]:.3f}",
            f"{found['real'][name]:.3f}",
        )
    for name, value in found["simulated"]["accuracy"].items():
        view.add_row(name, f"{value:.3f}", f"{found['real']['accuracy'][name]:.3f}")
    for k, value in enumerate(found["simulated"]["how_many"]):
        view.add_row(f"{k} workers right", f"{value:.3f}", f"{found['real']['how_many'][k]:.3f}")
    console.print(view)
    console.print()
    view = Table("measure", "error", "noise floor", "", show_edge=False, pad_edge=False)
    for name, measure in found["measures"].items():
        view.add_row(
            name.replace("_", " "),
            f"{measure['value']:.4f}",
            f"{measure['noise_floor']:.4f}",
            "within" if measure["within"] else "OUTSIDE",
        )
    console.print(view)
    console.print(
        "Noise floor: 95 % quantile of the same difference between two real parts of these sizes.",
        style="dim",
    )
