"""The `conductor-gym` command: one file a subcommand, heavy imports inside it."""

import sys
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from conductor_gym.cli.benchmark import benchmark
from conductor_gym.cli.fetch import fetch
from conductor_gym.cli.fidelity import fidelity
from conductor_gym.cli.fit import fit
from conductor_gym.cli.lists import list_
from conductor_gym.cli.play import play
from conductor_gym.cli.record import record
from conductor_gym.cli.report import report
from conductor_gym.cli.run import run
from conductor_gym.cli.select import select
from conductor_gym.cli.trace import trace
from conductor_gym.cli.train import train
from conductor_gym.errors import ConductorError
from conductor_gym.version import __version__

app = typer.Typer(
    name="conductor-gym",
    help="Environments and a leaderboard for policies that direct other LLMs.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (play, run, train, report, trace, fetch, benchmark, fit, fidelity, record, select):
    app.command()(command)
app.command("list")(list_)


STOPPED = 130
"""Exit code after Ctrl-C."""


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


def main() -> None:
    """Run the command; a user's mistake ends in one clear line and exit code 2."""
    try:
        app()
    except ConductorError as error:
        Console(stderr=True, soft_wrap=True, emoji=False).print(
            f"[bold red]error:[/] {escape(str(error))}", highlight=False
        )
        raise SystemExit(2) from None
    except SystemExit as end:
        if end.code == STOPPED:
            print("stopped: finished results and models are kept, none is half", file=sys.stderr)
        raise
