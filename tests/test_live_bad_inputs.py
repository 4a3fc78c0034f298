"""What a person gets wrong about live workers ends in exit code 2 and one line with the repair."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from fault_server import MODEL, SECRET, FaultServer
from reference_asker import live_pool
from text_suites import row, write_rows

from conductor_gym.cli import main

Run = Callable[..., tuple[object, str]]
PLAY = ("run", "--agent", "rules", "--suite", "sums.jsonl", "--pool", "trio.toml")
LIVE = (*PLAY, "--budget-usd", "1", "--limit", "2", "--backend", "live", "--journal", "calls.jsonl")


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs the command in a folder with a suite of sums; gives its exit code and messages."""
    monkeypatch.chdir(tmp_path)
    rows = [
        row(i, uid=f"sums/{split}/{i}", split=split, domain="math")
        for split in ("train", "test")
        for i in range(2)
    ]
    write_rows(tmp_path / "sums.jsonl", rows)

    def command(*arguments: str) -> tuple[object, str]:
        monkeypatch.setattr("sys.argv", ["conductor-gym", *arguments])
        with pytest.raises(SystemExit) as end:
            main()
        said = capsys.readouterr().err
        assert "Traceback" not in said
        assert SECRET not in said
        return end.value.code, said

    return command


def change(folder: Path, old: str, new: str) -> None:
    pool = folder / "trio.toml"
    before = pool.read_text(encoding="utf-8")
    assert old in before
    pool.write_text(before.replace(old, new), encoding="utf-8")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('client = "openai"', 'client = "opena"', "or 'transformers', not 'opena'"),
        ('backend = "live"', 'backend = "liv"', "'recorded' or 'live', not 'liv'"),
        ("base_url =", "base_urll =", "there is no such field; did you mean 'base_url'?"),
        ("usd_per_m_input =", "usd_per_m_imput =", "did you mean 'usd_per_m_input'?"),
        ('client = "openai"', f'client = "openai"\napi_key = "{SECRET}"', "mean 'api_key_env'?"),
        ("[workers.live]", "[workers.life]", "life: there is no such field; did you mean 'live'?"),
    ],
)
def test_a_misspelt_word_in_a_pools_file_is_shown_beside_the_one_that_was_meant(
    tmp_path: Path, run: Run, old: str, new: str, told: str
):
    live_pool(tmp_path)
    change(tmp_path, old, new)
    code, said = run(*LIVE)
    assert code == 2
    assert told in said
    assert "Tuple should have" not in said, "what follows from an error is not another one"


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("locked", "LAB_KEY holds no key that it accepts"),
        ("unknown-model", "does not exist or does not know"),
        ("bad-field", r"Correct its \[workers.live\] section"),
        ("no-money", "the account has no money left"),
    ],
)
def test_what_no_attempt_can_repair_stops_the_run(
    tmp_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch, fault: str, told: str
):
    monkeypatch.setenv("LAB_KEY", SECRET)
    with FaultServer() as server:
        live_pool(tmp_path, server.url(fault), MODEL)
        change(tmp_path, 'client = "openai"', 'client = "openai"\napi_key_env = "LAB_KEY"')
        code, said = run(*LIVE)
    assert code == 2
    assert re.search(told, said)


def test_a_live_run_needs_a_key_a_ceiling_a_text_and_a_server(tmp_path: Path, run: Run):
    live_pool(tmp_path)
    assert run(*LIVE)[0] == 2
    assert "Is the server running" in run(*LIVE)[1]
    code, said = run(*PLAY, "--limit", "2", "--backend", "live")
    assert code == 2
    assert "--budget-usd" in said
    code, said = run(*LIVE, "--suite", "paper-v1")
    assert code == 2
    assert "has no text that a worker could be asked" in said
    change(tmp_path, 'client = "openai"', 'client = "openai"\napi_key_env = "NOT_SET_KEY"')
    code, said = run(*LIVE)
    assert code == 2
    assert "NOT_SET_KEY, which is not set" in said


def test_an_agent_that_needs_a_simulation_says_how_to_get_one(tmp_path: Path, run: Run):
    live_pool(tmp_path)
    code, said = run(*("cascade" if word == "rules" else word for word in LIVE))
    assert code == 2
    assert "conductor-gym record" in said
    assert "conductor-gym fit" in said


def test_a_journal_is_told_of_where_it_is_cut_and_refused_where_it_is_of_others(
    tmp_path: Path, run: Run
):
    journal = tmp_path / "calls.jsonl"
    with FaultServer() as server:
        live_pool(tmp_path, server.url(), MODEL)
        assert run(*LIVE)[0] == 0
        journal.write_bytes(journal.read_bytes()[:-40])
        code, said = run(*LIVE)
        assert code == 0
        assert "cut off at the end of the file; if it was a reply, that call may be asked" in said
        change(tmp_path, "usd_per_m_output = 0.4", "usd_per_m_output = 0.5")
        code, said = run(*LIVE)
        assert code == 2
        assert "hash of the workers' uids and prices is" in said
        assert "Name another file, or run it as it was." in said
