"""Equal compute and same mix: they spend, and call, what the best trained agent does."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sb3_contrib", reason="pip install 'conductor-gym[rl]'")
pytest.importorskip("cma", reason="pip install 'conductor-gym[rl]'")

from conductor_gym.agents.equal_compute import Measured, Way, best_mixture
from conductor_gym.agents.registry import make_agent, trainer
from conductor_gym.agents.shadow import Played, play_dev
from conductor_gym.agents.training import TrainingRun
from conductor_gym.errors import ConfigError
from conductor_gym.leaderboard.evaluate import play, unpack_action
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.reward import COST_WEIGHTS
from conductor_gym.types import Subtask

SHADOWS = ("equal-compute", "same-mix")


def train(name: str, models: Path, steps: int) -> dict[str, Any]:
    """Train an agent of the track whose models these are."""
    setting = find_track(models.name).setting(0.05)
    run = TrainingRun(name, setting, models / name / "seed-0", steps, models=models)
    return trainer(name)(run)


def on_dev(name: str, models: Path, weight: float, seed: int = 0) -> Played:
    setting = find_track(models.name).setting(weight, seed)
    return play_dev(name, make_agent(name, setting, models / name / "seed-0"), setting)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two trained agents of track paper and their shadows."""
    folder = tmp_path_factory.mktemp("models") / "paper"
    train("maskable-ppo", folder, 16 * 1024)
    train("evolved", folder, 400_000)
    for name in SHADOWS:
        train(name, folder, 0)
    return folder


def card(name: str, models: Path) -> dict[str, Any]:
    return json.loads((models / name / "seed-0" / "card.json").read_text())


def test_at_each_weight_the_agent_with_the_highest_dev_utility_is_shadowed(models: Path) -> None:
    told = card("same-mix", models)["shadowed"]
    assert [row["cost_weight"] for row in told] == list(COST_WEIGHTS)
    for row in told[::3]:
        reached = {
            name: on_dev(name, models, row["cost_weight"]) for name in ("maskable-ppo", "evolved")
        }
        best = max(reached, key=lambda name: reached[name].utility)
        assert row["agent"] == best
        assert row["cost_usd"] == pytest.approx(reached[best].cost_usd)


def test_equal_compute_spends_what_the_trained_agent_spends(models: Path) -> None:
    mixtures = card("equal-compute", models)["mixtures"]
    for mixed in mixtures:
        assert mixed["cost_usd"] == pytest.approx(mixed["agent_cost_usd"])
        spent = np.mean(
            [on_dev("equal-compute", models, mixed["cost_weight"], s).cost_usd for s in range(3)]
        )
        assert spent == pytest.approx(mixed["agent_cost_usd"], rel=0.05)


def test_same_mix_calls_every_worker_as_often_and_ends_as_often(models: Path) -> None:
    for weight in (0.0, 0.05, 1.0):
        (row,) = (r for r in card("same-mix", models)["shadowed"] if r["cost_weight"] == weight)
        told, drawn = (on_dev(name, models, weight) for name in (row["agent"], "same-mix"))
        calls, same = (played.actions.sum(axis=3) for played in (told, drawn))
        assert np.abs(calls - same).sum() < 0.08 * calls.sum()
        assert (calls.argmax(axis=2)[0] == same.argmax(axis=2)[0]).all()
        assert told.utility > drawn.utility, "what the agent looks at should be worth something"


@pytest.mark.parametrize("name", SHADOWS)
def test_a_shadow_plays_without_invalid_actions_and_whatever_the_batch(
    name: str, models: Path
) -> None:
    track = find_track("paper")
    agent = make_agent(name, track.setting(0.05), models / name / "seed-0")
    whole, pieces = (play(agent, track.evaluation(0.05), 400, batch) for batch in (4096, 37))
    assert whole.decisions == pieces.decisions
    assert whole.invalid.sum() == 0
    assert {unpack_action(row[-1])[1] for row in whole.decisions if len(row) < 10} == {
        Subtask.SUBMIT
    }


@pytest.mark.parametrize("name", SHADOWS)
def test_a_shadow_draws_by_its_seed(name: str, models: Path) -> None:
    weight = next(
        m["cost_weight"]
        for m in card("equal-compute", models)["mixtures"]
        if 0.1 < m["share"] < 0.9
    )
    first, again, other = (on_dev(name, models, weight, seed).actions for seed in (0, 0, 1))
    assert (first == again).all()
    assert (first != other).any()


def test_no_two_ways_mix_to_more_quality_at_the_same_cost() -> None:
    generator = np.random.default_rng(0)
    for _ in range(50):
        ways = [Measured(Way(0, 0), 0.0, 0.0)]
        ways += [Measured(Way(w, 1), *generator.random(2).tolist()) for w in range(7)]
        dearest = max(way.cost_usd for way in ways)
        for cost in (*generator.random(3).tolist(), ways[3].cost_usd):
            mixed = best_mixture(ways, cost)
            assert mixed.cost_usd == pytest.approx(min(cost, dearest))
            for low in ways:
                for high in ways:
                    if low.cost_usd <= cost <= high.cost_usd and low.cost_usd < high.cost_usd:
                        share = (cost - low.cost_usd) / (high.cost_usd - low.cost_usd)
                        reached = low.quality + share * (high.quality - low.quality)
                        assert mixed.quality >= reached - 1e-12


@pytest.mark.parametrize("name", SHADOWS)
def test_without_a_trained_agent_the_error_names_the_command(name: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="conductor-gym train maskable-ppo --track paper"):
        train(name, tmp_path / "paper", 0)
    assert not (tmp_path / "paper" / name / "seed-0" / "card.json").exists()


def test_between_two_weights_of_the_grid_the_nearer_counts(models: Path) -> None:
    setting = replace(find_track("paper").setting(0.05), cost_weight=0.06)
    folder = models / "equal-compute" / "seed-0"
    near, exact = (
        play(make_agent("equal-compute", s, folder), find_track("paper").evaluation(0.05), 100)
        for s in (setting, replace(setting, cost_weight=0.05))
    )
    assert [len(row) for row in near.decisions] == [len(row) for row in exact.decisions]


@pytest.mark.recorded
def test_without_votes_equal_compute_asks_at_most_once(
    recorded_folder: Path, tmp_path: Path
) -> None:
    del recorded_folder
    folder = tmp_path / "gsm8k"
    train("evolved", folder, 20_000)
    for name in SHADOWS:
        train(name, folder, 0)
        track = find_track("gsm8k")
        agent = make_agent(name, track.setting(0.05), folder / name / "seed-0")
        assert play(agent, track.evaluation(0.05), 100).invalid.sum() == 0
    for mixed in card("equal-compute", folder)["mixtures"]:
        assert {mixed["low"]["samples"], mixed["high"]["samples"]} <= {0, 1}
