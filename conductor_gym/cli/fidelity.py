"""`conductor-gym fidelity`: simulated beside real, with the noise floor beside both."""

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from conductor_gym.cli.fit import Prices, Workers, named
from conductor_gym.cli.terminal import AsJson, messages, print_json, progress, tables

PAPER, ASSUMED = "paper", "assumed"


def fidelity(
    pool: Annotated[
        str | None,
        typer.Argument(
            help="Fitted pool (.toml), `paper` for the predictions alone, or `assumed` for --held "
            "alone. Without it every table is fitted afresh."
        ),
    ] = None,
    table: Annotated[
        list[str] | None,
        typer.Option(help="Recorded table, may be repeated; as in `fit`. Without it every known."),
    ] = None,
    workers: Workers = None,
    prices: Prices = None,
    held_out: Annotated[str, typer.Option(help="Split that is held against.")] = "test",
    random_pools: Annotated[
        int,
        typer.Option(
            min=0, help="Also fit this many random pools of 4 to 12 workers of each table."
        ),
    ] = 0,
    held: Annotated[
        str | None,
        typer.Option(
            help="Hold the assumed parameters against live calls: a recorded track whose pool "
            "names a journal and was fitted to it."
        ),
    ] = None,
    order_from: Annotated[
        str | None,
        typer.Option(
            help="Also compare the order of agents on this simulated track with that on the track "
            "of --held, from their files under results/."
        ),
    ] = None,
    published: Annotated[
        Path | None,
        typer.Option(
            help="Your own published accuracies, in percent (.csv): columns regime, method, "
            "worker, benchmark, accuracy, note, as in leaderboard/published_paper.csv."
        ),
    ] = None,
    page: Annotated[
        Path | None, typer.Option(help="Write a page (.md) with figures beside it.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show simulated beside real on queries that the fit did not see, with the noise floor."""
    from conductor_gym.data_files import make_folder
    from conductor_gym.errors import ConfigError
    from conductor_gym.fit import find_source
    from conductor_gym.leaderboard.fidelity import compare
    from conductor_gym.leaderboard.fidelity_tables import known_tables, pick_random_pools
    from conductor_gym.leaderboard.predictions import paper_predictions
    from conductor_gym.workers.pool import load_pool

    if page is not None and page.suffix != ".md":
        raise ConfigError(f"--page must end in .md, got {str(page)!r}.")
    if page is not None:
        make_folder(page.absolute().parent)
    command = ["conductor-gym fidelity", *([pool] if pool else [])]
    command += [f"--table {name}" for name in table or []]
    command += [f"--workers {workers}"] if workers else []
    command += [f"--random-pools {random_pools}"] if random_pools else []
    command += [f"--held {held}"] if held else []
    command += [f"--order-from {order_from}"] if order_from else []
    found: dict[str, Any] = {"command": " ".join(command), "tables": {}, "not_here": []}
    console = messages()
    fitted = None
    names = table or []
    if held is None and (pool == ASSUMED or order_from is not None):
        raise ConfigError("name the track whose live calls are held against: --held TRACK.")
    if pool is not None and pool not in (PAPER, ASSUMED):
        fitted = load_pool(pool)
        if not names and fitted.fitted_on is None:
            raise ConfigError(f"pool {pool!r} does not say what it was fitted on: give --table.")
        names = names or [fitted.fitted_on.table if fitted.fitted_on else ""]
        kept = named(workers) or fitted.worker_names
    else:
        kept = named(workers)
        if not names and pool is None:
            names, found["not_here"] = known_tables()
    for name in names:
        with console.status(f"{name}: reading") as status:
            source = find_source(name, kept, prices)

            def report(what: str) -> None:
                if what.startswith("WARNING"):
                    console.print(f"[yellow]{what}[/]")
                else:
                    status.update(what)

            found["tables"][name] = compare(source, fitted, held_out, report=report)
    if random_pools:
        with progress() as bar:
            found["random_pools"] = pick_random_pools(names, random_pools, bar)
    if pool == PAPER or (pool is None and table is None):
        with progress() as bar:
            task = bar.add_task("predicting the paper's rows", total=None)

            def advance(done: int, total: int) -> None:
                bar.update(task, completed=done, total=total)

            found["paper"] = paper_predictions(published=published, progress=advance)
    if held is not None:
        from conductor_gym.leaderboard.held_recording import hold_track

        with console.status(f"{held}: reading") as status:
            found["held"] = hold_track(held, report=status.update)
    if held is not None and order_from is not None:
        from conductor_gym.leaderboard.ranking_carry import carried_tracks

        found["carried"] = carried_tracks(order_from, held, Path("results")).as_dict()
    if page is not None:
        from conductor_gym.leaderboard.fidelity_page import write_page

        for path in write_page(found, page):
            console.print(f"-> {path}")
    if as_json:
        print_json(found)
        return
    _show(found)


def _show(found: dict[str, Any]) -> None:
    console = tables()
    for name, one in found["tables"].items():
        _show_table(console, name, one)
    if found["not_here"]:
        console.print(
            f"not on this machine: {', '.join(found['not_here'])} "
            "(see `conductor-gym list recordings`)",
            style="dim",
        )
    if "random_pools" in found:
        _show_random_pools(console, found["random_pools"])
    if "held" in found:
        _show_held(console, found["held"])
    if "carried" in found:
        order = found["carried"]
        console.print(
            f"order of {len(order['agents'])} agents on {escape(order['simulated'])} and "
            f"{escape(order['recorded'])}: tau {order['tau']:.2f}, "
            f"{len(order['reversed_pairs'])} of {order['pairs']} pairs reversed beyond chance\n"
        )
    if "paper" in found:
        _show_paper(console, found["paper"])


def _show_table(console: Console, name: str, one: dict[str, Any]) -> None:
    from conductor_gym.leaderboard.fidelity import measures

    console.print(
        f"[bold]{name}[/]: {len(one['workers'])} workers, fitted on "
        f"{one['fitted_on']['queries']:,} queries, held against "
        f"{one['held_out']['queries']:,}; {one['simulated_queries']:,} simulated"
    )
    if one["graded_domains_left_out"]:
        console.print(f"graded, left out: {', '.join(one['graded_domains_left_out'])}")
    view = Table("", "simulated", "real", show_edge=False, pad_edge=False)
    for key in ("best_single", "best_by_domain", "oracle", "majority", "phi_mean"):
        view.add_row(
            key.replace("_", " "), f"{one['simulated'][key]:.3f}", f"{one['real'][key]:.3f}"
        )
    for worker, value in one["simulated"]["accuracy"].items():
        view.add_row(worker, f"{value:.3f}", f"{one['real']['accuracy'][worker]:.3f}")
    for k, value in enumerate(one["simulated"]["how_many"]):
        view.add_row(f"{k} workers right", f"{value:.3f}", f"{one['real']['how_many'][k]:.3f}")
    console.print(view)
    console.print()
    view = Table("measure", "value", "noise floor", "", show_edge=False, pad_edge=False)
    for key, measure in measures(one).items():
        view.add_row(
            key.replace("_", " "),
            f"{measure['value']:.4f}",
            f"{measure['noise_floor']:.4f}",
            "within" if measure["within"] else "OUTSIDE",
        )
    console.print(view)
    if "rank_regret" in one:
        regret = one["rank_regret"]
        console.print(
            f"winner in simulation: {regret['simulated_winner']}; on real outcomes: "
            f"{regret['real_winner']}; deploying the first costs {regret['value']:.4f} utility"
        )
    console.print(
        "Noise floor: 95 % quantile of the same difference between two real parts of these sizes; "
        "for rank tau the mean tau between them, of which 0.9 must be reached.\n",
        style="dim",
    )


def _show_random_pools(console: Console, found: dict[str, Any]) -> None:
    view = Table("random pools", *found, show_edge=False, pad_edge=False)
    view.add_row("pools", *(str(one["pools"]) for one in found.values()))
    names = list(dict.fromkeys(name for one in found.values() for name in one["measures"]))
    for name in names:
        cells = [one["measures"].get(name) for one in found.values()]
        view.add_row(
            name.replace("_", " "),
            *("n/a" if c is None else f"{c['within']:.0%} within" for c in cells),
        )
    console.print(view)
    console.print()


def _show_held(console: Console, found: dict[str, Any]) -> None:
    from conductor_gym.leaderboard.held_assumptions import MEAN, Held

    view = Table(
        *("recorded live calls", "", "low", "mid", "high", "recorded lies"),
        title=f"assumed parameters: {found['queries']:,} queries of {found['suite']}",
        title_justify="left",
        show_edge=False,
        pad_edge=False,
    )
    for row in (Held.from_dict(one) for one in found["rows"]):
        if row.who == MEAN and row.holds is not None:
            interval = f"{row.recorded:.3f} [{row.low:.3f}, {row.high:.3f}]"
            ends = (f"{value:.3f}" for value in row.simulated.values())
            view.add_row(row.name, escape(interval), *ends, row.verdict)
    console.print(view)
    console.print()


def _show_paper(console: Console, found: dict[str, Any]) -> None:
    view = Table(
        *("regime", "method", "worker", "benchmark", "low", "mid", "high", "published"),
        title="predictions from single calls (simulated, %)",
        title_justify="left",
        show_edge=False,
        pad_edge=False,
    )
    for row in found["predicted_rows"]:
        if row["published"] is None and row["worker"] is not None:
            continue
        published = "" if row["published"] is None else f"{row['published']:.1f}"
        view.add_row(
            row["regime"],
            row["method"],
            row["worker"] or "all",
            row["benchmark"],
            *(f"{row[end]:.1f}" for end in ("low", "mid", "high")),
            published,
        )
    console.print(view)
    cover = found["coverage"]
    console.print(
        f"{cover['inside']} of {cover['published_cells']} published cells lie in their ranges, "
        f"which are {cover['mean_width_points']:.1f} points wide; mid is off by "
        f"{cover['mean_error_of_mid']:+.1f} points on average. Every worker's rows: --json",
        style="dim",
    )
