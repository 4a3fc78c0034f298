"""The board of this repository: docs/board.md and the part of README.md between its marks.

python -m conductor_gym.leaderboard.publish RESULTS
"""

import re
import shutil
import sys
from pathlib import Path

from conductor_gym.data_files import write_beside_and_rename
from conductor_gym.errors import DataFileError
from conductor_gym.leaderboard.report import (
    FIDELITY,
    board_tables,
    legend,
    markdown,
    markdown_table,
    outcomes_line,
)
from conductor_gym.leaderboard.table import Board, read_boards
from conductor_gym.leaderboard.tracks import tracks

BEGIN, END = "<!-- board -->\n", "<!-- /board -->\n"
LEFT_TO_THE_PAGE = ("single:",)
"""Rows that stand in docs/board.md alone."""


def publish(results: Path, repository: Path) -> None:
    """Write the tracks that have result files into both files; other tracks stay as they are.

    Args:
        results: Folder of result files, with the pictures of `conductor-gym report`.
        repository: Where README.md and docs/ are.

    Raises:
        DataFileError: No results, rows of several commits, or a README without the marks.
    """
    boards = read_boards(results)
    commits = {row.result.commit or "unknown" for board in boards for row in board.rows}
    if len(commits) > 1:
        raise DataFileError(
            f"rows come from different commits ({', '.join(sorted(commits))}): run `make "
            "leaderboard` from one clean checkout."
        )
    made = f"Rows at commit {commits.pop()}."
    plots, slopes = (_copied(boards, results, repository, end) for end in ("", "-assumptions"))
    page = markdown(boards, plots, slopes).replace(FIDELITY, "[fidelity.md](fidelity.md)")
    path = repository / "docs/board.md"
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    readme = (repository / "README.md").read_text(encoding="utf-8")
    before, begin, rest = readme.partition(BEGIN)
    shown, end, after = rest.partition(END)
    if not begin or not end:
        raise DataFileError(f"{repository}/README.md: no {BEGIN.strip()} ... {END.strip()}.")
    parts = [part for board in boards for part in _shown(board, plots)]
    text = "\n".join([legend(boards), "", *parts])
    text = text.replace(FIDELITY, f"[{FIDELITY}]({FIDELITY})")
    write_beside_and_rename(path, _merged(page, old, "## ", made).encode())
    text = _merged(text, shown, "### ", made)
    write_beside_and_rename(
        repository / "README.md", (before + BEGIN + text + END + after).encode()
    )


def _merged(new: str, old: str, mark: str, made: str) -> str:
    """A page of sections by track: the new ones, and those old ones that have no new one.

    Args:
        new: Page of the new sections.
        old: Page as it was.
        mark: What headings of tracks begin with.
        made: Line below the heading of each new section.
    """
    lead, found = _sections(new, mark)
    before, kept = _sections(old, mark)
    lead = max(lead, before, key=len)  # the longer legend explains marks of simulated tracks too
    for heading, text in found.items():
        kept[heading] = f"\n{made}\n{text}"
    order = {name: place for place, name in enumerate(tracks())}
    names = sorted(kept, key=lambda heading: order.get(heading.partition(":")[0], len(order)))
    return lead + "".join(f"{mark}{name}\n{kept[name]}" for name in names)


def _sections(page: str, mark: str) -> tuple[str, dict[str, str]]:
    """What stands before the first track, and the text of each track by its heading."""
    pieces = re.split(rf"^{mark}([a-z0-9-]+: .*)\n", page, flags=re.M)
    return pieces[0], dict(zip(pieces[1::2], pieces[2::2], strict=True))


def _copied(boards: list[Board], results: Path, repository: Path, end: str) -> dict[str, str]:
    """Pictures of one kind by track, as copied into docs/."""
    found: dict[str, str] = {}
    for board in boards:
        picture = results / f"{board.track}{end}.png"
        if picture.exists():
            found[board.track] = f"board-{picture.name}"
            shutil.copy(picture, repository / "docs" / found[board.track])
    return found


def _shown(board: Board, plots: dict[str, str]) -> list[str]:
    """One track in the README: headline, picture, gains by weight, savings, training seeds."""
    lines = [f"### {board.track}: {board.card.title}", "", f"**{outcomes_line(board)}**", ""]
    lines += [*(f"- {note}" for note in board.notes), ""]
    headline, *others = board_tables(board)
    lines += _without_singles(*headline)
    if board.track in plots:
        lines += [f"![cost and quality on track {board.track}](docs/{plots[board.track]})", ""]
    for columns, rows in others:
        if columns[0].startswith("vs best single"):
            better = [row for row in rows if any(cell.endswith("+") for cell in row)]
            lines += _without_singles(columns, better)
        elif columns[0].startswith("at best-single quality"):
            reached = [row for row in rows if re.match(r"[+-]\d", row[1])]
            lines += _without_singles(columns, reached)
        elif columns[0].startswith("utility by training seed"):
            lines += _without_singles(columns, rows)
    return lines


def _without_singles(columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    kept = [row for row in rows if not row[0].startswith(LEFT_TO_THE_PAGE)]
    return [*markdown_table(columns, kept), ""] if kept else []


if __name__ == "__main__":
    publish(Path(sys.argv[1]), Path(__file__).resolve().parents[1])
