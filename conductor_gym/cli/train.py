"""`conductor-gym train`: train an agent on a track's train split."""

from pathlib import Path
from typing import Annotated

import typer

from conductor_gym.cli.terminal import AsJson, messages, model_folder, print_json, progress
from conductor_gym.errors import unknown_name


def train(
    agent: Annotated[str, typer.Argument(help="ppo or maskable-ppo.")],
    track: Annotated[str, typer.Option(help="Track whose train split is played.")] = "standard",
    timesteps: Annotated[
        int, typer.Option(min=1, help="Environment steps; whole rollouts of 16,384.")
    ] = 2_200_000,
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

    folder = model_folder(models, track, agent)
    console = messages()
    console.print(
        f"training {agent} on {track}: {timesteps:,} steps, about a minute for 2 million",
    )
    with progress() as bars:
        bar = bars.add_task(f"training {agent} on {track}", total=timesteps)

        def report(steps: int, mean_return: float) -> None:
            bars.update(
                bar,
                completed=min(steps, timesteps),
                description=f"training {agent} on {track}, return {mean_return:+.3f}",
            )

        card = train_ppo(agent, config, folder, timesteps, seed, report)
    last = card["curve"][-1][1]
    console.print(
        f"trained {agent} on {track}: {card['timesteps']:,} steps in {card['wall_s']:.0f} s, "
        f"mean return of the last rollout {last:+.4f} (cost weights drawn) -> {folder}",
    )
    if as_json:
        print_json(card)
