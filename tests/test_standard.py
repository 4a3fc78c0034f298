"""Track `standard`: parts and documents change which agent is best, and references stay on top."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from conductor_gym.agents.registry import agents, make_agent
from conductor_gym.engine import Engine
from conductor_gym.leaderboard.evaluate import Episodes, play, unpack_action
from conductor_gym.leaderboard.metrics import estimate
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.reward import utility
from conductor_gym.types import CONTEXT_LEVELS, Subtask

pytest.importorskip("reasoning_gym", reason="pip install 'conductor-gym[tasks]'")

TRACK = find_track("standard")
N = 3060
Floats = npt.NDArray[np.float64]


@cache
def played(name: str, weight: float = 0.05) -> Episodes:
    agent = make_agent(name, TRACK.setting(weight))
    return play(agent, TRACK.evaluation(weight), N, privileged=agents()[name].privileged)


def reached(name: str, weight: float = 0.05) -> Floats:
    episodes = played(name, weight)
    return utility(episodes.quality, episodes.cost / 1e9, 0.0, weight)


@cache
def queries() -> npt.NDArray[np.void]:
    """The query of each episode."""
    engine = Engine(TRACK.evaluation(0.05), N)
    slots = np.arange(N, dtype=np.int64)
    engine.start(slots, np.zeros(N, np.int64), slots, engine.new_observation())
    return engine.world.tables.queries[engine.episodes["query"]]


def gain(name: str, other: str, these: npt.NDArray[np.bool_], weight: float = 0.05) -> float:
    """Lower end of the 95 % interval of the paired difference on some queries."""
    return estimate((reached(name, weight) - reached(other, weight))[these]).low


def test_dividing_pays_on_three_and_four_parts_and_hardly_on_two():
    parts = queries()["parts"]
    for number in (3, 4):
        assert gain("divide", "best-by-domain", parts == number) > 0.0
    two = estimate((reached("divide") - reached("best-by-domain"))[parts == 2]).mean
    three = estimate((reached("divide") - reached("best-by-domain"))[parts == 3]).mean
    assert two < three


def test_a_context_budget_pays_on_long_documents():
    long = queries()["documents"] > 48_000
    assert gain("best-by-domain", "best-single", long) > 0.0
    assert gain("condense", "best-single", long) > 0.0
    assert gain("best-by-domain", "self-reflection", long) > 0.0


@cache
def at_each_level(worker: str, weight: float) -> Floats:
    """Expected utility of one first solve, shape (levels, N): what each fixed budget gives."""
    config = TRACK.evaluation(weight)
    engine = Engine(config, N)
    slots = np.arange(N, dtype=np.int64)
    engine.start(slots, np.zeros(N, np.int64), slots, engine.new_observation())
    column = list(engine.world.pool.worker_names).index(worker)
    solves = [engine.expected_solves(slots, level) for level in range(len(CONTEXT_LEVELS))]
    return np.array([utility(s.quality, s.cost_usd, 0.0, weight)[:, column] for s in solves])


def test_too_little_context_costs():
    medium = (queries()["documents"] > 8_000) & (queries()["documents"] < 32_000)
    by_level = at_each_level("gemini-2.5-flash", 0.05)[:, medium].mean(1)
    assert by_level[-1] > by_level[3] + 0.2 > by_level[0] + 0.2


@pytest.mark.parametrize("worker", ["gpt-5", "claude-sonnet-4"])
def test_too_much_context_costs(worker: str):
    by_level = at_each_level(worker, 0.2)[:, queries()["documents"] > 48_000].mean(1)
    assert by_level[-1] < by_level[0] - 0.5


def test_between_too_little_and_too_much_context_lies_the_best():
    """Finding one fact in a long document, where calls are dear."""
    rows = queries()
    facts = (rows["documents"] > 48_000) & (rows["pieces"] == 1)
    by_level = at_each_level("gemini-2.5-flash", 0.2)[:, facts].mean(1)
    best = int(by_level.argmax())
    assert 0 < best < len(CONTEXT_LEVELS) - 1
    assert by_level[best] > max(by_level[0], by_level[-1]) + 0.01


@pytest.mark.parametrize(
    ("name", "kind", "subtask"),
    [("divide", "parts", Subtask.PLAN), ("condense", "documents", Subtask.CONDENSE)],
)
def test_it_plans_or_condenses_only_where_that_is_possible(name: str, kind: str, subtask: Subtask):
    asked = np.array(
        [
            any(unpack_action(code)[1] == subtask for code in codes)
            for codes in played(name).decisions
        ]
    )
    has = queries()[kind] > 0
    assert not asked[~has].any()
    assert asked[has].mean() > 0.5
    assert played(name).invalid.sum() == 0


def test_single_informed_and_clairvoyant_stand_in_this_order():
    means = [reached(name).mean() for name in ("best-single", "informed", "clairvoyant")]
    assert means == sorted(means)
    assert means[0] < means[1] < means[2]


@pytest.mark.parametrize(
    "name", [n for n, card in agents().items() if not card.takes_model and not card.takes_worker]
)
def test_every_agent_plays_it(name: str):
    agent = make_agent(name, TRACK.setting(0.05))
    episodes = play(agent, TRACK.evaluation(0.05), 200, privileged=agents()[name].privileged)
    assert len(episodes.decisions) == 200
    assert (episodes.cost <= 500_000_000).all()
