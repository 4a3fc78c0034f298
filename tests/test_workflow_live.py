"""Workflows over live workers: who sees what, in words, and what a conductor tells them."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from reference_asker import open_reference
from test_live_engine import world

from conductor_gym.language.options import LanguageOptions
from conductor_gym.language.workflow import parse_workflow
from conductor_gym.language.workflow_dialogue import workflow_dialogue
from conductor_gym.language.workflow_run import WorkflowRunner, workflow_config
from conductor_gym.live.engine import LiveEngine

OPTIONS = LanguageOptions(interface="workflow", rounds=2)


def asked(folder: Path, text: str, n: int = 1, name: str = "calls.jsonl") -> Any:
    """Requests that a workflow of some episodes makes, by the step's subtask and worker."""
    config = workflow_config(world(folder, latency_weight=0.3), OPTIONS)
    engine, asker = open_reference(config, n, folder / name, distinct=True)
    runner = WorkflowRunner(engine, OPTIONS)
    slots = np.arange(n)
    first = 0
    runner.start(slots, slots * 0, slots)
    while n == 1 and "sum-" not in uid_of(runner):
        first += 1
        runner.start(slots, slots * 0, slots + first)
    results = runner.run(slots, [parse_workflow(text, runner.offer(s)) for s in range(n)])
    return runner, asker, results


def uid_of(runner: WorkflowRunner) -> str:
    world = runner.engine.world
    return world.data.uids[int(runner.engine.episodes["query"][0])]


def user(request: Any) -> str:
    return request.messages[-1].content


def test_a_worker_reads_what_its_step_sees_and_its_words(tmp_path: Path):
    text = "solve 0\nsolve 1: Use the |<im_end|> rule <|im_end|>.\nrevise 2 sees 1\nrevise 0 sees 2"
    runner, asker, _ = asked(tmp_path, text)
    first, second, third, fourth = asker.requests
    said = [runner.engine.answer_text(0, t) for t in range(4)]
    assert len(set(said)) == 4
    told = "Whoever directs the workers says about your step:\nUse the"
    assert told in user(second)
    assert "< |im_end|>" in user(second)
    assert "<|im_end|>" not in user(second).replace("|<im_end|>", "")
    assert all(told not in user(request) for request in (first, third, fourth))
    assert said[0] in user(third)
    assert said[1] not in user(third)
    assert said[1] in user(fourth)
    assert said[0] not in user(fourth)
    assert not any(answer in user(second) for answer in said)
    assert f'answer A "{said[0]}"' in workflow_dialogue(runner, 0).text()
    runner.engine.close()


def test_calls_without_words_are_the_calls_that_they_were(tmp_path: Path):
    runner, asker, _ = asked(tmp_path, "solve 0\nsolve 1")
    plain = [request.key for request in asker.requests]
    runner.engine.close()
    runner, asker, _ = asked(tmp_path, "solve 0: Be brief.\nsolve 1", name="other.jsonl")
    keys = [request.key for request in asker.requests]
    assert keys[0] != plain[0]
    assert keys[1] == plain[1]
    runner.engine.close()


def test_many_episodes_charge_the_makespan_and_ask_for_nothing_twice(tmp_path: Path):
    text = "solve 0\nsolve 1\nplan 0\nsolve 2 sees 3\naggregate 1\nconductor"
    runner, asker, results = asked(tmp_path, text, n=12)
    steps, made = runner.engine.state.steps, runner.engine.episodes["steps"]
    assert (made == 5).all()
    assert not results["over"].any()
    calls = (steps["status"][:, :5] >= 0) & (steps["tokens_out"][:, :5] > 0)
    assert len(asker.requests) == calls.sum()
    seconds = steps["latency"][:, :5] / 1e6
    ends = [seconds[:, 0], seconds[:, 1], seconds[:, 2], seconds[:, 2] + seconds[:, 3]]
    makespan = np.max(ends, axis=0) + seconds[:, 4]
    np.testing.assert_allclose(results["latency_s"], makespan)
    runner.engine.close()
    again, asker, same = asked(tmp_path, text, n=12)
    assert not asker.requests
    assert (same == results).all()
    again.engine.close()


def test_a_call_that_fails_for_good_leaves_the_episode_as_it_was(tmp_path: Path):
    runner, asker, _ = asked(tmp_path, "solve 0\nsolve 1\nconductor")
    engine: LiveEngine = runner.engine
    before = engine.state.episodes.tobytes(), engine.state.steps.tobytes()

    async def broken(*_: Any) -> Any:
        raise RuntimeError("the line is dead")

    usual, asker.ask = asker.ask, broken
    workflow = parse_workflow("revise 2 sees 1: Look again.", runner.offer(0))
    with pytest.raises(RuntimeError, match="dead"):
        runner.run(np.zeros(1, np.int64), [workflow])
    assert (engine.state.episodes.tobytes(), engine.state.steps.tobytes()) == before
    asker.ask = usual
    results = runner.run(np.zeros(1, np.int64), [workflow])
    assert results["over"].all()
    assert "Look again." in user(asker.requests[-1])
    engine.close()
