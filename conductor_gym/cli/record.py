"""`conductor-gym record`: live workers alone and with each other's answers, into a journal."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from conductor_gym.cli.live import CallsColumn, live_options
from conductor_gym.cli.terminal import messages, progress
from conductor_gym.types import MAX_STEPS, NANO_USD

if TYPE_CHECKING:
    from conductor_gym.config import EnvConfig
    from conductor_gym.live.options import LiveOptions
    from conductor_gym.live.record import Job


def record(
    pool: Annotated[str, typer.Option(help="Pool of live workers, such as a path to its file.")],
    journal: Annotated[
        Path,
        typer.Option(
            help="File that every call stands in (.jsonl); a recording that was stopped goes on "
            "from it, and nothing is paid twice."
        ),
    ],
    budget_usd: Annotated[
        float, typer.Option(min=0.0, help="USD that all calls in the journal may cost together.")
    ],
    suite: Annotated[str, typer.Option(help="Suite of the tasks.")] = "core-v1",
    split: Annotated[
        list[str] | None, typer.Option(help="Split to record; repeatable; train by default.")
    ] = None,
    attempts: Annotated[
        int, typer.Option(min=1, max=MAX_STEPS, help="Times that each worker solves each task.")
    ] = 1,
    acts: Annotated[
        bool,
        typer.Option(
            "--acts",
            help="Also let each worker verify, revise, see and put together each worker's "
            "answers. On tasks of parts and with documents, solves alone are recorded.",
        ),
    ] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Tasks of each split, the first ones; all by default.")
    ] = None,
    concurrent: Annotated[
        int, typer.Option(min=1, max=10_000, help="Calls at the same time.")
    ] = 256,
) -> None:
    """Record what live workers answer, check and revise: for fits, replays and choices of tasks."""
    from conductor_gym.live.record import recording_config
    from conductor_gym.live.scripts import acts as every_act
    from conductor_gym.live.scripts import solves
    from conductor_gym.workers.pool import load_pool

    options = replace(live_options(journal, budget_usd, concurrent, journal), again=True)
    workers = len(load_pool(pool).workers)
    scripts = solves(workers, attempts) + (every_act(workers) if acts else [])
    configs = [recording_config(pool, suite, name, scripts) for name in split or ["train"]]
    planned = [(config, _planned(config, limit, scripts)) for config in configs]
    messages().print(
        f"no more than {budget_usd:g} USD, whatever comes: no call is made that could pass it; "
        "calls that the journal holds cost nothing"
    )
    for config, jobs in planned:
        _play(config, jobs, options)
    messages().print(f"-> {journal}")


def _planned(
    config: "EnvConfig", limit: int | None, scripts: Sequence[tuple[tuple[int, int, int], ...]]
) -> "list[Job]":
    """What will be done on a split, told before it is."""
    from conductor_gym.live.record import check_grading, estimate, jobs_of
    from conductor_gym.world import make_world

    world = make_world(config)
    held = len(world.data.uids)
    queries = range(held if limit is None else min(limit, held))
    check_grading(world.data, queries)
    jobs = jobs_of(world.data, queries, scripts)
    most = estimate(world, jobs)
    messages().print(
        f"{config.suite}, {config.split}: {len(queries):,} tasks, at most {most.calls:,} calls; "
        f"{most.cost / NANO_USD:.6f} USD if every reply were as long as the pool's output_cap",
        markup=False,
    )
    return jobs


def _play(config: "EnvConfig", jobs: "list[Job]", options: "LiveOptions") -> None:
    from conductor_gym.live.open import open_live
    from conductor_gym.live.record import record as play

    column = CallsColumn()
    engine = open_live(config, min(options.concurrent, len(jobs)), options)
    try:
        column.watch(engine)
        with progress(column) as bars:
            bar = bars.add_task(f"{config.suite}, {config.split}", total=len(jobs))
            play(engine, jobs, lambda k: bars.advance(bar, k))
        told = engine.caller.progress()
    finally:
        engine.close()
    if told is None:
        return
    failed = ", ".join(f"{n:,} {status.name.lower()}" for status, n in told.failed.items())
    messages().print(
        f"{config.suite}, {config.split}: {told.calls:,} calls{f' ({failed})' if failed else ''}, "
        f"{told.spent / NANO_USD:.6f} USD so far",
        markup=False,
    )
