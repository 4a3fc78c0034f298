"""The board in the README and in docs/board.md: from one commit, whole, of what it says."""

import re
from pathlib import Path

import pytest

from conductor_gym.errors import DataFileError
from conductor_gym.leaderboard.publish import BEGIN, END, publish
from conductor_gym.leaderboard.results import evaluate, write_result

LEAST_ROWS = 24


def _part(repository: Path) -> str:
    readme = (repository / "README.md").read_text(encoding="utf-8")
    return readme.partition(BEGIN)[2].partition(END)[0]


def _commits(text: str, mark: str) -> dict[str, str]:
    """Commit of the rows of each track."""
    return dict(re.findall(rf"^{mark}([a-z-]+): .*\n\nRows at commit ([0-9a-f]+)\.$", text, re.M))


def test_every_track_tells_the_clean_commit_of_its_rows_the_same_in_both_files(
    repository: Path,
) -> None:
    page = (repository / "docs/board.md").read_text(encoding="utf-8")
    told = _commits(page, "## ")
    assert {"standard", "paper", "mmlu-pro"} <= set(told)
    assert set(told) == set(re.findall(r"^## ([a-z-]+): ", page, re.M))
    assert _commits(_part(repository), "### ") == told


@pytest.mark.parametrize("track", ["standard", "paper"])
def test_a_track_has_at_least_as_many_rows_as_promised(repository: Path, track: str) -> None:
    page = (repository / "docs/board.md").read_text(encoding="utf-8")
    table = page.partition(f"## {track}: ")[2].partition("\n\n| utility at")[0]
    rows = [line for line in table.splitlines() if re.match(r"\| [a-z]", line)]
    scored = [row for row in rows[1:] if "n/a" not in row]
    assert len(scored) >= LEAST_ROWS
    assert all(re.search(r"\[[+-]\d\.\d+, [+-]\d\.\d+\]", row) for row in scored)


def test_publishing_writes_both_files_and_keeps_the_rest(tmp_path: Path) -> None:
    results, repository = tmp_path / "results", tmp_path / "repository"
    for agent in ("best-single", "clairvoyant", "best-by-domain"):
        made = evaluate(agent, "paper", 60, (0.0, 0.05))
        write_result(made.model_copy(update={"commit": "0123abc"}), results)
    (repository / "docs").mkdir(parents=True)
    (repository / "README.md").write_text(f"before\n{BEGIN}old\n{END}after\n")
    publish(results, repository)
    readme = (repository / "README.md").read_text()
    assert _commits(readme, "### ") == {"paper": "0123abc"}
    assert readme.endswith(f"{END}after\n")
    assert "| best-by-domain" in readme
    assert "\nold\n" not in readme
    assert "| best-by-domain" in (repository / "docs/board.md").read_text()
    other = tmp_path / "other"
    for agent in ("best-single", "best-by-domain"):
        made = evaluate(agent, "paper-unconstrained", 60, (0.05,))
        write_result(made.model_copy(update={"commit": "4567def"}), other)
    publish(other, repository)
    told = _commits((repository / "docs/board.md").read_text(), "## ")
    assert told == {"paper": "0123abc", "paper-unconstrained": "4567def"}
    write_result(evaluate("random", "paper", 60, (0.05,)), results)
    with pytest.raises(DataFileError, match="different commits"):
        publish(results, repository)
