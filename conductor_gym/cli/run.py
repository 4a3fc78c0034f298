"""`conductor-gym run`: score agents, one result file each under mid, low and high."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast, get_args

import typer
from rich.console import Console
from rich.markup import escape

from conductor_gym.cli.live import CallsColumn, live_options
from conductor_gym.cli.terminal import (
    AsJson,
    ResultsFolder,
    messages,
    models_of,
    print_json,
    progress,
    trained_seeds,
)
from conductor_gym.errors import ConfigError, unknown_name
from conductor_gym.reward import HEADLINE_COST_WEIGHT, weight_to_int
from conductor_gym.types import Backend

if TYPE_CHECKING:
    from conductor_gym.leaderboard.results import Result


def run(
    agent: Annotated[
        list[str],
        typer.Option(
            help="Agent to score; repeatable; `all` for the whole board; module:Class for your own."
        ),
    ],
    track: Annotated[list[str] | None, typer.Option(help="Track to score on; repeatable.")] = None,
    pool: Annotated[
        str | None,
        typer.Option(help="Instead of a track: a pool, such as a path to a pool's TOML file."),
    ] = None,
    suite: Annotated[str, typer.Option(help="With --pool: suite of the queries.")] = "core-v1",
    split: Annotated[str, typer.Option(help="With --pool: split that is scored.")] = "test",
    backend: Annotated[
        str | None,
        typer.Option(
            metavar="simulated|recorded|live",
            help="With --pool: where outcomes come from; by default as the pool's file says.",
        ),
    ] = None,
    episodes: Annotated[
        int | None,
        typer.Option("--episodes", "--limit", help="Queries to play; the whole split by default."),
    ] = None,
    budget_usd: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="Live workers: USD that all calls in the journal may cost together."
        ),
    ] = None,
    journal: Annotated[
        Path | None,
        typer.Option(
            help="Live workers: file that every call stands in; a run that was stopped goes on "
            "from it. RESULTS/journals/TRACK.jsonl by default."
        ),
    ] = None,
    concurrent: Annotated[
        int, typer.Option(min=1, max=10_000, help="Live workers: calls at the same time.")
    ] = 64,
    cost_weight: Annotated[
        list[float] | None,
        typer.Option(
            help="Quality points per US cent; repeatable; the whole grid by default, "
            f"{HEADLINE_COST_WEIGHT:g} alone under low and high."
        ),
    ] = None,
    assumptions: Annotated[
        str,
        typer.Option(
            metavar="low|mid|high|all",
            help="End of the assumed parameters to simulate: mid plays all cost weights, low and "
            f"high {HEADLINE_COST_WEIGHT:g} alone unless --cost-weight says otherwise. Agents are "
            "trained and built under mid throughout. Recorded tracks assume nothing and run once.",
        ),
    ] = "all",
    seed: Annotated[int, typer.Option(min=0, max=2**31, help="Seed of agents that draw.")] = 0,
    model: Annotated[
        Path | None,
        typer.Option(
            help="Folder of a trained agent; every MODELS/TRACK/AGENT/seed-J by default. For "
            "`llm`: a model's name or folder, a trained conductor's, or a TOML file of settings."
        ),
    ] = None,
    models: Annotated[Path, typer.Option(help="Where `train` keeps its models.")] = Path("models"),
    time_limit: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=86_400,
            help="Seconds that one call of an agent's act may take; 60, of a language model 900.",
        ),
    ] = None,
    results: ResultsFolder = Path("results"),
    as_json: AsJson = False,
) -> None:
    """Score agents: one result file for each agent, track and end of the assumptions."""
    from conductor_gym.data_files import make_folder
    from conductor_gym.leaderboard.cost_weights import default_cost_weights
    from conductor_gym.leaderboard.price_estimate import price_estimate
    from conductor_gym.leaderboard.results import Result, evaluate, write_result
    from conductor_gym.leaderboard.tracks import find_track, folder_of

    track = _tracks(track, pool, suite, split, backend)
    chosen = tuple(cost_weight) if cost_weight else None
    for weight in chosen or ():
        weight_to_int(weight, "cost-weight")
    settings = {name: find_track(name).assumptions(assumptions) for name in track}
    make_folder(results)  # before the work, not after it
    for track_name in settings:
        _try_own(agent, track_name, model)
    done: list[list[Result]] = []
    console = messages()
    for track_name, played_under in settings.items():
        card = find_track(track_name)
        size = card.size() if episodes is None else episodes
        live = None
        if card.kind == "live":
            home = results / "journals" / f"{folder_of(track_name)}.jsonl"
            live = live_options(journal, budget_usd, concurrent, home)
        for name, folder in jobs_of(agent, track_name, model, models, console):
            made: list[Result] = []
            paths: list[Path] = []
            shown = name if folder is None else f"{name} ({folder.name})"
            calls = CallsColumn()
            weights = sum(
                len(chosen or default_cost_weights(s, card.kind, name)) for s in played_under
            )
            if live is not None:
                said = price_estimate(
                    name, card, size, HEADLINE_COST_WEIGHT, live.ceiling_usd, folder, seed
                )
                console.print(f"{track_name}: {shown}: {size} episodes, {said}", markup=False)
            with progress(*([] if live is None else [calls])) as bars:
                bar = bars.add_task(f"{track_name}: {shown}", total=size * weights)
                for setting in played_under:
                    result = evaluate(
                        name,
                        track_name,
                        episodes,
                        chosen,
                        seed,
                        folder,
                        lambda k, bar=bar, bars=bars: bars.advance(bar, k),
                        setting,
                        time_limit,
                        live,
                        calls.watch,
                    )
                    made.append(result)
                    paths.append(write_result(result, results))
            line = f"{track_name}: {shown}: {_headline(made)} -> {_places(paths)}"
            console.print(line, markup=False)
            lost = _lost(made)
            if lost:
                console.print(f"[yellow]{escape(lost)}[/]")
            done.append(made)
    if as_json:
        summaries = [_summary(made) for made in done]
        print_json(summaries[0] if len(summaries) == 1 else summaries)


def _tracks(
    tracks: list[str] | None, pool: str | None, suite: str, split: str, backend: str | None
) -> list[str]:
    """Names of the tracks to score on."""
    from conductor_gym.leaderboard.tracks import own_track

    if (pool is None) == (not tracks):
        raise ConfigError("name a --track, or a --pool to play on; `conductor-gym list tracks`.")
    if tracks:
        if backend is not None:
            raise ConfigError("--backend goes with --pool: a track says itself what it plays on.")
        return tracks
    if backend is not None and backend not in get_args(Backend):
        raise unknown_name("backend", backend, get_args(Backend))
    return [own_track(str(pool), suite, split, cast("Backend | None", backend))]


def jobs_of(
    names: list[str], track: str, model: Path | None, models: Path, console: Console
) -> Iterator[tuple[str, Path | None]]:
    """Agents to play, trained ones once a training seed with the folder of its model."""
    from conductor_gym.agents.registry import agent_card

    for name in _expand(names, track):
        card = agent_card(name)
        if not card.takes_model:
            yield name, model
            continue
        folders = [model] if model is not None else trained_seeds(models, track, name)
        if not folders:
            place = models_of(models, track, name)
            message = (
                f"{name} is not trained on track {track}: no model under {place}. "
                f"`conductor-gym train {name} --track {track}` makes one, or name its folder with "
                "--model."
            )
            if card.reads:
                message = f"{name} needs a language model: name one with --model, see docs/llm.md."
            if "all" not in names:
                raise ConfigError(message)
            console.print(f"left out: {message}", markup=False)
        for folder in folders:
            yield name, folder


def _try_own(names: list[str], track: str, model: Path | None) -> None:
    """Build agents of one's own once, so that one that cannot be built stops nothing half way."""
    from conductor_gym.agents.registry import agent_card, make_agent
    from conductor_gym.leaderboard.tracks import find_track

    for name in names:
        if name != "all" and agent_card(name).family == "own":
            make_agent(name, find_track(track).setting(HEADLINE_COST_WEIGHT), model)


def _lost(made: "list[Result]") -> str:
    """What an agent did wrong, empty where it did nothing wrong."""
    failures = [reason for result in made for at in result.at for reason in at.failures.values()]
    if not failures:
        return ""
    kinds = Counter(failures).most_common(3)
    told = "; ".join(f"{reason} ({number:,})" for reason, number in kinds)
    return f"{len(failures):,} episodes were lost by faults of the agent: {told}"


def _expand(names: list[str], track: str) -> list[str]:
    from conductor_gym.agents.registry import agent_card, agents
    from conductor_gym.leaderboard.tracks import find_track
    from conductor_gym.workers.pool import load_pool

    chosen: list[str] = []
    for name in names:
        if name != "all":
            agent_card(name)
            chosen.append(name)
            continue
        for known, card in agents().items():
            if card.takes_worker:
                workers = load_pool(find_track(track).pool).worker_names
                chosen += [f"{known}:{worker}" for worker in workers]
            else:
                chosen.append(known)
    return list(dict.fromkeys(chosen))


def _headline(made: "list[Result]") -> str:
    first, *ends = made
    if first.not_applicable:
        return f"n/a ({first.not_applicable})"
    summary = first.summary()
    value = summary["utility"]
    under = "" if first.assumptions in (None, "mid") else f" under {first.assumptions}"
    also = ", ".join(f"{r.assumptions} {r.summary()['utility']['mean']:+.4f}" for r in ends)
    return (
        f"utility {value['mean']:+.4f} [{value['low']:+.4f}, {value['high']:+.4f}]{under} "
        f"at {summary['cost_weight']:g} per cent{also and f'; {also}'}, {_own_tokens(first)}"
        f"{sum(result.wall_s for result in made):.1f} s"
    )


def _own_tokens(result: "Result") -> str:
    """What a language model itself read and wrote, by episode; empty for other agents."""
    own = result.at[0].own_tokens
    if own is None:
        return ""
    n = result.episodes
    return f"own tokens {own.tokens_in / n:,.0f} in, {own.tokens_out / n:,.1f} out an episode, "


def _places(paths: list[Path]) -> str:
    """The first file, and the folders beside it that hold the others."""
    first, *others = paths
    beside = first.parent.name == "partial"
    home = first.parent.parent if beside else first.parent
    places = ", ".join([str(first), *(f"{path.parent.relative_to(home)}/" for path in others)])
    return places + " (not on the board: a fuller run of this agent is there)" * beside


def _summary(made: "list[Result]") -> dict[str, Any]:
    """Metrics of the first result, and under ``also_under`` those of the other assumptions."""
    first, *ends = made
    also = {str(result.assumptions): result.summary()["at"] for result in ends}
    return first.summary() | ({"also_under": also} if also else {})
