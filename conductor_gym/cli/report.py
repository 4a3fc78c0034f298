"""`conductor-gym report`: the board as a table, Markdown, JSON, pictures and a page."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from conductor_gym.cli.terminal import AsJson, ResultsFolder, messages, print_json, tables
from conductor_gym.errors import MissingExtraError


def report(
    results: ResultsFolder = Path("results"),
    plot: Annotated[
        bool, typer.Option(help="Draw cost against quality, and low, mid and high assumptions.")
    ] = True,
    as_json: AsJson = False,
) -> None:
    """Print the board; write it as Markdown, JSON, pictures and a page, index.html."""
    from conductor_gym.data_files import write_beside_and_rename
    from conductor_gym.leaderboard import report as text
    from conductor_gym.leaderboard.table import read_boards

    boards = read_boards(results)
    plots: dict[str, str] = {}
    slopes: dict[str, str] = {}
    if plot:
        try:
            from conductor_gym.leaderboard.plot import plot_board
            from conductor_gym.leaderboard.slopes import plot_slopes

            for board in boards:
                plots[board.track] = f"{board.track}.png"
                plot_board(board, results / plots[board.track])
                if board.sensitivity is not None and board.sensitivity.pairs:
                    slopes[board.track] = f"{board.track}-assumptions.png"
                    plot_slopes(board, board.sensitivity, results / slopes[board.track])
        except MissingExtraError as error:
            messages().print(f"no plots: {escape(str(error))}")
    write_beside_and_rename(
        results / "leaderboard.md", text.markdown(boards, plots, slopes).encode()
    )
    values = text.as_json(boards)
    write_beside_and_rename(results / "leaderboard.json", json.dumps(values, indent=1).encode())
    written = [results / "leaderboard.md", results / "leaderboard.json"]
    written += [results / name for name in (*plots.values(), *slopes.values())]
    pictures = {board.track: _pictures(results, board.track, plots, slopes) for board in boards}
    try:
        from conductor_gym.leaderboard.page import page

        write_beside_and_rename(results / "index.html", page(boards, pictures).encode())
        written.append(results / "index.html")
    except MissingExtraError as error:
        messages().print(f"no page: {escape(str(error))}")
    if as_json:
        print_json(values)
        return
    console = tables()
    text.print_boards(boards, console)
    console.print("Written: " + ", ".join(str(path) for path in written), markup=False)


def _pictures(
    results: Path, track: str, plots: dict[str, str], slopes: dict[str, str]
) -> list[tuple[str, Path]]:
    """Description and file of each picture of a track."""
    described = (
        (f"{track}: quality over cost, one curve an agent", plots),
        (f"{track}: utility under low, mid and high assumptions", slopes),
    )
    return [(said, results / names[track]) for said, names in described if track in names]
