"""Running workflows: the serial engine where all is seen, the makespan where it is not."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from workflow_helpers import runner_of, started, workflows

from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError
from conductor_gym.language.lines import Line
from conductor_gym.language.options import LanguageOptions
from conductor_gym.language.workflow import Workflow, parse_workflow
from conductor_gym.language.workflow_run import WorkflowRunner
from conductor_gym.reward import utility
from conductor_gym.types import MISSING, Status, Subtask

EPISODES = st.integers(0, 20_000)
WEIGHTS: dict[str, Any] = {"cost_weight": 0.05, "latency_weight": 0.3}


def serial(runner: WorkflowRunner, index: int, workflow: Workflow) -> tuple[Engine, float]:
    """The steps of a workflow and the submit as a serial episode of the same engine's kind."""
    config = runner.engine.world.config
    engine = Engine(config, 1, runner.engine.world)
    seen = engine.new_observation()
    engine.start(np.zeros(1, np.int64), np.zeros(1, np.int64), np.array([index]), seen)
    reward = 0.0
    for line in (*workflow.steps, Line(Subtask.SUBMIT)):
        action = [[max(line.worker, 0), int(line.subtask), line.level or 0]]
        reward += float(engine.step(np.array(action), seen)["reward"][0])
    return engine, reward


@settings(max_examples=120)
@given(index=EPISODES, workflow=workflows(seen="all", explicit=True))
def test_a_chain_that_sees_all_is_the_serial_episode(index: int, workflow: Workflow):
    runner = runner_of(**WEIGHTS)
    slots = started(runner, first=index)
    results = runner.run(slots, [workflow])
    engine, reward = serial(runner, index, workflow)
    assert results["reward"][0] == pytest.approx(reward, abs=1e-12)
    for mine, its in zip(runner.engine.state, engine.state, strict=True):
        np.testing.assert_array_equal(mine, its)


@settings(max_examples=120)
@given(index=EPISODES, workflow=workflows())
def test_hiding_leaves_no_trace_and_the_makespan_is_charged(index: int, workflow: Workflow):
    runner = runner_of(**WEIGHTS)
    slots = started(runner, first=index)
    state = runner.engine.state
    results = runner.run(slots, [Workflow(workflow.steps)])
    told = runner.outcomes(0)
    rows = state.steps[0, : len(told)]
    # Steps begin when what they see is back, and the episode ends with the last of them.
    for i, step in enumerate(told):
        sees: tuple[int, ...] = step["sees"]
        begins: float = max([told[t - 1]["ends_s"] for t in sees], default=0.0)
        assert step["begins_s"] == begins
        assert step["ends_s"] == pytest.approx(begins + float(rows["latency"][i]) / 1e6)
    assert results["latency_s"][0] == max(step["ends_s"] for step in told)
    assert results["cost_usd"][0] == pytest.approx(sum(step["cost_usd"] for step in told))
    quality, cost, seconds = (results[n][0] for n in ("quality", "cost_usd", "latency_s"))
    worth = float(utility(quality, cost, seconds, 0.05, 0.3))
    assert results["utility"][0] == pytest.approx(worth)
    invalid = int(results["invalid_actions"][0])
    assert results["reward"][0] == pytest.approx(results["utility"][0] - 0.01 * invalid, abs=2e-9)
    # Every row is what a call came back with; only the runner knows that it was hidden for a while.
    assert state.episodes["begins"][0] == MISSING
    ok = (rows["status"] == Status.OK) & (rows["rule"] == 0)
    called = ok & (rows["worker"] >= 0)
    assert (rows["tokens_out"][called] > 0).all()
    answers = np.isin(rows["subtask"], [Subtask.SOLVE, Subtask.REVISE, Subtask.AGGREGATE])
    assert state.episodes["answers"][0] == (ok & answers).sum()
    assert (rows["verdict"][ok & (rows["subtask"] == Subtask.VERIFY)] >= 0).all()


@settings(max_examples=40)
@given(first=EPISODES, given_=st.lists(workflows(), min_size=3, max_size=3))
def test_a_workflow_comes_to_the_same_in_a_batch_as_alone(first: int, given_: list[Workflow]):
    runner = runner_of(3, **WEIGHTS)
    together = runner.run(started(runner, first=first), given_)
    for slot, workflow in enumerate(given_):
        alone = runner_of(1, **WEIGHTS)
        result = alone.run(started(alone, first=first + slot), [workflow])
        assert result[0] == together[slot]
        assert alone.engine.state.steps[0].tobytes() == runner.engine.state.steps[slot].tobytes()


def test_repeated_solves_of_one_worker_that_see_nothing_are_fresh_attempts():
    runner, alone = runner_of(200), runner_of(200)
    thrice = Workflow(tuple(Line(Subtask.SOLVE, 3, 0, ()) for _ in range(3)))
    runner.run(started(runner), [thrice] * 200)
    alone.run(started(alone), [Workflow(thrice.steps[:1])] * 200)
    luck = runner.engine.state.steps["luck"][:, :3]
    assert (luck[:, 0] == alone.engine.state.steps["luck"][:, 0]).all()
    ok = (runner.engine.state.steps["status"][:, :3] == 0).all(axis=1)
    assert (luck[ok, 0] != luck[ok, 1]).all()
    assert (luck[ok, 1] != luck[ok, 2]).all()


def test_independent_steps_overlap_and_a_chain_does_not():
    texts = "solve 0\nsolve 1\nsolve 2", "solve 0\nsolve 1 sees 1 0\nsolve 2 sees 1,2 0"
    seconds: list[tuple[Any, Any]] = []
    for text in texts:
        runner = runner_of(50, latency_weight=0.3)
        slots = started(runner)
        workflow = parse_workflow(text, runner.offer(0))
        results = runner.run(slots, [workflow] * 50)
        times = runner.engine.state.steps["latency"][:, :3] / 1e6
        seconds.append((results["latency_s"], times))
    (wide, times), (chain, others) = seconds
    np.testing.assert_allclose(wide, times.max(axis=1))
    np.testing.assert_allclose(chain, others.sum(axis=1))
    assert (times == others).all()  # at level 0 they are the same calls


def test_what_a_step_does_not_see_is_not_under_its_hands():
    """A verifier checks the answer it sees, not the newest one; a vote counts what it sees."""
    runner = runner_of(300)
    slots = started(runner)
    text = "solve 7\nsolve 0\nsolve 0\nvote sees 1\nverify 1 sees 1"
    runner.run(slots, [parse_workflow(text, runner.offer(0))] * 300)
    steps = runner.engine.state.steps
    ok = (steps["status"][:, :3] == Status.OK).all(axis=1) & (steps["rule"][:, 4] == 0)
    differ = ok & (steps["answer"][:, 0] != steps["answer"][:, 2])
    assert differ.sum() > 20
    assert (steps["target"][ok, 4] == steps["answer"][ok, 0]).all()
    assert (steps["answer"][ok, 3] == steps["answer"][ok, 0]).all()
    # The vote came last of the answers: it is what is submitted.
    assert (runner.engine.episodes["current"][ok] == 0).all()


def test_solves_that_see_a_plan_take_the_parts_one_after_the_other():
    runner = runner_of(400)
    slots = started(runner)
    text = "plan 0\nsolve 1 sees 1\nsolve 2 sees 1\nsolve 3\naggregate 0 sees 2,3"
    runner.run(slots, [parse_workflow(text, runner.offer(0))] * 400)
    episodes, steps = runner.engine.episodes, runner.engine.state.steps
    planned = (episodes["opened"] == 1) & (steps["status"][:, 1:3] == Status.OK).all(axis=1)
    assert planned.sum() > 5
    assert (steps["part"][planned, 1:4] == [0, 1, MISSING]).all()
    joined = planned & (steps["status"][:, 4] == Status.OK)
    assert (episodes["current"][joined] == 4).all()


def test_a_step_without_a_level_reads_what_fits_the_window():
    runner = runner_of(64)
    slots = started(runner)
    runner.run(slots, [parse_workflow("solve 0\nrevise 5 sees 1", runner.offer(0))] * 64)
    tables, steps = runner.engine.world.tables, runner.engine.state.steps
    documents = tables.queries["documents"][runner.engine.episodes["query"]]
    assert (steps["level"][:, 0][documents == 0] == 0).all()
    assert (steps["level"][:, 0][documents > 0] > 0).all()
    assert (steps["level"][:, 1] > 0).all()
    assert not (steps["status"] == Status.OVERFLOW).any()


def test_money_that_runs_out_ends_the_episode_in_the_middle():
    runner = runner_of(100, budget_usd=0.002)
    slots = started(runner)
    text = "\n".join(["solve 5"] * 4 + ["aggregate 5"])
    results = runner.run(slots, [parse_workflow(text, runner.offer(0))] * 100)
    assert results["over"].all()
    assert (results["cost_usd"] <= 0.002).all()
    made = np.array([rounds[0].made for rounds in runner.rounds])
    steps, episodes = runner.engine.state.steps, runner.engine.episodes
    assert ((made < 5) & (made > 0)).sum() > 20
    assert (episodes["steps"] == np.where(made < 5, made, 6)).all()
    assert (steps["status"][:, :5] == Status.UNAFFORDABLE).any()
    scores = steps["score"][slots, episodes["current"]]
    assert (episodes["quality"] == np.where(episodes["current"] < 0, 0.0, scores)).all()


def test_an_unreadable_reply_costs_a_penalty_and_ends_the_episode():
    runner = runner_of(2)
    slots = started(runner)
    refused = parse_workflow("I cannot do that.", runner.offer(0))
    results = runner.run(slots, [refused, None])
    assert results["over"].all()
    assert results["reward"].tolist() == [-0.01, -0.01]
    assert results["invalid_actions"].tolist() == [1, 1]


def test_settings_without_room_for_the_steps_are_refused():
    world = runner_of().engine.world
    engine = Engine(world.config, 1, world)
    with pytest.raises(ConfigError, match="max_steps=11"):
        WorkflowRunner(engine, LanguageOptions(interface="workflow", rounds=2))
    with pytest.raises(ConfigError, match="interface='workflow'"):
        WorkflowRunner(engine, LanguageOptions())
