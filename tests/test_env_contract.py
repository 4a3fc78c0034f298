"""`Conductor-v0` as Gymnasium users meet it: spaces, streams, masks, rewards, ends, errors."""

import json
import subprocess
import sys
import warnings
from functools import cache
from pathlib import Path
from typing import Any, cast

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from hypothesis import given, settings
from hypothesis import strategies as st

import conductor_gym
from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.env import ConductorEnv
from conductor_gym.errors import ConfigError, EpisodeOverError, InvalidActionError, UnknownNameError
from conductor_gym.reward import COST_WEIGHTS, utility

gym: Any = gymnasium
SUBTASKS = ("solve", "plan", "verify", "revise", "condense", "aggregate", "vote", "submit")
SOLVE, PLAN, VERIFY, REVISE, CONDENSE, AGGREGATE, VOTE, SUBMIT = range(8)
ACTIONS = st.tuples(st.integers(0, 7), st.integers(0, 7), st.integers(0, 6))
PAPER: dict[str, Any] = {"pool": "paper", "suite": "paper-v1"}
BUSY = st.tuples(st.integers(0, 6), st.sampled_from([0, 0, 0, 2, 3, 5, 6]), st.integers(0, 6))


@cache
def env_of(**settings: Any) -> ConductorEnv:
    return ConductorEnv(**settings)


def act(env: Any, *action: int) -> Any:
    return env.step(np.array(action))


def assert_same_observation(one: Any, other: Any) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert np.array_equal(one[name], other[name]), name


def masks(observation: Any, workers: int = 8) -> tuple[Any, Any, Any]:
    mask = observation["action_mask"]
    return mask[:workers], mask[workers : workers + 8], mask[workers + 8 :]


def masked_out(observation: Any, action: Any) -> bool:
    """Whether the mask entries that matter for this action forbid it."""
    workers, subtasks, levels = masks(observation)
    worker, subtask, level = action
    if subtask in (VOTE, SUBMIT):
        return not subtasks[subtask]
    return not (workers[worker] and subtasks[subtask] and levels[level])


@pytest.mark.parametrize("make_id", ["Conductor-v0", "conductor_gym:Conductor-v0"])
@pytest.mark.parametrize("render_mode", [None, "ansi", "human"])
def test_check_env_passes_with_warnings_as_errors(make_id: str, render_mode: Any):
    assert conductor_gym.__version__
    check_env(gym.make(make_id, render_mode=render_mode).unwrapped)


def test_check_env_passes_on_the_wrapped_environment():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # Gymnasium says this of every wrapped environment.
        warnings.filterwarnings("ignore", message=".*is different from the unwrapped version")
        check_env(gym.make("Conductor-v0"))


def test_the_spec_sets_no_outer_time_limit():
    env = gym.make("Conductor-v0")
    assert env.spec.max_episode_steps is None
    assert not env.spec.nondeterministic
    assert env.action_space.nvec.tolist() == [8, 8, 7]


def test_observations_are_about_1_1_kb_of_float32():
    observation, _ = env_of().reset(seed=0)
    shapes = {name: array.shape for name, array in observation.items()}
    assert shapes == {
        "query": (56,),
        "history": (10, 11),
        "workers": (8, 12),
        "budget": (8,),
        "action_mask": (23,),
    }
    assert all(observation[n].dtype == np.float32 for n in shapes if n != "action_mask")
    assert sum(array.nbytes for array in observation.values()) < 1200


# --- streams and indices -------------------------------------------------------------------------


def places(env: Any, *resets: dict[str, Any]) -> list[tuple[int, int]]:
    infos = [env.reset(**arguments)[1] for arguments in resets]
    return [(info["stream"], info["index"]) for info in infos]


def test_a_seed_starts_its_stream_at_index_0_and_unseeded_resets_go_on():
    assert places(ConductorEnv(), {"seed": 5}, {}, {}, {"seed": 5}, {}, {"seed": 6}) == [
        *((5, 0), (5, 1), (5, 2)),
        *((5, 0), (5, 1)),
        (6, 0),
    ]


def test_episode_index_plays_that_index_and_the_next_reset_the_one_after():
    jump: dict[str, Any] = {"options": {"episode_index": 40}}
    assert places(ConductorEnv(), {"seed": 5}, jump, {}, {"seed": 6, **jump}, {}) == [
        *((5, 0), (5, 40), (5, 41)),
        *((6, 40), (6, 41)),
    ]


def test_a_first_reset_without_a_seed_takes_its_stream_from_the_operating_system():
    one, other = ConductorEnv(), ConductorEnv()
    streams = {places(env, {})[0][0] for env in (one, other, ConductorEnv())}
    assert len(streams) == 3
    assert [index for _, index in places(one, {}, {})] == [1, 2]


SCRIPT = [(0, 0, 0), (5, 0, 0), (1, 2, 3), (2, 3, 2), (7, 0, 0), (3, 5, 4), (0, 6, 0), (0, 7, 0)]


def transcript(env: Any, seed: int, index: int) -> list[Any]:
    observation, info = env.reset(seed=seed, options={"episode_index": index})
    told: list[Any] = [info["uid"], info["cost_weight"], observation["query"].tolist()]
    for action in SCRIPT:
        observation, reward, over, _, info = act(env, *action)
        told.append([reward, over, info, observation["history"].tolist()])
        if over:
            break
    return told


def test_same_seed_and_index_is_the_same_episode_in_another_process(repository: Path):
    code = (
        "import importlib.util as u, json, sys\n"
        "spec = u.spec_from_file_location('t', sys.argv[1]); t = u.module_from_spec(spec)\n"
        "spec.loader.exec_module(t)\n"
        "print(json.dumps(t.transcript(t.ConductorEnv(), 11, 12345)))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code, __file__]
    other = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True)
    here = json.dumps(transcript(ConductorEnv(), 11, 12345))
    assert json.loads(other.stdout) == json.loads(here)


@settings(max_examples=30)
@given(
    places=st.lists(
        st.tuples(st.integers(0, 2**62), st.integers(0, 2**40)), min_size=1, max_size=7
    ),
    data=st.data(),
)
def test_same_seed_and_index_is_the_same_episode_in_a_batch_of_any_size(
    places: list[tuple[int, int]], data: Any
):
    n = len(places)
    scripts = data.draw(st.lists(st.tuples(*[ACTIONS] * n), min_size=1, max_size=10))
    engine = Engine(EnvConfig(), n)
    batch = engine.new_observation()
    streams, indices = (np.array(column, np.int64) for column in zip(*places, strict=True))
    engine.start(np.arange(n), streams, indices, batch)
    rewards: list[Any] = []
    views: list[Any] = []
    for actions in scripts:
        rewards.append(engine.step(np.array(actions, np.int64), batch)["reward"])
        views.append({name: array.copy() for name, array in batch._asdict().items()})
    env = env_of()
    for slot, (stream, index) in enumerate(places):
        env.reset(seed=stream, options={"episode_index": index})
        over = False
        for t, actions in enumerate(scripts):
            if over:
                assert rewards[t][slot] == 0.0
                continue
            observation, reward, over, _, _ = act(env, *actions[slot])
            assert reward == rewards[t][slot]
            assert_same_observation(observation, {k: v[slot] for k, v in views[t].items()})


def test_reset_tells_uid_domain_and_weights_and_refuses_unknown_options():
    env = ConductorEnv(**PAPER, cost_weight=0.2, latency_weight=0.5)
    _, info = env.reset(seed=3)
    assert info["uid"].startswith(f"paper-v1/train/{info['domain']}/")
    assert (info["cost_weight"], info["latency_weight"]) == (0.2, 0.5)
    assert "prompt" not in info
    with pytest.raises(UnknownNameError, match="Did you mean 'episode_index'"):
        env.reset(options={"episode_idx": 1})
    for bad in (-1, 1.5, "3", True, 2**63):
        with pytest.raises(ConfigError, match="episode_index must be a whole number"):
            env.reset(options={"episode_index": bad})


def test_a_refused_reset_leaves_the_stream_where_it_was():
    env = ConductorEnv()
    env.reset(seed=3)
    with pytest.raises(UnknownNameError):
        env.reset(seed=99, options={"episode_idx": 1})
    assert places(env, {}) == [(3, 1)]


@pytest.mark.parametrize("seed", [2**63, 2**64])
def test_a_seed_too_large_for_a_stream_is_refused(seed: int):
    with pytest.raises(ConfigError, match="seed"):
        ConductorEnv().reset(seed=seed)


# --- whole episodes, any actions -----------------------------------------------------------------


@settings(max_examples=150)
@given(
    seed=st.integers(0, 2**62),
    actions=st.lists(st.one_of(ACTIONS, BUSY), min_size=12, max_size=12),
    budget=st.sampled_from([0.5, 0.1, 0.02, 0.008]),
    assumptions=st.sampled_from(["low", "mid", "high"]),
    world=st.sampled_from([{}, PAPER]),
)
def test_any_actions_keep_bounds_masks_money_and_utility(
    seed: int, actions: Any, budget: float, assumptions: str, world: dict[str, Any]
):
    env = env_of(budget_usd=budget, assumptions=assumptions, latency_weight=0.1, **world)
    observation, info = env.reset(seed=seed)
    total, invalid, over, steps = 0.0, 0, False, 0
    for action in actions:
        assert env.observation_space.contains(observation)
        assert np.array_equal(env.action_masks(), observation["action_mask"].astype(bool))
        assert "quality" not in info
        assert "utility" not in info
        before = info.get("cost_usd", 0.0), info.get("latency_s", 0.0)
        forbidden = masked_out(observation, action)
        had_answer = observation["budget"][7]
        observation, reward, over, truncated, info = act(env, *action)
        steps += 1
        total += float(reward)
        invalid += forbidden
        assert truncated is False
        assert (info["invalid"] is not None) == forbidden
        assert info["invalid_actions"] == invalid
        assert info["cost_usd"] <= budget
        if forbidden:
            assert (info["cost_usd"], info["latency_s"]) == before
            assert observation["budget"][7] == had_answer
            assert observation["history"][steps - 1][3:].tolist() == [-1.0] * 8
        if over:
            break
        if forbidden:
            assert reward == -0.01
    assert over
    assert steps <= 10
    assert env.observation_space.contains(observation)
    parts = info["quality"], info["cost_usd"], info["latency_s"]
    episode = env.engine.episodes[0]
    weight = int(episode["cost_weight"]) / 1e6
    assert info["utility"] == pytest.approx(float(utility(*parts, weight, 0.1)))
    assert total == pytest.approx(info["utility"] - 0.01 * invalid, abs=2e-9)
    if env.engine.episodes[0]["current"] < 0:
        assert info["quality"] == 0.0


def test_utility_counts_quality_cents_and_minutes():
    assert utility(1.0, 0.03, 90.0, 0.1, 0.2) == pytest.approx(1.0 - 0.3 - 0.3)


def test_submitting_nothing_is_legal_and_worth_0():
    env = ConductorEnv()
    env.reset(seed=0)
    _, reward, over, _, info = act(env, 7, SUBMIT, 6)
    assert (reward, over, info["quality"], info["utility"]) == (0.0, True, 0.0, 0.0)
    assert info["invalid"] is None


def test_an_episode_ends_by_itself_with_the_current_answer_when_steps_run_out():
    env = ConductorEnv(max_steps=3, cost_weight=0.0)
    qualities: list[float] = []
    for _ in range(40):
        env.reset(seed=0) if not qualities else env.reset()
        for last in (False, False, True):
            _, reward, over, truncated, info = act(env, 2, SOLVE, 0)
            assert (over, truncated) == (last, False)
        score = float(env.engine.state.steps["score"][0, env.engine.episodes["current"][0]])
        assert info["quality"] == reward == score
        qualities.append(info["quality"])
    assert 0 < sum(qualities) < 40


def test_cost_weights_are_drawn_evenly_from_the_grid_unless_fixed():
    engine = Engine(EnvConfig(), 7000)
    engine.start(
        np.arange(7000), np.zeros(7000, np.int64), np.arange(7000), engine.new_observation()
    )
    drawn, counts = np.unique(engine.episodes["cost_weight"], return_counts=True)
    assert (drawn / 1e6).tolist() == list(COST_WEIGHTS)
    assert np.abs(counts - 1000).max() < 150
    env = ConductorEnv(cost_weight=0.07)
    assert {env.reset()[1]["cost_weight"] for _ in range(20)} == {0.07}


@pytest.mark.parametrize("max_workers", [7, 8, 12])
def test_masks_are_as_wide_as_the_action_space(max_workers: int):
    env = ConductorEnv(**PAPER, max_workers=max_workers)
    observation, _ = env.reset(seed=0)
    assert env.action_space.nvec.tolist() == [max_workers, 8, 7]  # pyright: ignore
    assert env.action_masks().shape == observation["action_mask"].shape == (max_workers + 15,)
    assert env.action_masks().dtype == np.bool_
    workers, subtasks, levels = masks(observation, max_workers)
    assert workers.tolist() == [1] * 7 + [0] * (max_workers - 7)
    assert subtasks.tolist() == [1, 0, 0, 0, 0, 0, 0, 1]
    assert levels.tolist() == [1] * 7


def test_changing_a_returned_observation_does_not_change_the_masks():
    env = ConductorEnv()
    observation, _ = env.reset(seed=0)
    observation["action_mask"][:] = 0
    assert env.action_masks()[0]


# --- misuse --------------------------------------------------------------------------------------

MALFORMED: list[Any] = [
    *(None, 0, "solve", [0, 0], [0, 0, 0, 0], [[0, 0, 0]], [0.0, 0.0, 0.0], [0, 0, 1.0]),
    *([8, 0, 0], [0, 8, 0], [0, 0, 7], [-1, 0, 0], [0, -1, 0], [0, 0, -1], [2**70, 0, 0]),
    *([True, False, False], [float("nan")] * 3, [[0], [1, 2]], {}, ["0", "0", "0"], (None,) * 3),
    *(np.array([2**64 - 1, 0, 0], np.uint64), np.zeros((3, 1), np.int64)),
]


@pytest.mark.parametrize("action", MALFORMED, ids=lambda a: str(a).replace("\n", ""))
def test_a_malformed_action_is_refused_and_leaves_the_episode_unchanged(action: Any):
    env = ConductorEnv()
    env.reset(seed=2)
    act(env, 0, SOLVE, 0)
    before = env.engine.state.episodes.tobytes(), env.engine.state.steps.tobytes()
    with pytest.raises(InvalidActionError, match=r"worker slot 0\.\.7.*context level 0\.\.6"):
        env.step(action)
    assert (env.engine.state.episodes.tobytes(), env.engine.state.steps.tobytes()) == before


@pytest.mark.parametrize("dtype", [np.int32, np.int64, np.uint8, np.uint64, list, tuple])
def test_integers_of_any_kind_are_actions(dtype: Any):
    env = env_of()
    env.reset(seed=2)
    sequence = dtype in (list, tuple)
    action: Any = cast(Any, dtype([1, 0, 2]) if sequence else np.array([1, 0, 2], dtype))
    assert env.step(action)[4]["status"] == "ok"


def test_steps_outside_an_episode_are_refused():
    env = ConductorEnv()
    with pytest.raises(EpisodeOverError, match=r"Call reset\(\)"):
        act(env, 0, SOLVE, 0)
    env.reset(seed=0)
    act(env, 0, SUBMIT, 0)
    before = env.engine.state.episodes.tobytes(), env.engine.state.steps.tobytes()
    with pytest.raises(EpisodeOverError, match=r"Call reset\(\)"):
        act(env, 0, SOLVE, 0)
    assert (env.engine.state.episodes.tobytes(), env.engine.state.steps.tobytes()) == before


# --- rendering -----------------------------------------------------------------------------------


def test_ansi_tells_the_episode_and_keeps_the_result_for_the_end():
    env = ConductorEnv(**PAPER, render_mode="ansi", cost_weight=0.1)
    assert env.render() == "(not started)"
    _, info = env.reset(seed=4)
    for action in ((0, SOLVE, 0), (2, VERIFY, 2), (7, SOLVE, 0), (0, VOTE, 0)):
        act(env, *action)
    story = env.render()
    for word in (info["uid"], "gpt-5", "solve: answer A", "no worker in this slot", "plurality"):
        assert word in story
    assert ("accepts answer A" in story) or ("rejects answer A" in story)
    for word in ("is right", "is wrong", "utility"):
        assert word not in story
    _, _, _, _, info = act(env, 0, SUBMIT, 0)
    story = env.render()
    assert f"submitted and is {'right' if info['quality'] else 'wrong'}" in story
    assert f"utility {info['utility']:+.4f}" in story
    assert f"Cost ${info['cost_usd']:.5f}" in story


def test_human_prints_each_line_of_the_story_once(capsys: Any):
    plain = ConductorEnv(render_mode="ansi", cost_weight=0.1)
    human = ConductorEnv(render_mode="human", cost_weight=0.1)
    for env in (plain, human):
        env.reset(seed=4)
        for action in SCRIPT:
            act(env, *action)
    assert capsys.readouterr().out.rstrip("\n") == plain.render()
