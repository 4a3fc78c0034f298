"""Pipelines of several calls: what they go by, when they stop, and that they are cast on data."""

from copy import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from conductor_gym.agents.adaptive_consistency import AdaptiveConsistency, safety
from conductor_gym.agents.experience import collect_single_calls
from conductor_gym.agents.reading import answer_groups
from conductor_gym.agents.registry import make_agent
from conductor_gym.agents.rehearse import rehearse
from conductor_gym.agents.roles import Roles
from conductor_gym.agents.single import BestBySize, BestSingle
from conductor_gym.config import EnvConfig
from conductor_gym.engine import Engine
from conductor_gym.errors import MissingExtraError, UnknownNameError
from conductor_gym.leaderboard.evaluate import Episodes, play, unpack_action
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.reward import utility
from conductor_gym.types import Status, Subtask

WEIGHT = 0.05
PAPER = find_track("paper")
SETTING = PAPER.setting(WEIGHT)


def dev(weight: float = WEIGHT) -> EnvConfig:
    return replace(SETTING.train, split="dev", cost_weight=weight)


def gained(played: Episodes, weight: float = WEIGHT) -> npt.NDArray[np.float64]:
    return utility(played.quality, played.cost / 1e9, 0.0, weight)


def kinds(played: Episodes) -> list[list[int]]:
    """Subtasks of each episode."""
    return [[unpack_action(code)[1] for code in row] for row in played.decisions]


def no_worse_beyond_chance(gain: npt.NDArray[np.float64]) -> bool:
    return bool(gain.mean() >= -2.0 * gain.std() / np.sqrt(len(gain)))


def test_rehearsing_gives_what_scoring_gives() -> None:
    for name in ("best-single", "verify-revise"):
        agent = make_agent(name, SETTING)
        played = gained(play(agent, dev(), 2000))
        rehearsed = rehearse(agent, SETTING)
        assert rehearsed.mean() == pytest.approx(played.mean(), abs=1e-12)
        assert np.sort(rehearsed) == pytest.approx(np.sort(played), abs=1e-12)


def test_rehearsed_utilities_stand_in_the_order_of_single_calls() -> None:
    agent = BestSingle(SETTING)
    calls = collect_single_calls(SETTING.train)
    gains = utility(calls.quality, calls.cost_usd, 0.0, WEIGHT)[:, agent.worker, agent.level]
    assert rehearse(agent, SETTING, "train") == pytest.approx(gains, abs=1e-12)


def test_single_calls_tell_status_and_tokens_of_what_was_written() -> None:
    calls = collect_single_calls(SETTING.train)
    assert set(np.unique(calls.status)) == {Status.OK, Status.MALFORMED}
    assert calls.quality[calls.status != Status.OK].max() == 0.0
    assert 0.3 < calls.quality[calls.status == Status.OK].mean() < 0.7
    prices = {"gpt-5": 10.0, "claude-sonnet-4": 15.0, "gemma-3-27b-it": None}
    for name, usd_per_million in prices.items():
        slot = SETTING.workers.index(name)
        tokens, cost = calls.output_tokens[:, slot, 0], calls.cost_usd[:, slot, 0]
        assert tokens.min() >= 0
        assert tokens.max() <= 4097
        slope = np.polyfit(tokens, cost, 1)[0] * 1e6
        if usd_per_million is not None:
            assert slope == pytest.approx(usd_per_million, rel=0.05)


class TestFrugal:
    """The cascade that goes by a learned score."""

    @pytest.mark.parametrize("weight", [0.0, 0.05, 0.5])
    def test_is_no_worse_than_the_best_single_worker_beyond_chance(self, weight: float) -> None:
        pytest.importorskip("sklearn", reason="pip install 'conductor-gym[routers]'")
        setting = PAPER.setting(weight)
        frugal = gained(play(make_agent("frugal", setting), dev(weight), 2000), weight)
        single = gained(play(make_agent("best-single", setting), dev(weight), 2000), weight)
        assert no_worse_beyond_chance(frugal - single)

    def test_scores_tell_right_from_wrong_better_than_confidence_and_mean_what_they_say(
        self,
    ) -> None:
        metrics = pytest.importorskip("sklearn.metrics")
        agent: Any = make_agent("frugal", SETTING)
        calls, slots = collect_single_calls(dev()), np.arange(2000)
        for worker in (0, 3, 6):
            engine = Engine(dev(), 2000)
            observation = engine.new_observation()
            engine.start(slots, np.zeros_like(slots), slots, observation)
            rows = engine.episodes["query"].copy()
            engine.step(np.tile([worker, Subtask.SOLVE, 0], (2000, 1)), observation)
            score = agent.sureness(observation._asdict())
            ok = calls.status[rows, worker, 0] == Status.OK
            assert (score[~ok] == -1.0).all()
            right = calls.quality[rows, worker, 0][ok] > 0.5
            told = calls.confidence[rows, worker, 0][ok]
            better = metrics.roc_auc_score(right, score[ok]) - metrics.roc_auc_score(right, told)
            assert better > 0.02
            for low in (0.0, 0.25, 0.5, 0.75):
                group = (score[ok] >= low) & (score[ok] < low + 0.25)
                assert right[group].mean() == pytest.approx(score[ok][group].mean(), abs=0.06)

    def test_goes_on_below_the_threshold_and_stops_above(self) -> None:
        pytest.importorskip("sklearn", reason="pip install 'conductor-gym[routers]'")
        agent: Any = make_agent("frugal", SETTING)
        played = kinds(play(agent, dev(), 500))
        lengths = {len(row) for row in played}
        assert max(lengths) <= len(agent.chain) + 1
        assert len(lengths) > 1, "it should go on for some and stop for others"

    @pytest.mark.recorded
    def test_works_where_no_confidence_is_stated(self, recorded_folder: Path) -> None:
        pytest.importorskip("sklearn", reason="pip install 'conductor-gym[routers]'")
        del recorded_folder
        for name in ("crux", "gsm8k"):
            track = find_track(name)
            setting = track.setting(WEIGHT)
            gains = rehearse(make_agent("frugal", setting), setting)
            gains -= rehearse(make_agent("best-single", setting), setting)
            assert no_worse_beyond_chance(gains)

    def test_without_scikit_learn_the_error_names_the_extra(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(__import__("sys").modules, "sklearn.linear_model", None)
        with pytest.raises(MissingExtraError, match=r"conductor-gym\[routers\]"):
            make_agent("frugal", SETTING)


class TestAdaptiveConsistency:
    """Self-consistency that stops early."""

    def test_group_sizes_are_those_of_the_answers_that_were_given(self) -> None:
        engine, slots = Engine(dev(), 400), np.arange(400)
        observation, rng = engine.new_observation(), np.random.default_rng(0)
        engine.start(slots, np.zeros_like(slots), slots, observation)
        seen: set[tuple[int, int]] = set()
        for taken in range(9):
            first, second = answer_groups(observation._asdict())
            for slot in slots.tolist():
                steps = engine.state.steps[slot, :taken]
                answered = (steps["status"] == Status.OK) & (steps["subtask"] != Subtask.VERIFY)
                _, sizes = np.unique(steps["answer"][answered], return_counts=True)
                largest = (*sorted(sizes.tolist(), reverse=True), 0, 0)
                assert (first[slot], second[slot]) == largest[:2]
                seen.add((int(first[slot]), int(second[slot])))
            actions = np.zeros((400, 3), np.int64)
            actions[:, 0] = rng.integers(0, 7, 400)
            judged = observation.budget[:, -1] > 0
            actions[judged, 1] = rng.choice([Subtask.SOLVE, Subtask.VERIFY], int(judged.sum()))
            engine.step(actions, observation)
        assert {(0, 0), (1, 1), (2, 2), (5, 0)} <= seen

    def test_belief_is_that_of_a_beta_posterior(self) -> None:
        first, second = np.array([4, 3, 1, 0]), np.array([0, 0, 1, 0])
        assert safety(first, second) == pytest.approx([1 - 0.5**5, 1 - 0.5**4, 0.5, 0.5])

    @pytest.mark.parametrize("threshold", [0.95, 0.85])
    def test_stops_as_soon_as_the_leader_is_safe_and_votes_where_there_was_dispute(
        self, threshold: float
    ) -> None:
        agent = AdaptiveConsistency(SETTING)
        agent.threshold, agent.maximum = threshold, 8
        engine, slots = Engine(dev(), 1000), np.arange(1000)
        observation = engine.new_observation()
        engine.start(slots, np.zeros_like(slots), slots, observation)
        early = disputed = 0
        while not engine.episodes["over"].all():
            seen = observation._asdict()
            running = engine.episodes["over"] == 0
            action = agent.act(seen)
            first, second = answer_groups(seen)
            safe = (first > 0) & (safety(first, second) >= threshold)
            steps = engine.episodes["steps"]
            assert not (running & safe & (action[:, 1] == Subtask.SOLVE)).any()
            assert (running & (steps < 8) & ~safe & (action[:, 1] != Subtask.SOLVE)).sum() == 0
            ends = running & (action[:, 1] == Subtask.SUBMIT)
            early += int((ends & (steps < 8)).sum())
            voted = engine.state.steps[slots, np.maximum(steps - 1, 0)]["subtask"] == Subtask.VOTE
            assert voted[ends & (second > 0)].all()
            disputed += int((ends & (second > 0)).sum())
            engine.step(action, observation)
        assert early > 300
        assert disputed > 50
        assert engine.episodes["invalid"].sum() == 0

    def test_threshold_and_most_samples_are_the_best_on_dev(self) -> None:
        agent = AdaptiveConsistency(SETTING)
        chosen = rehearse(agent, SETTING).mean()
        for agent.threshold, agent.maximum in ((0.95, 8), (0.85, 3), (0.9, 5)):
            assert chosen >= rehearse(agent, SETTING).mean()

    def test_takes_fewer_samples_than_self_consistency_for_as_much(self) -> None:
        free = PAPER.setting(0.0)
        agent = AdaptiveConsistency(free)
        agent.threshold, agent.maximum = 0.95, 8
        adaptive = play(agent, dev(0.0), 2000)
        eight = AdaptiveConsistency(free)
        eight.threshold, eight.maximum = 2.0, 8
        full = play(eight, dev(0.0), 2000)
        assert adaptive.cost.sum() < 0.8 * full.cost.sum()
        assert no_worse_beyond_chance(adaptive.quality - full.quality + 0.005)

    def test_takes_a_worker(self) -> None:
        slot = SETTING.workers.index("qwen3-32b")
        for row in play(make_agent("adaptive-consistency:qwen3-32b", SETTING), dev(), 50).decisions:
            calls = [unpack_action(code) for code in row]
            assert {worker for worker, kind, _ in calls if kind == Subtask.SOLVE} == {slot}
        with pytest.raises(UnknownNameError, match="'gpt-5'"):
            make_agent("adaptive-consistency:gpt5", SETTING)


@pytest.fixture(scope="module")
def cast() -> Roles:
    """Roles, cast at the headline cost weight."""
    return Roles(SETTING)


class TestRoles:
    """Thinker, worker, verifier."""

    def test_is_better_than_one_call_by_the_worker_for_the_domain(self, cast: Roles) -> None:
        gain = rehearse(cast, SETTING) - rehearse(BestBySize(SETTING), SETTING)
        assert gain.mean() > 0.0
        assert no_worse_beyond_chance(gain)

    def test_ends_when_the_verifier_accepts_and_goes_on_when_it_rejects(self) -> None:
        agent = Roles(PAPER.setting(0.0))
        engine, slots = Engine(dev(0.0), 1000), np.arange(1000)
        observation = engine.new_observation()
        engine.start(slots, np.zeros_like(slots), slots, observation)
        accepted = rejected = 0
        while not engine.episodes["over"].all():
            action, taken = agent.act(observation._asdict()), engine.episodes["steps"]
            newest = engine.state.steps[slots, np.maximum(taken - 1, 0)]
            judged = (engine.episodes["over"] == 0) & (taken > 0)
            judged &= newest["subtask"] == Subtask.VERIFY
            yes, no = judged & (newest["verdict"] == 1), judged & (newest["verdict"] == 0)
            assert (action[yes, 1] == Subtask.SUBMIT).all()
            repair = Subtask.REVISE if agent.team.revises else Subtask.SOLVE
            assert (action[no, 1] == repair).all()
            accepted, rejected = accepted + int(yes.sum()), rejected + int(no.sum())
            engine.step(action, observation)
        assert accepted > 300
        assert rejected > 50
        answers = np.isin(engine.state.steps["subtask"], (Subtask.SOLVE, Subtask.REVISE))
        answers &= np.arange(10) < engine.episodes["steps"][:, None]
        assert answers.sum(axis=1).max() <= 1 + agent.team.turns

    def test_a_cheaper_verifier_is_taken_where_calls_cost(self, cast: Roles) -> None:
        prices = collect_single_calls(SETTING.train).cost_usd.mean(axis=(0, 2))
        assert prices[cast.team.verifier] < np.median(prices)
        assert cast.looked_at.any()

    def test_a_deputy_is_never_the_one_who_answered(self, cast: Roles) -> None:
        agent = copy(cast)
        agent.team, agent.looked_at = replace(agent.team, revises=False, turns=2), np.ones(7, bool)
        played = play(agent, dev(), 1000)
        anew = 0
        for row in played.decisions:
            workers = [w for w, kind, _ in map(unpack_action, row) if kind == Subtask.SOLVE]
            assert len(set(workers)) == len(workers)
            anew += len(workers) - 1
        assert anew > 50
