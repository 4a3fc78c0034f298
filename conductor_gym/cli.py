"""The `conductor-gym` command."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from conductor_gym.errors import ConductorError, unknown_name
from conductor_gym.version import __version__

app = typer.Typer(
    name="conductor-gym",
    help="Environments and a leaderboard for policies that direct other LLMs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

LISTS = ("agents", "pools", "suites", "tracks")
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
ResultsFolder = Annotated[Path, typer.Option(help="Folder of result files.")]


def _messages() -> Console:
    """Messages for the person; standard output is kept for what a program reads."""
    return Console(stderr=True, soft_wrap=True)


def _progress() -> Progress:
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description:<40}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def _print_json(value: Any) -> None:
    print(json.dumps(value, indent=1))


def _show_version(wanted: bool) -> None:
    if wanted:
        print(__version__)
        raise typer.Exit


@app.callback()
def _options(  # pyright: ignore[reportUnusedFunction]
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="And exit.")
    ] = False,
) -> None:
    del version


def _model_folder(models: Path, track: str, agent: str) -> Path:
    return models / track / agent


@app.command()
def run(
    agent: Annotated[
        list[str], typer.Option(help="Agent to score; repeatable; `all` for the whole board.")
    ],
    track: Annotated[list[str], typer.Option(help="Track to score on; repeatable.")],
    episodes: Annotated[
        int | None, typer.Option(help="Queries to play; the whole split by default.")
    ] = None,
    cost_weight: Annotated[
        list[float] | None,
        typer.Option(help="Quality points per US cent; repeatable; the whole grid by default."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of agents that draw.")] = 0,
    model: Annotated[
        Path | None, typer.Option(help="Folder of a trained agent; models/TRACK/AGENT by default.")
    ] = None,
    models: Annotated[Path, typer.Option(help="Where `train` keeps its models.")] = Path("models"),
    results: ResultsFolder = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Score agents and write one result file for each."""
    from conductor_gym.leaderboard.results import Result, evaluate, write_result
    from conductor_gym.leaderboard.tracks import find_track
    from conductor_gym.reward import COST_WEIGHTS, weight_to_int

    weights = tuple(cost_weight) if cost_weight else COST_WEIGHTS
    for weight in weights:
        weight_to_int(weight, "cost-weight")
    done: list[Result] = []
    console = _messages()
    for track_name in track:
        size = find_track(track_name).size() if episodes is None else episodes
        for name in _expand(agent, track_name):
            folder = model or _model_folder(models, track_name, name)
            if model is None and not folder.exists():
                folder = None
            if folder is None and "all" in agent and _is_trained(name):
                console.print(
                    f"{track_name}: {name} left out, it is not trained. "
                    f"`conductor-gym train {name} --track {track_name}` does that."
                )
                continue
            with _progress() as progress:
                bar = progress.add_task(f"{track_name}: {name}", total=size * len(weights))
                result = evaluate(
                    name,
                    track_name,
                    episodes,
                    weights,
                    seed,
                    folder,
                    lambda k, bar=bar, progress=progress: progress.advance(bar, k),
                )
            path = write_result(result, results)
            console.print(f"{track_name}: {name}: {_headline(result)} -> {path}", highlight=False)
            done.append(result)
    if as_json:
        summaries = [result.summary() for result in done]
        _print_json(summaries[0] if len(summaries) == 1 else summaries)


def _is_trained(name: str) -> bool:
    from conductor_gym.agents.registry import agent_card

    return agent_card(name).trained


def _expand(names: list[str], track: str) -> list[str]:
    from conductor_gym.agents.registry import AGENTS, agent_card
    from conductor_gym.leaderboard.tracks import find_track
    from conductor_gym.workers.pool import load_pool

    chosen: list[str] = []
    for name in names:
        if name != "all":
            agent_card(name)
            chosen.append(name)
            continue
        for known, card in AGENTS.items():
            if card.takes_worker:
                workers = load_pool(find_track(track).pool).worker_names
                chosen += [f"{known}:{worker}" for worker in workers]
            else:
                chosen.append(known)
    return list(dict.fromkeys(chosen))


def _headline(result: Any) -> str:
    summary = result.summary()
    if result.not_applicable:
        return f"n/a ({result.not_applicable})"
    value = summary["utility"]
    return (
        f"utility {value['mean']:+.4f} [{value['low']:+.4f}, {value['high']:+.4f}] "
        f"at {summary['cost_weight']:g} per cent, {result.wall_s:.1f} s"
    )


@app.command()
def train(
    agent: Annotated[str, typer.Argument(help="ppo or maskable-ppo.")],
    track: Annotated[str, typer.Option(help="Track whose train split is played.")] = "paper",
    timesteps: Annotated[int, typer.Option(min=1, help="Environment steps.")] = 2_200_000,
    seed: Annotated[int, typer.Option(min=0, max=4000, help="Training seed.")] = 0,
    models: Annotated[Path, typer.Option(help="Written to MODELS/TRACK/AGENT.")] = Path("models"),
    as_json: AsJson = False,
) -> None:
    """Train an agent on a track's train split, under the public key."""
    from conductor_gym.agents.registry import AGENTS
    from conductor_gym.leaderboard.tracks import find_track

    trained = [name for name, card in AGENTS.items() if card.trained]
    if agent not in trained:
        raise unknown_name("agent to train", agent, trained)
    config = find_track(track).training()
    from conductor_gym.agents.ppo import train_ppo

    folder = _model_folder(models, track, agent)
    console = _messages()
    console.print(
        f"training {agent} on {track}: {timesteps:,} steps, about a minute for 2 million",
        highlight=False,
    )
    with _progress() as progress:
        bar = progress.add_task(f"training {agent} on {track}", total=timesteps)

        def report(steps: int, mean_return: float) -> None:
            progress.update(
                bar,
                completed=min(steps, timesteps),
                description=f"training {agent} on {track}, return {mean_return:+.3f}",
            )

        card = train_ppo(agent, config, folder, timesteps, seed, report)
    last = card["curve"][-1][1]
    console.print(
        f"trained {agent} on {track}: {card['timesteps']:,} steps in {card['wall_s']:.0f} s, "
        f"mean return of the last rollout {last:+.4f} (cost weights drawn) -> {folder}",
        highlight=False,
    )
    if as_json:
        _print_json(card)


@app.command()
def report(
    results: ResultsFolder = Path("results"),
    plot: Annotated[bool, typer.Option(help="Write the cost-quality plots.")] = True,
    as_json: AsJson = False,
) -> None:
    """Print the board, write it as Markdown and JSON, draw cost against quality."""
    from conductor_gym.data_files import write_beside_and_rename
    from conductor_gym.leaderboard import report as text
    from conductor_gym.leaderboard.table import read_boards

    boards = read_boards(results)
    plots: dict[str, str] = {}
    if plot:
        from conductor_gym.leaderboard.plot import plot_board

        for board in boards:
            plots[board.track] = f"{board.track}.png"
            plot_board(board, results / plots[board.track])
    write_beside_and_rename(results / "leaderboard.md", text.markdown(boards, plots).encode())
    values = text.as_json(boards)
    write_beside_and_rename(results / "leaderboard.json", json.dumps(values, indent=1).encode())
    if as_json:
        _print_json(values)
        return
    console = Console(width=None if sys.stdout.isatty() else 150)
    text.print_boards(boards, console)
    written = [results / "leaderboard.md", results / "leaderboard.json"]
    written += [results / name for name in plots.values()]
    console.print("Written: " + ", ".join(str(path) for path in written), highlight=False)


@app.command("list")
def list_(
    what: Annotated[str, typer.Argument(help="agents, pools, suites or tracks.")],
    as_json: AsJson = False,
) -> None:
    """List what can be named."""
    if what not in LISTS:
        raise unknown_name("list", what, LISTS)
    rows = _LISTERS[what]()
    if as_json:
        _print_json(rows)
        return
    table = Table(show_edge=False, pad_edge=False)
    for column in rows[0]:
        table.add_column(column.replace("_", " "))
    for row in rows:
        table.add_row(*(_cell(value) for value in row.values()))
    Console(width=None if sys.stdout.isatty() else 150).print(table)


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(item) for item in value)  # pyright: ignore[reportUnknownVariableType, reportUnknownArgumentType]
    return str(value)


def _list_agents() -> list[dict[str, Any]]:
    from conductor_gym.agents.registry import AGENTS

    return [
        {
            "agent": f"{name}:WORKER" if card.takes_worker else name,
            "what_it_does": card.summary,
            "trained": card.trained,
            "privileged": card.privileged,
        }
        for name, card in AGENTS.items()
    ]


def _list_pools() -> list[dict[str, Any]]:
    from conductor_gym.workers.pool import list_pools, load_pool

    return [
        {
            "pool": pool.name,
            "title": pool.title,
            "backend": pool.backend,
            "workers": list(pool.worker_names),
            "prices_as_of": pool.prices_as_of,
        }
        for pool in map(load_pool, list_pools())
    ]


def _list_suites() -> list[dict[str, Any]]:
    from conductor_gym.tasks.suite import list_suites, load_suite_card

    cards = map(load_suite_card, list_suites())
    return [
        {
            "suite": card.name,
            "version": card.version,
            "title": card.title,
            "splits": list(card.splits),
        }
        for card in cards
    ]


def _list_tracks() -> list[dict[str, Any]]:
    from conductor_gym.leaderboard.tracks import tracks

    return [
        {
            "track": name,
            "title": track.title,
            "kind": track.kind,
            "pool": track.pool,
            "suite": track.suite,
            "data_is_here": track.is_available(),
        }
        for name, track in tracks().items()
    ]


_LISTERS = {
    "agents": _list_agents,
    "pools": _list_pools,
    "suites": _list_suites,
    "tracks": _list_tracks,
}


def main() -> None:
    """Run the command; a user's mistake ends in one clear line and exit code 2."""
    try:
        app()
    except ConductorError as error:
        Console(stderr=True, soft_wrap=True).print(
            f"[bold red]error:[/] {escape(str(error))}", highlight=False
        )
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("stopped; results written so far are kept", file=sys.stderr)
        raise SystemExit(130) from None
