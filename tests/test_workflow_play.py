"""Agents that write workflows are played, and a row is recomputed from its decisions."""

from typing import Any

import numpy as np
import pytest

from conductor_gym.config import EnvConfig
from conductor_gym.language.dialogue import Dialogue
from conductor_gym.language.options import LanguageOptions
from conductor_gym.language.workflow import parse_workflow
from conductor_gym.leaderboard.workflow_play import AGAIN, play_workflows, replay_workflows

TEXTS = (
    "solve 0\nsolve 1\naggregate 2 sees 1,2",
    "solve 3: Be brief.\nverify 1 sees 1 1k\nrevise 2\nvote",
    "submit",
    "solve 5\nvote sees 1\nsolve 4 sees 1\nconductor",
    "plan 1\nsolve 0 sees 1\nsolve 2 sees 1\naggregate 1",
    "I would rather not.",
)
LATER = ("submit", "verify 0 sees 1\nconductor", "revise 0 sees 1\nconductor", "nothing")


class Canned:
    """Answers by what the dialogue says, so that its answers do not depend on the batch."""

    def __init__(self, **options: Any) -> None:
        self.language = LanguageOptions(interface="workflow", **options)

    def plan(self, dialogues: list[Dialogue]) -> list[Any]:
        plans: list[Any] = []
        for dialogue in dialogues:
            texts = TEXTS if len(dialogue.messages) == 2 else LATER
            said = texts[sum(map(ord, dialogue.messages[-1].content)) % len(texts)]
            dialogue.tokens_in, dialogue.tokens_out = 10, 3
            plans.append(parse_workflow(said, dialogue.offer))
        return plans


CONFIG = EnvConfig(split="dev", cost_weight=0.05, latency_weight=0.2)


@pytest.mark.parametrize(
    "options", [{}, {"rounds": 3}, {"rounds": 2, "shuffled": True, "offered": 6}]
)
def test_a_row_is_recomputed_from_its_decisions(options: Any):
    agent = Canned(**options)
    played = play_workflows(agent, CONFIG, 60, batch=60)
    again = replay_workflows(played.decisions, CONFIG, agent.language)
    for name in ("quality", "cost", "latency", "invalid"):
        np.testing.assert_array_equal(getattr(played, name), getattr(again, name))
    assert again.decisions == played.decisions
    assert any(AGAIN in codes for codes in played.decisions) == ("rounds" in options)
    assert (played.invalid > 0).any()
    assert 0 < played.quality.sum() < 60


def test_the_result_does_not_depend_on_the_batch():
    one, other = (play_workflows(Canned(rounds=2), CONFIG, 25, batch=n) for n in (4, 25))
    for name in ("quality", "cost", "latency", "invalid", "own_tokens"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
    assert one.decisions == other.decisions
    assert one.own_tokens is not None
    assert set(one.own_tokens[:, 1].tolist()) == {3, 6}


def test_a_fault_of_the_agent_costs_that_episode_alone():
    class Faulty(Canned):
        def plan(self, dialogues: list[Dialogue]) -> list[Any]:
            if any("Task (games" in d.messages[1].content for d in dialogues):
                raise RuntimeError("no games")
            return super().plan(dialogues)

    played = play_workflows(Faulty(), CONFIG, 40)
    whole = play_workflows(Canned(), CONFIG, 40)
    assert played.failures
    assert set(played.failures.values()) == {"plan() raised RuntimeError: no games"}
    lost = list(played.failures)
    assert played.quality[lost].sum() == 0
    kept = np.setdiff1d(np.arange(40), lost)
    np.testing.assert_array_equal(played.quality[kept], whole.quality[kept])


def test_what_is_no_workflow_loses_the_episode():
    class Wrong(Canned):
        def plan(self, dialogues: list[Dialogue]) -> list[Any]:
            return ["solve 0"] * len(dialogues)

    played = play_workflows(Wrong(), CONFIG, 3)
    assert len(played.failures) == 3
    assert "expected a Workflow or None" in played.failures[0]
