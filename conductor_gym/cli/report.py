"""`conductor-gym report`: the board as a table, Markdown, JSON and pictures."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from conductor_gym.cli.terminal import AsJson, ResultsFolder, messages, print_json, tables
from conductor_gym.errors import MissingExtraError


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
        try:
            from conductor_gym.leaderboard.plot import plot_board

            for board in boards:
                plots[board.track] = f"{board.track}.png"
                plot_board(board, results / plots[board.track])
        except MissingExtraError as error:
            messages().print(f"no plots: {escape(str(error))}")
    write_beside_and_rename(results / "leaderboard.md", text.markdown(boards, plots).encode())
    values = text.as_json(boards)
    write_beside_and_rename(results / "leaderboard.json", json.dumps(values, indent=1).encode())
    if as_json:
        print_json(values)
        return
    console = tables()
    text.print_boards(boards, console)
    written = [results / "leaderboard.md", results / "leaderboard.json"]
    written += [results / name for name in plots.values()]
    console.print("Written: " + ", ".join(str(path) for path in written))
