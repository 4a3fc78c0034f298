"""What the commands share on the terminal: consoles, progress bars, tables, JSON."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
ResultsFolder = Annotated[Path, typer.Option(help="Folder of result files.")]

PLAIN_WIDTH = 150
"""Columns of tables that are not printed on a terminal."""


def messages() -> Console:
    """Messages for the person; standard output is kept for what a program reads."""
    return Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)


def tables() -> Console:
    """Where tables are printed."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH, emoji=False)


def progress(*columns: ProgressColumn) -> Progress:
    """A progress bar that vanishes when it is done and stays silent in logs.

    Args:
        columns: Shown after the usual ones.
    """
    console = Console(stderr=True)
    return Progress(
        TextColumn("{task.description:<40}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        *columns,
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )


def print_json(value: Any) -> None:
    """Print plain values as JSON."""
    print(json.dumps(value, indent=1))


def models_of(models: Path, track: str, agent: str) -> Path:
    """Where the models of an agent are kept, one folder a training seed."""
    from conductor_gym.leaderboard.tracks import folder_of

    return models / folder_of(track) / agent


def model_folder(models: Path, track: str, agent: str, seed: int) -> Path:
    """Where `train` keeps a model and `run` looks for it."""
    return models_of(models, track, agent) / f"seed-{seed}"


def trained_seeds(models: Path, track: str, agent: str) -> list[Path]:
    """Folders of an agent's finished models, one a training seed, in their order."""
    found = models_of(models, track, agent).glob("seed-*/card.json")
    numbers = {path.parent.name.removeprefix("seed-"): path.parent for path in found}
    return [numbers[name] for name in sorted(filter(str.isdecimal, numbers), key=int)]
