"""Steps of one's own: told to the environment, observed as if it had made them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from trace_helpers import Given, command, quiet, read_rows

from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError, DataFileError
from conductor_gym.leaderboard.results import evaluate
from conductor_gym.leaderboard.trace_export import ResultTrace
from conductor_gym.traces.episodes import Episode, replay
from conductor_gym.traces.own_steps import OwnSteps
from conductor_gym.traces.row_files import write_rows
from conductor_gym.traces.rows import Row, trace_rows

EPISODES = 600


def same(one: Episode, other: Episode) -> None:
    called = one.steps["worker"] >= 0  # vote and submit go to no worker
    assert (one.actions == other.actions)[called].all()
    assert (one.actions == other.actions)[:, 1].all()
    np.testing.assert_array_equal(one.rewards, other.rewards)
    for name, array in one.observations.items():
        np.testing.assert_array_equal(array, other.observations[name])


def test_steps_that_are_told_are_observed_as_if_they_had_been_simulated(
    tmp_path: Path,
) -> None:
    trace = ResultTrace(evaluate("random", "paper", EPISODES, (0.05,)))
    path = tmp_path / "own.jsonl"
    write_rows(trace_rows(trace, quiet), path)
    public = replace(trace.config, key="public")  # other luck: nothing of it is used
    told = list(OwnSteps(path, public).played(quiet))
    assert len(told) == EPISODES
    for one, other in zip(trace.played(quiet), told, strict=True):
        same(one, other)


def test_invalid_steps_are_told_too(tmp_path: Path) -> None:
    config = EnvConfig("paper", "paper-v1", cost_weight=0.05)
    taken = [(7, 0, 0), (0, 2, 0), (1, 0, 0), (0, 1, 0), (2, 3, 4), (0, 7, 0)]
    episodes = list(replay(Engine(config, 4), 0, 0, [taken] * 4))
    path = tmp_path / "own.jsonl"
    write_rows(trace_rows(Given(config, episodes), quiet), path)
    assert [row["invalid"] for row in read_rows(path)][:4] == [
        "worker_absent",
        "no_current_answer",
        None,
        "subtask_unsupported",
    ]
    for one, other in zip(episodes, OwnSteps(path, config).played(quiet), strict=True):
        same(one, other)


def own_rows(**changes: Any) -> list[Row]:
    """An episode as a log might have it, with the least that is needed."""
    rows: list[Row] = [
        {"uid": "paper-v1/train-0", "step": 1, "worker": "gemma-3-27b", "subtask": "solve"},
        {"uid": "paper-v1/train-0", "step": 2, "subtask": "submit", "quality": 1.0},
    ]
    rows[0] |= {"tokens_in": 100, "tokens_out": 50, "latency_s": 1.5}
    for name, value in changes.items():
        line, column = int(name[-1]), name[:-1]
        rows[line][column] = value
    return rows


@pytest.fixture
def first_uid() -> str:
    return Engine(EnvConfig("paper", "paper-v1")).world.data.uids[0]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"uid0": "x", "uid1": "x"}, "line 1: uid 'x' is not in split 'train' of suite 'paper-v1'"),
        ({"step1": 3}, "line 2: step 3 of .* does not follow"),
        ({"subtask0": "slove"}, "line 1: subtask 'slove' is unknown, known: solve"),
        ({"worker0": "gpt-9"}, "line 1: worker 'gpt-9' is not in the pool"),
        ({"status0": "fine"}, "line 1: status 'fine' is unknown, known: ok"),
        ({"tokens_out0": -1}, "line 1: tokens_out must lie in"),
        ({"confidence0": 1.5}, "line 1: confidence must lie in"),
        ({"cost_usd0": "much"}, "line 1: cost_usd must lie in"),
        ({"quality1": None}, "line 2: quality None"),
        ({"quality1": 0.5, "status0": "timeout"}, "line 2: quality 0.5, but what was submitted"),
        ({"subtask0": "verify"}, "line 1: invalid is None, here it is 'no_current_answer'"),
        ({"context_tokens0": 10**9}, "line 1: context_tokens are at most"),
        ({"subtask1": "solve", "worker1": "gemma-3-27b"}, "episode .* goes on after 2 steps"),
    ],
)
def test_a_row_that_cannot_have_happened_is_named(
    changes: dict[str, Any], told: str, first_uid: str, tmp_path: Path
) -> None:
    config = EnvConfig("paper", "paper-v1", cost_weight=0.05)
    worker = Engine(config).world.pool.worker_names[0]
    text = "\n".join(json.dumps(row) for row in own_rows(**changes))
    text = text.replace("paper-v1/train-0", first_uid).replace("gemma-3-27b", worker)
    path = tmp_path / "own.jsonl"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(DataFileError, match=told):
        list(OwnSteps(path, config).played(quiet))


def test_the_least_that_a_row_needs_is_enough(first_uid: str, tmp_path: Path) -> None:
    config = EnvConfig("paper", "paper-v1", cost_weight=0.05)
    card = Engine(config).world.pool.workers[0]
    text = "\n".join(json.dumps(row) for row in own_rows())
    text = text.replace("paper-v1/train-0", first_uid).replace("gemma-3-27b", card.name)
    path = tmp_path / "own.jsonl"
    path.write_text(text + "\n\n", encoding="utf-8")
    (episode,) = OwnSteps(path, config).played(quiet)
    billed = (100 * card.usd_per_m_input + 50 * card.usd_per_m_output) / 1e6
    assert int(episode.steps[0]["cost"]) / 1e9 == pytest.approx(billed, abs=1e-9)
    assert float(episode.state["quality"]) == 1.0
    assert episode.rewards.sum() == pytest.approx(1.0 - 5.0 * billed, abs=1e-8)


def test_steps_of_ones_own_need_pool_suite_and_cost_weight(tmp_path: Path) -> None:
    path = tmp_path / "own.jsonl"
    path.write_text("{}", encoding="utf-8")
    done = command(path, "--out", tmp_path / "rows.jsonl", "--pool", "paper")
    assert done.returncode == 2
    assert "need --pool, --suite and one --cost-weight" in done.stderr
    with pytest.raises(ConfigError, match="name one cost weight"):
        OwnSteps(path, EnvConfig("paper", "paper-v1"))
