"""`conductor-gym train llm`: train a language model to conduct.

On several GPUs: `accelerate launch --config_file FILE -m conductor_gym train llm ...`; the first
process shows progress and writes.
"""

import os
from functools import partial
from pathlib import Path
from typing import Any

from rich.progress import Progress, TaskID

from conductor_gym.cli.terminal import messages, model_folder, print_json, progress


def train_language_model(
    agent: str,
    track: str,
    seeds: list[int],
    models: Path,
    fresh: bool,
    model: str | None,
    config: str | None,
    as_json: bool,
) -> None:
    """Train one model a seed, see `conductor_gym.cli.train.train`.

    Raises:
        ConfigError: No model or configuration, or ones that do not go together.
    """
    from conductor_gym.agents.llm_config import CONFIGS, load_llm_config
    from conductor_gym.data_files import make_folder
    from conductor_gym.errors import ConductorError, ConfigError
    from conductor_gym.leaderboard.tracks import find_track
    from conductor_gym.reward import HEADLINE_COST_WEIGHT

    if model is None or config is None:
        shipped = ", ".join(sorted(path.stem for path in CONFIGS.glob("*.toml")))
        raise ConfigError(
            f"training {agent!r} takes --model (such as smollm2-135m, or a folder) and --config "
            f"(one of {shipped}, or a path to a .toml file)."
        )
    setting = find_track(track).setting(HEADLINE_COST_WEIGHT)
    recipe = load_llm_config(config)
    from conductor_gym.agents.llm_training import expected_steps, train_llm
    from conductor_gym.agents.training import TrainingRun

    console = messages()
    console.quiet = os.environ.get("RANK", "0") != "0"
    made: list[dict[str, Any]] = []
    for number in seeds:
        folder = model_folder(models, track, agent, number)
        make_folder(folder)  # before the work, not after it
        title = f"{agent} ({config}) on {track}, seed {number}"
        with progress() as bars:
            bars.disable = console.quiet
            bar = bars.add_task(f"training {title}", total=expected_steps(recipe))

            run = TrainingRun(
                agent,
                setting,
                folder,
                timesteps=0,
                seed=number,
                report=partial(_advance, bars, bar, title),
                resume=not fresh,
                model=model,
                recipe=config,
            )
            try:
                card = train_llm(run)
            except ConductorError:
                if not any(folder.iterdir()):
                    folder.rmdir()
                raise
            except KeyboardInterrupt:
                console.print(
                    f"stopped; the same command goes on from the last checkpoint in {folder}.",
                    markup=False,
                )
                raise
        last = f", {card['curve'][-1][1]:+.4f} at the end" if card["curve"] else ""
        console.print(
            f"trained {title}: {card['timesteps']:,} optimizer steps in {card['wall_s']:.0f} s"
            f"{last} -> {folder}",
            markup=False,
        )
        made.append(card)
    if as_json:
        print_json(made[0] if len(made) == 1 else made)


def _advance(bars: Progress, bar: TaskID, title: str, done: int, value: float) -> None:
    bars.update(bar, completed=done, description=f"training {title}, {value:+.3f}")
