"""Agents: valid, independent of batching, recomputable, and as good as they say."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from paper_world import paper_config

from conductor_gym.agents.base import Setting
from conductor_gym.agents.experience import collect_single_calls
from conductor_gym.agents.registry import agents, make_agent, what_is_missing
from conductor_gym.agents.single import train_utility
from conductor_gym.engine import Engine
from conductor_gym.errors import ConfigError, UnknownNameError
from conductor_gym.leaderboard.evaluate import Replay, pack_action, play, unpack_action
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.reward import utility
from conductor_gym.types import CONTEXT_LEVELS, N_LEVELS, N_SUBTASKS, Status

UNTRAINED = [
    name for name, card in agents().items() if not card.takes_model and not card.takes_worker
]
WEIGHT = 0.05
PAPER = find_track("paper")


def setting(weight: float = WEIGHT, seed: int = 0) -> Setting:
    return PAPER.setting(weight, seed)


def make_agent_slot(name: str) -> int:
    agent: Any = make_agent(name, setting())
    return agent.worker


def scored(name: str, episodes: int, batch: int = 4096, weight: float = WEIGHT) -> Any:
    agent = make_agent(name, setting(weight))
    privileged = agents()[name.partition(":")[0]].privileged
    return play(agent, PAPER.evaluation(weight), episodes, batch, privileged=privileged)


@pytest.mark.parametrize("name", [*UNTRAINED, "single:gpt-5"])
def test_an_agents_score_does_not_depend_on_the_batch_size(name: str) -> None:
    whole, pieces = scored(name, 150), scored(name, 150, batch=37)
    assert whole.decisions == pieces.decisions
    assert (whole.quality == pieces.quality).all()
    assert (whole.cost == pieces.cost).all()


@pytest.mark.parametrize("name", UNTRAINED)
def test_decisions_alone_recompute_a_score(name: str) -> None:
    played = scored(name, 120)
    again = play(Replay(played.decisions), PAPER.evaluation(WEIGHT), 120, privileged=True)
    assert again.decisions == played.decisions
    assert (again.quality == played.quality).all()
    assert (again.cost == played.cost).all()


@pytest.mark.parametrize("name", UNTRAINED)
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_shipped_agents_never_choose_an_invalid_action(name: str, weight: float) -> None:
    assert scored(name, 400, weight=weight).invalid.sum() == 0


def test_random_agent_uses_every_kind_of_action_and_its_seed() -> None:
    config = PAPER.evaluation(WEIGHT)
    played = [play(make_agent("random", setting(seed=s)), config, 500) for s in (0, 0, 1)]
    assert played[0].decisions == played[1].decisions
    assert played[0].decisions != played[2].decisions
    seen = np.array([unpack_action(code) for row in played[0].decisions for code in row])
    assert set(seen[:, 0].tolist()) == set(range(7))
    assert set(seen[:, 1].tolist()) == {0, 2, 3, 5, 6, 7}
    assert set(seen[:, 2].tolist()) == set(range(7))


def test_packed_actions_unpack_to_themselves() -> None:
    grid = np.stack(np.meshgrid(range(8), range(N_SUBTASKS), range(N_LEVELS)), -1).reshape(-1, 3)
    codes = pack_action(grid.astype(np.int64))
    assert len(set(codes.tolist())) == len(grid)
    assert [unpack_action(code) for code in codes.tolist()] == [tuple(row) for row in grid.tolist()]


def test_best_single_is_the_single_worker_with_the_highest_train_utility() -> None:
    for weight in (0.0, 0.05, 0.5, 1.0):
        agent: Any = make_agent("best-single", setting(weight))
        means = train_utility(setting(weight)).mean(axis=0)
        assert means[agent.worker, agent.level] == means.max()
    dear: Any = make_agent("best-single", setting(0.0))
    cheap: Any = make_agent("best-single", setting(1.0))
    assert dear.worker != cheap.worker, "the grid of cost weights should change the best worker"


def test_best_by_domain_beats_best_single_on_the_queries_it_was_chosen_on() -> None:
    calls = collect_single_calls(setting().train)
    gains = train_utility(setting())
    agent: Any = make_agent("best-by-domain", setting())
    rows, (worker, level) = np.arange(len(gains)), agent.by_domain[calls.domain].T
    assert gains[rows, worker, level].mean() > gains.mean(axis=0).max()


def test_cascade_was_tuned_to_at_least_the_best_single_worker_on_train() -> None:
    from conductor_gym.agents.cascade import Cascade

    for weight in (0.0, 0.05, 0.5):
        cascade = Cascade(setting(weight))
        played = play(cascade, replace(setting(weight).train, cost_weight=weight), 8000)
        reached = utility(played.quality, played.cost / 1e9, 0.0, weight).mean()
        assert reached >= train_utility(setting(weight)).mean(axis=0).max() - 1e-9


def test_clairvoyant_is_at_least_as_good_as_every_single_call_on_every_query() -> None:
    config = PAPER.evaluation(WEIGHT)
    best = scored("clairvoyant", 1000)
    top = utility(best.quality, best.cost / 1e9, 0.0, WEIGHT)
    assert (top >= 0).all()
    for worker in setting().workers:
        single = play(make_agent(f"single:{worker}", setting()), config, 1000)
        assert (top >= utility(single.quality, single.cost / 1e9, 0.0, WEIGHT) - 1e-12).all()


@pytest.mark.parametrize("track", ["paper", "paper-unconstrained"])
@pytest.mark.parametrize("weight", [0.0, 0.05, 0.5])
def test_best_single_informed_and_clairvoyant_stand_in_this_order(
    track: str, weight: float
) -> None:
    card = find_track(track)
    reached: list[float] = []
    for name in ("best-single", "informed", "clairvoyant"):
        agent = make_agent(name, card.setting(weight))
        played = play(agent, card.evaluation(weight), 4000, privileged=agents()[name].privileged)
        reached.append(float(utility(played.quality, played.cost / 1e9, 0.0, weight).mean()))
    assert reached[0] < reached[1] < reached[2], reached


@pytest.mark.parametrize("changes", [{}, {"kappa": 1.0}], ids=["as shipped", "no attempt luck"])
def test_expected_solves_are_the_mean_of_first_solves_over_attempt_luck(
    edited: Callable[..., str], changes: dict[str, float]
) -> None:
    pool = "paper"
    if changes:
        kappa = 'kappa = { value = 1.0, source = "fitted" }'
        pool = edited("workers/pools/paper.toml", (r"kappa = .*", kappa))
    config = paper_config(pool=pool, split="dev", latency_weight=0.1)
    engine = Engine(config, 2000)
    slots, sums = np.arange(2000), np.zeros((5, 2000, 7))
    expected: Any = None
    for luck in range(60):  # another pass over the same queries: the same trouble, new attempts
        engine.start(slots, np.zeros_like(slots), slots + 2000 * luck, engine.new_observation())
        order = engine.episodes["query"].argsort()
        now = engine.expected_solves(slots[order])
        if expected is not None:
            assert all((a == b).all() for a, b in zip(now, expected, strict=True))
        expected = now
        sums += np.stack(engine.first_solves(slots[order]))
    means = sums / 60
    # Grouped by expected quality, so that a wrong slope cannot hide in the overall mean.
    for low, high in ((0.0, 0.1), (0.1, 0.4), (0.4, 0.6), (0.6, 0.9), (0.9, 1.0)):
        group = (expected.quality >= low) & (expected.quality <= high)
        if group.sum() > 100:
            assert means[0][group].mean() == pytest.approx(expected.quality[group].mean(), abs=0.01)
    for realized, mean in zip(means[1:4], expected[1:4], strict=True):
        assert realized.sum(axis=0) == pytest.approx(mean.sum(axis=0), rel=0.01)


def test_informed_shows_na_where_outcomes_are_recorded(recorded_folder: Path) -> None:
    track = find_track("mmlu-pro")
    assert what_is_missing("informed", setting()) is None
    assert "expected outcomes" in (what_is_missing("informed", track.setting(WEIGHT)) or "")
    engine = Engine(track.evaluation(WEIGHT), 1)
    with pytest.raises(ConfigError, match="recorded"):
        engine.expected_solves(np.arange(1))


@pytest.mark.parametrize("name", ["self-consistency", "self-reflection", "growing-context"])
def test_a_multi_call_agent_takes_a_worker_and_without_one_the_best_single(name: str) -> None:
    best = setting().workers[make_agent_slot("best-single")]
    assert scored(name, 60).decisions == scored(f"{name}:{best}", 60).decisions
    named = {
        unpack_action(code)[0]
        for row in scored(f"{name}:qwen3-32b", 60).decisions
        for code in row
        if unpack_action(code)[1] not in (6, 7)
    }
    assert named == {setting().workers.index("qwen3-32b")}
    with pytest.raises(UnknownNameError, match="'gpt-5'"):
        make_agent(f"{name}:gpt5", setting())


def test_mixture_of_agents_shows_the_aggregator_every_output() -> None:
    agent: Any = make_agent("moa", setting())
    for row in scored("moa", 200).decisions:
        calls = [unpack_action(code) for code in row]
        assert {worker for worker, _, _ in calls[:7]} == set(range(7))
        assert calls[6][0] == calls[7][0] == agent.aggregator
        assert CONTEXT_LEVELS[calls[7][2]] >= 7 * 4096


def test_growing_context_keeps_within_the_worker_s_window() -> None:
    track = find_track("paper-unconstrained")
    small = "qwen3-32b-thinking"
    agent = make_agent(f"growing-context:{small}", track.setting(WEIGHT))
    engine = Engine(track.evaluation(WEIGHT), 1000)
    slots, observation = np.arange(1000), engine.new_observation()
    engine.start(slots, np.zeros_like(slots), slots, observation)
    for _ in range(7):
        engine.step(agent.act(observation._asdict()), observation)
    steps = engine.state.steps[:, :6]
    assert (steps["status"] != Status.OVERFLOW).all()
    assert steps["tokens_in"].max() > 30_000, "it should use the window it has"
    assert (engine.episodes["over"] == 1).all()


def test_only_agents_marked_privileged_are_given_the_engine() -> None:
    clairvoyant = make_agent("clairvoyant", setting())
    unbound = play(clairvoyant, PAPER.evaluation(WEIGHT), 50)
    assert unbound.cost.sum() == 0, "without the engine it has nothing to go by"


def test_voters_vote_and_verifiers_verify() -> None:
    def subtasks(name: str) -> set[tuple[int, ...]]:
        return {
            tuple(unpack_action(code)[1] for code in row) for row in scored(name, 200).decisions
        }

    assert (0, 0, 0, 0, 0, 6, 7) in subtasks("self-consistency")
    assert (0, 0, 0, 0, 0, 0, 0, 6, 7) in subtasks("plurality")
    assert subtasks("moa") == {(0, 0, 0, 0, 0, 0, 0, 5, 7)}
    assert (0, 3, 3, 3, 3, 7) in subtasks("self-reflection")
    assert (0, 0, 3, 3, 3, 7) in subtasks("self-reflection:gemma-3-27b-it"), "unreadable: again"
    assert (0, 0, 0, 0, 0, 5, 7) in subtasks("growing-context")
    assert {(0, 2, 7), (0, 2, 3, 2, 7)} <= subtasks("verify-revise")
    assert {(0, 2, 7), (0, 2, 3, 7)} <= subtasks("rules")


def test_agent_names_that_do_not_exist_name_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'best-single'"):
        make_agent("best-singel", setting())
    with pytest.raises(UnknownNameError, match="'gpt-5'"):
        make_agent("single:gpt5", setting())
    with pytest.raises(ConfigError, match="single:WORKER"):
        make_agent("single", setting())
    with pytest.raises(ConfigError, match="conductor-gym train ppo"):
        make_agent("ppo", setting())
    assert what_is_missing("plurality", setting()) is None
