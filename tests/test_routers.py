"""Routers: they learn what there is to learn, choose their setting on dev, and stay in bounds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from conductor_gym.agents.experience import collect_single_calls
from conductor_gym.agents.registry import make_agent
from conductor_gym.config import EnvConfig
from conductor_gym.errors import MissingExtraError
from conductor_gym.leaderboard.evaluate import play, unpack_action
from conductor_gym.leaderboard.tracks import find_track
from conductor_gym.reward import utility
from conductor_gym.types import Subtask

pytest.importorskip("sklearn", reason="pip install 'conductor-gym[routers]'")

ROUTERS = ("knn", "clusters", "cost-accuracy", "strong-weak", "learned-router")
PAPER = find_track("paper")
WEIGHT = 0.05


def reached(name: str, config: EnvConfig, episodes: int = 4000) -> Any:
    played = play(make_agent(name, PAPER.setting(WEIGHT)), config, episodes)
    return utility(played.quality, played.cost / 1e9, 0.0, WEIGHT)


@pytest.mark.parametrize("name", ROUTERS)
def test_a_router_is_no_worse_than_the_best_single_worker_beyond_chance(name: str) -> None:
    config = PAPER.evaluation(WEIGHT)
    gain = reached(name, config) - reached("best-single", config)
    assert gain.mean() > -2.0 * gain.std() / np.sqrt(len(gain))


@pytest.mark.parametrize("name", ROUTERS)
def test_a_router_makes_one_call_or_none_and_submits(name: str) -> None:
    played = play(make_agent(name, PAPER.setting(0.5)), PAPER.evaluation(0.5), 300)
    assert played.invalid.sum() == 0
    for codes in played.decisions:
        subtasks = [unpack_action(code)[1] for code in codes]
        assert subtasks in ([Subtask.SOLVE, Subtask.SUBMIT], [Subtask.SUBMIT])


@pytest.mark.parametrize("name", ROUTERS)
def test_fitting_twice_gives_the_same_router(name: str) -> None:
    first, second = (
        play(make_agent(name, PAPER.setting(WEIGHT)), PAPER.evaluation(WEIGHT), 200)
        for _ in range(2)
    )
    assert first.decisions == second.decisions


@pytest.mark.parametrize("name", ROUTERS)
def test_the_setting_is_the_best_one_on_dev(name: str) -> None:
    router: Any = make_agent(name, PAPER.setting(WEIGHT))
    train = collect_single_calls(router.setting.train)
    dev = collect_single_calls(replace(router.setting.train, split="dev"))
    gains, rows = router.gains(dev), np.arange(len(dev.features))

    def on_dev(candidate: Any) -> float:
        router.fit(train, candidate)
        worker, level = router.choose(dev.features).T
        return float(np.where(worker >= 0, gains[rows, worker, level], 0.0).mean())

    chosen = router.chosen
    assert chosen in router.candidates
    best = on_dev(chosen)
    assert all(best >= on_dev(other) for other in list(router.candidates)[:6])


def test_nothing_is_submitted_where_no_call_is_worth_its_price() -> None:
    setting = replace(PAPER.setting(10.0), cost_weight=10.0)
    agent = make_agent("knn", setting)
    played = play(agent, replace(PAPER.evaluation(1.0), cost_weight=10.0), 300)
    assert any(len(codes) == 1 for codes in played.decisions)


@pytest.mark.recorded
@pytest.mark.parametrize("name", ROUTERS)
def test_routers_play_recorded_tables(name: str, recorded_folder: Path) -> None:
    del recorded_folder
    track = find_track("gsm8k")
    played = play(make_agent(name, track.setting(WEIGHT)), track.evaluation(WEIGHT), 200)
    assert played.invalid.sum() == 0


def test_without_scikit_learn_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "sklearn.neighbors", None)
    with pytest.raises(MissingExtraError, match=r"conductor-gym\[routers\]"):
        make_agent("knn", PAPER.setting(WEIGHT))
