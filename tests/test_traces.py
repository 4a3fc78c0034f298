"""Traces: every step of a run, recomputed, written, and read again to learn from."""

import socket
import tracemalloc
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from trace_helpers import Given, command, quiet, read_rows

import conductor_gym  # noqa: F401  # pyright: ignore[reportUnusedImport]
from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError, DataFileError
from conductor_gym.leaderboard.evaluate import pack_action
from conductor_gym.leaderboard.results import Result, evaluate, write_result
from conductor_gym.leaderboard.trace_export import ResultTrace
from conductor_gym.traces.dataset import read_dataset
from conductor_gym.traces.episodes import replay
from conductor_gym.traces.minari_files import write_dataset
from conductor_gym.traces.row_files import write_rows
from conductor_gym.traces.rows import COLUMNS, trace_rows
from conductor_gym.types import CONTEXT_LEVELS, Subtask

EPISODES = 60


@pytest.fixture(scope="module")
def result() -> Result:
    """Random valid actions on the paper's track: every subtask occurs."""
    return evaluate("random", "paper", EPISODES, (0.0, 0.05))


@pytest.fixture
def datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of Minari datasets, and no network."""
    pytest.importorskip("minari")
    pytest.importorskip("h5py")

    def refuse(*_: Any, **__: Any) -> None:
        pytest.fail("the network was asked")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setenv("MINARI_DATASETS_PATH", str(tmp_path / "datasets"))
    return tmp_path / "datasets"


def changed(result: Result, **values: Any) -> Result:
    """A result whose first entry says something else."""
    first = result.at[0].model_copy(update=values)
    return result.model_copy(update={"at": [first, *result.at[1:]]})


# --- rows ----------------------------------------------------------------------------------------


def test_the_rows_of_a_run_add_up_to_its_scores(result: Result) -> None:
    rows = list(trace_rows(ResultTrace(result), quiet))
    assert {row["subtask"] for row in rows} >= {"solve", "verify", "revise", "vote", "submit"}
    for at in result.at:
        here = [row for row in rows if row["cost_weight"] == at.cost_weight]
        for index in range(EPISODES):
            steps = [row for row in here if row["index"] == index]
            assert [row["step"] for row in steps] == list(range(1, len(at.decisions[index]) + 1))
            assert all(row["quality"] is None for row in steps[:-1])
            assert steps[-1]["quality"] == at.qualities[index]
            assert round(sum(row["cost_usd"] for row in steps) * 1e9) == at.costs[index]
            invalid = sum(row["invalid"] is not None for row in steps)
            expected = steps[-1]["utility"] - 0.01 * invalid
            assert sum(row["reward"] for row in steps) == pytest.approx(expected, abs=1e-9)


def test_rows_tell_what_the_environment_tells(result: Result) -> None:
    rows = list(trace_rows(ResultTrace(result, (0.05,)), quiet))
    env = gym.make("Conductor-v0", **ResultTrace(result, (0.05,)).config.as_dict())
    names = ResultTrace(result).world.pool.worker_names
    for row in rows:
        if row["step"] == 1:
            _, info = env.reset(seed=0, options={"episode_index": row["index"]})
            assert (info["uid"], info["domain"]) == (row["uid"], row["domain"])
        subtask = Subtask[row["subtask"].upper()]
        worker = 0 if row["worker"] is None else names.index(row["worker"])
        level = CONTEXT_LEVELS.index(row["context_tokens"] or 0)
        _, reward, over, _, info = env.step(np.array([worker, subtask, level]))
        assert (reward, info["status"], info["invalid"]) == (
            row["reward"],
            row["status"],
            row["invalid"],
        )
        assert over == (row["quality"] is not None)
        assert info.get("utility") == row["utility"]


def test_jsonl_and_parquet_hold_the_same_rows(result: Result, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("rows.jsonl", "rows.parquet"):
        count = write_rows(trace_rows(ResultTrace(result), quiet), tmp_path / name)
        assert count == sum(len(codes) for at in result.at for codes in at.decisions)
    rows = read_rows(tmp_path / "rows.jsonl")
    assert list(rows[0]) == list(COLUMNS)
    assert parquet.read_table(tmp_path / "rows.parquet").to_pylist() == rows


@pytest.mark.recorded
@pytest.mark.usefixtures("recorded_folder")
def test_what_is_not_recorded_is_left_empty() -> None:
    recorded = evaluate("best-single", "gsm8k", 20, (0.05,))
    rows = list(trace_rows(ResultTrace(recorded), quiet))
    assert {row["subtask"] for row in rows} == {"solve", "submit"}
    assert {row["confidence"] for row in rows} == {None}
    assert {row["latency_s"] for row in rows} == {None}
    assert any(row["tokens_out"] for row in rows)


def test_memory_does_not_grow_with_the_number_of_episodes() -> None:
    config = EnvConfig("paper", "paper-v1", cost_weight=0.05)
    engine = Engine(config, 64)
    peaks: list[int] = []
    for episodes in (64, 128, 1024):  # the first warms up
        decisions = [[(0, 0, 0), (1, 0, 0), (0, 7, 0)]] * episodes
        tracemalloc.start()
        assert sum(len(e.actions) for e in replay(engine, 0, 0, decisions)) == 3 * episodes
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[2] < 1.2 * peaks[1]


# --- a result that cannot be recomputed ----------------------------------------------------------


def test_a_result_of_other_content_is_refused_with_what_changed(result: Result) -> None:
    other = result.model_copy(update={"content": result.content | {"pool": "0" * 16}})
    with pytest.raises(DataFileError, match=r"paper: random: pool differ.* run the agent again"):
        ResultTrace(other)


def test_a_result_whose_scores_do_not_come_out_is_refused(result: Result) -> None:
    at = result.at[0]
    costs = [*at.costs[:7], at.costs[7] + 1, *at.costs[8:]]
    with pytest.raises(DataFileError, match="episode 7 at cost weight 0 comes to quality"):
        list(ResultTrace(changed(result, costs=costs)).played(quiet))


@pytest.mark.parametrize(("cut", "told"), [(-1, "goes on after"), (None, "is over after")])
def test_decisions_of_another_environment_are_refused(
    result: Result, cut: int | None, told: str
) -> None:
    decisions = [list(codes) for codes in result.at[0].decisions]
    decisions[3] = decisions[3][:cut] if cut else [*decisions[3], decisions[3][0]]
    with pytest.raises(DataFileError, match=f"episode 3 {told}"):
        list(ResultTrace(changed(result, decisions=decisions)).played(quiet))


def test_what_a_result_does_not_hold_is_told(result: Result) -> None:
    with pytest.raises(ConfigError, match=r"not played at cost weight 0\.2. Known: 0, 0\.05"):
        ResultTrace(result, (0.2,))
    with pytest.raises(ConfigError, match="it has no steps"):
        ResultTrace(result.model_copy(update={"not_applicable": "needs vote"}))


def test_a_trace_that_breaks_off_leaves_nothing(
    result: Result, tmp_path: Path, datasets: Path
) -> None:
    at = result.at[1]
    broken = result.model_copy(
        update={"at": [result.at[0], at.model_copy(update={"costs": [1] * EPISODES})]}
    )
    for name in ("rows.jsonl", "rows.parquet"):
        with pytest.raises(DataFileError):
            write_rows(trace_rows(ResultTrace(broken), quiet), tmp_path / "out" / name)
    assert list((tmp_path / "out").iterdir()) == []
    with pytest.raises(DataFileError):
        write_dataset("mine/broken-v0", ResultTrace(broken), quiet)
    assert [path for path in datasets.rglob("*") if path.is_file()] == []


# --- Minari --------------------------------------------------------------------------------------


def test_a_dataset_holds_what_the_agent_saw_and_did(result: Result, datasets: Path) -> None:
    trace = ResultTrace(result, (0.05,))
    folder, episodes, steps = write_dataset("mine/random-v0", trace, quiet)
    assert folder == datasets / "mine" / "random-v0"
    read = read_dataset("mine/random-v0")
    decisions = result.at[1].decisions
    assert pack_action(read.actions).tolist() == [code for codes in decisions for code in codes]
    assert (
        np.flatnonzero(read.starts).tolist()
        == np.cumsum([0, *(len(codes) for codes in decisions[:-1])]).tolist()
    )
    assert (episodes, steps) == (EPISODES, len(read.actions))

    env = gym.make("Conductor-v0", **trace.config.as_dict())
    at = 0
    for index in range(EPISODES):
        seen, _ = env.reset(seed=0, options={"episode_index": index})
        over, total, first = False, 0.0, at
        while not over:
            for name, array in seen.items():
                np.testing.assert_array_equal(read.observations[name][at], array)
            seen, reward, over, _, _ = env.step(read.actions[at])
            total, at = total + float(reward), at + 1
        assert read.returns[first] == pytest.approx(total, abs=1e-12)


def test_a_dataset_says_where_it_comes_from_and_plays_again(result: Result, datasets: Path) -> None:
    assert datasets
    minari: Any = pytest.importorskip("minari")
    write_dataset("mine/random-v0", ResultTrace(result, (0.05,)), quiet)
    dataset = minari.load_dataset("mine/random-v0")
    told = dataset.storage.metadata["conductor_gym"]
    assert told["agent"] == "random"
    assert told["track"] == "paper"
    assert told["command"] == result.command
    assert told["commit"] == result.commit
    assert told["content"] == result.content
    env = dataset.recover_environment()
    episode = dataset[EPISODES - 1]
    (metadata,) = dataset.storage.get_episode_metadata([EPISODES - 1])
    index = int(metadata["options"]["episode_index"])
    env.reset(seed=metadata["seed"], options={"episode_index": index})
    rewards = [float(env.step(action)[1]) for action in episode.actions]
    assert rewards == episode.rewards.tolist()
    assert episode.terminations.tolist() == [False] * (len(rewards) - 1) + [True]
    assert episode.infos["quality"][-1] == result.at[1].qualities[-1]
    assert round(episode.infos["cost_usd"][-1] * 1e9) == result.at[1].costs[-1]


def test_datasets_of_other_spaces_are_refused(datasets: Path) -> None:
    config = EnvConfig("paper", "paper-v1", cost_weight=0.05, max_workers=9)
    engine = Engine(config, 2)
    episodes = list(replay(engine, 0, 0, [[(0, 0, 0), (0, 7, 0)]] * 2))
    write_dataset("nine-v0", Given(config, episodes), quiet)
    with pytest.raises(ConfigError, match=r"another observation space: .*workers \(9, 12\)"):
        read_dataset("nine-v0")
    assert len(read_dataset("nine-v0", max_workers=9).actions) == 4
    with pytest.raises(ConfigError, match=r"no Minari dataset ten-v0 .* Known here: nine-v0"):
        read_dataset("ten-v0")
    with pytest.raises(ConfigError, match="is no name of a Minari dataset"):
        read_dataset("../ten")
    with pytest.raises(ConfigError, match="exists"):
        write_dataset("nine-v0", Given(config, episodes), quiet)
    (datasets / "nine-v0" / "data" / "main_data.hdf5").write_bytes(b"cut off")
    with pytest.raises(DataFileError, match="broken after 0 of 4 steps"):
        read_dataset("nine-v0", max_workers=9)


# --- the command ---------------------------------------------------------------------------------


def test_the_command_writes_rows_and_a_dataset(
    result: Result, tmp_path: Path, datasets: Path
) -> None:
    path = write_result(result, tmp_path)
    out = tmp_path / "rows.jsonl"
    done = command(path, "--out", out, "--minari", "mine/random-v0", "--cost-weight", "0.05")
    assert done.returncode == 0, done.stderr
    assert f"paper: random: {EPISODES} episodes" in done.stderr
    assert len(read_rows(out)) == len(read_dataset("mine/random-v0").actions)
    assert (datasets / "mine" / "random-v0").is_dir()


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "name what to write"),
        (("--out", "rows.csv"), "a trace ends in .jsonl or .parquet"),
        (("--minari", "no name"), "is no name of a Minari dataset"),
        (("--out", "r.jsonl", "--pool", "paper"), "Leave out --pool"),
    ],
)
def test_a_users_mistake_is_told_before_any_work(
    arguments: tuple[str, ...], told: str, result: Result, tmp_path: Path
) -> None:
    done = command(write_result(result, tmp_path), *arguments)
    assert done.returncode == 2
    assert told in done.stderr
    assert "Traceback" not in done.stderr
