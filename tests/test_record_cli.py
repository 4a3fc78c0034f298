"""`conductor-gym record` and `select` against a real server."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from fault_server import MODEL, FaultServer
from reference_asker import live_pool
from text_suites import row, write_rows

from conductor_gym.cli import main
from conductor_gym.recordings.journal_table import calls


class Adds(FaultServer):
    """Adds the numbers of the task; every second task wrongly, whoever is asked."""

    def reply(self, asked: Any, **changes: Any) -> dict[str, Any]:
        """A right or wrong answer, and a verdict."""
        found = re.search(r"What is (\d+) \+ (\d+)\?", asked["messages"][-1]["content"])
        assert found is not None
        total = 2 * int(found[1]) + int(found[1]) % 2
        body = super().reply(asked, **changes)
        said = f"Answer: {total}\nVerdict: correct\nConfidence: 90%"
        body["choices"][0]["message"]["content"] = said
        return body


class Ended(NamedTuple):
    """How a command ended."""

    code: object
    out: str
    err: str


@pytest.fixture
def run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Ended]:
    """Runs the command in the folder, as a person does."""
    monkeypatch.chdir(folder)

    def command(*arguments: str) -> Ended:
        monkeypatch.setattr("sys.argv", ["conductor-gym", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        return Ended(end.value.code, *capsys.readouterr())

    return command


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Holds a suite of sums in two splits."""
    rows = [
        row(i + 10 * (split == "test"), uid=f"sums/{split}-{i}", split=split, domain="math")
        for split in ("train", "test")
        for i in range(8)
    ]
    write_rows(tmp_path / "sums.jsonl", rows)
    return tmp_path


def test_a_recording_from_breadth_to_acts_on_chosen_tasks(folder: Path, run: Callable[..., Ended]):
    with Adds() as server:
        live_pool(folder, base_url=server.url(), model=MODEL)
        usual = ("--pool", "trio.toml", "--budget-usd", "1", "--concurrent", "16")
        breadth = run("record", *usual, "--suite", "sums.jsonl", "--journal", "a.jsonl")
        assert breadth.code == 0, breadth.err
        assert "sums.jsonl, train: 8 tasks, at most 24 calls" in breadth.err
        assert len(list(calls(folder / "a.jsonl"))) == sum(server.seen.values()) == 24

        chosen = run(
            "select", "a.jsonl", "--suite", "sums.jsonl", "--out", "few.toml",
            "--train", "3", "--test", "2",
        )  # fmt: skip
        assert chosen.code == 0, chosen.err
        assert "0.50" in chosen.out

        acts = (
            "record", *usual, "--suite", "few.toml", "--journal", "b.jsonl", "--split", "train",
            "--split", "test", "--attempts", "4", "--acts", "--limit", "2",
        )  # fmt: skip
        first = run(*acts)
        assert first.code == 0, first.err
        asked = sum(server.seen.values())
        again = run(*acts)
        assert again.code == 0, again.err
        assert sum(server.seen.values()) == asked
        assert "test: 0 calls" in again.err
    held = list(calls(folder / "b.jsonl"))
    assert len(held) == asked - 24
    assert {call.about["split"] for call in held} == {"train", "test"}
    assert {call.subtask for call in held} == {"solve", "verify", "revise", "aggregate"}
    assert len({call.uid for call in held}) == 4


def test_a_ceiling_stops_a_recording_and_a_higher_one_goes_on(
    folder: Path, run: Callable[..., Ended]
):
    with Adds() as server:
        live_pool(folder, base_url=server.url(), model=MODEL)
        usual = ("record", "--pool", "trio.toml", "--suite", "sums.jsonl", "--journal", "a.jsonl")
        stopped = run(*usual, "--budget-usd", "0.0004", "--concurrent", "1")
        assert stopped.code == 2
        assert "ceiling" in stopped.err
        before = sum(server.seen.values())
        assert 0 < before < 24
        done = run(*usual, "--budget-usd", "1")
        assert done.code == 0, done.err
        assert sum(server.seen.values()) == 24


def test_mistakes_are_told_before_anything_is_asked(folder: Path, run: Callable[..., Ended]):
    with Adds() as server:
        live_pool(folder, base_url=server.url(), model=MODEL)
        usual = ("record", "--pool", "trio.toml", "--journal", "a.jsonl", "--budget-usd", "1")
        for wrong, said in (
            (("--suite", "sums.jsonl", "--split", "tset"), "unknown split 'tset'"),
            (("--suite", "paper-v1"), "no text"),
            (("--suite", "sums.jsonl", "--pool", "paper"), "how to reach"),
        ):
            result = run(*usual, *wrong)
            assert result.code == 2
            assert said in result.err
        assert not server.seen
        assert not (folder / "a.jsonl").exists()
