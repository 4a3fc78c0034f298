"""`conductor-gym train`: train an agent on a track's train split."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.progress import Progress, TaskID

from conductor_gym.cli.terminal import AsJson, messages, model_folder, print_json, progress
from conductor_gym.cli.train_llm import train_language_model


def train(
    agent: Annotated[str, typer.Argument(help="A trained agent of `conductor-gym list agents`.")],
    track: Annotated[str, typer.Option(help="Track whose train split is played.")] = "standard",
    timesteps: Annotated[
        int | None, typer.Option(min=1, help="Environment steps; what the agent's card says.")
    ] = None,
    seed: Annotated[
        list[int] | None,
        typer.Option(min=0, max=4000, help="Training seed; repeatable; 0 unless told."),
    ] = None,
    models: Annotated[Path, typer.Option(help="Written to MODELS/TRACK/AGENT/seed-SEED.")] = Path(
        "models"
    ),
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start anew where a checkpoint could be resumed.")
    ] = False,
    dataset: Annotated[
        str | None,
        typer.Option(help="Minari dataset to learn from, for agents that learn from traces."),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(
            help="For `llm`: the model to start from, a name, a folder or a trained conductor's."
        ),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(help="For `llm`: how it is trained, a shipped name or a path to a TOML file."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Train an agent on a track's train split, under the public key; go on where a run was killed.

    The folder gets weights (safetensors), card (JSON), the picture of the curve and TensorBoard
    logs: `tensorboard --logdir models`. A language model gets adapters, card and curve.
    """
    from conductor_gym.agents.registry import agent_card, agents, trainer
    from conductor_gym.data_files import make_folder
    from conductor_gym.errors import ConductorError, ConfigError
    from conductor_gym.leaderboard.tracks import find_track
    from conductor_gym.reward import HEADLINE_COST_WEIGHT

    reading = [name for name, card in agents().items() if card.reads]
    if agent in reading:
        if timesteps is not None or dataset is not None:
            raise ConfigError(
                f"how long {agent!r} is trained and on what stands in its configuration: leave out "
                "--timesteps and --dataset."
            )
        train_language_model(agent, track, seed or [0], models, fresh, model, config, as_json)
        return
    if model is not None or config is not None:
        raise ConfigError(f"--model and --config go with: {', '.join(reading)}.")
    teach = trainer(agent)
    card = agent_card(agent)
    if timesteps is not None and card.learns == "other agents":
        raise ConfigError(f"agent {agent!r} measures other agents on dev: leave out --timesteps.")
    if dataset is not None and card.learns != "traces":
        able = [name for name, card in agents().items() if card.trained and card.learns == "traces"]
        raise ConfigError(
            f"agent {agent!r} learns from {card.learns}, not from a dataset. "
            f"--dataset goes with: {', '.join(able)}."
        )
    setting = find_track(track).setting(HEADLINE_COST_WEIGHT)
    from conductor_gym.agents.training import CHECKPOINT, TrainingRun

    steps = card.timesteps if timesteps is None else timesteps
    console = messages()
    made: list[dict[str, Any]] = []
    for number in seed or [0]:
        folder = model_folder(models, track, agent, number)
        make_folder(folder)  # before the work, not after it
        title = f"training {agent} on {track}, seed {number}"
        with progress() as bars:
            bar = bars.add_task(title, total=steps)
            run = TrainingRun(
                agent,
                setting,
                folder,
                steps,
                number,
                partial(_advance, bars, bar, title),
                models=folder.parent.parent,
                dataset=dataset,
            )
            done = None if fresh or card.learns == "other agents" else run.finished()
            if done is not None:
                console.print(f"{folder} is trained already; --fresh trains it anew.", markup=False)
                made.append(done)
                continue
            if fresh:
                run.forget_checkpoint()
            if (folder / CHECKPOINT).exists():
                console.print(f"going on from {folder / CHECKPOINT}", markup=False)
            try:
                trained = teach(run)
            except ConductorError:
                if not any(folder.iterdir()):
                    folder.rmdir()
                raise
            except KeyboardInterrupt:
                kept = (folder / CHECKPOINT).exists()
                console.print(
                    f"{folder / CHECKPOINT} is kept: the same command goes on from there."
                    if kept
                    else f"stopped before the first checkpoint in {folder}: nothing of it is kept.",
                    markup=False,
                )
                raise
        curve = trained["curve"]
        last = f", mean return at the end {curve[-1][1]:+.4f} (cost weights drawn)" if curve else ""
        console.print(
            f"trained {agent} on {track}, seed {number}: {trained['timesteps']:,} steps in "
            f"{trained['wall_s']:.0f} s{last} -> {folder}",
            markup=False,
        )
        made.append(trained)
    if as_json:
        print_json(made[0] if len(made) == 1 else made)


def _advance(bars: Progress, bar: TaskID, title: str, done: int, mean_return: float) -> None:
    bars.update(bar, completed=done, description=f"{title}, return {mean_return:+.3f}")
