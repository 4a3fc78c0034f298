"""`conductor-gym trace`: the steps of a run, as rows or as a Minari dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from conductor_gym.cli.terminal import messages, progress
from conductor_gym.errors import ConfigError

if TYPE_CHECKING:
    from conductor_gym.traces.rows import Trace

ROWS = ".jsonl"


def trace(
    source: Annotated[
        Path,
        typer.Argument(
            help="Result file of `conductor-gym run` (.json), or steps of your own (.jsonl)."
        ),
    ],
    out: Annotated[
        Path | None, typer.Option(help="File to write, one row a step: .jsonl or .parquet.")
    ] = None,
    minari: Annotated[
        str | None,
        typer.Option(help="Minari dataset to write on this machine, such as mine/divide-v0."),
    ] = None,
    cost_weight: Annotated[
        list[float] | None,
        typer.Option(
            help="Quality points per US cent: of a result's, repeatable, all by default; of steps "
            "of your own exactly one."
        ),
    ] = None,
    pool: Annotated[
        str | None, typer.Option(help="Of steps of your own: the pool that names their workers.")
    ] = None,
    suite: Annotated[
        str | None, typer.Option(help="Of steps of your own: the suite that holds their queries.")
    ] = None,
    split: Annotated[str, typer.Option(help="Likewise: its split.")] = "train",
) -> None:
    """Write down every step of a run, recomputed from its decisions; or steps of your own."""
    from conductor_gym.traces.minari_files import check_is_new, write_dataset
    from conductor_gym.traces.row_files import check_ending, write_rows
    from conductor_gym.traces.rows import trace_rows

    if out is None and minari is None:
        raise ConfigError(
            "name what to write: --out FILE.jsonl, --out FILE.parquet or --minari NAME."
        )
    if out is not None:
        check_ending(out)
    if minari is not None:
        check_is_new(minari)
    found = _find(source, tuple(cost_weight or ()), pool, suite, split)
    console = messages()
    with progress() as bars:
        if out is not None:
            bar = bars.add_task(f"{found.name} -> {out.name}", total=found.episodes)
            steps = write_rows(trace_rows(found, lambda k: bars.advance(bar, k)), out)
            console.print(f"{found.name}: {found.episodes:,} episodes, {steps:,} steps -> {out}")
        if minari is not None:
            into = bars.add_task(f"{found.name} -> {minari}", total=found.episodes)
            folder, episodes, steps = write_dataset(minari, found, lambda k: bars.advance(into, k))
            console.print(
                f"{found.name}: {episodes:,} episodes, {steps:,} steps -> {minari} ({folder})"
            )


def _find(
    source: Path, weights: tuple[float, ...], pool: str | None, suite: str | None, split: str
) -> "Trace":
    from conductor_gym.config import EnvConfig
    from conductor_gym.leaderboard.results import read_result
    from conductor_gym.leaderboard.trace_export import ResultTrace
    from conductor_gym.traces.own_steps import OwnSteps

    if source.suffix != ROWS:
        if pool is not None or suite is not None:
            raise ConfigError(
                f"{source}: a result file names its own pool and suite. Leave out --pool and "
                f"--suite, or give steps of your own ({ROWS})."
            )
        return ResultTrace(read_result(source), weights)
    if pool is None or suite is None or len(weights) != 1:
        raise ConfigError(
            f"{source}: steps of your own need --pool, --suite and one --cost-weight (what a cent "
            "is worth is not in a log)."
        )
    found = OwnSteps(source, EnvConfig(pool, suite, split, weights[0]))
    if found.left_out:
        messages().print(f"left out: {found.left_out:,} episodes of other splits than {split}")
    return found
