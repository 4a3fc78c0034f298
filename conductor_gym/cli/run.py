"""`conductor-gym run`: score agents and write one result file for each."""

from pathlib import Path
from typing import Annotated, Any

import typer

from conductor_gym.cli.terminal import (
    AsJson,
    ResultsFolder,
    messages,
    model_folder,
    print_json,
    progress,
)


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
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Seed of agents that draw.")] = 0,
    model: Annotated[
        Path | None, typer.Option(help="Folder of a trained agent; models/TRACK/AGENT by default.")
    ] = None,
    models: Annotated[Path, typer.Option(help="Where `train` keeps its models.")] = Path("models"),
    results: ResultsFolder = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Score agents and write one result file for each."""
    from conductor_gym.data_files import make_folder
    from conductor_gym.leaderboard.results import Result, evaluate, write_result
    from conductor_gym.leaderboard.tracks import find_track
    from conductor_gym.reward import COST_WEIGHTS, weight_to_int

    weights = tuple(cost_weight) if cost_weight else COST_WEIGHTS
    for weight in weights:
        weight_to_int(weight, "cost-weight")
    make_folder(results)  # before the work, not after it
    done: list[Result] = []
    console = messages()
    for track_name in track:
        size = find_track(track_name).size() if episodes is None else episodes
        for name in _expand(agent, track_name):
            folder = model
            if model is None and _is_trained(name):
                usual = model_folder(models, track_name, name)
                folder = usual if usual.exists() else None
            if _is_trained(name) and folder is None and "all" in agent:
                console.print(
                    f"{track_name}: {name} left out, it is not trained. "
                    f"`conductor-gym train {name} --track {track_name}` does that."
                )
                continue
            with progress() as bars:
                bar = bars.add_task(f"{track_name}: {name}", total=size * len(weights))
                result = evaluate(
                    name,
                    track_name,
                    episodes,
                    weights,
                    seed,
                    folder,
                    lambda k, bar=bar, bars=bars: bars.advance(bar, k),
                )
            path = write_result(result, results)
            console.print(f"{track_name}: {name}: {_headline(result)} -> {path}")
            done.append(result)
    if as_json:
        summaries = [result.summary() for result in done]
        print_json(summaries[0] if len(summaries) == 1 else summaries)


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
