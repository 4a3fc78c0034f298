"""`ConductorLive-v0` and `run --backend live` as users meet them, against a real server."""

import json
import re
import shlex
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from adding_server import AddingServer
from fault_server import MODEL, SECRET
from gymnasium.utils.env_checker import check_env
from reference_asker import live_pool
from text_suites import row, write_rows

from conductor_gym.cli import main
from conductor_gym.errors import ConductorError, ConfigError
from conductor_gym.live.journal_read import load_journal

gym: Any = gymnasium
MODES: Any = gymnasium.vector.AutoresetMode
RUN = (
    *("run", "--agent", "rules", "--pool", "trio.toml", "--suite", "sums.jsonl"),
    *("--backend", "live", "--budget-usd", "1", "--journal", "calls.jsonl"),
)
SERVER_URL = re.compile(r'base_url = ".*"')


@pytest.fixture(scope="module")
def server() -> Iterator[AddingServer]:
    with AddingServer(latency_s=0.0) as running:
        yield running


@pytest.fixture
def folder(tmp_path: Path, server: AddingServer, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: holds a pool whose workers are the server, and a suite of sums."""
    live_pool(tmp_path, server.url(), MODEL)
    rows = [row(i, split=split, domain="math") for i, split in enumerate(["train", "test"] * 6)]
    write_rows(tmp_path / "sums.jsonl", rows)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[object, str]]:
    """Runs the command; its exit code and what it said to the person."""

    def command(*words: str) -> tuple[object, str]:
        monkeypatch.setattr("sys.argv", ["conductor-gym", *words])
        with pytest.raises(SystemExit) as end:
            main()
        return end.value.code, capsys.readouterr().err

    return command


def live(**settings: Any) -> dict[str, Any]:
    usual = {"pool": "trio.toml", "suite": "sums.jsonl"}
    return usual | {"journal": "calls.jsonl", "ceiling_usd": 1.0} | settings


def plain(value: Any) -> Any:
    """Arrays of objects as lists, whatever they hold."""
    if isinstance(value, dict):
        return {name: plain(item) for name, item in cast("dict[str, Any]", value).items()}
    if isinstance(value, (list, tuple)) or getattr(value, "dtype", None) == np.dtype(object):
        return [plain(item) for item in cast("list[Any]", value)]
    return value


def test_gymnasiums_checker_takes_it_and_it_may_be_closed_twice(folder: Path):
    env = gym.make("ConductorLive-v0", **live())
    assert env.spec.nondeterministic
    # The checker would open the journal a second time for the checks that are left out.
    check_env(env.unwrapped, skip_render_check=True, skip_close_check=True)
    env.reset(seed=0)
    assert env.step(np.array([0, 0, 0]))[4]["status"] in ("ok", "malformed")
    env.close()
    env.close()
    assert load_journal(folder / "calls.jsonl").replies


@pytest.mark.parametrize("mode", list(MODES))
def test_a_journal_replays_the_vector_environment_exactly(folder: Path, mode: Any):
    n, luck = 3, np.random.default_rng(5)
    usual = {"vectorization_mode": "vector_entry_point", "autoreset_mode": mode}
    actions = [luck.integers(0, (3, 8, 7), (n, 3)) for _ in range(16)]

    def play(vector: Any) -> list[Any]:
        told = [vector.reset(seed=9)]
        for action in actions:
            told.append(vector.step(action))
            if mode == MODES.DISABLED and told[-1][2].any():
                told.append(vector.reset(options={"reset_mask": told[-1][2].copy()}))
        vector.close()
        vector.close()
        return told

    played = play(gym.make_vec("ConductorLive-v0", n, **usual, **live()))
    assert any(step[2].any() for step in played if len(step) == 5)
    pool = (folder / "trio.toml").read_text()
    pool = f'journal = "{folder}/calls.jsonl"\n' + SERVER_URL.sub(
        'base_url = "http://a.b/v1"', pool
    )
    (folder / "kept.toml").write_text(pool)
    kept = {"pool": "kept.toml", "suite": "sums.jsonl", "backend": "recorded"}
    again = play(gym.make_vec("Conductor-v0", n, **usual, **kept))
    np.testing.assert_equal(plain(again), plain(played))
    # What happened in a slot happens in the scalar environment.
    env = gym.make("Conductor-v0", **kept).unwrapped
    first, _ = env.reset(seed=10)
    np.testing.assert_equal(first, {name: rows[1] for name, rows in played[0][0].items()})
    step = env.step(actions[0][1])
    assert step[1] == played[1][1][1]
    env.engine.close()


def test_what_live_workers_cannot_do_without_is_asked_for(folder: Path):
    del folder
    with pytest.raises(ConfigError, match="journal, ceiling_usd"):
        gym.make("ConductorLive-v0", pool="trio.toml")
    with pytest.raises(ConfigError, match="need ceiling_usd"):
        gym.make_vec("ConductorLive-v0", 2, pool="trio.toml", journal="calls.jsonl")


def test_an_environment_that_costs_nothing_refuses_live_workers(folder: Path):
    for name in ("Conductor-v0", "ConductorLive-v0"):
        with pytest.raises(ConfigError) as error:
            gym.make(name, pool="trio.toml", suite="sums.jsonl")
        said = str(error.value)
        assert "ceiling_usd" in said
        assert "journal" in said
    with pytest.raises(ConfigError, match="ConductorLive-v0"):
        gym.make_vec("Conductor-v0", 2, pool="trio.toml", suite="sums.jsonl", backend="live")


@pytest.mark.parametrize(("given", "expected"), [
    ({"--budget-usd": None}, "--budget-usd 1"),
    ({"--backend": "lively"}, "Did you mean 'live'"),
    ({"--pool": None, "--track": "paper"}, "--backend goes with --pool"),
    ({"--pool": "paper"}, "[workers.live]"),
    ({"--suite": "paper-v1"}, "no text"),
    ({"--journal": "calls.txt"}, "must end in .jsonl"),
    ({"--agent": "best-single"}, "simulate"),
    ({"--backend": "recorded"}, "names no recording"),
])  # fmt: skip
def test_a_wrong_command_is_refused_with_its_repair(
    folder: Path, run: Callable[..., Any], given: dict[str, str | None], expected: str
):
    usual: dict[str, str | None] = dict(zip(RUN[1::2], RUN[2::2], strict=True))
    chosen = (usual | given).items()
    code, said = run("run", *(w for name, word in chosen if word for w in (name, word)))
    assert code == 2, said
    assert expected in said
    assert "Traceback" not in said
    assert not (folder / "calls.jsonl").exists()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (r":\d+/echo", ":9/echo", "Is the server running"),
        (MODEL, "echo-7", "Did you mean 'echo-1'"),
        (r"/echo/\d+/v1", "/locked/1/v1", "api_key_env"),
        (r"\[workers.live\]", '[workers.live]\napi_key_env = "NO_KEY"', "export NO_KEY="),
        (r"http:", "ftp:", "base_url"),
        (r'client = "openai"', 'client = "opnai"', "client"),
    ],
)
def test_a_pool_that_does_not_answer_is_told_before_anything_is_asked(
    folder: Path,
    run: Callable[..., Any],
    server: AddingServer,
    old: str,
    new: str,
    expected: str,
):
    pool = folder / "trio.toml"
    pool.write_text(re.sub(old, new, pool.read_text()))
    asked = server.seen.total()
    code, said = run(*RUN)
    assert code == 2, said
    assert expected in said
    assert "Traceback" not in said
    assert server.seen.total() == asked
    with pytest.raises(ConductorError) as error:
        gym.make("ConductorLive-v0", **live())
    assert expected in str(error.value)


def test_a_journal_of_other_workers_is_refused(folder: Path, run: Callable[..., Any]):
    code, said = run(*RUN)
    assert code == 0, said
    pool = folder / "trio.toml"
    pool.write_text(pool.read_text().replace("usd_per_m_input = 0.1", "usd_per_m_input = 0.2"))
    code, said = run(*RUN)
    assert code == 2
    assert "calls.jsonl belongs to another run: hash of the workers' uids and prices" in said


def test_a_package_that_is_missing_is_told_with_its_extra(
    folder: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
):
    for name in list(sys.modules):
        if re.fullmatch(r"conductor_gym\.live\.(attempts|dispatcher|open|build)", name):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tenacity", None)
    code, said = run(*RUN)
    assert code == 2
    assert "conductor-gym[live]" in said


def test_the_command_of_a_result_makes_it_again_from_the_journal(
    folder: Path, run: Callable[..., Any], server: AddingServer
):
    code, said = run(*RUN, "--limit", "4", "--concurrent", "3")
    assert code == 0, said
    (path,) = (folder / "results").rglob("rules.json")
    first = json.loads(path.read_text())
    assert first["command"] == (
        "conductor-gym run --agent rules --pool trio.toml --backend live --suite sums.jsonl "
        "--split test --episodes 4 --seed 0 --budget-usd 1 --journal calls.jsonl --concurrent 3"
    )
    path.unlink()
    asked = server.seen.total()
    code, said = run(*shlex.split(first["command"])[1:])
    assert code == 0, said
    again = json.loads(path.read_text())
    measured = ("wall_s", "built_s")
    assert {k: v for k, v in again.items() if k not in measured} == {
        k: v for k, v in first.items() if k not in measured
    }
    assert server.seen.total() == asked


def test_no_key_is_told(folder: Path, run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("SOME_KEY", SECRET)
    pool = folder / "trio.toml"
    text = pool.read_text().replace("[workers.live]", '[workers.live]\napi_key_env = "SOME_KEY"')
    pool.write_text(text)
    code, said = run(*RUN)
    assert code == 0, said
    files = [path for path in folder.rglob("*") if path.is_file()]
    assert len(files) > 3
    assert not any(SECRET in path.read_text(errors="replace") for path in files)
    assert SECRET not in said
