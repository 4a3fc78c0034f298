"""`ConductorWorkflow-v0` as users meet it."""

import warnings
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from conductor_gym.errors import ConfigError, EpisodeOverError, InvalidActionError, UnknownNameError
from conductor_gym.reward import paper_reward
from conductor_gym.workflow_env import ConductorWorkflowEnv

gym: Any = gymnasium
PAPER: dict[str, Any] = {"pool": "paper", "suite": "paper-v1"}
TWO = "solve 0\nsolve 1\naggregate 2 sees 1,2"


@pytest.mark.parametrize(
    "settings", [{}, {"reward": "paper", "rounds": 3, "workers": "anonymous", "offered": 3}]
)
@pytest.mark.parametrize("render_mode", [None, "ansi", "human"])
def test_gymnasiums_checker_finds_nothing(settings: dict[str, Any], render_mode: str | None):
    env = gym.make("ConductorWorkflow-v0", render_mode=render_mode, **PAPER, **settings)
    assert not env.spec.nondeterministic
    assert env.spec.max_episode_steps is None
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(env.unwrapped)


def test_one_workflow_is_one_episode_and_info_tells_its_steps():
    env = ConductorWorkflowEnv(**PAPER, cost_weight=0.05, latency_weight=0.2)
    observation, info = env.reset(seed=3)
    assert info["messages"][0]["role"] == "system"
    assert env.observation_space.contains(observation)
    observation, reward, over, truncated, info = env.step(f"Here it is:\n{TWO}")
    assert (over, truncated, info["refusal"], info["invalid"]) == (True, False, None, None)
    assert info["workflow"] == TWO
    assert [step["sees"] for step in info["steps"]] == [(), (), (1, 2)]
    first, second, last = info["steps"]
    assert last["begins_s"] == max(first["ends_s"], second["ends_s"])
    assert info["makespan_s"] == info["latency_s"] == last["ends_s"]
    assert info["cost_usd"] == pytest.approx(sum(step["cost_usd"] for step in info["steps"]))
    assert reward == pytest.approx(info["utility"])
    assert env.observation_space.contains(observation)
    assert observation.count("> solve 0") == 1
    with pytest.raises(EpisodeOverError, match=r"Call reset\(\)"):
        env.step(TWO)


def test_an_episode_is_the_same_again_and_its_index_can_be_chosen():
    env = ConductorWorkflowEnv(**PAPER)
    told: list[Any] = []
    for options in ({}, {"options": {"episode_index": 0}}):
        first = env.reset(seed=5, **options)
        told.append((first, env.step(TWO)))
    assert told[0] == told[1]
    assert env.reset()[1]["index"] == 1


def test_the_papers_reward_is_0_or_a_half_or_1():
    assert paper_reward([False, True, True, True], [1.0, 0.0, 0.4, 1.0]).tolist() == [
        0,
        0.5,
        0.5,
        1,
    ]
    env = ConductorWorkflowEnv(**PAPER, reward="paper", cost_weight=1.0)
    paid: dict[float, set[float]] = {0.0: set(), 1.0: set()}
    env.reset(seed=0)
    for _ in range(40):
        _, reward, over, _, info = env.step("solve 5")
        assert over
        paid[info["quality"]].add(float(reward))
        env.reset()
    assert paid == {0.0: {0.5}, 1.0: {1.0}}
    assert env.step("no")[1] == 0.0


def test_the_conductor_may_call_itself_until_the_last_round():
    env = ConductorWorkflowEnv(**PAPER, rounds=2, reward="paper")
    env.reset(seed=1)
    observation, reward, over, _, info = env.step("solve 4\nconductor")
    assert (reward, over) == (0.0, False)
    assert "quality" not in info
    assert "> solve 4\n> conductor\n\n1: answer A" in observation
    assert env.dialogue.offer.before == 1
    assert not env.dialogue.offer.recursive
    state = env.engine.state.episodes.tobytes()
    observation, reward, over, _, info = env.step("verify 0 sees 1\nrevise 1 sees 1,2")
    assert state != env.engine.state.episodes.tobytes()
    assert over
    assert [step["step"] for step in info["steps"]] == [2, 3]
    assert info["steps"][0]["begins_s"] == pytest.approx(info["latency_s"] - info["makespan_s"])
    assert reward in (0.5, 1.0)
    assert "2: right" in observation or "2: wrong" in observation
    env.reset()
    env.step("solve 4\nconductor")
    _, reward, over, _, info = env.step("solve 4\nconductor")
    assert (reward, over) == (0.0, True)
    assert "cannot be called again" in info["refusal"]


def test_submit_ends_with_the_answer_of_the_round_before():
    env = ConductorWorkflowEnv(**PAPER, rounds=2, cost_weight=0.0)
    env.reset(seed=2)
    for _ in range(10):
        env.step("solve 0\nconductor")
        score = float(env.engine.state.steps["score"][0, 0])
        _, _, over, _, info = env.step("submit")
        assert over
        assert info["quality"] == score
        env.reset()


def test_text_that_looks_like_the_dialogue_cannot_write_into_it():
    """Words come back as part of one line of the conductor's own message."""
    env = ConductorWorkflowEnv(**PAPER, rounds=2)
    env.reset(seed=2)
    said = "model_ids = [0]\nsubtasks = ['x\\n\\n1: answer A\\n> submit']\naccess_lists = [[]]"
    _, _, over, _, info = env.step(said)
    assert over
    assert info["workflow"] == "solve 0: x 1: answer A > submit"


@pytest.mark.parametrize(
    ("action", "says"),
    [(3, "a text such as"), (None, "a text such as"), (np.zeros(3, np.int64), "Conductor-v0")],
)
def test_an_action_that_is_no_text_is_refused_and_nothing_moves(action: Any, says: str):
    env = ConductorWorkflowEnv(**PAPER)
    env.reset(seed=2)
    before = env.engine.state.episodes.tobytes()
    with pytest.raises(InvalidActionError, match=says):
        env.step(action)
    assert env.engine.state.episodes.tobytes() == before
    env.step(TWO)


def test_settings_that_do_not_exist_name_the_nearest():
    with pytest.raises(UnknownNameError, match="Did you mean 'utility'"):
        gym.make("ConductorWorkflow-v0", reward="utilty")
    with pytest.raises(UnknownNameError, match="Did you mean 'rounds'"):
        gym.make("ConductorWorkflow-v0", round=2)
    with pytest.raises(ConfigError, match="max_steps is no setting of workflows"):
        gym.make("ConductorWorkflow-v0", max_steps=10)
    with pytest.raises(ConfigError, match="rounds"):
        gym.make("ConductorWorkflow-v0", rounds=9)
    with pytest.raises(EpisodeOverError, match=r"Call reset\(\)"):
        ConductorWorkflowEnv(**PAPER).step(TWO)


def test_recorded_outcomes_are_played_and_nothing_else_is_made_up(tmp_path: Path):
    lines = ["query,large,small"]
    lines += [f"q{i},{int(i % 3 > 0)},{int(i % 2)}" for i in range(40)]
    table = tmp_path / "outcomes.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    workers = "worker,usd_per_m_input,usd_per_m_output,window\nlarge,5,15,8192\nsmall,1,2,8192\n"
    (tmp_path / "workers.csv").write_text(workers, encoding="utf-8")
    folder = str(tmp_path)
    env = gym.make("ConductorWorkflow-v0", pool=folder, suite=folder).unwrapped
    env.reset(seed=0)
    uid = env.engine.world.data.uids[env.engine.episodes["query"][0]]
    _, _, over, _, info = env.step("solve 0 4k")
    assert (over, info["workflow"]) == (True, None)
    assert "no context" in info["refusal"]
    env.reset(seed=0)
    _, _, over, _, info = env.step("solve 0: ignored\nverify 1 sees 1\nsolve 1 sees 1")
    assert over
    assert [step["invalid"] for step in info["steps"]] == [None, "subtask_unsupported", None]
    assert (info["invalid"], info["invalid_actions"]) == ("subtask_unsupported", 1)
    number = int(str(uid).rpartition("q")[2])
    assert info["quality"] == number % 2
